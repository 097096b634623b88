"""What every forecasting model must keep to: call `check_forecaster` with a registered member."""

from collections.abc import Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np

from forecast.members import Lasting, Member
from forecast.panel import Panel, from_root
from forecast.series import Series, State
from forecast.states import mark_closed
from forecast.today import Today, can_follow

SLOT_S = 3600
PER_DAY = 24
DAYS = 50
AHEAD = 7 * PER_DAY
MONDAY_S = 1_704_067_200


def hourly(y: np.ndarray) -> Series:
    state = np.where(np.isfinite(y), State.OPEN, State.MISSING).astype(np.uint8)
    return Series(MONDAY_S, SLOT_S, ZoneInfo("UTC"), y.astype(np.float64), state)


def usual(days: int = DAYS, mean: float = 80.0, seed: int = 1) -> np.ndarray:
    hours = np.arange(days * PER_DAY)
    weekday = (hours // PER_DAY) % 7
    shape = 1 + 0.8 * np.sin((hours % PER_DAY - 8) / 24 * 2 * np.pi)
    return np.random.default_rng(seed).poisson(mean * shape * np.where(weekday > 4, 0.5, 1.0)).astype(np.float64)


def forecasts(member: Member, series: Series, day: int | None = None) -> np.ndarray:
    """Return counts forecast from the last slot of `day` (the last by default) for every lead of a week."""
    panel = Panel(series, AHEAD)
    last = int(panel.day[panel.known - 1]) if day is None else day
    origin = int(np.flatnonzero(panel.day[: panel.known] == last)[-1])
    targets = origin + 1 + np.arange(AHEAD)
    return from_root(member.build(panel).fit(last).predict(np.full(AHEAD, origin), targets))


def check_forecaster(member: Member) -> None:
    """Run every check; the name of the failing one is in the assertion."""
    for check in CHECKS:
        check(member)


def _any_history_gives_counts(member: Member) -> None:
    for name, y in _histories(member).items():
        found = forecasts(member, hourly(y))
        assert found.shape == (AHEAD,), name
        assert np.isfinite(found).all(), f"{member.name}: not finite on {name}"
        assert (found >= 0).all(), f"{member.name}: negative on {name}"


def _histories(member: Member) -> dict[str, np.ndarray]:
    holes = usual()
    holes[np.random.default_rng(2).random(holes.size) < 0.3] = np.nan
    hours_gone = usual()
    hours_gone[-30:-6] = np.nan
    spike = usual()
    spike[-3] = 1e9
    short = max(1, member.needs_days + 1)
    return {
        "zeros": np.zeros(DAYS * PER_DAY),
        "a constant": np.full(DAYS * PER_DAY, 7.0),
        "huge values": usual() * 1e9,
        "missing slots": holes,
        "a day of nothing": hours_gone,
        "a spike": spike,
        "few calls": usual(mean=0.05),
        "the least history": usual(days=short),
        "one slot": np.array([3.0]),
        "nothing known": np.full(DAYS * PER_DAY, np.nan),
    }


def _zeros_stay_near_zero(member: Member) -> None:
    assert forecasts(member, hourly(np.zeros(DAYS * PER_DAY))).max() < 0.1, member.name


def _a_constant_stays(member: Member) -> None:
    found = forecasts(member, hourly(np.full(DAYS * PER_DAY, 50.0)))
    assert np.abs(found - 50).max() < 1.0, member.name


def _the_future_is_not_seen(member: Member) -> None:
    seen = usual()
    day = DAYS - 9
    origin = (day + 1) * PER_DAY
    for poison in (np.nan, 0.0, 1e7):
        changed = seen.copy()
        changed[origin:] = poison
        same = np.array_equal(forecasts(member, hourly(seen), day), forecasts(member, hourly(changed), day))
        assert same, f"{member.name}: a future of {poison} changed the forecast"


def _an_outage_last_week_is_forgotten(member: Member) -> None:
    if member.rung < 2:
        return
    clean = usual()
    broken = clean.copy()
    hours = (DAYS - 7) * PER_DAY + np.arange(9, 13)
    broken[hours] = 0.0
    before, after = (forecasts(member, hourly(y), DAYS - 1)[9:13].sum() for y in (clean[:], broken))
    assert abs(after / before - 1) < 0.05, f"{member.name}: {after / before:.2f} of the clean forecast"


def _masked_slots_are_not_learned(member: Member) -> None:
    if member.rung < 0:
        return
    wild = usual()
    span = slice((DAYS - 3) * PER_DAY, (DAYS - 3) * PER_DAY + 10)
    wild[span] *= 50
    masked = hourly(wild).masked(span.start, span.stop)
    gone = wild.copy()
    gone[span] = np.nan
    missing = replace(masked, y=gone)
    same = np.array_equal(forecasts(member, masked), forecasts(member, missing))
    assert same, f"{member.name}: masked values changed the forecast"


def _what_lasts_is_gone_on_from(member: Member) -> None:
    panel = Panel(hourly(usual()), AHEAD)
    model = member.build(panel)
    if not isinstance(model, Lasting):
        return
    model.fit(DAYS - 3)
    resumed = member.build(panel)
    assert isinstance(resumed, Lasting), member.name
    resumed.resume(model.learned())
    targets = DAYS * PER_DAY + np.arange(AHEAD)
    origins = np.full(AHEAD, DAYS * PER_DAY - 1)
    same = np.array_equal(*(each.fit(DAYS - 1).predict(origins, targets) for each in (model, resumed)))
    assert same, f"{member.name}: going on is not what learning without a break is"


def _who_follows_needs_no_new_panel(member: Member) -> None:
    if not member.follows:
        return
    reach, later = 4, 3
    whole = mark_closed(hourly(usual()), watched=True)
    began = Panel(whole.until(len(whole) - PER_DAY + 6), AHEAD)
    assert can_follow(began), member.name
    fitted = member.build(began).fit(int(began.day[began.known]))
    today = Today(began, reach)
    for amount in whole.learned[began.known : began.known + later].tolist():
        today.append(amount)
    anew = Panel(whole.until(began.known + later), AHEAD)
    got, expected = (
        fitted.on(each).predict(np.full(reach, each.known - 1), each.known + np.arange(reach))
        for each in (today, anew)
    )
    assert np.array_equal(expected, got), f"{member.name}: looks at more than today's panel keeps"


CHECKS: tuple[Callable[[Member], None], ...] = (
    _any_history_gives_counts,
    _zeros_stay_near_zero,
    _a_constant_stays,
    _the_future_is_not_seen,
    _an_outage_last_week_is_forgotten,
    _masked_slots_are_not_learned,
    _what_lasts_is_gone_on_from,
    _who_follows_needs_no_new_panel,
)
