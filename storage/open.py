"""Opens the store that a URL names."""

from pathlib import Path

from storage.embedded.store import EmbeddedStore
from storage.seam import StoreError, StoreUnavailable
from storage.settings import StorageSettings


def open_store(url: str, settings: StorageSettings | None = None, *, existing: bool = False) -> EmbeddedStore:
    """Open `embedded:DIRECTORY`, `embedded:///DIRECTORY` or the path of a directory.

    Raises StoreError for a scheme that this build does not have, StoreUnavailable where the store cannot be
    opened, or is not there and must be `existing`: who only reads shall not make a store of a wrong name.
    """
    scheme, colon, rest = url.partition(":")
    if colon and scheme in ("influx", "influxdb", "influxs"):
        raise StoreError(
            f"{url.split('@')[-1][:60]}: this build has no InfluxDB backend yet; use embedded:DIRECTORY"
        )
    if colon and scheme != "embedded":
        if rest.startswith("//"):
            raise StoreError(
                f"no store of the kind {scheme[:20]!r}; use embedded:DIRECTORY or the path of a directory"
            )
        rest = url
    path = (rest if colon else url).removeprefix("//")
    if not path:
        raise StoreError("the URL of the store names no directory; use embedded:DIRECTORY")
    if existing and not (Path(path) / "data").is_dir():
        raise StoreUnavailable(f"no store at {path}: nothing was collected there yet, or the name is wrong")
    return EmbeddedStore(Path(path), settings)
