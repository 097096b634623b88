"""One series, from its history to what is issued: the night's fit where it is due, then quantiles per horizon.

Without shared state, so that a pool of processes can do it for thousands of series: a task carries the series, an
outcome carries a few kilobytes back. What the next night goes on from stays in a file (`forecast.kept`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from time import process_time

import numpy as np

from forecast.accuracy import Score
from forecast.calendar import holiday_days
from forecast.events import Event
from forecast.followed import Followed, follow
from forecast.horizons import Horizon
from forecast.kept import Kept, first_day, load, past_of, phase_of, save
from forecast.leads import lead_bins
from forecast.localtime import DAY_S, Bools, Floats
from forecast.masks import Mask, MaskReason, masked_by, masks_of_slots, masks_of_spans, touched
from forecast.panel import Panel
from forecast.regressor_points import Regressor
from forecast.regressors import RegressorEffect
from forecast.rehearsal import Group, Rehearsal
from forecast.rolling import Learned, Night, Rolling, Told
from forecast.series import BadSeries, Series, State
from forecast.targets import Kind, SeriesId

_DIGEST_BYTES = 8
_MOST_SPANS = 8
"""The newest spans that are not believed, told beside a forecast."""


class Learning(StrEnum):
    """Whether a fit went on from the one before, or why it learned all anew."""

    WENT_ON = "went on"
    FIRST = "first fit"
    TURN = "its turn"
    PAST_CHANGED = "past changed"
    NOTHING_KEPT = "nothing kept"
    NO_ROOM = "no room"


@dataclass(frozen=True)
class Known:
    """What people told of a series: its country, what is coming, what must not be learned from."""

    country: str = ""
    events: tuple[Event, ...] = ()
    masks: tuple[Mask, ...] = ()
    automatic: tuple[Mask, ...] = ()
    """Masks that nobody wrote: incidents, capture loss."""
    regressors: tuple[Regressor, ...] = ()
    regressor_troubles: tuple[tuple[str, str], ...] = ()
    """Name of a regressor, and why it could not be read, or not anew."""

    @cached_property
    def digest(self) -> str:
        """Changes when people tell something else.

        Not with masks that come by themselves: the slot and the levels leave them out at once, the rest with the
        next nightly fit, and none of them makes thousands of series be fitted anew within the day. Nor with what
        regressors say, whose files may be written every hour.
        """
        return _digest(repr((self.country, self.events, self.masks)).encode())

    @property
    def regressor_digests(self) -> tuple[str, ...]:
        """Change when what is known of a regressor does."""
        return tuple(regressor.digest for regressor in self.regressors)


@dataclass(frozen=True, slots=True)
class Task:
    """What to do for one series."""

    key: SeriesId
    series: Series
    """Up to the slot that ended last; where it is followed, from where that ends."""
    known: Known
    horizons: tuple[Horizon, ...]
    night: Night | None
    """The fit in force; None to make tonight's."""
    rehearsal_days: int = 0
    """How many of the last days to score as they would have been forecast, with a new fit."""
    followed: Followed | None = None
    """What stands for the history, in the day of a fit."""
    kept: Path | None = None
    """Where a fit keeps what it learned for the next; None to learn all anew."""


@dataclass(frozen=True, slots=True)
class Issue:
    """What was forecast at one horizon."""

    horizon: Horizon
    first_s: int
    """Start of the first slot, UTC seconds; the others follow without gaps."""
    quantiles: Floats
    """[slots, levels of `forecast.accuracy.LEVELS`]."""
    model: str = ""
    """Where it is not that of the outcome."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a task."""

    key: SeriesId
    night: Night | None
    issues: tuple[Issue, ...] = ()
    model: str = ""
    benched: tuple[int, ...] = ()
    """Leads in slots up to which the profile stands in: last lead of each benched bin."""
    watermark_s: int = 0
    """What came after this was not known."""
    inputs: str = ""
    """JSON of what the forecast stands on."""
    fit_seconds: float = 0.0
    """Processor time of the fit, 0 where none was made."""
    rehearsed: tuple[tuple[int, dict[Group, Score]], ...] = ()
    """By start of day (UTC second): what a fit's own rehearsal scored."""
    trouble: str = ""
    """Why there is no forecast."""
    followed: Followed | None = None
    """What stands for the history in the tasks until midnight."""
    learned: Learning | None = None
    """How a fit learned; None where none was made."""


