"""A server that answers writes as it is told, and remembers what it took."""

import gzip
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit


class StubServer:
    """Answers `/ping` with its version and writes with `answer(path, lines)`: status, body, headers."""

    def __init__(self, version: str = "1.8.10") -> None:
        self.version = version
        self.taken: list[tuple[str, dict[str, str], str]] = []
        """Path, query and lines of each write that was answered 204."""
        self.asked = 0
        self.authorization = ""
        self.answer: Callable[[str], tuple[int, str, dict[str, str]]] = lambda lines: (204, "", {})
        self.changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def lines(self) -> list[str]:
        with self.changed:
            return [line for _, _, lines in self.taken for line in lines.splitlines()]

    def wait_for_lines(self, count: int) -> list[str]:
        """Return the lines taken once there are so many, or after a while whatever there are."""
        deadline = time.monotonic() + 60
        with self.changed:
            while sum(len(lines.splitlines()) for _, _, lines in self.taken) < count:
                if not self.changed.wait(max(deadline - time.monotonic(), 0)):
                    break
        return self.lines()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._reply(204, "", {"X-Influxdb-Version": stub.version} if stub.version else {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stub.authorization = self.headers.get("Authorization", "")
                assert self.headers["Content-Encoding"] == "gzip"
                lines = gzip.decompress(body).decode()
                status, text, headers = stub.answer(lines)
                url = urlsplit(self.path)
                with stub.changed:
                    stub.asked += 1
                    if status == 204:
                        query = {name: values[0] for name, values in parse_qs(url.query).items()}
                        stub.taken.append((url.path, query, lines))
                    stub.changed.notify_all()
                self._reply(status, text, headers)

            def _reply(self, status: int, text: str, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
                pass

        return Handler
