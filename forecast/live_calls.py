"""What the store tells of calls in progress: who is live and since when, how long calls last, and past calls.

By pool and by tenant. A call is listed with its node and region, and these say its pool, as `load_minute` shows.
Lists may hold more than one leg of a call; each listed one then stands for less than a call, so that together
they are as many as were counted. Everything read is bounded; what is too much is said, not cut.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from forecast.concurrency import Survival, binned_survival, pooled
from forecast.localtime import DAY_S, Bools, Floats, utc_offset_s
from forecast.signals import CAPTURE_POOL, SECOND_NS
from forecast.targets import Kind
from storage.seam import Reader, Window
from telephony.histogram import HOLDING_S
from telephony.model import Outcome as CallOutcome

Carrier = tuple[Kind, str]
"""A pool or a tenant, by name."""
CARRIERS = (Kind.POOL, Kind.TENANT)
MOST_LISTED = 50_000
"""Rows of calls in progress that are read at once; with more, none are carried on."""
MOST_PAST_CALLS = 1_500_000
"""Calls of one pool or tenant that are read to rehearse on; of those with more, fewer days."""
REHEARSED_DAYS = (7, 5, 4)
"""How many days are tried, one after the other."""
_RESTATED_S = 35
"""A live call is stated every 30 s."""
_PLACES_S = 3600
_PARTS = 4
_HOUR_S = 3600
_KEEP_PER_DAY = 0.9
HOLDING_DAYS = 14
_NOISE = 1.5
_UNLIKE = 0.05
"""A listed number further from the counted one than this and chance allows is of other things than calls."""
_Names = np.ndarray[tuple[int], np.dtype[np.object_]]


@dataclass(frozen=True, slots=True)
class LiveCalls:
    """The calls in progress of one pool or tenant at an instant."""

    ages_s: Floats
    """Seconds since each was answered."""
    worth: float = 1.0
    """Calls that each of them stands for."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Every call in progress at an instant, by pool and tenant; empty where they cannot be listed."""

    calls: Mapping[Carrier, LiveCalls]
    why_not: str = ""
    """Why there are none, if they could not be listed."""


def list_calls(reader: Reader, at_s: int) -> Listing:
    """Return the answered calls that were up at an instant (UTC second), as stored in the hour since."""
    window = Window((at_s - _RESTATED_S) * SECOND_NS, at_s * SECOND_NS + 1)
    columns = ["tenant", "region", "node", "call_id", "state", "answered_at"]
    rows = reader.select("call_now", window, columns=columns, limit=MOST_LISTED, newest_first=True)
    if rows.num_rows >= MOST_LISTED:
        return Listing({}, "too many calls to list")
    if not rows.num_rows:
        return Listing({}, "no call is listed")
    ids = _names(rows, "call_id")
    # The first row of a call is its newest.
    newest = np.unique(ids.astype(str), return_index=True)[1]
    answered = rows["answered_at"].cast(pa.int64()).fill_null(0).to_numpy()
    up = newest[(_names(rows, "state")[newest] == "answered") & (answered[newest] > 0)]
    ages = np.maximum(at_s - answered[up] / SECOND_NS, 0.0)
    counted, pools = _counted(reader, at_s)
    tenants = _names(rows, "tenant")[up]
    places = zip(_names(rows, "region")[up], _names(rows, "node")[up], strict=True)
    of_pool = np.array([pools.get(place, "") for place in places], dtype=object)
    calls = {}
    for kind, names in ((Kind.TENANT, tenants), (Kind.POOL, of_pool)):
        for name in {str(name) for name in names if name}:
            mine = ages[names == name]
            calls[kind, name] = LiveCalls(mine, _worth(counted.get((kind, name), mine.size), mine.size))
    return Listing(calls)


