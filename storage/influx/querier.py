"""Asks InfluxQL questions over HTTP: bound parameters out, typed rows in, in chunks.

1.x and 2.x are asked on `/query`. 3.x has that too, but without bound parameters (influxdb issue 24805), so it is
asked on `/api/v3/query_influxql`.

The text of a question is made of names of the schema and of placeholders only; values travel beside it and are put
in by the server's parser as literals, so no value can become syntax.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import httpx
import msgspec
import pyarrow as pa

from storage.influx.address import Address
from storage.influx.server import VERSION_HEADER, Server
from storage.influx.settings import InfluxSettings
from storage.influx.targets import Target
from storage.influx.tls import WANTS_TLS, speaks_tls, tls_context, tls_fault
from storage.seam import StoreError, StoreUnavailable

_CHUNK_ROWS = 20_000
_SHOWN = 200
Value = int | float | bool | str | None


class Series(msgspec.Struct):
    """One series of an answer."""

    name: str = ""
    columns: list[str] = []
    values: list[list[Value]] = []
    tags: dict[str, str] = {}


class _Statement(msgspec.Struct):
    series: list[Series] = []
    error: str = ""


class _Answer(msgspec.Struct):
    results: list[_Statement] = []
    error: str = ""


_DECODER = msgspec.json.Decoder(_Answer)
_ROW_DECODER = msgspec.json.Decoder(dict[str, Value])


def quoted(name: str) -> str:
    r"""Return a name as an InfluxQL identifier.

    >>> print(quoted('a"b'))
    "a\"b"
    """
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@dataclass(slots=True)
class Bound:
    """The values bound to one question."""

    values: dict[str, Value] = field(default_factory=dict)

    def bind(self, value: Value) -> str:
        """Return the placeholder of a value."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f"${name}"


class DatabaseMissing(StoreError):
    """The server does not know the database, or (2.x) maps none of that name to a bucket."""


