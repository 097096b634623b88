"""One series forecast day after day: fit at local midnight, forecast at any slot, learn from what came.

The same object serves a backtest, which walks through the past, and the service, which walks with the clock.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from time import process_time
from typing import Protocol

import numpy as np
import numpy.typing as npt

from forecast.accuracy import LEVELS
from forecast.intervals import HOURS, Bands, LearnedBands, Outcomes
from forecast.ladder import PROFILE, Chosen, Ladder
from forecast.leads import LeadBins
from forecast.localtime import Bools, Floats, Ints
from forecast.members import Arrays, named
from forecast.panel import Panel, from_root, to_root

ORIGINS_PER_DAY = 288
"""Slots of a day that are forecast from for the sake of learning: those between err like their neighbours."""
_SAMPLES = 4
"""Leads of each bin and origin whose outcomes are learned from: neighbouring leads err alike."""
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Issued:
    """Rehearsed forecasts [rows] in z, in single precision: they wait for weeks."""

    origins: Ints
    targets: Ints
    bins: Ints
    own: Singles
    simple: Singles
    """[rows, 2]"""
    rivals: Singles
    """[rows, challengers]"""
    forecast: Singles
    quantiles: Singles
    """[rows, levels]"""


_NO_ROWS, _NO_VALUES = np.empty(0, np.int64), np.empty(0, np.float32)
_NOTHING = Issued(
    _NO_ROWS,
    _NO_ROWS,
    _NO_ROWS,
    _NO_VALUES,
    np.empty((0, 2), np.float32),
    np.empty((0, 0), np.float32),
    _NO_VALUES,
    np.empty((0, len(LEVELS)), np.float32),
)


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned of the days before one, and the forecasts whose slots have not come."""

    day: int
    """The local day that begins, from the epoch."""
    bands: LearnedBands
    errors: Floats
    """See `Ladder.errors`."""
    lasting: Mapping[str, Arrays]
    """See `Ladder.lasting`."""
    waiting: Issued
    """In the order in which they were made; slots are numbered from the epoch."""
    since: int
    """The slot, from the epoch, from which forecasts are made by models that know the week; -1 before."""


@dataclass(frozen=True, slots=True)
class Night:
    """What a night's fit leaves: enough to forecast until the next, a few kilobytes."""

    day: int
    """The local day it is for, from the epoch."""
    chosen: Chosen
    bands: Bands
    bins: LeadBins

    def quantiles(self, panel: Panel, origins: Ints, targets: Ints) -> Floats:
        """Return [rows, levels] of counts over a panel of the same series, which may know more slots by now."""
        forecast = self.chosen.on(panel).predict(origins, targets)
        bins = self.bins.of(targets - origins)
        return panel.counts(origins, targets, self.bands.quantiles(bins, forecast, hours_of(panel, targets)))


class Told(Protocol):
    """Is told of a day's rehearsed forecasts whose slots have come."""

    def __call__(self, targets: Ints, leads: Ints, model: str, quantiles: Floats, profile: Floats) -> None:
        """Take slots and leads [rows], the model, its quantiles [rows, levels] and the profile's counts [rows]."""


