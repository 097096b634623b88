"""Events and campaigns: announced times at which the load lies off its profile by a known or learned factor.

What happened during an event is divided by the factor that was believed on that day, so that the profile and the
levels stay those of a load without events; what is forecast is multiplied by it. Factors are learned from past
events of the same kind that were over before the day of the forecast: nothing here sees the future. Reading files
is left to the edges: this module parses text and does no I/O.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import yaml
from pydantic import ValidationError

from forecast.accuracy import NORMAL_SCORES
from forecast.localtime import DAY_S, Floats, Ints
from forecast.settings import EventSettings, ForecastSettings

MOST_EVENTS = 2_000
_FADED = 0.02
"""A rest of an event under this share of it is over."""
_LEARNED_SHARE = 0.5
"""A slot that sees more than this share of the effect is learned from."""
_LONG_S = 7 * DAY_S
"""An event this long is learned from like any time, once divided by its factor; a shorter one is left out."""
_UNSURE = 0.3
"""Standard deviation of the logarithm of a factor nobody has seen yet; less with each event of its kind."""
_PRIOR = 0.25
"""How many events without effect a learned factor is mixed with: one event is no proof."""
_LARGEST = float(np.log(20.0))


class BadEvents(ValueError):
    """The events cannot be read; the message names each fault."""


@dataclass(frozen=True, slots=True)
class Event:
    """An announced time at which the load differs; times are UTC seconds, `end_s` exclusive."""

    name: str
    start_s: int
    end_s: int
    tenants: tuple[str, ...] = ()
    """Whose load it moves; everyone's when empty."""
    kind: str = ""
    """Events of one kind teach each other; its name when empty."""
    uplift: float | None = None
    """Expected relative change; None: learned from earlier events of its kind."""
    decay_s: float = 0.0
    """Half-life of what remains of the effect after the end."""

    def __post_init__(self) -> None:
        if self.end_s <= self.start_s:
            raise BadEvents(f"event {self.name!r} ends before it starts")
        if self.uplift is not None and not -1 < self.uplift <= 100:
            raise BadEvents(f"event {self.name!r}: uplift {self.uplift} is not between -1 and 100")

    @property
    def similar(self) -> str:
        """What it shares with events that it can be learned from."""
        return self.kind or self.name


def event_of(settings: EventSettings, zone: ZoneInfo) -> Event:
    """Return the event with its times in UTC; those without an offset are of `zone`. Raises BadEvents."""
    return Event(
        settings.name,
        instant_s(settings.start, zone),
        instant_s(settings.end, zone),
        settings.tenants,
        settings.kind,
        settings.uplift,
        settings.decay,
    )


def instant_s(moment: str, zone: ZoneInfo) -> int:
    """Return the UTC second of an ISO 8601 time, read in `zone` when it has no offset."""
    parsed = datetime.fromisoformat(moment)
    return round((parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)).timestamp())


def parse_declared(text: str) -> ForecastSettings:
    """Return what a YAML (or JSON) text declares: a list of events, or a mapping with `events` and `masks`.

    Raises BadEvents.
    """
    try:
        found: Any = yaml.safe_load(text) or []
    except yaml.YAMLError as error:
        raise BadEvents(f"events are not YAML: {error}") from error
    found = {"events": found} if isinstance(found, list) else found
    try:
        declared = ForecastSettings.model_validate(found)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, f['loc']))}: {f['msg']}" for f in error.errors(include_url=False))
        raise BadEvents("events are wrong: " + "; ".join(faults)) from error
    if len(declared.events) > MOST_EVENTS:
        raise BadEvents(f"{len(declared.events)} events; at most {MOST_EVENTS}")
    return declared


@dataclass(frozen=True, slots=True)
class EventEffect:
    """What an event is believed to do."""

    event: Event
    uplift: float
    """Relative change: 0.4 is + 40 %."""
    learned_from: int
    """Past events of its kind that this comes from; 0 for a declared uplift and for one not known yet."""
    log_deviation: float
    """Standard deviation of the logarithm of 1 + uplift."""


