"""Why the MOS of a call is what it is: the E-model's terms of its worst interval and of each direction."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from dashboards.figures.quality import DIRECTION_WORDS
from dashboards.numbers import clock_time, count, milliseconds, percent, significant
from dashboards.queries.lanes import OBSERVER_WORDS, Interval
from dashboards.trace_views import Explanation, Why
from dashboards.views import READY, PanelState, Status
from telephony.bands import R_DIVISOR
from telephony.model import Direction, Scale
from telephony.quality import assess, explain

_REPRODUCES_WITHIN = 1.0
"""Points of R by which a stored rating may differ from what its inputs give before the page says so."""


def why(intervals: Sequence[Interval], reason: str, zone: ZoneInfo) -> Why:
    """Explain the worst interval, then each direction from its added-up packets and mean delays."""
    rated = [i for i in intervals if i.r_factor is not None]
    if not rated:
        text = reason or "No interval of this call was rated, so there is no MOS to explain."
        return Why(Status(PanelState.EMPTY, text))
    known = [i for i in rated if i.loss_ratio is not None]
    if not known:
        text = "R was reported by an endpoint as it is; what went into it was not said."
        return Why(Status(PanelState.EMPTY, text))
    worst = min(known, key=lambda i: i.r_factor or 0.0)
    where = f"{clock_time(worst.start_ns, zone)}, {DIRECTION_WORDS[worst.direction]}"
    found = [_explain(f"Worst interval · {where}", [worst], stored_r=worst.r_factor)]
    for direction in Direction:
        mine = [i for i in known if i.direction is direction]
        if len(mine) > 1:
            found.append(_explain(f"All intervals · {DIRECTION_WORDS[direction]}", mine, stored_r=None))
    return Why(READY, tuple(found))


def _mean(values: Sequence[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None


def _explain(title: str, intervals: Sequence[Interval], *, stored_r: float | None) -> Explanation:
    expected = sum(i.expected or 0 for i in intervals)
    lost = sum(max(i.lost or 0, 0) for i in intervals)
    discarded = sum(max(i.discarded or 0, 0) for i in intervals)
    jitter_ms, rtt_ms = _mean([i.jitter_ms for i in intervals]), _mean([i.rtt_ms for i in intervals])
    burst = _mean([i.burst_ratio for i in intervals])
    codec = intervals[0].codec
    rating = assess(
        codec,
        min(lost / expected, 1.0),
        min(discarded / expected, 1.0) if discarded else None,
        jitter_ms,
        rtt_ms,
        burst,
    )
    observers = " and ".join(sorted({OBSERVER_WORDS.get(i.observer, i.observer) for i in intervals}))
    burst_words = f", burst ratio {significant(burst)}" if burst else ""
    notes = []
    recomputed = rating.r_factor / R_DIVISOR[rating.scale]
    if rating.scale is not Scale.NARROWBAND:
        notes.append(f"On the narrowband scale, which bands and lanes use, this R is {significant(recomputed)}.")
    if stored_r is not None and abs(recomputed - stored_r) > _REPRODUCES_WITHIN:
        notes.append(f"The stored R is {significant(stored_r)}: its observer knew more than is stored.")
    return Explanation(
        title,
        f"{codec}: {count(lost)} of {count(expected)} packets lost ({percent(lost / expected)}), jitter "
        f"{milliseconds(jitter_ms)}, round trip {milliseconds(rtt_ms)}{burst_words} ({observers}; n = "
        f"{count(len(intervals))})",
        tuple(explain(rating)),
        rating.band.letter,
        " ".join(notes),
    )
