"""Stand-ins for versions of InfluxDB that cannot run here: they answer as those do, over a real 1.6.

1.8: the version it says, `/api/v2/write` with a bucket `DATABASE/POLICY`. 3.x: that as well; `/query` without
bound parameters; `/api/v3/query_influxql`, whose rows are objects without what is null, with times as text;
databases that the first write makes; no mappings of buckets. A double shows that our requests are those that such
a server takes by its documents and sources, not that the server does.
"""

import gzip
import json
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import numpy as np
from influx_servers import InfluxServer


class VersionDouble:
    """Answers as a version does, and asks a 1.6 what to answer."""

    def __init__(self, behind: InfluxServer, version: str) -> None:
        self.behind = behind
        self.version = version
        self.authorizations: set[str] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _behind(self, path: str, query: dict[str, str], body: bytes | None = None) -> tuple[int, bytes]:
        url = f"{self.behind.http}{path}?{urlencode(query)}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def make(self, database: str, policy: str) -> None:
        """Make a database of 3.x, as its first write does."""
        self._behind("/query", {"q": f'CREATE DATABASE "{database}"'}, b"")
        policy_of = f'"{policy}" ON "{database}" DURATION 0s REPLICATION 1'
        self._behind("/query", {"q": f"CREATE RETENTION POLICY {policy_of}"}, b"")

    def write(self, bucket: str, lines: bytes) -> tuple[int, bytes]:
        database, _, policy = bucket.partition("/")
        if self.version.startswith("3"):
            self.make(database, policy)
        return self._behind("/write", {"db": database, "rp": policy, "precision": "ns"}, lines)

    def query_v1(self, form: dict[str, str]) -> tuple[int, bytes]:
        if self.version.startswith("3"):
            return 400, json.dumps({"error": "parameter $p0 not defined"}).encode()
        return self._behind("/query", form, b"")

    def query_v3(self, asked: dict[str, Any]) -> tuple[int, bytes]:
        database, _, policy = asked["db"].partition("/")
        form = {
            "db": database,
            "rp": policy,
            "q": asked["q"],
            "epoch": "ns",
            "params": json.dumps(asked["params"]),
        }
        status, body = self._behind("/query", form, b"")
        answer = json.loads(body)
        result = answer.get("results", [{}])[0]
        error = answer.get("error") or result.get("error")
        if error:
            missing = "database not found" in error or "retention policy not found" in error
            return 404 if missing else 400, json.dumps(
                {"error": error if not missing else "database not found"}
            ).encode()
        rows = []
        for series in result.get("series", []):
            for values in series["values"]:
                row = dict(zip(series["columns"], values, strict=True)) | series.get("tags", {})
                row["time"] = str(np.datetime64(row["time"], "ns"))
                row["iox::measurement"] = series["name"]
                rows.append({name: value for name, value in row.items() if value not in (None, "")})
        return status, b"\n".join(json.dumps(row).encode() for row in rows)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body in one packet: the second of two small ones waits 40 ms for its turn

            def do_GET(self) -> None:
                double.authorizations.add(self.headers.get("Authorization", ""))
                ping = urlsplit(self.path).path == "/ping"
                self._reply(200 if ping else 404, b"{}" if ping else b'{"error": "not found"}')

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                double.authorizations.add(self.headers.get("Authorization", ""))
                url = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                if url.path == "/api/v2/write":
                    self._reply(*double.write(query["bucket"], body))
                elif url.path == "/query":
                    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                    self._reply(*double.query_v1(form | query))
                elif url.path == "/api/v3/query_influxql" and double.version.startswith("3"):
                    self._reply(*double.query_v3(json.loads(body)))
                else:
                    self._reply(404, b'{"error": "not found"}')

            def _reply(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("X-Influxdb-Version", double.version)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class names it)
                pass

        return Handler


def as_user(url: str, user: str, password: str) -> str:
    """Return a URL of a store with a user and password."""
    return url.replace("://", f"://{quote(user)}:{quote(password)}@")
