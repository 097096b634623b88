"""Forecasts of calls in progress up to an hour ahead, carried on from the calls that are live now.

For pools and tenants, for the slot's maximum and its mean: `forecast.concurrency` says who of the live calls stays
and who comes meanwhile, `forecast.livepath` mixes that with the series' own forecast and puts quantiles around it.
What it needs is learned from the last days, rehearsed on the calls that the store still holds; where calls cannot
be listed, or nothing was learned yet, the ladder's forecast stays and says why.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from forecast.accuracy import LEVELS
from forecast.concurrency import Survival, forecast_concurrency
from forecast.horizons import Horizon
from forecast.issue import Issue, Known, Outcome, panel_of, prepared
from forecast.leads import lead_bins
from forecast.live_calls import (
    CARRIERS,
    REHEARSED_DAYS,
    Carrier,
    HoldingTimes,
    Listing,
    LiveCalls,
    PastCalls,
    list_calls,
    past_calls,
)
from forecast.livepath import LivePath
from forecast.localtime import DAY_S, Floats, Ints, utc_offset_s
from forecast.rolling import Rolling
from forecast.series import BadSeries, Series
from forecast.service_settings import ForecastServiceSettings
from forecast.targets import SeriesId, Signal
from storage.seam import Reader

MODEL = "live-calls"
CARRIED = (Signal.CONCURRENT_MAX, Signal.CONCURRENT)
_MOST_REHEARSED = 10
"""New series whose forecasts wait for a rehearsal; those of the others are the ladder's for one more slot."""
LEARNED_DAYS = 3
"""Days of errors before the quantiles are worth more than the ladder's."""

SeriesOf = Callable[[SeriesId], tuple[Series, Known]]
"""Returns a series up to its last slot, prepared, and what is known of it; raises BadSeries."""


@dataclass(slots=True)
class _Followed:
    """The path of one series, and how far it is."""

    path: LivePath
    slot: int
    """The next slot to take in, from the epoch."""
    day: int
    """The local day of that slot."""
    issued: int = -1
    """The last slot that was forecast from."""


