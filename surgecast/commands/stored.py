"""What the verbs that read the store share: opening it within a scope, and its tables as rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from storage.open import open_store
from storage.seam import Reader, Scope
from surgecast.commands.output import iso_time
from surgecast.config import load_settings

AsTenant = Annotated[str | None, typer.Option("--tenant", help="See as this tenant: nothing of others is found.")]


@contextmanager
def stored(config: Path | None, url: str | None, tenant: str | None) -> Iterator[Reader]:
    """Open the store at `url`, else the configured one, for a tenant, else for an engineer.

    Raises:
        ConfigError: The configuration is wrong.
        StoreError: The store cannot be opened.
    """
    storage = load_settings(config).storage
    store = open_store(url or storage.url, storage, existing=True)
    try:
        yield store.reader(Scope.of("command line", tenant) if tenant else Scope.everything("command line"))
    finally:
        store.close()


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return a table's rows with times as ISO 8601 UTC in nanoseconds, which Python's own datetime cannot hold."""
    columns = {
        name: [iso_time(ns) for ns in column.cast(pa.int64()).to_pylist()]
        if pa.types.is_timestamp(column.type)
        else column.to_pylist()
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
