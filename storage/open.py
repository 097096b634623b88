"""Opens the store that a URL names."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from storage.seam import StoreError, StoreUnavailable
from storage.settings import StorageSettings

if TYPE_CHECKING:
    from storage.embedded.store import EmbeddedStore
    from storage.influx.store import InfluxStore

_INFLUX = ("influx", "influxs")
_FORMS = "use embedded:DIRECTORY, the path of a directory, or influx://HOST:8086/DATABASE"


_CREDENTIALS = re.compile(r"^([a-z]+://)[^/@]*@")


def is_server(url: str) -> bool:
    """Tell whether a store is a server, not a directory."""
    return url.partition(":")[0] in _INFLUX


def shown_url(url: str) -> str:
    """Return the URL of a store without the secrets in it, for people and logs.

    >>> shown_url("influx://user:secret@host:8086/db")
    'influx://***@host:8086/db'
    """
    return _CREDENTIALS.sub(r"\1***@", url)


def open_store(
    url: str, settings: StorageSettings | None = None, *, existing: bool = False
) -> "EmbeddedStore | InfluxStore":
    """Open `embedded:DIRECTORY`, the path of a directory, `influx://HOST/DATABASE` or `influxs://` (TLS).

    Raises StoreError for another scheme or a URL that says too little, StoreUnavailable where the store cannot be
    opened, or is not there and must be `existing`: who only reads shall not make a store of a wrong name.
    """
    scheme, colon, rest = url.partition(":")
    if is_server(url):
        from storage.influx.store import InfluxStore  # its kernels take a second, which the other store need not

        store = InfluxStore(url, settings)
        if existing:
            try:
                store.check()
            except StoreUnavailable:
                store.close()
                raise
        return store
    if colon and scheme != "embedded":
        if rest.startswith("//"):
            raise StoreError(f"no store of the kind {scheme[:20]!r}; {_FORMS}")
        rest = url
    path = (rest if colon else url).removeprefix("//")
    if not path:
        raise StoreError("the URL of the store names no directory; use embedded:DIRECTORY")
    if existing and not (Path(path) / "data").is_dir():
        raise StoreUnavailable(f"no store at {path}: nothing was collected there yet, or the name is wrong")
    from storage.embedded.store import EmbeddedStore  # and DuckDB, which who only shows a URL need not

    return EmbeddedStore(Path(path), settings)
