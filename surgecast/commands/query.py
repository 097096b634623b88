"""`surgecast query`: rows of a measurement, for scripts and for a look at what is stored."""

import time
from typing import Annotated

import typer

from storage.schema import (
    CALL,
    FINDING,
    FORECAST_ACCURACY,
    LOAD_MINUTE,
    MEASUREMENTS,
    QUALITY_MINUTE,
    REGISTRATION_MINUTE,
    SESSION_MINUTE,
    STREAM_INTERVAL,
    TRUNK_MINUTE,
)
from storage.seam import Window
from surgecast.commands.output import AsJson, print_json, print_table
from surgecast.commands.stored import AsTenant, rows_of, stored
from surgecast.commands.times import parse_time
from surgecast.config import ConfigFile, StoreUrl
from surgecast.errors import CommandError, Exit

_MINUTES = (SESSION_MINUTE, QUALITY_MINUTE, REGISTRATION_MINUTE, TRUNK_MINUTE)
_SUMMED: dict[str, tuple[str, ...] | None] = {
    **dict.fromkeys(m.name for m in (*_MINUTES, FORECAST_ACCURACY, FINDING)),
    STREAM_INTERVAL.name: ("expected", "received", "lost", "discarded", "duplicates", "reordered", "own_drops"),
    CALL.name: ("duration_s", "attempts"),
}
"""The fields that `--by` sums; None where all of them are counts and histograms. A sum of any other figure (codes,
MOS, jitter) means nothing."""


def query(
    measurement: Annotated[str, typer.Argument(help=f"One of: {', '.join(MEASUREMENTS)}.")],
    since: Annotated[str, typer.Option("--from", help="Start: -1h, 2026-11-20, 2026-11-20T08:00:00Z.")] = "-1h",
    until: Annotated[str, typer.Option("--to", help="End (exclusive): now, -5m, or a time.")] = "now",
    by: Annotated[list[str] | None, typer.Option(help="Sum what is counted per value of this tag.")] = None,
    where: Annotated[list[str] | None, typer.Option(help="Only rows with tag=value; may be repeated.")] = None,
    tenant: AsTenant = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most this many rows.")] = 1000,
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Print stored rows.

    Examples: surgecast query session_minute --from -1h --by trunk

    surgecast query stream_interval --where codec=PCMA --tenant acme --json
    """
    now_ns = time.time_ns()
    window = Window(parse_time(since, now_ns), parse_time(until, now_ns))
    if window.until_ns <= window.since_ns:
        raise CommandError(f"--from {since} is not before --to {until}", Exit.USAGE)
    allowed: dict[str, list[str]] = {}
    for condition in where or ():
        tag, equals, value = condition.partition("=")
        if not equals:
            raise CommandError(
                f"--where {condition!r} has no '='; write for example --where trunk=carrier-a", Exit.USAGE
            )
        allowed.setdefault(tag, []).append(value)
    if by and measurement in MEASUREMENTS and measurement not in (*_SUMMED, LOAD_MINUTE.name):
        raise CommandError(
            f"--by {by[0]}: the figures of {measurement} do not sum; those of "
            f"{', '.join((*_SUMMED, LOAD_MINUTE.name))} do",
            Exit.USAGE,
        )
    with stored(config, store, tenant) as reader:
        if by and measurement == LOAD_MINUTE.name:
            table = reader.load(window, step_seconds=0, by=by, where=allowed).slice(0, limit)
        elif by:
            fields = _SUMMED.get(measurement)
            table = reader.sums(measurement, window, step_seconds=0, by=by, where=allowed, fields=fields)
            table = table.slice(0, limit)
        else:
            table = reader.select(measurement, window, where=allowed, limit=limit, newest_first=True)
    rows = rows_of(table)
    if as_json:
        print_json({"rows": rows})
    else:
        print_table(table.column_names, [list(row.values()) for row in rows], title=measurement)
