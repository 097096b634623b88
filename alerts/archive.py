"""From the minutes of the store to signals, for every rule and scope on one grid.

A slot in which no collector wrote is missing, never zero. Slots read before are read again while late
rows may come. Reads through a scoped reader and knows no baseline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from alerts.catalog import Share, Source, Watched
from alerts.incidents import Scope
from alerts.known import Known
from alerts.signals import Kind, Signal, share_beyond, worst_share_bound
from forecast.localtime import Bools, Floats
from forecast.series import Series, State
from storage.seam import Reader, Window
from telephony.model import UNASSIGNED, UNKNOWN

SECOND_NS = 1_000_000_000
_LATE_SLOTS = 2
_ROOM_S = 86_400
"""Arrays are made longer by this much at a time, not anew for each slot."""
_PLATFORM = "platform"
_CHUNK_S = 7 * 86_400
"""Histograms are read in chunks of this much: of two months they would fill the memory."""
_LEAST_SAMPLES = 1_000
"""From so many on the bound of a share is learned."""


Kept = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SignalId:
    """One rule in one scope."""

    rule: str
    scope: Scope


@dataclass(slots=True)
class Archive:
    """All signals from `start_s` (UTC midnight) on, in slots of `slot_s`."""

    watched: Sequence[Watched]
    start_s: int
    slot_s: int
    zone: ZoneInfo
    most_scopes: int = 500
    zones: Mapping[tuple[str, str], ZoneInfo] = field(default_factory=dict)
    """By kind and name of a scope: whose days it follows, where not those of `zone`."""
    shed: int = 0
    """Scopes for which there was no room, counted at each first sight."""
    known: Known = field(default_factory=Known)
    """What explains slots without an incident."""
    _alive: Floats = field(default_factory=lambda: np.zeros(0))
    _amount: dict[SignalId, Kept] = field(default_factory=dict)
    """With room at the end. Of single precision: counts are exact to 16 million a slot."""
    _base: dict[SignalId, Kept] = field(default_factory=dict)
    """Of ratios and means."""
    _bounds: dict[str, float] = field(default_factory=dict)
    """By rule: the bound that shares are counted beyond."""

    @property
    def until_s(self) -> int:
        """End of the newest slot, UTC seconds."""
        return self.start_s + self._alive.size * self.slot_s

    def read(self, reader: Reader, until_s: int) -> None:
        """Take in the whole slots up to an instant (UTC seconds)."""
        known = self._alive.size
        count = max(known, (until_s - self.start_s) // self.slot_s)
        since = max(0, known - _LATE_SLOTS)
        if count <= since:
            return
        for arrays in (self._amount, self._base):
            for key, values in arrays.items():
                if values.size < count:
                    arrays[key] = self._room(count)
                    arrays[key][:since] = values[:since]
                else:
                    values[since:count] = 0
        self._alive = np.r_[self._alive[:since], np.zeros(count - since)]
        start_ns = (self.start_s + since * self.slot_s) * SECOND_NS
        window = Window(start_ns, (self.start_s + count * self.slot_s) * SECOND_NS)
        self.known.read(reader, window, self.slot_s)
        load = reader.load(window, step_seconds=self.slot_s)
        self._alive[self._places(load)] = load["minutes"].cast(pa.float64()).to_numpy(zero_copy_only=False)
        for rule in self.watched:
            for dimension in rule.dimensions:
                for part in _chunks(window, self.slot_s) if rule.share else (window,):
                    self._read_rule(reader, part, rule, dimension, count)

    def forget(self, slots: int) -> None:
        """Let go of the first slots, and of what was measured in no other."""
        self.start_s += slots * self.slot_s
        self._alive = self._alive[slots:].copy()
        for arrays in (self._amount, self._base):
            for key, values in arrays.items():
                arrays[key] = values[slots:].copy()
        for key in [key for key in self._amount if not self._ever(key).any()]:
            del self._amount[key]
            self._base.pop(key, None)

    def _ever(self, key: SignalId) -> Bools:
        """Return in which slots there was anything of a signal."""
        base = self._base.get(key)
        seen = self._amount[key] > 0
        return (seen if base is None else seen | (base > 0))[: self._alive.size]

    def _room(self, count: int) -> Kept:
        return np.zeros(count + _ROOM_S // self.slot_s, np.float32)

    def _read_rule(self, reader: Reader, window: Window, rule: Watched, dimension: str, count: int) -> None:
        by = () if dimension == _PLATFORM else (dimension,)
        table, amount, base = self._amounts(reader, window, rule, by)
        if not table.num_rows:
            return
        places = self._places(table)
        names = np.asarray(table[dimension].to_pylist() if by else [_PLATFORM] * table.num_rows, dtype=object)
        weight = amount if rule.kind is Kind.COUNT else base
        sizes = sorted({str(n) for n in names}, key=lambda n: (-float(weight[names == n].sum()), n))
        held = sum(1 for key in self._amount if key.rule == rule.rule and key.scope.kind == dimension)
        for name in sizes:
            if not name or name in (UNKNOWN, UNASSIGNED):
                continue
            key = SignalId(rule.rule, Scope(dimension, name, name if dimension == "tenant" else UNASSIGNED))
            if key not in self._amount:
                if held >= self.most_scopes:
                    self.shed += 1
                    continue
                held += 1
                self._amount[key] = self._room(count)
                if rule.kind is not Kind.COUNT:
                    self._base[key] = self._room(count)
            mine = names == name
            self._amount[key][places[mine]] = amount[mine]
            if rule.kind is not Kind.COUNT:
                self._base[key][places[mine]] = base[mine]

    def by_tenant(
        self, reader: Reader, window: Window, rule: Watched, scope: Scope
    ) -> list[tuple[str, float, float]]:
        """Return per tenant the amount at a place over a window, and what it is counted against."""
        where = {} if scope.kind == _PLATFORM else {scope.kind: (scope.name,)}
        table, amount, base = self._amounts(reader, window, rule, ("tenant",), where=where, step_s=0)
        return list(zip(table["tenant"].to_pylist(), amount.tolist(), base.tolist(), strict=True))

    def _amounts(
        self,
        reader: Reader,
        window: Window,
        rule: Watched,
        by: Sequence[str],
        *,
        where: Mapping[str, Sequence[str]] | None = None,
        step_s: int | None = None,
    ) -> tuple[pa.Table, Floats, Floats]:
        """Return a table with time and `by`, and per row of it the amount and what it is counted against.

        A row is a slot, or `step_s` seconds; 0 for all of the window.
        """
        step_s = self.slot_s if step_s is None else step_s
        if rule.source is not Source.SUMS:
            capture = {"pool": ("capture",)} if rule.source is Source.AGENTS else None
            table = reader.load(window, step_seconds=self.slot_s, by=by, where=capture)
            minutes = _sum(table, ("minutes",))
            return table, minutes, np.full(minutes.size, self.slot_s / 60)
        share, counted = rule.share, rule.counted
        fields = (share.field,) if share else (*counted.amount, *counted.base)
        table = reader.sums(counted.measurement, window, step_seconds=step_s, by=by, where=where, fields=fields)
        if share is None:
            amount, base = _sum(table, counted.amount), _sum(table, counted.base)
        else:
            bound = self._bound(reader, rule, share)
            amount, base = share_beyond(_histograms(table, share), share.buckets, bound, below=share.below)
        return table, counted.amount_unit * amount, counted.base_unit * base

    def _bound(self, reader: Reader, rule: Watched, share: Share) -> float:
        """Return the bound of a rule's share: that of all history at the start, the same from then on."""
        if not share.learned:
            return share.bound
        if rule.rule not in self._bounds:
            window = Window(self.start_s * SECOND_NS, self.until_s * SECOND_NS)
            table = reader.sums(rule.counted.measurement, window, step_seconds=0, fields=(share.field,))
            counts = [round(n) for n in _histograms(table, share).sum(axis=0)]
            enough = sum(counts) >= _LEAST_SAMPLES
            self._bounds[rule.rule] = (
                worst_share_bound(counts, share.buckets, low=share.below) if enough else share.bound
            )
        return self._bounds[rule.rule]

    def _places(self, table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        times = table["time"].cast(pa.int64()).to_numpy() // SECOND_NS
        return np.asarray((times - self.start_s) // self.slot_s, np.int64)

    def ids(self) -> list[SignalId]:
        """Return every signal there is."""
        return list(self._amount)

    def signal(self, key: SignalId, rule: Watched) -> Signal:
        """Return a signal over all slots; those not wholly watched are missing, as are those before its first.

        Those that something known explains are masked.
        """
        whole = self._alive * 60 >= self.slot_s - 30
        if rule.source is Source.WATCHED:
            whole = np.ones_like(whole)
        whole = whole.copy()
        whole[: int(np.argmax(self._ever(key)))] = False
        y = np.where(whole, self._amount[key][: whole.size], np.nan).astype(np.float64)
        explained = self.known.explained(rule, key.scope, self.start_s, self.slot_s, whole.size)
        state = np.where(whole, np.where(explained, State.MASKED, State.OPEN), State.MISSING).astype(np.uint8)
        zone = self.zones.get((key.scope.kind, key.scope.name), self.zone)
        series = Series(self.start_s, self.slot_s, zone, y, state)
        if rule.kind is Kind.COUNT:
            return Signal(series)
        # Minutes are counted against all minutes, also where there is no row.
        base = self._base[key][: whole.size] if rule.source is Source.SUMS else self.slot_s / 60
        return Signal(series, rule.kind, np.where(whole, base, 0.0).astype(np.float64))


def _chunks(window: Window, slot_s: int) -> list[Window]:
    step = max(slot_s, _CHUNK_S // slot_s * slot_s) * SECOND_NS
    return [Window(t, min(t + step, window.until_ns)) for t in range(window.since_ns, window.until_ns, step)]


def _histograms(table: pa.Table, share: Share) -> Floats:
    """Return the histograms of a table as [row, bucket]."""
    column = table[share.field].combine_chunks()
    if column.null_count:
        column = column.fill_null(pa.scalar([0] * share.buckets.count, column.type))
    return np.asarray(column.flatten().to_numpy(zero_copy_only=False), np.float64).reshape(-1, share.buckets.count)


def _sum(table: pa.Table, names: Sequence[str]) -> Floats:
    total = np.zeros(table.num_rows)
    for name in names:
        total += np.nan_to_num(np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False)))
    return total
