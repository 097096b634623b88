"""Why a connection by TLS failed, in words that say what to set.

Clients wrap what OpenSSL says in layers of their own; what a person must know is at the bottom.
"""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

from storage.influx.settings import InfluxSettings
from storage.seam import StoreError

WANTS_TLS = "it speaks TLS only: write influxs:// in storage.url"
_PLAIN_TO_TLS = "HTTP request to an HTTPS server"
_REASON = re.compile(r"certificate verify failed: ([^(\]]+)", re.IGNORECASE)
_NOT_TLS = re.compile(r"\[SSL: ?(?:WRONG_VERSION_NUMBER|HTTP_REQUEST|UNKNOWN_PROTOCOL|RECORD_LAYER_FAILURE)")
_OTHER = re.compile(r"\[SSL: ?[A-Z0-9_]+\][^(]*")


def tls_context(settings: InfluxSettings) -> ssl.SSLContext | bool:
    """Return how to check servers; raises StoreError where the file of certificates is missing or holds none."""
    return settings.verify_tls if settings.ca_file is None else _context_of(settings.ca_file)


def _context_of(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except ssl.SSLError as error:
        raise StoreError(f"storage.influx.ca_file {ca_file}: there is no certificate in it") from error
    except OSError as error:
        raise StoreError(f"storage.influx.ca_file {ca_file}: {error.strerror}") from error


def speaks_tls(answer: str) -> bool:
    """Tell whether a server answered a plain request by saying that it wants TLS."""
    return _PLAIN_TO_TLS in answer


def tls_fault(error: BaseException) -> str:
    """Return what is wrong with TLS, and what to do; empty where the error is another."""
    other = ""
    for text in map(str, _causes(error)):
        if found := _REASON.search(text):
            return _untrusted(found[1].strip())
        if _NOT_TLS.search(text):
            return "it does not speak TLS: write influx:// in storage.url where the server has none"
        if found := _OTHER.search(text):
            other = f"TLS failed: {found[0].strip()}"
    return other


def _untrusted(reason: str) -> str:
    if "expired" in reason:
        return "its certificate has expired: renew it on the server"
    if "mismatch" in reason:
        return f"its certificate is another host's ({reason}): use a name that is in it"
    return f"its certificate is not trusted ({reason}): set storage.influx.ca_file to that of its authority"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what is behind it."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        cause = waiting.pop(0)
        if id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            inner = (cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args)
            waiting += [each for each in inner if isinstance(each, BaseException)]
