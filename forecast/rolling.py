"""One series forecast day after day: fit at local midnight, forecast at any slot, learn from what came.

The same object serves a backtest, which walks through the past, and the service, which walks with the clock.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from time import process_time
from typing import Protocol

import numpy as np

from forecast.intervals import Bands, Outcomes
from forecast.ladder import Chosen, Ladder
from forecast.leads import LeadBins
from forecast.localtime import Floats, Ints
from forecast.panel import Panel, from_root, to_root

_ORIGINS_PER_DAY = 288
"""Slots of a day that are forecast from for the sake of learning: those between err like their neighbours."""
_SAMPLES = 4
"""Leads of each bin and origin whose outcomes are learned from: neighbouring leads err alike."""


@dataclass(frozen=True, slots=True)
class _Issued:
    origins: Ints
    targets: Ints
    bins: Ints
    own: Floats
    simple: Floats
    rivals: Floats
    forecast: Floats
    quantiles: Floats


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
        return panel.counts(origins, targets, self.bands.quantiles(self.bins.of(targets - origins), forecast))


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
        self._pending: dict[int, list[_Issued]] = defaultdict(list)
        self._chosen: Chosen | None = None
        self._day = -1

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
        self._chosen = self.ladder.fit(day)
        self.fit_seconds.append(process_time() - began)

    def quantiles(self, origins: Ints, targets: Ints) -> Floats:
        """Return [rows, levels] of counts for target slots seen from the ends of origin slots of this day."""
        forecast = self._today().predict(origins, targets)
        bands = self.bands.quantiles(self.bins.of(targets - origins), forecast)
        return self.panel.counts(origins, targets, bands)

    def night(self) -> Night:
        """Return what this day's fit is, to be kept without the history."""
        chosen = self._today().on(Panel.none())
        return Night(self._day + self.panel.first_day, chosen, self.bands.settled(), self.bins)

    def rehearse(self) -> None:
        """Forecast a sample of leads from every slot of this day, to be learned from when they have come."""
        chosen = self._today()
        panel = self.panel
        of_day = np.flatnonzero(panel.day[: panel.known] == self._day)
        step = max(1, panel.slots_per_day // _ORIGINS_PER_DAY)
        of_day = of_day[self._day % step :: step]
        each = [_leads_of_bin(of_day.size, *edges, self._day) for edges in pairwise(self.bins.edges.tolist())]
        bins = np.repeat(np.arange(len(each)), [leads.size for leads in each])
        origins = np.concatenate([np.repeat(of_day, leads.size // max(of_day.size, 1)) for leads in each])
        targets = origins + np.concatenate(each)
        held = targets < panel.known
        held[held] = np.isfinite(panel.usual[targets[held]])
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
        quantiles = self.bands.quantiles(bins, forecast)
        # By the day on which each will have come.
        days = panel.day[targets]
        order = np.argsort(days, kind="stable")
        issued = _Issued(origins, targets, bins, own, simple.T, rivals, forecast, quantiles)
        sorted_by_day = _Issued(*(getattr(issued, name)[order] for name in _Issued.__slots__))
        found, starts = np.unique(days[order], return_index=True)
        for day, first, last in zip(found.tolist(), starts, [*starts[1:], order.size], strict=True):
            self._pending[day].append(_of(sorted_by_day, slice(first, last)))

    def _learn(self, day: int) -> None:
        issued = self._pending.pop(day, [])
        if not issued:
            return
        bins = np.concatenate([part.bins for part in issued])
        targets = np.concatenate([part.targets for part in issued])
        came = to_root(self.panel.usual[targets])
        forecast = np.concatenate([part.forecast for part in issued])
        quantiles = np.concatenate([part.quantiles for part in issued])
        self.bands.learn(Outcomes(bins, forecast, came - forecast, came[:, None] <= quantiles))
        own = np.abs(came - np.concatenate([part.own for part in issued]))
        simple = np.concatenate([part.simple for part in issued]).T
        rivals = np.concatenate([part.rivals for part in issued])
        self.ladder.learn(bins, own, np.abs(came - simple), np.abs(came[:, None] - rivals))
        if self._told is not None:
            leads = targets - np.concatenate([part.origins for part in issued])
            self._told(targets, leads, self.model, from_root(quantiles), from_root(simple[0]))


def _leads_of_bin(origins: int, first: int, last: int, day: int) -> Ints:
    """Return leads of a bin for each of a day's origins in turn: spread over the bin, others on other days."""
    count = origins * min(last - first, _SAMPLES)
    return first + 1 + (np.arange(count) * 7919 + day) % (last - first)


def _of(issued: _Issued, rows: slice) -> _Issued:
    return _Issued(*(getattr(issued, name)[rows] for name in _Issued.__slots__))