def prepared(key: SeriesId, series: Series, known: Known) -> Series:
    """Return the series with what must not be learned from masked."""
    return masked_by(series, (*known.masks, *known.automatic), _tenant(key))


def masked_slots(key: SeriesId, known: Known, start_s: int, slot_s: int, count: int) -> Bools:
    """Return which slots any of its masks touches."""
    return touched((*known.masks, *known.automatic), _tenant(key), start_s, slot_s, count)


def _tenant(key: SeriesId) -> str | None:
    return key.name if key.kind is Kind.TENANT else None


def panel_of(series: Series, known: Known, ahead: int) -> Panel:
    """Return the panel of a prepared series with room for `ahead` slots."""
    first = int(series.grid.day[0])
    last = int(series.grid.day[-1]) + ahead // series.slots_per_day + 2
    holiday = holiday_days(known.country, first, last) if known.country else frozenset[int]()
    return Panel(series, ahead, holiday, known.events, known.regressors)


def ahead_slots(slot_s: int) -> int:
    """Return the room that every panel of the service has: the longest horizon."""
    return Horizon.LONG.reach_s // slot_s


def walk(panel: Panel, told: Told | None = None, phase: int = 0, learned: Learned | None = None) -> Rolling:
    """Return the forecasts of a series fitted for the day of its next slot, the errors of eight weeks learned.

    Where they were `learned` up to a day it goes on from there. `phase`: see `forecast.kept`.
    """
    rolling = Rolling(panel, lead_bins(panel.series.slot_s, ahead_slots(panel.series.slot_s)), told)
    today = int(panel.day[min(panel.known, panel.day.size - 1)])
    if learned is None:
        first = first_day(today + panel.first_day, phase) - panel.first_day
    else:
        rolling.resume(learned)
        first = learned.day - panel.first_day
    for day in range(max(0, first), today):
        rolling.start_day(day)
        rolling.rehearse()
    rolling.start_day(today)
    return rolling


def walk_on(
    panel: Panel, country: str, phase: int, path: Path, told: Told | None = None
) -> tuple[Rolling, Learning]:
    """Return the same as `walk`, gone on from what a file keeps where that still holds, and keep it there.

    Who wants to be `told` of the rehearsals gets all of them.
    """
    edges = lead_bins(panel.series.slot_s, ahead_slots(panel.series.slot_s)).edges
    today = int(panel.day[min(panel.known, panel.day.size - 1)]) + panel.first_day
    kept = load(path) if told is None else None
    day = panel.first_day if kept is None else kept.learned.day
    if kept is None:
        how = Learning.NOTHING_KEPT if told is None else Learning.FIRST
    elif first_day(day, phase) != first_day(today, phase):
        how = Learning.TURN
    elif not panel.first_day <= day <= today or not past_of(panel, country, edges, day).goes_on(kept.past):
        how = Learning.PAST_CHANGED
    else:
        how = Learning.WENT_ON
    learned = kept.learned if kept is not None and how is Learning.WENT_ON else None
    rolling = walk(panel, told, phase, learned)
    if learned is None or day != today:
        save(path, Kept(past_of(panel, country, edges, today), rolling.learned()))
    return rolling, how


def perform(task: Task) -> Outcome:
    """Fit where it is asked for and forecast every horizon; a series that cannot be forecast says why."""
    try:
        return (
            _perform(task)
            if task.followed is None or task.night is None
            else _go_on(task, task.followed, task.night)
        )
    except BadSeries as error:
        return Outcome(task.key, None, trouble=str(error))


