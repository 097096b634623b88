"""Opens the store that a URL names."""

from pathlib import Path
from typing import TYPE_CHECKING

from storage.seam import BadAddress, StoreUnavailable
from storage.settings import StorageSettings
from storage.urls import directory_of, is_server

if TYPE_CHECKING:
    from storage.embedded.store import EmbeddedStore
    from storage.influx.store import InfluxStore


def open_store(
    url: str, settings: StorageSettings | None = None, *, existing: bool = False
) -> "EmbeddedStore | InfluxStore":
    """Open `embedded:DIRECTORY`, the path of a directory, `influx://HOST/DATABASE` or `influxs://` (TLS).

    Raises BadAddress for another scheme or a URL that says too little, StoreUnavailable where the store cannot be
    opened, or is not there and must be `existing`: who only reads shall not make a store of a wrong name.
    """
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
    try:
        path = directory_of(url)
    except ValueError as error:
        raise BadAddress(str(error)) from error
    if existing and not (Path(path) / "data").is_dir():
        raise StoreUnavailable(f"no store at {path}: nothing was collected there yet, or the name is wrong")
    from storage.embedded.store import EmbeddedStore  # and DuckDB, which who only shows a URL need not

    return EmbeddedStore(Path(path), settings)
