"""Where the demo's alerts are sent to: an HTTP server on the loopback that keeps and shows them."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MOST_BYTES = 65_536
MOST_KEPT = 200


class MessageSink:
    """Takes apprise's `json://` posts, appends them to a file as JSON lines, and lists them to who asks."""

    def __init__(self, path: Path, tell: Callable[[str], None]) -> None:
        """Listen on a free port of the loopback; `tell` is given the title of each message."""
        self.path = path
        self._tell = tell
        self._kept: list[str] = []
        self._lock = threading.Lock()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                self._answer(204 if 0 < length <= MOST_BYTES and sink.take(self.rfile.read(length)) else 400)

            def do_GET(self) -> None:
                self._answer(200, sink.listed().encode())

            def _answer(self, status: int, body: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (named so by the base)
                """Say nothing: messages are told, requests are not."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="messages", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_address[1])

    def take(self, body: bytes) -> bool:
        """Keep a message; False where it is none."""
        try:
            found = json.loads(body)
        except ValueError:
            return False
        if not isinstance(found, dict):
            return False
        title, text = str(found.get("title") or ""), str(found.get("message") or "")
        with self._lock:
            self._kept = [*self._kept[-MOST_KEPT + 1 :], f"{title}\n{text}\n"]
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"title": title, "message": text}, ensure_ascii=False) + "\n")
        self._tell(title)
        return True

    def listed(self) -> str:
        """Return what was sent, newest first."""
        with self._lock:
            return "\n".join(reversed(self._kept)) or "No message was sent yet.\n"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