def _counted(reader: Reader, at_s: int) -> tuple[dict[Carrier, float], dict[tuple[str, str], str]]:
    """Return the calls counted in the minute before, and the pool of each region and node of the hour before."""
    minute = Window((at_s - 60) * SECOND_NS, at_s * SECOND_NS)
    hour = Window((at_s - _PLACES_S) * SECOND_NS, at_s * SECOND_NS)
    counted = {}
    for kind in CARRIERS:
        table = reader.load(minute, step_seconds=0, by=(kind.value,))
        for row in table.select([kind.value, "concurrent_mean"]).to_pylist():
            counted[kind, row[kind.value]] = float(row["concurrent_mean"] or 0)
    places = reader.load(hour, step_seconds=0, by=("pool", "region", "node"))
    rows = places.select(["pool", "region", "node"]).to_pylist()
    return counted, {(row["region"], row["node"]): row["pool"] for row in rows if row["pool"] != CAPTURE_POOL}


def _worth(counted: float, listed: int) -> float:
    """Return how many calls a listed one stands for: one, unless chance cannot explain the difference.

    >>> _worth(150.0, 148), _worth(150.0, 300)
    (1.0, 0.5)
    """
    apart = abs(counted - listed)
    return 1.0 if apart <= _UNLIKE * listed + _NOISE * np.sqrt(max(listed, 1)) else counted / max(listed, 1)


