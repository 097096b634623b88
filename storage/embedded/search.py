"""Searching for calls: the rows that match, a page of them at a time.

Two passes: the first looks at few columns and finds the page's points, the second reads whole rows of just those.
"""

# ruff: noqa: S608 - SQL text holds names of the schema only; every value is a bound parameter

import pyarrow as pa

from storage.checks import Where
from storage.embedded.points import as_declared
from storage.embedded.relation import Database, Parameters, ScopedRows, listed, quoted
from storage.schema import CALL
from storage.seam import CallMatch, CallPage, Scope, Window

_ANYWHERE = ("call_id", "destination", "from_masked", "to_masked")
_NUMBERS = ("from_masked", "to_masked")
_POINT = ("time", *CALL.tags)


def search_calls(
    database: Database,
    scope: Scope,
    window: Window,
    where: Where | None,
    match: CallMatch,
    *,
    limit: int,
    offset: int,
) -> CallPage:
    """Return a page of the calls that match; see `storage.seam.Reader.calls`."""

    def question(rows: ScopedRows) -> CallPage:
        order = listed(["time"]) + " DESC, " + listed(["call_id", *CALL.tags])
        columns = list(dict.fromkeys((*_POINT, "call_id", *_columns_of(match))))
        source = rows.sql(columns)
        condition = _condition(rows.parameters, match)
        bounds = f"LIMIT {rows.parameters.bind(max(limit, 0))} OFFSET {rows.parameters.bind(max(offset, 0))}"
        found = rows.fetch(
            f"SELECT {listed(columns)}, count(*) OVER () AS total FROM ({source}) WHERE {condition} "
            f"ORDER BY {order} {bounds}"
        )
        if not found.num_rows:
            return CallPage(CALL.schema.empty_table(), _count(rows, match) if offset > 0 or limit <= 0 else 0)
        page = _whole(rows, found, order)
        return CallPage(as_declared(CALL, page), found["total"][0].as_py())

    return database.ask(scope, CALL, window, where, question)


def _count(rows: ScopedRows, match: CallMatch) -> int:
    source = rows.sql(["time", *_columns_of(match)])
    found = rows.fetch(f"SELECT count(*) AS n FROM ({source}) WHERE {_condition(rows.parameters, match)}")
    total: int = found["n"][0].as_py()
    return total


def _whole(rows: ScopedRows, found: pa.Table, order: str) -> pa.Table:
    """Return the whole rows of the points found, in order."""
    times = found["time"].cast(pa.int64()).to_pylist()
    rows.connection.register("page", found.select(_POINT))
    source = rows.within(Window(min(times), max(times) + 1)).sql(CALL.schema.names)
    return rows.fetch(f"SELECT * FROM ({source}) SEMI JOIN page USING ({listed(_POINT)}) ORDER BY {order}")


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