def _perform(task: Task) -> Outcome:
    series = prepared(task.key, task.series, task.known)
    measured = np.flatnonzero(np.isfinite(series.y))
    if not measured.size:
        raise BadSeries(f"{task.key}: nothing was measured in {len(series)} slots")
    panel = panel_of(series, task.known, ahead_slots(series.slot_s))
    night, seconds, how = task.night, 0.0, None
    rehearsal = Rehearsal(series, task.rehearsal_days, task.key.signal.is_count)
    if night is None:
        began = process_time()
        phase, told = phase_of(task.key), rehearsal if task.rehearsal_days else None
        if task.kept is None:
            rolling, how = walk(panel, told, phase), Learning.NO_ROOM
        else:
            rolling, how = walk_on(panel, task.known.country, phase, task.kept, told)
        night = rolling.night()
        seconds = process_time() - began
    digest = _digest(series.y.tobytes(), series.state.tobytes(), task.known.digest.encode())
    not_believed, regressors = _not_believed(panel), panel.regressors_now()
    followed = follow(panel, series, night, digest)
    if followed is not None:
        followed.masked = _masked_today(task, followed)
        followed.not_believed = not_believed
        followed.regressors = regressors
        followed.regressor_digests = task.known.regressor_digests
    states: Sequence[int] = np.bincount(series.state, minlength=len(State)).tolist()
    days = len(series) * series.slot_s / DAY_S
    return Outcome(
        task.key,
        night,
        tuple(_issue(panel, night, horizon) for horizon in task.horizons),
        night.chosen.name,
        _benched(night),
        series.start_s + (int(measured[-1]) + 1) * series.slot_s,
        _inputs(digest, task.known, days, states, int(panel.outage.sum()), not_believed, regressors),
        seconds,
        rehearsal.days(),
        followed=followed,
        learned=how,
    )


def _go_on(task: Task, followed: Followed, night: Night) -> Outcome:
    series = prepared(task.key, task.series, task.known)
    followed.take(series)
    followed.masked = _masked_today(task, followed)
    followed.digest = _digest(followed.digest.encode(), series.y.tobytes(), series.state.tobytes())
    days = followed.slots * series.slot_s / DAY_S
    return Outcome(
        task.key,
        night,
        tuple(_issue(followed.today, night, horizon) for horizon in task.horizons),
        night.chosen.name,
        _benched(night),
        followed.measured_s,
        _inputs(
            followed.digest,
            task.known,
            days,
            followed.states,
            followed.outage,
            (*followed.not_believed, *_not_believed(followed.today)),
            followed.regressors,
        ),
        followed=followed,
    )


def _masked_today(task: Task, followed: Followed) -> Bools:
    today = followed.today
    return masked_slots(task.key, task.known, today.series.start_s, today.series.slot_s, today.known)


def _not_believed(panel: Panel) -> tuple[Mask, ...]:
    series = panel.series
    return masks_of_slots(panel.outage, series.start_s, series.slot_s, MaskReason.NOT_BELIEVED)[-_MOST_SPANS:]


def _benched(night: Night) -> tuple[int, ...]:
    return tuple(int(edge) for edge in night.bins.edges[1:][night.chosen.benched])


def _issue(panel: Panel, night: Night, horizon: Horizon) -> Issue:
    series = panel.series
    count = max(1, horizon.reach_s // series.slot_s)
    origins = np.full(count, panel.known - 1)
    targets = panel.known + np.arange(count)
    quantiles = night.quantiles(panel, origins, targets)
    return Issue(horizon, series.start_s + panel.known * series.slot_s, quantiles)


def _inputs(
    digest: str,
    known: Known,
    days: float,
    states: Sequence[int],
    outage: int,
    not_believed: Sequence[Mask],
    regressors: Sequence[RegressorEffect] = (),
) -> str:
    """Return what a forecast stands on, short enough to be stored beside it."""
    spans = masks_of_spans(((mask.start_s, mask.end_s) for mask in not_believed), MaskReason.NOT_BELIEVED)
    return json.dumps(
        {
            "digest": digest,
            "known": known.digest,
            "history_days": round(days, 1),
            **{state.name.lower(): states[state] for state in State if state is not State.OPEN},
            "outage": outage,
            **({"not_believed": [(m.start_s, m.end_s) for m in spans[-_MOST_SPANS:]]} if spans else {}),
            "events": len(known.events),
            **(
                {"regressors": {r.name: r.left_out or round(r.per_unit, 6) for r in regressors}}
                if regressors
                else {}
            ),
            **({"regressor_troubles": dict(known.regressor_troubles)} if known.regressor_troubles else {}),
        },
        separators=(",", ":"),
    )


def _digest(*parts: bytes) -> str:
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()
