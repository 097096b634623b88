"""What is forecast: a signal of the load of a pool, region, trunk or tenant."""

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What kind of thing carries the load; the values are tags of the store."""

    POOL = "pool"
    REGION = "region"
    TRUNK = "trunk"
    TENANT = "tenant"


class Signal(StrEnum):
    """What is counted or measured of the load; the values are tags of the store."""

    ARRIVALS = "arrivals"
    """Session attempts per slot."""
    CONCURRENT = "concurrent_mean"
    """Calls in progress, mean over the slot."""
    CONCURRENT_MAX = "concurrent_max"
    """Calls in progress, the most within the slot: what capacity must hold."""
    PACKETS = "packets_per_second"
    """RTP packets per second, mean over the slot."""
    CPS_MAX = "cps_max"
    """Session attempts in the busiest second of the slot."""
    TRANSCODES = "transcodes"
    """Transcoded calls in progress, mean over the slot."""

    @property
    def is_count(self) -> bool:
        """Whether it is a sum over the slot, so that half a slot is half of it."""
        return self is Signal.ARRIVALS

    @property
    def unit(self) -> str:
        """The unit of its values, in words."""
        return _UNITS[self]


_UNITS = {
    Signal.ARRIVALS: "attempts per slot",
    Signal.CONCURRENT: "calls",
    Signal.CONCURRENT_MAX: "calls",
    Signal.PACKETS: "packets/s",
    Signal.CPS_MAX: "attempts/s",
    Signal.TRANSCODES: "calls",
}

KIND_SIGNALS: dict[Kind, tuple[Signal, ...]] = {
    Kind.POOL: tuple(Signal),
    Kind.REGION: tuple(Signal),
    Kind.TRUNK: (Signal.ARRIVALS,),
    Kind.TENANT: tuple(Signal),
}
"""What the store can tell of each kind: sessions by trunk, everything else by pool, region and tenant."""


class SeriesId(NamedTuple):
    """One series."""

    kind: Kind
    name: str
    signal: Signal

    def __str__(self) -> str:
        return f"{self.signal} of {self.kind} {self.name}"