class EventTable:
    """What events do to each slot, as believed on each day; slots and days are numbered as in the panel."""

    def __init__(self, events: Sequence[Event], start_s: int, slot_s: int, day: Ints) -> None:
        edges_s: Floats = start_s + float(slot_s) * np.arange(day.size + 1, dtype=np.float64)
        last_s = float(edges_s[-1])
        self.events = tuple(sorted(
            (event for event in events if event.start_s < last_s and _over_s(event) > start_s),
            key=lambda event: (event.end_s, event.start_s, event.name),
        ))  # fmt: skip
        self._day = day
        self._first: Ints = np.zeros(len(self.events), np.int64)
        self._shares: list[Floats] = []
        for place, event in enumerate(self.events):
            first = max(0, int((event.start_s - start_s) // slot_s))
            last = min(day.size, int(-(-(_over_s(event) - start_s) // slot_s)))
            self._first[place] = first
            self._shares.append(_share(event, edges_s[first : last + 1]))
        days = int(day[-1]) + 1
        declared = [np.nan if event.uplift is None else np.log1p(event.uplift) for event in self.events]
        self._log: Floats = np.tile(np.nan_to_num(np.array(declared, np.float64)), (days, 1))
        self._count: Ints = np.zeros(self._log.shape, np.int64)
        self.inside = np.zeros(day.size, np.bool_)
        """Slots that profiles and lasting levels do not learn from: those of events under a week."""
        for place, event in enumerate(self.events):
            if event.end_s - event.start_s < _LONG_S:
                self.inside[self._span(place)] |= self._shares[place] > _FADED

    def _span(self, place: int) -> slice:
        return slice(int(self._first[place]), int(self._first[place]) + self._shares[place].size)

    def learn(self, observed: Floats, expected: Floats) -> None:
        """Learn the factors of events without a declared uplift; amounts [slots], NaN where unknown.

        `expected` is what each slot would have seen without events, as believed on its own day or before.
        """
        found: dict[str, list[tuple[int, float]]] = {}
        for place, event in enumerate(self.events):
            span = self._span(place)
            known = np.isfinite(observed[span]) & np.isfinite(expected[span])
            held = known & (self._shares[place] > _LEARNED_SHARE)
            came, usual = float(observed[span][held].sum()), float(expected[span][held].sum())
            if usual > 0:
                # Half a unit on both sides: an event of few calls must not have no factor, or an endless one.
                log = float(np.clip(np.log((came + 0.5) / (usual + 0.5)), -_LARGEST, _LARGEST))
                ended = int(self._day[span.start + int(np.flatnonzero(held)[-1])])
                found.setdefault(event.similar, []).append((ended, log))
        for place, event in enumerate(self.events):
            if event.uplift is not None:
                continue
            for ended, log in sorted(found.get(event.similar, ())):
                later = slice(ended + 1, None)
                total = self._log[later, place] * (self._count[later, place] + _PRIOR) + log
                self._count[later, place] += 1
                self._log[later, place] = total / (self._count[later, place] + _PRIOR)

    def unsettled(self, day: int) -> bool:
        """Tell whether its slots change what is believed on a day: one to learn from goes on since before."""
        learned = {event.similar for event in self.events if event.uplift is None}
        for place, event in enumerate(self.events):
            days = self._day[self._span(place)][self._shares[place] > _LEARNED_SHARE]
            if event.similar in learned and days.size and days[0] < day <= days[-1]:
                return True
        return False

    def log_factor(self, made: Ints, targets: Ints) -> Floats:
        """Return log of the factor of target slots as believed on days `made`; arrays of one length."""
        total = np.zeros(targets.size)
        for place, held, share in self._touching(targets):
            total[held] += self._log[made[held], place] * share
        return total

    def log_variance(self, made: Ints, targets: Ints) -> Floats:
        """Return the variance of `log_factor`: how unsure the factor is."""
        total = np.zeros(targets.size)
        for place, held, share in self._touching(targets):
            total[held] += _UNSURE**2 / (1 + self._count[made[held], place]) * share**2
        return total

    def _touching(self, targets: Ints) -> Iterator[tuple[int, Ints, Floats]]:
        """Yield each event that touches any of the slots, with the places of these in `targets` and its shares."""
        if not targets.size:
            return
        lowest, highest = int(targets.min()), int(targets.max())
        for place, share in enumerate(self._shares):
            first = int(self._first[place])
            if first > highest or first + share.size <= lowest:
                continue
            offset = targets - first
            held = np.flatnonzero((offset >= 0) & (offset < share.size))
            if held.size:
                yield place, held, share[offset[held]]

    def effects(self, made: int) -> tuple[EventEffect, ...]:
        """Return what each event is believed to do on a day."""
        return tuple(
            EventEffect(
                event,
                float(np.expm1(self._log[made, place])),
                int(self._count[made, place]),
                float(_UNSURE / np.sqrt(1 + self._count[made, place])),
            )
            for place, event in enumerate(self.events)
        )


def lifted(usual: Floats, log: Floats, variance: Floats) -> Floats:
    """Return quantiles [rows, levels] times exp(`log`) [rows], as wide as that is unsure by its `variance`."""
    touched = np.flatnonzero((log != 0) | (variance > 0))
    if not touched.size:
        return usual
    found = usual.copy()
    here = found[touched] * np.exp(log[touched])[:, None]
    unsure = np.sqrt(variance[touched])[:, None] * NORMAL_SCORES * here[:, :1]
    found[touched] = here[:, :1] + np.sqrt((here - here[:, :1]) ** 2 + unsure**2)
    return found


def _over_s(event: Event) -> float:
    """Return when nothing is left of an event's effect."""
    return event.end_s + event.decay_s * float(-np.log2(_FADED))


def _share(event: Event, edges_s: Floats) -> Floats:
    """Return how much of the full effect each slot between the edges sees: 1 inside, halving after the end."""
    start, end = edges_s[:-1], edges_s[1:]
    inside = np.clip(np.minimum(end, event.end_s) - np.maximum(start, event.start_s), 0, None) / (end - start)
    if event.decay_s <= 0:
        return np.asarray(inside)
    after = np.maximum((start + end) / 2 - event.end_s, 0.0)
    fading = np.where(end > event.end_s, 0.5 ** (after / event.decay_s), 0.0)
    return np.asarray(inside + (1 - inside) * np.where(start >= event.start_s, fading, 0.0))
