"""How commands print: data on stdout, everything else on stderr, `--json` as one object."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]

stderr = Console(stderr=True, highlight=False, soft_wrap=True)
_FILE_WIDTH = 10_000
"""Columns of a table that goes to a file or a pipe: as wide as it needs, nothing is cut there."""


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: times as ISO 8601 UTC, NaN and infinity as null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Sequence | set | frozenset):
        return [plain(v) for v in value]
    return value


def print_json(value: Any) -> None:
    """Print one JSON object on stdout."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, allow_nan=False) + "\n")


def iso_time(ns: int | None) -> str | None:
    """Return UTC nanoseconds as ISO 8601.

    >>> iso_time(1_700_000_000_000_000_001)
    '2023-11-14T22:13:20.000000001Z'
    """
    if ns is None:
        return None
    seconds, fraction = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z"


def shown(value: Any) -> str:
    """Return a table cell: a dash for unknown, three significant digits for fractions."""
    if value is None or value == "":
        return "—"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.0f}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(v) for v in value) or "—"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    return str(value)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print rows as a table on stdout."""
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(shown(v) for v in row))
    terminal = Console(highlight=False)
    if not terminal.is_terminal:
        terminal.width = _FILE_WIDTH
    terminal.print(table)
