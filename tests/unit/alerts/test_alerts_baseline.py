"""What is handed on from slot to slot saves work only: figures are those of a history judged anew."""

from dataclasses import fields, replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from alert_series import PER_DAY, load

from alerts.baseline import Baseline, baseline
from alerts.detectors import calibrate, evidence
from alerts.signals import Kind, Signal
from forecast.series import State

DAYS = 23
ZONES = ("UTC", "Europe/Berlin", "America/New_York")


def signal(kind: Kind, zone: str = "UTC", start_s: int | None = None) -> Signal:
    """Return a load, or how many of its calls were answered, with a gap and a masked day."""
    series = load(DAYS)
    state = series.state.copy()
    state[500:520], state[9 * PER_DAY : 10 * PER_DAY] = State.MISSING, State.MASKED
    y = np.where(state == State.MISSING, np.nan, series.y)
    series = replace(series, y=y, state=state, zone=ZoneInfo(zone), start_s=start_s or series.start_s)
    if kind is Kind.COUNT:
        return Signal(series)
    answered = np.random.default_rng(2).binomial(np.nan_to_num(y).astype(int), 0.6).astype(np.float64)
    return Signal(replace(series, y=np.where(np.isnan(y), np.nan, answered)), kind, np.nan_to_num(y))


def figures(known: Baseline) -> dict[str, list[object]]:
    """Return every array of a baseline, its levels too."""
    arrays = {f.name: getattr(known, f.name) for f in fields(known) if f.name not in ("due", "levels", "kind")}
    arrays["levels"] = known.levels.between(0, known.usable.size)
    return {name: np.asarray(values).tolist() for name, values in arrays.items()}


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("zone", ZONES)
def test_a_baseline_that_goes_on_is_that_of_the_whole(kind: Kind, zone: str) -> None:
    """Over midnights of other zones, with an incident that ends on the way and a slot that came late."""
    whole = signal(kind, zone)
    excluded = np.zeros(len(whole), np.bool_)
    due, parts = None, []
    for count in range(18 * PER_DAY, len(whole) + 1, 29):
        excluded[18 * PER_DAY - 90 : 18 * PER_DAY - 80] = count > 19 * PER_DAY
        known = baseline(whole.until(count), excluded=excluded[:count], due=due)
        due = known.due
        parts.append(figures(known) == figures(baseline(whole.until(count), excluded=excluded[:count])))
        whole.series.y[count - 1] += 1
    assert parts == [True] * len(parts)


@pytest.mark.parametrize("start_s", [1_709_164_800, 1_727_913_600], ids=["an hour less", "an hour more"])
def test_a_day_of_another_length_is_due_to_its_end(start_s: int) -> None:
    """2024-03-31 and 2024-10-27 in Berlin, some days before the end of what was read."""
    whole = signal(Kind.RATIO, "Europe/Berlin", start_s)
    steps = range(22 * PER_DAY, len(whole) + 1, 4)
    due = baseline(whole.until(steps[0])).due
    found = [np.array_equal(baseline(whole.until(n), due=due).expected, baseline(whole.until(n)).expected)
             for n in steps]  # fmt: skip
    assert found == [True] * len(steps)


@pytest.mark.parametrize("first", [0, 17, 1500, DAYS * PER_DAY - 1])
def test_levels_and_evidence_of_the_last_slots_are_those_of_all(first: int) -> None:
    known = baseline(signal(Kind.COUNT))
    pools = calibrate(known, 900, budget_per_week=1.0).pools
    some, every = evidence(known, pools, first), evidence(known, pools)
    levels = known.levels.between(first, known.usable.size)
    close = np.allclose(some.surprise, every.surprise[:, first:], rtol=1e-9, atol=1e-9)
    same = np.array_equal(some.pool, every.pool[:, first:])
    assert (close, same) == (True, True)
    np.testing.assert_allclose(levels, known.levels.between(0, known.usable.size)[:, first:], atol=1e-12)
