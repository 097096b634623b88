"""Which model forecasts a series tonight: the highest rung its history allows, unless the profile does better.

Every rung is judged by forecasts made before the fact. Up to four hours ahead a model that lost to the weekly
profile over two weeks leaves these leads to the profile until it wins again. Further ahead few errors are
independent, and a choice would often be wrong: there the forecast is a mean of the model, the profile and the same
time last week, each weighted by how well it did. A challenger (boosting, a library's model) runs beside the rung
where it is asked for, and takes its place at the leads where it won over two weeks.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast.horizons import Horizon
from forecast.intervals import HALF_LIFE_DAYS, WINDOW_DAYS
from forecast.leads import LeadBins
from forecast.localtime import Bools, Floats, Ints
from forecast.members import Arrays, Fitted, Lasting, Member, Model, members, named
from forecast.panel import Panel

PROFILE = "weekly-profile"
LAST_WEEK = "seasonal-naive"
_BENCH_DAYS = 14
_LOSES = 1.02
"""Error over the profile's error beyond which a model has lost, rather than had bad luck."""
_WINS = 0.99
"""Error over the rung's error below which a challenger has won."""
_MIXED_S = Horizon.MEDIUM.reach_s
"""Leads beyond this are forecast by the mean; nearer ones from what the day itself keeps (`forecast.today`)."""
_SHARPNESS = 20.0
"""The weight of a forecast falls with this power of its error: half at 3.5 % more."""
_SIMPLER = 1.05
"""Errors of the simpler two are taken as so much larger: the model was fitted to do well."""
_HALF_LIFE_PER_DAY = 7.0
"""How much longer errors count per day of lead: far leads have few independent ones to tell which is better by."""
_JUDGED = 3
"""The model, the profile, last week: challengers come after them."""
_ALONE = np.array([[1.0], [0.0], [0.0]])
_BENCHED = np.array([[0.0], [1.0], [0.0]])
_TINY = 1e-9


class UnknownMember(ValueError):
    """No such challenger is registered."""


class Ladder:
    """The models of one series; built when first needed."""

    def __init__(self, panel: Panel, bins: LeadBins, challengers: Sequence[str] = ()) -> None:
        self._panel = panel
        self._bins = bins
        self._models: dict[str, Model] = {}
        known = {member.name: member for member in members() if member.challenger}
        for name in challengers:
            if name not in known:
                raise UnknownMember(f"no challenger {name[:40]!r}; there are {', '.join(known)}")
        self._challengers = tuple(known[name] for name in challengers)
        self._errors: deque[Floats] = deque(maxlen=WINDOW_DAYS)
        self._lasting: Mapping[str, Arrays] = {}
        """What models go on from once they are built, by member."""
        self._mixed = bins.edges[:-1] * panel.series.slot_s >= _MIXED_S
        self._half_life = HALF_LIFE_DAYS + _HALF_LIFE_PER_DAY * bins.edges[1:] / panel.slots_per_day

    def choose(self, day: int) -> Member:
        """Return the member of the highest rung that the history before `day` allows."""
        history = int(self._panel.measured_days[day])
        rungs = [member for member in members() if member.rung >= 0 and not member.challenger]
        return [member for member in rungs if member.needs_days <= history][-1]

    def fit(self, day: int) -> "Chosen":
        """Return tonight's model with what it is benched for."""
        member = self.choose(day)
        fitted = self.model(member).fit(day)
        profile = named(PROFILE)
        rivals = []
        history = int(self._panel.measured_days[day])
        recent = list(self._errors)[-_BENCH_DAYS:]
        judged = np.sum(recent, axis=0) if len(recent) == _BENCH_DAYS else None
        best = np.full(len(self._bins), np.inf) if judged is None else judged[0]
        for place, challenger in enumerate(self._challengers):
            if challenger.needs_days > history:
                continue
            won = np.zeros(len(self._bins), np.bool_)
            if judged is not None and np.isfinite(judged[_JUDGED + place]).any():
                won = judged[_JUDGED + place] < _WINS * best
                best = np.where(won, judged[_JUDGED + place] / _WINS, best)
            rivals.append(Rival(place, challenger.name, self.model(challenger).fit(day), won))
        shares = np.tile(_ALONE, len(self._bins))
        if member.rung > profile.rung and judged is not None:
            shares[:, best > _LOSES * judged[1]] = _BENCHED
            shares[:, self._mixed] = self._shares()[:, self._mixed]
        simple = Simple(self.model(profile).fit(day), self.model(named(LAST_WEEK)).fit(day))
        return Chosen(member.name, fitted, simple, shares, self._bins, tuple(rivals))

    def _shares(self) -> Floats:
        """Return [model, profile, last week; bins] weights that add up to one, from the errors so far."""
        age = np.arange(len(self._errors))[::-1]
        weight = 0.5 ** (age[:, None] / self._half_life)
        error = np.einsum("db,dmb->mb", weight, np.stack(self._errors)[:, :_JUDGED]) + _TINY
        error[1:] *= _SIMPLER
        share = (error.min(axis=0) / error) ** _SHARPNESS
        return np.asarray(share / share.sum(axis=0))

    def model(self, member: Member) -> Model:
        """Return a member's model of this series."""
        if member.name not in self._models:
            model = self._models[member.name] = member.build(self._panel)
            if isinstance(model, Lasting) and member.name in self._lasting:
                model.resume(self._lasting[member.name])
        return self._models[member.name]

    @property
    def errors(self) -> Floats:
        """[days, model and the simpler two and challengers, bins]: what was learned, for `resume`."""
        return np.array(self._errors).reshape(len(self._errors), _JUDGED + len(self._challengers), len(self._bins))

    @property
    def lasting(self) -> dict[str, Arrays]:
        """What models learned, by member, for `resume`; without those not yet in use."""
        built = {name: model.learned() for name, model in self._models.items() if isinstance(model, Lasting)}
        return {**self._lasting, **built}

    def resume(self, errors: Floats, lasting: Mapping[str, Arrays]) -> None:
        """Go on from what a ladder with the same challengers had learned."""
        self._errors.extend(errors)
        self._lasting = lasting

    def learn(self, bins: Ints, own: Floats, simple: Floats, rivals: Floats) -> None:
        """Take in a day's absolute errors at the same forecasts: of the model, of the simpler two, of challengers.

        `own` [rows]; `simple` [2, rows]; `rivals` [rows, challengers asked for], NaN for those that did not run.
        """
        width = len(self._bins)
        everyone = (own, *simple, *rivals.T)
        self._errors.append(np.stack([np.bincount(bins, errors, width) for errors in everyone]))