class CarriedForecasts:
    """The paths of all pools and tenants: `begin` a step, show it what `came`, pass outcomes through `carried`."""

    def __init__(self, reader: Reader, settings: ForecastServiceSettings) -> None:
        self.counts: Counter[str] = Counter()
        """Forecasts by what became of them: `carried`, or why the ladder's stayed."""
        self._reader = reader
        self._settings = settings
        self._holding = HoldingTimes(lambda carrier: settings.zone_of(SeriesId(*carrier, Signal.ARRIVALS)))
        self._listings: dict[int, Listing] = {}
        self._followed: dict[SeriesId, _Followed] = {}
        self._arrivals: dict[Carrier, Issue] = {}
        """Near forecasts of arrivals of this step."""
        self._room = 0
        self._waiting: list[tuple[SeriesId, int, LiveCalls, Survival]] = []

    def begin(self, known_s: int, room: int = _MOST_REHEARSED) -> None:
        """Read who is live at the end of the last slot before an instant (UTC second). Raises StoreError.

        At most `room` new series rehearse before their forecasts are yielded.
        """
        self._room = room
        self._arrivals.clear()
        self._waiting.clear()
        wanted = {
            known_s // slot_s * slot_s
            for kind in CARRIERS
            for slot_s in [self._settings.slot_of(kind)]
            if set(CARRIED) & set(self._settings.signals.get(kind, ()))
        }
        self._listings = {at_s: self._listings.get(at_s) or list_calls(self._reader, at_s) for at_s in wanted}
        if any(listing.calls for listing in self._listings.values()):
            self._holding.read(self._reader, known_s)

    def came(self, key: SeriesId, series: Series, known: Known) -> None:
        """Take in the slots of a series that came since the last time."""
        followed = self._followed.get(key)
        if followed is None:
            return
        first = series.start_s // series.slot_s
        new = min(max(first + len(series) - followed.slot, 0), len(series), series.slots_per_day)
        tail = replace(
            series, start_s=series.start_s + (len(series) - new) * series.slot_s, y=series.y[len(series) - new :],
            state=series.state[len(series) - new :],
        )  # fmt: skip
        for place, amount in enumerate(prepared(key, tail, known).learned.tolist() if new else ()):
            self._take(followed, tail.start_s + place * tail.slot_s, tail, amount)

    @staticmethod
    def _take(followed: _Followed, at_s: int, series: Series, amount: float) -> None:
        day = (at_s + utc_offset_s(at_s, series.zone)) // DAY_S
        if day != followed.day:
            followed.path.end_day()
            followed.day = day
        followed.slot = at_s // series.slot_s + 1
        if np.isfinite(amount):
            followed.path.came(followed.slot - 1, amount)

    def carried(
        self, outcomes: Iterator[Outcome], series_of: SeriesOf, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Outcome]:
        """Yield outcomes, the near forecasts of calls in progress last: they need those of the arrivals.

        New series for which there was no room rehearse afterwards, until `stopped`.
        """
        waiting: dict[Signal, list[Outcome]] = defaultdict(list)
        for outcome in outcomes:
            key = outcome.key
            near = next((issue for issue in outcome.issues if issue.horizon is Horizon.SHORT), None)
            if near is not None and key.kind in CARRIERS and key.signal is Signal.ARRIVALS:
                self._arrivals[key.kind, key.name] = near
            if near is None or key.kind not in CARRIERS or key.signal not in CARRIED:
                yield outcome
                continue
            waiting[key.signal].append(replace(outcome, issues=(near,), fit_seconds=0.0, rehearsed=()))
            rest = tuple(issue for issue in outcome.issues if issue is not near)
            if rest or outcome.rehearsed or outcome.fit_seconds:
                yield replace(outcome, issues=rest)
        for signal in CARRIED:
            for outcome in waiting[signal]:
                yield self._carry(outcome, outcome.issues[0], series_of)
        while self._waiting and not stopped():
            key, at_s, live, survival = self._waiting.pop()
            self._followed[key] = self._rehearsed(key, at_s, live, survival, series_of)

    def _carry(self, outcome: Outcome, near: Issue, series_of: SeriesOf) -> Outcome:
        key, slot_s = outcome.key, self._settings.slot_of(outcome.key.kind)
        carrier, listing = (key.kind, key.name), self._listings.get(near.first_s, Listing({}))
        arrivals = self._arrivals.get(carrier)
        live, survival = listing.calls.get(carrier), self._holding.survival(carrier, near.first_s)
        if live is None:
            return self._kept(outcome, listing.why_not or "no call is listed")
        if arrivals is None or arrivals.first_s != near.first_s:
            return self._kept(outcome, "arrivals are not forecast")
        if survival is None:
            return self._kept(outcome, "no call has ended yet")
        followed = self._followed.get(key)
        if followed is None:
            if not self._room:
                self._waiting.append((key, near.first_s, live, survival))
                return self._kept(outcome, "waiting for its turn")
            self._room -= 1
            followed = self._followed[key] = self._rehearsed(key, near.first_s, live, survival, series_of)
        coming = arrivals.quantiles[:, 0] * self._holding.answered(carrier)
        view = _view(key.signal, survival, live, coming, slot_s)
        own, origin = near.quantiles[:, 0], near.first_s // slot_s - 1
        if origin > followed.issued:
            quantiles = followed.path.issue(origin, view, own)
            followed.issued = origin
        else:
            quantiles = followed.path.quantiles(view, own)
        if followed.path.learned_days < LEARNED_DAYS:
            return self._kept(outcome, "still learning")
        self.counts["carried"] += 1
        inputs = _noted(outcome.inputs, f"{live.ages_s.size} calls")
        return replace(outcome, issues=(replace(near, quantiles=quantiles, model=MODEL),), inputs=inputs)

    def _kept(self, outcome: Outcome, why: str) -> Outcome:
        self.counts[why] += 1
        return replace(outcome, inputs=_noted(outcome.inputs, why))

    def _rehearsed(
        self, key: SeriesId, at_s: int, live: LiveCalls, survival: Survival, series_of: SeriesOf
    ) -> _Followed:
        slot_s = self._settings.slot_of(key.kind)
        offset_s = utc_offset_s(at_s, self._settings.zone_of(key))
        slots = Horizon.SHORT.reach_s // slot_s
        new = _Followed(LivePath(slots, DAY_S // slot_s), at_s // slot_s, (at_s + offset_s) // DAY_S)
        carrier = key.kind, key.name
        past = past_calls(self._reader, carrier, at_s)
        if past is None:
            return new
        try:
            series, known = series_of(key)
            arrivals = series_of(SeriesId(key.kind, key.name, Signal.ARRIVALS))
        except BadSeries:
            return new
        new.path = rehearse(
            key.signal, (series, known), arrivals, past, live, survival, self._holding.answered(carrier)
        ).path
        return new


def _view(signal: Signal, survival: Survival, live: LiveCalls, coming: Floats, slot_s: int) -> Floats:
    """Return the slots ahead as the live calls and those that come make them."""
    ahead = forecast_concurrency(survival, live.ages_s, coming, slot_s, coming.size, live.worth)
    return ahead.maximum if signal is Signal.CONCURRENT_MAX else ahead.mean


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A path that walked through the last days, and what it said there."""

    path: LivePath
    origins: Ints
    """Places in the series of the slots that were forecast from."""
    quantiles: Floats
    """[origins, slots, levels]"""


def rehearse(
    signal: Signal,
    series: tuple[Series, Known],
    arrivals: tuple[Series, Known],
    past: PastCalls,
    still: LiveCalls,
    survival: Survival,
    answered: float,
) -> Rehearsed:
    """Return the path as it would have gone since calls are stored, every forecast made before the fact.

    Only the survival of calls is that of today. Both series end at the same time.
    """
    concerned, slot_s = series[0], series[0].slot_s
    slots = Horizon.SHORT.reach_s // slot_s
    path = LivePath(slots, concerned.slots_per_day)
    until_s = concerned.start_s + len(concerned) * slot_s
    first = max(
        int(past.since_s - concerned.start_s) // slot_s + 1, len(concerned) - REHEARSED_DAYS[0] * DAY_S // slot_s
    )
    first = max(first, 0, first + (arrivals[0].start_s - concerned.start_s) // slot_s)
    own, coming = (walked_medians(*each, count=len(concerned) - first, slots=slots) for each in (series, arrivals))
    origins = np.arange(first, len(concerned))
    said, day = [], int(concerned.grid.day[first]) if origins.size else 0
    for number, origin in enumerate(origins.tolist()):
        if concerned.grid.day[origin] != day:
            path.end_day()
            day = int(concerned.grid.day[origin])
        slot, end_s = concerned.start_s // slot_s + origin, concerned.start_s + (origin + 1) * slot_s
        if np.isfinite(concerned.learned[origin]):
            path.came(slot, float(concerned.learned[origin]))
        view = _view(signal, survival, past.live(end_s, still, until_s), coming[number] * answered, slot_s)
        if origin < len(concerned) - 1:
            said.append(path.issue(slot, view, own[number]))
    return Rehearsed(path, origins[:-1], np.array(said).reshape(-1, slots, len(LEVELS)))


def walked_medians(series: Series, known: Known, *, count: int, slots: int) -> Floats:
    """Return [origins, slots] medians of the slots after each of the last `count`, by that day's own fit."""
    panel = panel_of(series, known, slots)
    rolling = Rolling(panel, lead_bins(series.slot_s, slots))
    origins = np.arange(max(len(series) - count, 0), len(series))
    found = np.zeros((count, slots))
    for day in np.unique(panel.day[origins]).tolist():
        rolling.start_day(day)
        mine = np.flatnonzero(panel.day[origins] == day)
        seen = np.repeat(origins[mine], slots)
        ahead = seen + np.tile(np.arange(1, slots + 1), mine.size)
        found[mine + count - origins.size] = rolling.quantiles(seen, ahead)[:, 0].reshape(-1, slots)
    return found


def _noted(inputs: str, said: str) -> str:
    """Return what a forecast stands on with what is said of the live calls."""
    return json.dumps({**json.loads(inputs or "{}"), "live": said}, separators=(",", ":"))
