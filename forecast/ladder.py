"""Which model forecasts a series tonight: the highest rung its history allows, unless the profile does better.

Every rung is judged by forecasts made before the fact. A model that lost to the weekly profile over two weeks at
some leads leaves these leads to the profile until it wins again. A challenger (boosting, a library's model) runs
beside it where it is asked for, and forecasts at the leads where it won over those two weeks.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast.leads import LeadBins
from forecast.localtime import Bools, Floats, Ints
from forecast.members import Fitted, Member, Model, members
from forecast.panel import Panel

PROFILE = "weekly-profile"
_BENCH_DAYS = 14
_LOSES = 1.02
"""Error over the profile's error beyond which a model has lost, rather than had bad luck."""
_WINS = 0.99
"""Error over the rung's error below which a challenger has won."""


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
        self._errors: deque[Floats] = deque(maxlen=_BENCH_DAYS)

    def choose(self, day: int) -> Member:
        """Return the member of the highest rung that the history before `day` allows."""
        history = int(self._panel.measured_days[day])
        rungs = [member for member in members() if member.rung >= 0 and not member.challenger]
        return [member for member in rungs if member.needs_days <= history][-1]

    def fit(self, day: int) -> "Chosen":
        """Return tonight's model with what it is benched for."""
        member = self.choose(day)
        fitted = self.model(member).fit(day)
        profile = self.named(PROFILE)
        benched = np.zeros(len(self._bins), np.bool_)
        rivals = []
        history = int(self._panel.measured_days[day])
        judged = np.sum(self._errors, axis=0) if len(self._errors) == _BENCH_DAYS else None
        best = np.full(len(self._bins), np.inf) if judged is None else judged[0]
        for place, challenger in enumerate(self._challengers):
            if challenger.needs_days > history:
                continue
            won = np.zeros(len(self._bins), np.bool_)
            if judged is not None and np.isfinite(judged[2 + place]).any():
                won = judged[2 + place] < _WINS * best
                best = np.where(won, judged[2 + place] / _WINS, best)
            rivals.append(Rival(place, challenger.name, self.model(challenger).fit(day), won))
        if member.rung > profile.rung and judged is not None:
            benched = best > _LOSES * judged[1]
        return Chosen(member.name, fitted, self.model(profile).fit(day), benched, self._bins, tuple(rivals))

    def model(self, member: Member) -> Model:
        """Return a member's model of this series."""
        if member.name not in self._models:
            self._models[member.name] = member.build(self._panel)
        return self._models[member.name]

    @staticmethod
    def named(name: str) -> Member:
        """Return a member by name. Raises KeyError."""
        return {member.name: member for member in members()}[name]

    def learn(self, bins: Ints, own: Floats, profile: Floats, rivals: Floats) -> None:
        """Take in a day's absolute errors at the same forecasts: of the model, of the profile, of challengers.

        Arrays [rows]; `rivals` [rows, challengers asked for], NaN for those that did not run.
        """
        width = len(self._bins)
        everyone = (own, profile, *rivals.T)
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


class Chosen:
    """The model of one night, with challengers where they won and the profile at benched leads."""

    def __init__(
        self,
        name: str,
        own: Fitted,
        profile: Fitted,
        benched: Bools,
        bins: LeadBins,
        rivals: tuple[Rival, ...] = (),
    ) -> None:
        self.name = name
        self.own = own
        self.profile = profile
        self.benched = benched
        self.rivals = rivals
        self._bins = bins

    def name_at(self, lead: int) -> str:
        """Return the member that forecasts at a lead in slots."""
        number = int(self._bins.of(np.array([lead]))[0])
        if self.benched[number]:
            return PROFILE
        return next((rival.name for rival in reversed(self.rivals) if rival.won[number]), self.name)

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z for target slots seen from origins of this night's day."""
        bins = self._bins.of(targets - origins)
        forecast = self.own.predict(origins, targets)
        for stand_in, where in [*((r.fitted, r.won) for r in self.rivals), (self.profile, self.benched)]:
            place = np.flatnonzero(where[bins])
            if place.size:
                forecast[place] = stand_in.predict(origins[place], targets[place])
        return forecast

    def on(self, panel: Panel) -> "Chosen":
        """Return it over another panel of the same series."""
        rivals = tuple(replace(rival, fitted=rival.fitted.on(panel)) for rival in self.rivals)
        return Chosen(self.name, self.own.on(panel), self.profile.on(panel), self.benched, self._bins, rivals)
