"""Sends batches of lines to the server, and names what came of each.

It sends once: whoever calls it decides what to keep and when to try again.
"""

import logging
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from threading import Lock
from typing import Any

import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException

from storage.influx.address import Address
from storage.influx.server import VERSION_HEADER, Server
from storage.influx.settings import InfluxSettings
from storage.influx.targets import Target
from storage.influx.tls import WANTS_TLS, speaks_tls, tls_fault

logger = logging.getLogger(__name__)

_DROPPED = re.compile(r"dropped=(\d+)")
_SHOWN = 200
_PATIENCE = 12


class WriteOutcome(StrEnum):
    """What came of a write request."""

    WRITTEN = "written"
    FIELD_TYPE_CONFLICT = "field_type_conflict"
    """Some rows have a field of another type than the server knows; the others were written."""
    BEYOND_RETENTION = "beyond_retention"
    """Some rows are older than their retention; the others were written."""
    PARTIAL = "partial"
    """Some rows were refused for another reason; the others were written."""
    MALFORMED = "malformed"
    """The server could not read the lines."""
    TOO_LARGE = "too_large"
    """The server takes no body of this size: it is to be sent in halves."""
    UNAUTHORISED = "unauthorised"
    NOT_FOUND = "not_found"
    """The database, policy or bucket is missing: `surgecast store init` makes them."""
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    TLS_FAILED = "tls_failed"
    """The server's certificate is not trusted or has expired, or one side speaks TLS and the other does not."""

    @property
    def final(self) -> bool:
        """Whether sending the same again can change nothing."""
        return self in _FINAL