class HoldingTimes:
    """How long the calls of each pool and tenant last, by quarter of its local day; learned day after day."""

    def __init__(self, zone_of: Callable[[Carrier], ZoneInfo]) -> None:
        self._zone_of = zone_of
        self._ended: dict[Carrier, Floats] = {}
        """[parts, buckets of holding times]"""
        self._attempts: dict[Carrier, float] = {}
        self._until_s = 0

    def read(self, reader: Reader, until_s: int) -> None:
        """Take in the whole UTC days before an instant that are not in yet; older days weigh less."""
        last = until_s // DAY_S * DAY_S
        for day_s in range(max(self._until_s, last - HOLDING_DAYS * DAY_S), last, DAY_S):
            self._ended = {carrier: held * _KEEP_PER_DAY for carrier, held in self._ended.items()}
            self._attempts = {carrier: count * _KEEP_PER_DAY for carrier, count in self._attempts.items()}
            for kind in CARRIERS:
                self._read_day(reader, kind, day_s)
        self._until_s = max(last, self._until_s)

    def _read_day(self, reader: Reader, kind: Kind, day_s: int) -> None:
        fields = ("arrivals", "holding_time_histogram")
        window = Window(day_s * SECOND_NS, (day_s + DAY_S) * SECOND_NS)
        table = reader.sums("load_minute", window, step_seconds=_HOUR_S, by=(kind.value,), fields=fields)
        hours_s = (table["time"].cast(pa.int64()).to_numpy() // SECOND_NS).tolist()
        names, attempts = table[kind.value].to_pylist(), table["arrivals"].to_pylist()
        for place, histogram in enumerate(table["holding_time_histogram"].to_pylist()):
            carrier = kind, names[place]
            held = self._ended.setdefault(carrier, np.zeros((_PARTS, HOLDING_S.count)))
            if histogram is not None:
                held[self._part(carrier, hours_s[place])] += histogram
            self._attempts[carrier] = self._attempts.get(carrier, 0.0) + float(attempts[place] or 0)

    def _part(self, carrier: Carrier, at_s: int) -> int:
        """Return the quarter of the local day that an instant is in."""
        return (at_s + utc_offset_s(at_s, self._zone_of(carrier))) % DAY_S * _PARTS // DAY_S

    def survival(self, carrier: Carrier, at_s: int) -> Survival | None:
        """Return the survival of calls at an instant, drawn to the whole day's; None where none is known."""
        held = self._ended.get(carrier)
        if held is None or not held.any():
            return None
        part = held[self._part(carrier, at_s)]
        edges = np.array(HOLDING_S.edges)
        whole = binned_survival(held.sum(axis=0), edges)
        return pooled(binned_survival(part, edges), int(part.sum()), whole) if part.any() else whole

    def answered(self, carrier: Carrier) -> float:
        """Return the calls that come up per attempt."""
        attempts = self._attempts.get(carrier, 0.0)
        return float(self._ended[carrier].sum()) / attempts if attempts > 0 else 0.0


@dataclass(frozen=True, slots=True)
class PastCalls:
    """Answered calls that are over, by when they were answered (UTC seconds)."""

    answered_s: Floats
    ended_s: Floats
    since_s: float
    """From then on every call that was up is among them, or still up."""
    worth: float

    def live(self, at_s: float, still: LiveCalls, now_s: float) -> LiveCalls:
        """Return who was live at an earlier instant, with those who `still` are at `now_s`."""
        upto = int(np.searchsorted(self.answered_s, at_s, "right"))
        up = self.answered_s[:upto][self.ended_s[:upto] > at_s]
        since = now_s - still.ages_s
        return LiveCalls(np.r_[at_s - up, at_s - since[since <= at_s]], self.worth)


def past_calls(reader: Reader, carrier: Carrier, until_s: int) -> PastCalls | None:
    """Return the calls of a pool or tenant that ended in the days before an instant (UTC second).

    As many days of `REHEARSED_DAYS` as have at most `MOST_PAST_CALLS`; None where none are stored, or too many.
    """
    kind, name = carrier
    where: dict[str, tuple[str, ...]] = {"outcome": (CallOutcome.ANSWERED.value,)}
    window = Window((until_s - REHEARSED_DAYS[0] * DAY_S) * SECOND_NS, until_s * SECOND_NS)
    places = places_of(reader, name, window) if kind is Kind.POOL else frozenset()
    if kind is Kind.TENANT:
        where["tenant"] = (name,)
    elif not places:
        return None
    else:
        where["node"] = tuple(sorted({node for _, node in places}))
    columns = ["time", "region", "node", "duration_s"]
    for days in REHEARSED_DAYS:
        window = Window((until_s - days * DAY_S) * SECOND_NS, until_s * SECOND_NS)
        rows = reader.select("call", window, columns=columns, where=where, limit=MOST_PAST_CALLS)
        if rows.num_rows < MOST_PAST_CALLS:
            break
    if not 0 < rows.num_rows < MOST_PAST_CALLS:
        return None
    ended = rows["time"].cast(pa.int64()).to_numpy() / SECOND_NS
    lasted = np.nan_to_num(np.asarray(rows["duration_s"].to_numpy(zero_copy_only=False), np.float64))
    if kind is Kind.POOL:
        mine = _within(rows, places)
        ended, lasted = ended[mine], lasted[mine]
    if not ended.size:
        return None
    sums = reader.sums(
        "load_minute", Window(int(ended.min()) // 60 * 60 * SECOND_NS, window.until_ns), step_seconds=0,
        by=(kind.value,), where={kind.value: (name,)}, fields=("holding_time_histogram",),
    )  # fmt: skip
    counted = sum(sum(histogram or ()) for histogram in sums["holding_time_histogram"].to_pylist())
    answered = ended - lasted
    order = np.argsort(answered)
    worth = _worth(float(counted), ended.size) if counted else 1.0
    return PastCalls(answered[order], ended[order], float(ended.min()), worth)


def _within(rows: pa.Table, places: frozenset[tuple[str, str]]) -> Bools:
    """Return which rows are of one of the regions and nodes."""
    regions, nodes = (rows[name].combine_chunks().dictionary_encode() for name in ("region", "node"))
    names = nodes.dictionary.to_pylist()
    allowed = np.array([[(region, n) in places for n in names] for region in regions.dictionary.to_pylist()])
    return np.asarray(allowed[regions.indices.to_numpy(), nodes.indices.to_numpy()], np.bool_)


def places_of(reader: Reader, pool: str, window: Window) -> frozenset[tuple[str, str]]:
    """Return the regions and nodes whose calls a pool carried."""
    table = reader.load(window, step_seconds=0, by=("region", "node"), where={"pool": (pool,)})
    return frozenset((row["region"], row["node"]) for row in table.select(["region", "node"]).to_pylist())


def _names(table: pa.Table, column: str) -> _Names:
    found: _Names = np.array(table[column].to_pylist(), dtype=object)
    return found
