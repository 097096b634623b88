"""Searching for calls: the rows that match, a page of them at a time.

The times of the newest matches are found first, of few columns; whole rows are read of the page's span of time
only.
"""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

from storage.checks import Where
from storage.embedded.points import Int64s, as_declared, times_of
from storage.embedded.relation import Parameters, RowSource, ScopedRows, listed, quoted
from storage.schema import CALL
from storage.seam import CallMatch, CallPage, Scope, Window

_ANYWHERE = ("call_id", "destination", "from_masked", "to_masked")
_NUMBERS = ("from_masked", "to_masked")


def search_calls(
    database: RowSource,
    scope: Scope,
    window: Window,
    where: Where | None,
    match: CallMatch,
    *,
    limit: int,
    offset: int,
) -> CallPage:
    """Return a page of the calls that match; see `storage.seam.Reader.calls`."""
    first, count = max(offset, 0), max(limit, 0)

    def question(rows: ScopedRows) -> CallPage:
        total, times = _found(rows, match, first + count)
        if times.size <= first or not count:
            return CallPage(CALL.schema.empty_table(), total)
        newest, oldest = int(times[first]), int(times[-1])
        part = rows.within(Window(oldest, newest + 1))
        page = part.fetch(
            f"SELECT * FROM ({part.sql(CALL.schema.names)}) WHERE {_condition(part.parameters, match)} "
            f"ORDER BY {listed(['time'])} DESC, {listed(['call_id', *CALL.tags])}"
        )
        newer = int((times > newest).sum())  # they are on earlier pages, and not in this part
        return CallPage(as_declared(CALL, page.slice(first - newer, count)), total)

    return database.ask(scope, CALL, window, where, question)


def _found(rows: ScopedRows, match: CallMatch, count: int) -> tuple[int, Int64s]:
    """Return how many calls match, and the times of the newest, newest first."""
    source = rows.sql(["time", *_columns_of(match)])
    most = rows.parameters.bind(max(count, 1))
    condition = _condition(rows.parameters, match)
    found = rows.fetch(f"SELECT count(*) AS total, max(time, {most}) AS times FROM ({source}) WHERE {condition}")
    times = found["times"].combine_chunks().flatten()
    return found["total"][0].as_py(), times_of(times)[:count]


def _columns_of(match: CallMatch) -> list[str]:
    columns: list[str] = []
    columns += _ANYWHERE if match.contains else ()
    columns += _NUMBERS if match.number else ()
    columns += ("destination",) if match.destination else ()
    columns += ("sip_code",) if match.sip_codes else ()
    columns += ("mos_min",) if match.mos_below is not None else ()
    return list(dict.fromkeys(columns))


def _condition(parameters: Parameters, match: CallMatch) -> str:
    parts = [
        _contains(parameters, columns, text)
        for columns, text in (
            (_ANYWHERE, match.contains),
            (_NUMBERS, match.number),
            (("destination",), match.destination),
        )
        if text
    ]
    if match.sip_codes:
        parts.append(f"sip_code IN ({', '.join(parameters.bind(code) for code in match.sip_codes)})")
    if match.mos_below is not None:
        parts.append(f"mos_min < {parameters.bind(match.mos_below)}")
    return " AND ".join(parts) or "true"


def _contains(parameters: Parameters, columns: tuple[str, ...], text: str) -> str:
    part = parameters.bind(text.lower())
    return "(" + " OR ".join(f"contains(lower({quoted(column)}), {part})" for column in columns) + ")"