class Querier:
    """The reading connection of one store; safe for several threads."""

    def __init__(self, address: Address, settings: InfluxSettings) -> None:
        self._address = address
        self._server: Server | None = None
        self._client = httpx.Client(
            base_url=address.url,
            headers={"Authorization": address.authorization} if address.authorization else {},
            timeout=httpx.Timeout(settings.query_timeout, connect=settings.connect_timeout),
            verify=tls_context(settings),
            trust_env=False,
        )

    def ask(self, target: Target, question: str, bound: Bound, columns: Sequence[str]) -> Iterator[Series]:
        """Yield the series of the answer, in chunks; the names of `columns` are those asked for, in order.

        Raises DatabaseMissing, StoreUnavailable where the server cannot answer, StoreError for what it refuses.
        """
        if self._detected().binds_in_v3_only:
            yield from self._ask_v3(target, question, bound, columns)
            return
        form = {
            "q": question,
            "db": target.database,
            "rp": target.policy.value,
            "epoch": "ns",
            "chunked": "true",
            "chunk_size": str(_CHUNK_ROWS),
            "params": json.dumps(bound.values),
        }
        try:
            with self._client.stream("POST", "/query", data=form) as response:
                if response.status_code != 200:
                    response.read()
                    raise self._refused(response.status_code, response.text)
                for line in _lines(response):
                    yield from self._series(line)
        except (httpx.HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def _ask_v3(self, target: Target, question: str, bound: Bound, columns: Sequence[str]) -> Iterator[Series]:
        """Ask a 3.x: an object a row, without what is null, times as text, tags of groups as columns."""
        asked = {"db": target.bucket, "q": question, "params": bound.values, "format": "jsonl"}
        try:
            with self._client.stream("POST", "/api/v3/query_influxql", json=asked) as response:
                if response.status_code != 200:
                    response.read()
                    raise self._refused(response.status_code, response.text)
                lines = _lines(response)
                while rows := list(itertools.islice(lines, _CHUNK_ROWS)):
                    yield self._series_v3(rows, columns)
        except DatabaseMissing:
            return  # it is made by the first write
        except (httpx.HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def _series_v3(self, lines: list[bytes], columns: Sequence[str]) -> Series:
        try:
            rows = [_ROW_DECODER.decode(line) for line in lines]
            values = [[row.get(name) for name in columns] for row in rows]
            times = pa.array([str(row["time"]).removesuffix("Z") for row in rows]).cast(pa.timestamp("ns"))
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, pa.ArrowException) as error:
            raise StoreUnavailable(
                f"store {self._address.label}: its answer is not understood: {error}"
            ) from error
        at = list(columns).index("time")
        for row, time_ns in zip(values, times.cast(pa.int64()).to_pylist(), strict=True):
            row[at] = time_ns
        return Series(columns=list(columns), values=values)

    def _detected(self) -> Server:
        if self._server is None:
            response = self.call("GET", "/ping")
            if speaks_tls(response.text):
                raise self._refused(response.status_code, response.text)
            self._server = Server.told(response.headers.get(VERSION_HEADER, ""))
        return self._server

    def maps_buckets(self) -> bool:
        """Tell whether the server is a 2.x, where InfluxQL finds only buckets that are mapped."""
        return self.call("GET", "/api/v2/dbrps").status_code in (200, 400, 401, 403)

    def command(self, statement: str) -> None:
        """Carry out a statement that changes something; raises StoreError, StoreUnavailable."""
        try:
            response = self._client.post("/query", data={"q": statement})
        except (httpx.HTTPError, OSError) as error:
            raise self._unreachable(error) from error
        if response.status_code != 200:
            raise self._refused(response.status_code, response.text)
        list(self._series(response.content))

    def call(self, method: str, path: str, **arguments: object) -> httpx.Response:
        """Call another part of the server's API; raises StoreUnavailable."""
        try:
            return self._client.request(method, path, **arguments)  # type: ignore[arg-type]
        except (httpx.HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def _series(self, line: bytes) -> Iterator[Series]:
        try:
            answer = _DECODER.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreUnavailable(f"store {self._address.label}: its answer is cut short: {error}") from error
        message = answer.error or next((s.error for s in answer.results if s.error), "")
        if message:
            raise self._refused(200, message)
        for statement in answer.results:
            yield from statement.series

    def _unreachable(self, error: Exception) -> StoreUnavailable:
        self._server = None  # what answers next may be another version
        why = tls_fault(error) or str(error) or type(error).__name__
        return StoreUnavailable(f"store {self._address.label}: {why[:_SHOWN]}")

    def _refused(self, status: int, text: str) -> StoreError:
        message = f"store {self._address.label}: {_reason(text)}"
        if speaks_tls(message):
            return StoreUnavailable(f"store {self._address.label}: {WANTS_TLS}")
        if "not found" in message and ("database" in message or "retention policy" in message):
            return DatabaseMissing(f"{message}; `surgecast store init` makes what is missing")
        if status in (401, 403):
            return StoreUnavailable(f"{message or 'not allowed'} (status {status}): check its token or password")
        if status >= 500 or status in (404, 408, 429) or "timeout" in message:
            return StoreUnavailable(f"{message} (status {status})")
        return StoreError(message)


def _reason(text: str) -> str:
    try:
        told = json.loads(text)
        return str(told.get("error") or told.get("message") or text)[:_SHOWN]
    except (ValueError, AttributeError):
        return text[:_SHOWN].strip()


def _lines(response: httpx.Response) -> Iterator[bytes]:
    """Yield the lines of a body: one JSON document each, however it was cut into packets."""
    rest: list[bytes] = []
    for part in response.iter_bytes():
        *whole, last = part.split(b"\n")
        for line in whole:
            rest.append(line)
            if text := b"".join(rest):
                yield text
            rest = []
        rest.append(last)
    if text := b"".join(rest).strip():
        yield text
