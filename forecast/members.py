"""The models a forecast may come from, by name. A new one is a module that registers itself and is
listed here; nothing else changes.

A model works in z (see `forecast.panel`) and gives the middle of the distribution; its width is learned from its
own errors by `forecast.intervals`, so a poor model comes with wide quantiles rather than with wrong ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt

from forecast.localtime import Floats, Ints
from forecast.panel import Panel

Arrays = Mapping[str, npt.NDArray[Any]]
"""What a model learned, by names of its own."""


class Fitted(Protocol):
    """A model as fitted at the start of a day."""

    def predict(self, origins: Ints, targets: Ints) -> Floats:
        """Return z for target slots, each seen from the end of its origin slot (of the day fitted for).

        Arrays of one length; targets are later than origins. Every value is finite.
        """

    def on(self, panel: Panel) -> "Fitted":
        """Return the same fit over a panel of the same series that knows more slots (or over none, to be kept)."""


class Model(Protocol):
    """A model of one series."""

    def fit(self, day: int) -> Fitted:
        """Return the model that knows the days before `day` (numbered as in the panel).

        From call to call the day is the same or a later one.
        """


@runtime_checkable
class Lasting(Model, Protocol):
    """A model that would take long to learn anew what it knew the night before."""

    def learned(self) -> Arrays:
        """Return what `resume` goes on from, bit for bit."""

    def resume(self, learned: Arrays) -> None:
        """Go on from what a model over the same past had learned; comes before the first `fit`."""


@dataclass(frozen=True, slots=True)
class Member:
    """A registered model."""

    name: str
    build: Callable[[Panel], Model]
    needs_days: int
    """Measured days before it may be used."""
    rung: int
    """Place on the ladder: higher is preferred where history allows; negative is a yardstick, never chosen."""
    challenger: bool = False
    """Whether it forecasts only where it is asked for and wins; see `forecast.ladder`."""
    follows: bool = False
    """Whether it looks at nothing but what `forecast.today` keeps: new slots then need no new panel."""


_MODULES = (
    "forecast.naive",
    "forecast.daytype",
    "forecast.universal",
    "forecast.stack",
    "forecast.boosting",
    "forecast.structural",
)
_members: dict[str, Member] = {}


def register(
    name: str,
    build: Callable[[Panel], Model],
    *,
    needs_days: int,
    rung: int,
    challenger: bool = False,
    follows: bool = False,
) -> None:
    """Add a member. Raises ValueError when the name or the rung is taken."""
    if name in _members or any(rung == member.rung for member in _members.values()):
        raise ValueError(f"member {name!r} or rung {rung} is registered twice")
    _members[name] = Member(name, build, needs_days, rung, challenger, follows)


def members() -> tuple[Member, ...]:
    """Return all members from the lowest rung to the highest."""
    _import()
    return tuple(sorted(_members.values(), key=lambda member: member.rung))


def named(name: str) -> Member:
    """Return a member by name. Raises KeyError."""
    _import()
    return _members[name]


@cache
def _import() -> None:
    for module in _MODULES:
        import_module(module)