_FINAL = {
    WriteOutcome.WRITTEN,
    WriteOutcome.FIELD_TYPE_CONFLICT,
    WriteOutcome.BEYOND_RETENTION,
    WriteOutcome.PARTIAL,
    WriteOutcome.MALFORMED,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one request."""

    outcome: WriteOutcome
    rows_rejected: int = 0
    retry_after_s: float = 0.0
    message: str = ""


class Sender:
    """The writing connection of one store; safe for several threads."""

    def __init__(self, address: Address, settings: InfluxSettings) -> None:
        self._address = address
        self._settings = settings
        if not settings.verify_tls:
            logger.warning("%s: its certificate is not checked, as configured (verify_tls)", address.label)
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # said once is enough
        # Its own gzip is of level 9; bodies are compressed here, once, and lie in the spool as they are sent.
        self._client = InfluxDBClient(
            url=address.url,
            token="",
            org=settings.org or "-",
            verify_ssl=settings.verify_tls,
            ssl_ca_cert=str(settings.ca_file) if settings.ca_file else None,
        )
        self._connect_ms, self._write_ms = (
            round(settings.connect_timeout * 1e3),
            round(settings.write_timeout * 1e3),
        )
        self._lock = Lock()
        self._server: Server | None = None
        self._org_id: str | None = None

    def detect(self) -> Server:
        """Return what answers at the address, asked once; raises ApiException or urllib3's HTTPError."""
        with self._lock:
            if self._server is None:
                _, _, headers = self._call("GET", "/ping", [], {}, None)
                self._server = Server.told(
                    next((v for k, v in headers.items() if k.lower() == VERSION_HEADER), "")
                )
                path = "/api/v2/write" if self._server.has_v2_write else "/write"
                logger.info("%s at %s: writing to %s", self._server.name, self._address.label, path)
            return self._server

    def send(self, target: Target, body: bytes, *, patient: bool = False) -> Sent:
        """Send one gzip body of lines with nanosecond times; never raises for what the server or network does.

        `patient` waits much longer for an answer: a slow server would else get the same batch again and again,
        from somebody who gives up each time just before it is done.
        """
        try:
            path, query = self._where(target)
        except ApiException as error:
            sent = _judged(error)
            # Nothing was said of the lines yet: whatever it is, they are kept.
            return replace(sent, outcome=WriteOutcome.SERVER_ERROR) if sent.outcome.final else sent
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return self._failed(error)
        try:
            headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
            self._call("POST", path, [*query, ("precision", "ns")], headers, body, patient=patient)
        except ApiException as error:
            return _judged(error)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return self._failed(error)
        return Sent(WriteOutcome.WRITTEN)

    def close(self) -> None:
        """Let the connections go."""
        self._client.close()

    def _where(self, target: Target) -> tuple[str, list[tuple[str, str]]]:
        if self.detect().has_v2_write:
            return "/api/v2/write", [("bucket", target.bucket), *self._organisation()]
        return "/write", [("db", target.database), ("rp", target.policy.value)]

    def _failed(self, error: Exception) -> Sent:
        """Name what came of a request that got no answer."""
        if isinstance(error, urllib3.exceptions.ReadTimeoutError | TimeoutError):
            return Sent(WriteOutcome.TIMEOUT, message=str(error)[:_SHOWN])
        self._server = None  # what answers next may be another version
        if fault := tls_fault(error):
            return Sent(WriteOutcome.TLS_FAILED, message=fault)
        return Sent(WriteOutcome.UNREACHABLE, message=str(error)[:_SHOWN])

    def _organisation(self) -> list[tuple[str, str]]:
        """Return who owns the bucket: as configured, on 2.x else the one that the token is of."""
        if self._settings.org:
            return [("org", self._settings.org)]
        with self._lock:
            if self._org_id is None:
                self._org_id = ""
                if self._server is not None and self._server.major == 2:
                    told, _, _ = self._call("GET", "/api/v2/orgs", [], {}, None, answer="object")
                    found = told.get("orgs") or [{}]
                    self._org_id = str(found[0].get("id", ""))
        return [("orgID", self._org_id)] if self._org_id else []

    def _call(
        self,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        headers: dict[str, str],
        body: bytes | None,
        answer: str | None = None,
        *,
        patient: bool = False,
    ) -> Any:
        if self._address.authorization:
            headers = headers | {"Authorization": self._address.authorization}
        return self._client.api_client.call_api(
            path,
            method,
            query_params=query,
            header_params=headers,
            body=body,
            auth_settings=[],
            response_type=answer,
            _request_timeout=(self._connect_ms, self._write_ms * (_PATIENCE if patient else 1)),
        )


def _judged(error: ApiException) -> Sent:
    status = error.status or 0
    message = str(error.body or error.reason or "")
    shown = message[:_SHOWN]
    dropped = _DROPPED.search(message)
    rejected = max(int(dropped[1]), 1) if dropped else 1
    if speaks_tls(message):
        return Sent(WriteOutcome.TLS_FAILED, message=WANTS_TLS)
    if "not found" in message and ("database" in message or "retention policy" in message or "bucket" in message):
        return Sent(WriteOutcome.NOT_FOUND, message=shown)
    if status == 400 and "orgID or org" in message:
        return Sent(WriteOutcome.NOT_FOUND, message="no organisation: set storage.influx.org")
    if status in (400, 422):
        if "field type conflict" in message:
            return Sent(WriteOutcome.FIELD_TYPE_CONFLICT, rejected, message=shown)
        if "beyond retention" in message or "outside retention" in message:
            return Sent(WriteOutcome.BEYOND_RETENTION, rejected, message=shown)
        if "partial write" in message:
            return Sent(WriteOutcome.PARTIAL, rejected, message=shown)
        return Sent(WriteOutcome.MALFORMED, rejected, message=shown)
    if status == 0 and (fault := tls_fault(error)):
        return Sent(WriteOutcome.TLS_FAILED, message=fault)
    if status == 413:
        return Sent(WriteOutcome.TOO_LARGE, message=shown)
    if status in (401, 403):
        return Sent(WriteOutcome.UNAUTHORISED, message=shown)
    if status == 404:
        return Sent(WriteOutcome.NOT_FOUND, message=shown)
    if status in (429, 503):
        return Sent(WriteOutcome.THROTTLED, retry_after_s=_retry_after(error), message=shown)
    if status in (408, 504):
        return Sent(WriteOutcome.TIMEOUT, message=shown)
    if status == 0:
        return Sent(WriteOutcome.UNREACHABLE, message=shown)
    return Sent(WriteOutcome.SERVER_ERROR, message=shown)


def _retry_after(error: ApiException) -> float:
    told = str(error.headers.get("Retry-After", "0")) if error.headers else "0"
    try:
        return min(max(float(told), 0.0), 600.0)
    except ValueError:
        return 0.0  # a date: our own pauses will do