@dataclass(frozen=True, slots=True)
class Rival:
    """A challenger of one night."""

    place: int
    """Among those asked for."""
    name: str
    fitted: Fitted
    won: Bools
    """[bins] where it forecasts."""


@dataclass(frozen=True, slots=True)
class Simple:
    """The two that a model is measured by and mixed with."""

    profile: Fitted
    last_week: Fitted

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z [2, rows]."""
        return np.stack([self.profile.predict(origins, targets), self.last_week.predict(origins, targets)])

    def on(self, panel: Panel) -> "Simple":
        """Return both over another panel."""
        return Simple(self.profile.on(panel), self.last_week.on(panel))


class Chosen:
    """The model of one night: challengers where they won, the profile at benched leads, a mean far ahead."""

    def __init__(
        self,
        name: str,
        own: Fitted,
        simple: Simple,
        shares: Floats,
        bins: LeadBins,
        rivals: tuple[Rival, ...] = (),
    ) -> None:
        self.name = name
        self.own = own
        self.simple = simple
        self.benched: Bools = shares.argmax(axis=0) == 1
        """[bins] where the profile forecasts, or has the largest share."""
        self.rivals = rivals
        self._shares = shares
        self._bins = bins

    def name_at(self, lead: int) -> str:
        """Return the member that forecasts at a lead in slots, or has the largest share there."""
        number = int(self._bins.of(np.array([lead]))[0])
        largest = int(self._shares[:, number].argmax())
        if largest:
            return (PROFILE, LAST_WEEK)[largest - 1]
        return next((rival.name for rival in reversed(self.rivals) if rival.won[number]), self.name)

    def mixed(self, bins: Ints, model: Floats, simple: Floats) -> Floats:
        """Return the forecasts [rows] made of those of the model (or of who won over it) and the simpler two."""
        share = self._shares[:, bins]
        return np.asarray(share[0] * model + share[1] * simple[0] + share[2] * simple[1])

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z for target slots seen from origins of this night's day."""
        bins = self._bins.of(targets - origins)
        model = self.own.predict(origins, targets)
        for rival in self.rivals:
            place = np.flatnonzero(rival.won[bins])
            if place.size:
                model[place] = rival.fitted.predict(origins[place], targets[place])
        simple = np.zeros((2, bins.size))
        for number, fitted in enumerate((self.simple.profile, self.simple.last_week)):
            place = np.flatnonzero(self._shares[1 + number, bins])
            if place.size:
                simple[number, place] = fitted.predict(origins[place], targets[place])
        return self.mixed(bins, model, simple)

    def on(self, panel: Panel) -> "Chosen":
        """Return it over another panel of the same series."""
        rivals = tuple(replace(rival, fitted=rival.fitted.on(panel)) for rival in self.rivals)
        return Chosen(self.name, self.own.on(panel), self.simple.on(panel), self._shares, self._bins, rivals)
