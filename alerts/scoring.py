"""How good alerts are: against incidents whose time is known, and by the Numenta benchmark's rule.

Used by benchmarks and tests; knows nothing of how alerts come about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

INCIDENTS = {
    "outage": (-1.0, 60),
    "-50% 1h": (-0.5, 60),
    "-25% 2h": (-0.25, 120),
    "-12% 4h": (-0.12, 240),
    "+25% 2h": (0.25, 120),
    "+50% 1h": (0.5, 60),
    "creep": (0.4, 180),
}
"""What is put into a series to be found: change and minutes; a creep grows to its change."""
A_TRUE, A_FALSE, A_MISSED = 1.0, 0.11, 1.0
"""Weights of the standard profile of the Numenta anomaly benchmark."""
PROBATION_SHARE, PROBATION_MOST = 0.15, 750
"""Rows at the beginning that are not scored: 15 %, of at most 5,000 rows."""


def nab_score(
    alerts: Sequence[int], windows: Sequence[tuple[int, int]], rows: int, *, a_false: float = A_FALSE
) -> float:
    """Return the normalised score, 100 for all found at once and 0 for a detector that never speaks.

    `alerts` are rows, `windows` the first and last row of each anomaly. Of the alerts in a window the earliest
    counts, by a sigmoid of its place in it; each alert outside costs up to `a_false`, more the farther it comes
    after the last window (Lavin and Ahmad 2015, and the benchmark's own scorer).

    >>> nab_score([200], [(200, 220)], 1000)
    100.0
    >>> nab_score([], [(200, 220)], 1000)
    0.0
    """
    probation = int(min(PROBATION_SHARE * rows, PROBATION_MOST))
    counted = [(first, last) for first, last in windows if last >= probation]
    raw = -A_MISSED * len(counted)
    found: set[int] = set()
    for row in sorted(alerts):
        if row < probation and not any(first <= row <= last for first, last in counted):
            continue
        inside = next((n for n, (first, last) in enumerate(counted) if first <= row <= last), None)
        if inside is None:
            before = [(first, last) for first, last in counted if last < row]
            raw += a_false * (_after(row, *before[-1]) if before else -1.0)
        elif inside not in found:
            found.add(inside)
            first, last = counted[inside]
            raw += A_MISSED + A_TRUE * _within(row, first, last)
    worst, best = -A_MISSED * len(counted), A_TRUE * len(counted)
    return 100 * (raw - worst) / (best - worst) if counted else 0.0


def _sigmoid(place: float) -> float:
    return 2 / (1 + exp(5 * place)) - 1


def _within(row: int, first: int, last: int) -> float:
    """Return 1 at the first row of a window, falling to 0 at its end."""
    width = last - first + 1
    return _sigmoid(-(last - row + 1) / width) / _sigmoid(-1.0)


def _after(row: int, first: int, last: int) -> float:
    """Return 0 just behind a window, falling to -1 from three of its widths on."""
    place = (row - last) / max(last - first, 1)
    return -1.0 if place > 3 else _sigmoid(place)


@dataclass(frozen=True, slots=True)
class Found:
    """What became of incidents of one kind."""

    incidents: int
    found: int
    delays: tuple[int, ...]
    """Slots from the incident's first up to and with the one that raised the alert."""


def judge(alerts: Sequence[int], incidents: Sequence[tuple[str, int, int]]) -> tuple[dict[str, Found], int]:
    """Return per kind of incident (kind, first slot, last slot) what was found, and the alerts outside of all."""
    kinds: dict[str, Found] = {}
    used: set[int] = set()
    for kind, first, last in incidents:
        inside = [a for a in alerts if first <= a <= last]
        used.update(inside)
        old = kinds.get(kind, Found(0, 0, ()))
        delays = (*old.delays, inside[0] - first + 1) if inside else old.delays
        kinds[kind] = Found(old.incidents + 1, old.found + bool(inside), delays)
    return kinds, sum(1 for a in alerts if a not in used)
