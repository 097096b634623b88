"""Why a forecast is what it is: the rung and why, what it was learned from, and what makes up each slot.

Computed anew from the history, by the same code that issues; the parts of a slot add up to its median.
"""

from dataclasses import dataclass

import numpy as np

from forecast.accuracy import LEVELS
from forecast.events import EventEffect
from forecast.issue import Task, ahead_slots, panel_of, prepared, walk
from forecast.kept import phase_of
from forecast.ladder import PROFILE
from forecast.localtime import DAY_S
from forecast.masks import Mask, MaskReason, masks_of_slots
from forecast.members import members, named
from forecast.panel import from_root
from forecast.regressors import RegressorEffect
from forecast.rolling import Rolling, hours_of
from forecast.series import BadSeries, State
from forecast.targets import SeriesId

_LEADS_S = (0, 3600, 4 * 3600, DAY_S, 7 * DAY_S)
_MOST_SPANS = 20


@dataclass(frozen=True, slots=True)
class Rung:
    """A step of the ladder."""

    model: str
    needs_days: int
    reached: bool


@dataclass(frozen=True, slots=True)
class Part:
    """What one slot's median is made of; amounts in units of the series, they add up to `median`."""

    slot_s: int
    """Start of the slot, UTC seconds."""
    lead_s: int
    profile: float
    """What this time of the week usually shows, holidays and closed hours included."""
    correction: float
    """What the model adds for the levels of the last slots and days."""
    offset: float
    """What recent errors say the median is off by."""
    events: float
    """What events add."""
    regressors: float
    """What regressors add."""
    moved: dict[str, float]
    """By regressor: the relative change of the load by it alone."""
    median: float
    high: float
    """The 95 % quantile."""
    benched: bool
    """The profile stands in for the model at this lead."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that a forecast stands on."""

    key: SeriesId
    model: str
    why: str
    rungs: tuple[Rung, ...]
    measured_days: int
    since_s: int
    watermark_s: int
    slot_s: int
    states: dict[str, int]
    """Slots by state; `outage` are those masked because nothing came where much was expected."""
    country: str
    parts: tuple[Part, ...]
    events: tuple[EventEffect, ...]
    regressors: tuple[RegressorEffect, ...]
    masks: tuple[Mask, ...]
    """Those that concern the series, the newest."""
    notes: tuple[str, ...]


def explain(task: Task) -> Explanation:
    """Explain the forecast of a task's series. Raises BadSeries."""
    series = prepared(task.key, task.series, task.known)
    measured = np.flatnonzero(np.isfinite(series.y))
    if not measured.size:
        raise BadSeries(f"{task.key}: nothing was measured in {len(series)} slots")
    panel = panel_of(series, task.known, ahead_slots(series.slot_s))
    rolling = walk(panel, phase=phase_of(task.key))
    today = int(panel.day[panel.known])
    days = int(panel.measured_days[today])
    rungs = tuple(
        Rung(member.name, member.needs_days, member.needs_days <= days) for member in members() if member.rung >= 0
    )
    outages = masks_of_slots(panel.outage, series.start_s, series.slot_s, MaskReason.NOT_BELIEVED)
    masks = (*task.known.masks, *task.known.automatic, *outages)
    states = {state.name.lower(): int((series.state == state).sum()) for state in State}
    return Explanation(
        key=task.key,
        model=rolling.model,
        why=_why(rolling.model, rungs, days),
        rungs=rungs,
        measured_days=days,
        since_s=series.start_s,
        watermark_s=series.start_s + (int(measured[-1]) + 1) * series.slot_s,
        slot_s=series.slot_s,
        states=states | {"outage": int(panel.outage.sum())},
        country=task.known.country,
        parts=_parts(rolling),
        events=panel.events.effects(today),
        regressors=panel.regressors_now(),
        masks=tuple(sorted(masks, key=lambda mask: -mask.start_s)[:_MOST_SPANS]),
        notes=(*series.notes, *(f"regressor {name}: {why}" for name, why in task.known.regressor_troubles)),
    )


def _why(model: str, rungs: tuple[Rung, ...], days: int) -> str:
    next_up = next((rung for rung in rungs if not rung.reached), None)
    chosen = next(rung for rung in rungs if rung.model == model)
    text = f"{days} measured days of history: enough for {model} (needs {chosen.needs_days})"
    return f"{text}, not for {next_up.model} (needs {next_up.needs_days})" if next_up else text


def _parts(rolling: Rolling) -> tuple[Part, ...]:
    panel, night = rolling.panel, rolling.night()
    slot_s = panel.series.slot_s
    leads = np.array([min(lead // slot_s, ahead_slots(slot_s) - 1) for lead in _LEADS_S])
    targets, origins = panel.known + leads, np.full(leads.size, panel.known - 1)
    profile = from_root(named(PROFILE).build(panel).fit(0).predict(origins, targets))
    profile = np.where(panel.closed[targets], 0.0, profile)
    chosen = night.chosen.on(panel)
    model = np.where(panel.closed[targets], 0.0, from_root(chosen.predict(origins, targets)))
    bins = night.bins.of(targets - origins)
    hours = hours_of(panel, targets)
    usual = from_root(night.bands.quantiles(bins, chosen.predict(origins, targets), hours))[:, 0]
    usual = np.where(panel.closed[targets], 0.0, usual)
    issued = night.quantiles(panel, origins, targets)
    made = panel.day[origins]
    with_events = usual * np.exp(panel.events.log_factor(made, targets))
    shares = panel.regressors.shares(made, targets)
    place = LEVELS.index(0.95)
    return tuple(
        Part(
            slot_s=panel.series.start_s + int(targets[i]) * slot_s,
            lead_s=int(leads[i]) * slot_s,
            profile=float(profile[i]),
            correction=float(model[i] - profile[i]),
            offset=float(usual[i] - model[i]),
            events=float(with_events[i] - usual[i]),
            regressors=float(issued[i, 0] - with_events[i]),
            moved=dict(zip(panel.regressors.names, shares[i].tolist(), strict=True)),
            median=float(issued[i, 0]),
            high=float(issued[i, place]),
            benched=bool(chosen.benched[bins[i]]),
        )
        for i in range(leads.size)
    )