class Rolling:
    """The forecasts of one series, one local day at a time; days are numbered as in the panel."""

    def __init__(
        self, panel: Panel, bins: LeadBins, told: Told | None = None, challengers: Sequence[str] = ()
    ) -> None:
        self.panel = panel
        self.bins = bins
        self.ladder = Ladder(panel, bins, challengers)
        self._challengers = len(challengers)
        self.bands = Bands(bins.edges[1:] / panel.slots_per_day)
        self.fit_seconds: list[float] = []
        self._told = told
        self._pending: dict[int, list[Issued]] = defaultdict(list)
        self._chosen: Chosen | None = None
        self._day = -1
        self._since = -1
        """See `Learned.since`."""

    @property
    def model(self) -> str:
        """The member that forecasts this day."""
        return self._today().name

    def model_at(self, lead: int) -> str:
        """Return the member that forecasts this day at a lead in slots."""
        return self._today().name_at(lead)

    def _today(self) -> Chosen:
        if self._chosen is None:
            raise RuntimeError("start_day comes before forecasts")
        return self._chosen

    def start_day(self, day: int) -> None:
        """Learn from the days since the last start and refit; `day` is the one that begins."""
        began = process_time()
        for ended in range(max(self._day, 0), day):
            self._learn(ended)
        self._day = day
        if self._since < 0 and self.panel.measured_days[day] >= named(PROFILE).needs_days:
            self._since = self._first_slot + int(np.searchsorted(self.panel.day, day))
            self.bands.begin_anew()
        self._chosen = self.ladder.fit(day)
        self.fit_seconds.append(process_time() - began)

    def quantiles(self, origins: Ints, targets: Ints) -> Floats:
        """Return [rows, levels] of counts for target slots seen from the ends of origin slots of this day."""
        forecast = self._today().predict(origins, targets)
        bins = self.bins.of(targets - origins)
        bands = self.bands.quantiles(bins, forecast, hours_of(self.panel, targets))
        return self.panel.counts(origins, targets, bands)

    def night(self) -> Night:
        """Return what this day's fit is, to be kept without the history."""
        chosen = self._today().on(Panel.none())
        return Night(self._day + self.panel.first_day, chosen, self.bands.settled(), self.bins)

    def learned(self) -> Learned:
        """Return what `resume` goes on from at the beginning of this day."""
        waiting = _joined([part for _, parts in sorted(self._pending.items()) for part in parts])
        first = self._first_slot
        waiting = replace(waiting, origins=waiting.origins + first, targets=waiting.targets + first)
        day = self._day + self.panel.first_day
        return Learned(day, self.bands.learned(), self.ladder.errors, self.ladder.lasting, waiting, self._since)

    @property
    def _first_slot(self) -> int:
        """The panel's first slot, from the epoch."""
        return self.panel.series.start_s // self.panel.series.slot_s

    def resume(self, learned: Learned) -> None:
        """Go on, with `start_day` of its day or a later one, from what a walk over the same past had learned."""
        self._day = learned.day - self.panel.first_day
        self._since = learned.since
        self.bands.resume(learned.bands)
        self.ladder.resume(learned.errors, learned.lasting)
        first = self._first_slot
        waiting = learned.waiting
        self._wait(replace(waiting, origins=waiting.origins - first, targets=waiting.targets - first))

    def rehearse(self) -> None:
        """Forecast a sample of leads from every slot of this day, to be learned from when they have come."""
        chosen = self._today()
        panel = self.panel
        of_day = np.flatnonzero(panel.day[: panel.known] == self._day)
        step = max(1, panel.slots_per_day // ORIGINS_PER_DAY)
        # By the calendar, not by the day of the series: the beginning of a history moves as time goes on.
        number = self._day + panel.first_day
        of_day = of_day[number % step :: step]
        each = [_leads_of_bin(of_day.size, *edges, number) for edges in pairwise(self.bins.edges.tolist())]
        bins = np.repeat(np.arange(len(each)), [leads.size for leads in each])
        origins = np.concatenate([np.repeat(of_day, leads.size // max(of_day.size, 1)) for leads in each])
        targets = origins + np.concatenate(each)
        # Whether known yet or not, the same rows whenever this day is rehearsed.
        held = targets < panel.day.size
        held[held] = ~panel.closed[targets[held]]
        origins, targets, bins = origins[held], targets[held], bins[held]
        if not origins.size:
            return
        own = chosen.own.predict(origins, targets)
        simple = chosen.simple.predict(origins, targets)
        rivals = np.full((origins.size, self._challengers), np.nan)
        model = own
        for rival in chosen.rivals:
            rivals[:, rival.place] = rival.fitted.predict(origins, targets)
            model = np.where(rival.won[bins], rivals[:, rival.place], model)
        forecast = chosen.mixed(bins, model, simple)
        quantiles = self.bands.quantiles(bins, forecast, hours_of(panel, targets))
        singles = (values.astype(np.float32) for values in (own, simple.T, rivals, forecast, quantiles))
        self._wait(Issued(origins, targets, bins, *singles))

    def _wait(self, issued: Issued) -> None:
        """Set forecasts aside by the day on which each will have come."""
        days = self.panel.day[issued.targets]
        # Those that waited before are in order.
        if (days[1:] < days[:-1]).any():
            order = np.argsort(days, kind="stable")
            issued, days = _of(issued, order), days[order]
        starts = np.flatnonzero(np.r_[True, days[1:] > days[:-1]][: days.size]).tolist()
        for first, last in pairwise([*starts, days.size]):
            self._pending[int(days[first])].append(_of(issued, slice(first, last)))

    def _learn(self, day: int) -> None:
        issued = _joined(self._pending.pop(day, []))
        issued = _of(issued, np.flatnonzero(np.isfinite(self.panel.usual[issued.targets])))
        bins, targets = issued.bins, issued.targets
        if not bins.size:
            return
        came = to_root(self.panel.usual[targets])
        forecast = issued.forecast.astype(np.float64)
        outcomes = Outcomes(
            bins, forecast, came - forecast, came[:, None] <= issued.quantiles, hours_of(self.panel, targets)
        )
        self.bands.learn(_since(outcomes, issued.origins + self._first_slot >= self._since))
        simple = issued.simple.T
        self.ladder.learn(
            bins, np.abs(came - issued.own), np.abs(came - simple), np.abs(came[:, None] - issued.rivals)
        )
        if self._told is not None:
            quantiles, profile = issued.quantiles.astype(np.float64), simple[0].astype(np.float64)
            self._told(targets, targets - issued.origins, self.model, from_root(quantiles), from_root(profile))


def hours_of(panel: Panel, targets: Ints) -> Ints:
    """Return the local hours of the day of slots."""
    return panel.slot[targets] * HOURS // panel.slots_per_day


def _since(outcomes: Outcomes, held: Bools) -> Outcomes:
    if held.all():
        return outcomes
    return Outcomes(*(getattr(outcomes, name)[held] for name in Outcomes.__slots__))


def _leads_of_bin(origins: int, first: int, last: int, day: int) -> Ints:
    """Return leads of a bin for each of a day's origins in turn: spread over the bin, others on other days."""
    count = origins * min(last - first, _SAMPLES)
    return first + 1 + (np.arange(count) * 7919 + day) % (last - first)


def _of(issued: Issued, rows: slice | Ints) -> Issued:
    return Issued(*(getattr(issued, name)[rows] for name in Issued.__slots__))


def _joined(parts: list[Issued]) -> Issued:
    parts = parts or [_NOTHING]
    return Issued(*(np.concatenate([getattr(part, name) for part in parts]) for name in Issued.__slots__))
