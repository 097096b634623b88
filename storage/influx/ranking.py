"""Which calls of a window may be its worst, as a server tells it; their intervals are then read and ranked.

By the marks of the worst intervals where there are such (see `worst`), else by the lowest R of the intervals
themselves, in the series that have the lowest where there are many.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec

from storage.checks import Where
from storage.embedded.catalog import clamp
from storage.influx.querier import Value
from storage.influx.question import Question, series_of
from storage.influx.source import Source
from storage.influx.tagtext import as_told
from storage.influx.worst import HUNDREDTHS, POLICY, WORST
from storage.schema import STREAM_INTERVAL
from storage.seam import Scope, Window
from telephony.bands import R_DIVISOR
from telephony.model import INTERVAL_NS, Scale

_ROWS_PER_CALL = 16
_MOST_LOWEST = 100_000
_SERIES_PER_CALL = 4
_FEW_CALLS = 250
_WIDER = tuple(scale.value for scale in R_DIVISOR if scale is not Scale.NARROWBAND)
_DIVISORS = {scale.value: divisor for scale, divisor in R_DIVISOR.items()}
_POINTS_PER_CALL = 4
_DEEPER = 4
_SPARE_CALLS = 4
_SPARE_RATIO = 1.5
"""What some calls are marked for was written anew, or lies outside of the window, in an interval at its edge."""
_TIED = 4
"""Times as many calls are read, where so many tie: R has a floor, and rounded ones repeat."""
_PAUSE_NS = 6 * INTERVAL_NS
"""So short a pause of the marks is one of the traffic: whoever marked a moment ago still does."""
_MOST_PAUSES = 3
"""Of longer ones it is asked whether there are intervals without marks, which costs."""
_EVERYTHING = Scope.everything("marks")
_CALLS = msgspec.json.Decoder(dict[str, int])
Calls = Sequence[tuple[str | None, str]]
"""Calls by tenant (None: any) and Call-ID."""


class Candidates(NamedTuple):
    """Calls that may be the worst of a window."""

    calls: Calls
    below: float
    """All calls of which an R (narrowband) is below this are among them."""


def by_marks(
    source: Source, scope: Scope, window: Window, where: Where | None, limit: int
) -> Iterator[Candidates]:
    """Yield candidates as the marks tell them, then more; nothing where the marks cannot tell."""
    if not 0 < limit <= _FEW_CALLS or not set(where or ()) <= set(WORST.tags):
        return
    window = clamp(window)
    whole = Window(window.since_ns // INTERVAL_NS * INTERVAL_NS, -(-window.until_ns // INTERVAL_NS) * INTERVAL_NS)
    asked = _marks(source, scope, whole, where)
    intervals = source.question(scope, STREAM_INTERVAL, window, where)
    pauses = _pauses(source, whole)
    if asked.nothing or len(pauses) > _MOST_PAUSES or any(_has_rows(source, intervals, pause) for pause in pauses):
        return
    outside = 1 - (window.until_ns - window.since_ns) / (whole.until_ns - whole.since_ns)
    spare = _SPARE_CALLS + math.ceil(_SPARE_RATIO * outside * limit)
    beyond = min(_numbers(source.lowest(asked, "beyond", 1, [])), default=math.inf)
    for depth in (1, _DEEPER):
        count = depth * _POINTS_PER_CALL * limit
        points = source.lowest(asked, "lowest", count, ["calls", "tenant"])
        lows = _lowest_marked(points)
        if lows is None:
            return
        ranked = sorted(lows, key=lambda call: lows[call])
        enough = depth * (limit + spare)
        few = [call for call in ranked[: _TIED * enough] if lows[call] <= lows[ranked[:enough][-1]]]
        unseen = [max(_numbers(points))] if len(points) >= count else []
        unseen += [lows[call] for call in ranked[len(few) : len(few) + 1]]
        below = min([beyond, *unseen])
        calls = tuple(call for call in few if lows[call] < below)
        if len(calls) >= limit:
            yield Candidates(calls, below / HUNDREDTHS)
        if below == beyond:
            return  # looking deeper shows no more


def by_intervals(source: Source, scope: Scope, window: Window, where: Where | None, limit: int) -> Calls:
    """Return `limit` calls of the lowest R and all that tie with the last; none if there are fewer."""
    if not limit:
        return ()
    asked = source.question(scope, STREAM_INTERVAL, window, where)
    for part, beyond in _few_series(source, asked, limit):
        if found := _lowest(source, part, limit, beyond):
            return found
    return _lowest(source, asked, limit, math.inf)


def _lowest_marked(points: Sequence[Sequence[Value]]) -> dict[tuple[str, str], int] | None:
    """Return the lowest rating of each call (tenant, Call-ID) that marks name; None where one is not ours."""
    lows: dict[tuple[str, str], int] = {}
    for _, calls, tenant in points:
        try:
            named = _CALLS.decode(str(calls))
        except msgspec.DecodeError:
            return None
        for call_id, value in named.items():
            call = as_told(str(tenant or "")), call_id
            lows[call] = min(value, lows.get(call, value))
    return lows


def _numbers(rows: Sequence[Sequence[Value]]) -> list[int]:
    return [row[0] for row in rows if isinstance(row[0], int)]


def _marks(source: Source, scope: Scope, window: Window, where: Where | None) -> Question:
    return source.question(scope, WORST, window, where, POLICY)


def _pauses(source: Source, window: Window) -> list[Window]:
    """Return the parts of a window where nobody wrote marks.

    They say nothing of anyone's rows, so they are asked for without a scope: a tenant may make long pauses.
    """
    around = Window(max(window.since_ns - _PAUSE_NS, 0), window.until_ns + _PAUSE_NS)
    marked = sorted(source.times_with_rows(_marks(source, _EVERYTHING, around, None), INTERVAL_NS))
    ends = [window.since_ns, *(at + INTERVAL_NS for at in marked)]
    starts = [*marked, window.until_ns]
    return [Window(end, start) for end, start in zip(ends, starts, strict=True) if start - end > _PAUSE_NS]


def _has_rows(source: Source, asked: Question, part: Window) -> bool:
    window = Window(max(asked.window.since_ns, part.since_ns), min(asked.window.until_ns, part.until_ns))
    return bool(source.rows(replace(asked, window=window), ["time"], limit=1).num_rows)


def _few_series(source: Source, asked: Question, limit: int) -> Iterator[tuple[Question, float]]:
    """Yield the question narrowed to the series of the lowest R, and what no R beyond them is below.

    Nothing where the server has few series, or many calls are asked for: all are then looked at together.
    """
    if limit > _FEW_CALLS:
        return
    most = _SERIES_PER_CALL * limit
    lowest = source.lowest_of_series(asked, "r_factor")
    if lowest.num_rows > 2 * most:
        scales = source.texts(asked, "mos_scale")
        divisor = max((_DIVISORS.get(scale, 1.0) for scale in scales), default=1.0)
        narrowing = replace(asked.narrowing, series=series_of(lowest.slice(0, most), asked.measurement.tags))
        yield replace(asked, narrowing=narrowing), lowest["value"][most].as_py() / divisor


def _lowest(source: Source, asked: Question, limit: int, beyond: float) -> Calls:
    """Return the same of the rows asked for; none where others, which are not below `beyond`, may count."""
    count = _ROWS_PER_CALL * limit
    while count <= _MOST_LOWEST:
        lows: dict[str, float] = {}
        tenants: dict[str, set[str]] = {}
        seen_to: list[float] = []
        # On the narrowband scale a wideband R is lower than its number: the lowest numbers of all scales and
        # the lowest of the wider ones together hold the lowest of all.
        for scales, divisor in (((), 1.0), (_WIDER, max(R_DIVISOR.values()))):
            rows = source.lowest(asked, "r_factor", count, ["call_id", "mos_scale", "tenant"], scales)
            numbers = [row[0] for row in rows if isinstance(row[0], int | float)]
            if len(rows) >= count:
                seen_to.append(max(numbers, default=0.0) / divisor)
            for number, call_id, of_scale, tenant in rows:
                if isinstance(number, int | float) and isinstance(call_id, str) and call_id:
                    rating = number / _DIVISORS.get(str(of_scale), 1.0)
                    lows[call_id] = min(rating, lows.get(call_id, rating))
                    tenants.setdefault(call_id, set()).add(as_told(str(tenant or "")))
        ranked = sorted(lows, key=lambda call_id: lows[call_id])
        if len(ranked) >= limit:
            last = lows[ranked[limit - 1]]
            if beyond <= last:
                return ()
            if all(number > last for number in seen_to):
                worst = [call_id for call_id in ranked if lows[call_id] <= last]
                return tuple((tenant, call_id) for call_id in worst for tenant in sorted(tenants[call_id]))
        if not seen_to:
            return ()
        count *= 4
    return ()
