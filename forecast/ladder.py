"""Which model forecasts a series tonight: the highest rung its history allows, unless the profile does better.

Every rung is judged by forecasts made before the fact. A model that lost to the weekly profile over two weeks at
some leads leaves these leads to the profile until it wins again.
"""

from collections import deque

import numpy as np

from forecast.leads import LeadBins
from forecast.localtime import Bools, Floats, Ints
from forecast.members import Fitted, Member, Model, members
from forecast.panel import Panel

PROFILE = "weekly-profile"
_BENCH_DAYS = 14
_LOSES = 1.02
"""Error over the profile's error beyond which a model has lost, rather than had bad luck."""


class Ladder:
    """The models of one series; built when first needed."""

    def __init__(self, panel: Panel, bins: LeadBins) -> None:
        self._panel = panel
        self._bins = bins
        self._models: dict[str, Model] = {}
        self._errors: deque[tuple[Floats, Floats]] = deque(maxlen=_BENCH_DAYS)

    def choose(self, day: int) -> Member:
        """Return the member of the highest rung that the history before `day` allows."""
        history = int(self._panel.measured_days[day])
        return [member for member in members() if member.rung >= 0 and member.needs_days <= history][-1]

    def fit(self, day: int) -> "Chosen":
        """Return tonight's model with what it is benched for."""
        member = self.choose(day)
        fitted = self.model(member).fit(day)
        profile = self.named(PROFILE)
        benched = np.zeros(len(self._bins), np.bool_)
        if member.rung > profile.rung and len(self._errors) == _BENCH_DAYS:
            own, other = (np.sum([pair[side] for pair in self._errors], axis=0) for side in (0, 1))
            benched = own > _LOSES * other
        return Chosen(member.name, fitted, self.model(profile).fit(day), benched, self._bins)

    def model(self, member: Member) -> Model:
        """Return a member's model of this series."""
        if member.name not in self._models:
            self._models[member.name] = member.build(self._panel)
        return self._models[member.name]

    @staticmethod
    def named(name: str) -> Member:
        """Return a member by name. Raises KeyError."""
        return {member.name: member for member in members()}[name]

    def learn(self, bins: Ints, own: Floats, profile: Floats) -> None:
        """Take in a day's absolute errors [rows] of the model and of the profile at the same forecasts."""
        width = len(self._bins)
        sums = [np.bincount(bins, errors, width).astype(np.float64) for errors in (own, profile)]
        self._errors.append((sums[0], sums[1]))


class Chosen:
    """The model of one night, with the profile standing in at benched leads."""

    def __init__(self, name: str, own: Fitted, profile: Fitted, benched: Bools, bins: LeadBins) -> None:
        self.name = name
        self.own = own
        self.profile = profile
        self.benched = benched
        self._bins = bins

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z for target slots seen from origins of this night's day."""
        forecast = self.own.predict(origins, targets)
        if self.benched.any():
            place = np.flatnonzero(self.benched[self._bins.of(targets - origins)])
            forecast[place] = self.profile.predict(origins[place], targets[place])
        return forecast

    def on(self, panel: Panel) -> "Chosen":
        """Return it over another panel of the same series."""
        return Chosen(self.name, self.own.on(panel), self.profile.on(panel), self.benched, self._bins)
