"""The two seams of storage: `Writer` takes columnar batches, `Reader` answers named queries within a scope.

Errors:

    StoreError
    ├── StoreUnavailable   try again later; the caller keeps what it holds
    ├── StoreLocked        another writer owns the store; the message says who
    ├── OutOfScope         the reader's scope does not hold what was asked: shown as "not found"
    ├── BadQuery           unknown measurement, tag or field; the message names it and what there is
    └── BadAddress         the URL names no store that can be
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from telephony.model import UNASSIGNED


class StoreError(Exception):
    """Base of what a store can say."""


class StoreUnavailable(StoreError):
    """The store cannot be reached now."""


class StoreLocked(StoreError):
    """Another writer of the same name owns the store."""


class OutOfScope(StoreError):
    """What was asked is not in the reader's scope."""


class BadQuery(StoreError):
    """The query names something the schema does not have."""


class BadAddress(StoreError):
    """The URL of a store names none that can be."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which tenants a reader may see. Built on the server from the signed-in actor, never widened.

    `tenants is None` means every tenant including `unassigned`: engineers and local command lines only.
    An empty set sees nothing (fails closed).
    """

    tenants: frozenset[str] | None
    actor: str

    @classmethod
    def everything(cls, actor: str) -> "Scope":
        """Return the scope of an engineer."""
        return cls(None, actor)

    @classmethod
    def of(cls, actor: str, *tenants: str) -> "Scope":
        """Return the scope of exactly these tenants; `unassigned` cannot be among them."""
        return cls(frozenset(tenants) - {UNASSIGNED}, actor)

    def allows(self, tenant: str) -> bool:
        """Tell whether rows of this tenant may be seen."""
        return self.tenants is None or tenant in self.tenants


@dataclass(frozen=True, slots=True)
class WriterHealth:
    """How writing goes, of one writer since it was opened. A store on local disk has only zeros to tell."""

    requests: Mapping[str, int] = field(default_factory=dict)
    """Requests to the server, by what came of them."""
    rows_rejected: Mapping[str, int] = field(default_factory=dict)
    """Rows that the server will never take, by why."""
    rows_sent: int = 0
    """Rows that the server took."""
    bytes_sent: int = 0
    """Of the lines that it took, compressed."""
    rows_shed: int = 0
    """Rows refused because server, spool and memory were all full."""
    rows_spooled: int = 0
    """Rows that went to the spool."""
    rows_replayed: int = 0
    """Rows of the spool that the server has taken."""
    values_not_finite: int = 0
    """NaN and infinite values, stored as null."""
    held_bytes: int = 0
    """What waits in memory."""
    spool_rows: int = 0
    spool_bytes: int = 0
    spool_oldest_ns: int | None = None
    """When the oldest record of the spool was taken; None where it is empty."""
    spool_damaged: int = 0
    """Records of the spool that could not be read, and are lost."""
    spool_torn: int = 0
    """Records found cut short when the spool was opened: they had never been acknowledged."""
    spool_refused: int = 0
    """Records that the spool had no room for; they stay in memory while that has."""
    spool_fsyncs: int = 0


class Writer(Protocol):
    """Takes rows of a measurement. What `flush` has returned from survives a crash of the process."""

    def write(self, measurement: str, rows: pa.RecordBatch) -> None:
        """Append rows (schema of `storage.schema`); raises BadQuery for an unknown measurement or schema."""

    def flush(self) -> None:
        """Make everything written so far visible to readers and safe from a crash of this process."""

    def health(self) -> WriterHealth:
        """Return how writing goes; from any thread."""

    def close(self) -> None:
        """Flush and release; idempotent."""


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of time [since, until), UTC nanoseconds."""

    since_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class CallTrace:
    """Everything stored about one call; tables are in order of time."""

    call: Mapping[str, object] | None
    """The `call` row, None while the call is alive."""
    messages: pa.Table
    """`sip_message` rows."""
    intervals: pa.Table
    """`stream_interval` rows."""
    findings: pa.Table
    """`finding` rows."""


@dataclass(frozen=True, slots=True)
class CallMatch:
    """What a `call` row must hold beside its tags; the default matches every call. Texts do not mind case."""

    contains: str = ""
    """Part of call_id, destination or a masked number."""
    number: str = ""
    """Part of a masked number of either party."""
    destination: str = ""
    """Part of the destination."""
    sip_codes: tuple[int, ...] = ()
    """The final code is one of these; none is any."""
    mos_below: float | None = None
    """`mos_min` is below this; calls without a MOS do not match."""


EVERY_CALL = CallMatch()


@dataclass(frozen=True, slots=True)
class CallPage:
    """One page of a search for calls."""

    rows: pa.Table
    """`call` rows."""
    total: int
    """Calls that match, of which `rows` are some."""


@dataclass(frozen=True, slots=True)
class Top:
    """The `count` groups with the greatest total of a field over the window, ties by the names of the tags."""

    field: str
    count: int


class Reader(Protocol):
    """Named queries, every one limited to the reader's scope. `where` maps tag names to the allowed values.

    Tables come back ordered by time and carry the columns said below; an empty result is an empty table with
    those columns, never None.
    """

    scope: Scope

    def select(
        self,
        measurement: str,
        window: Window,
        *,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
        limit: int = 10_000,
        newest_first: bool = False,
    ) -> pa.Table:
        """Return rows of a measurement as stored, the last write of each point only."""

    def sums(
        self,
        measurement: str,
        window: Window,
        *,
        step_seconds: int,
        by: Sequence[str] = (),
        where: Mapping[str, Sequence[str]] | None = None,
        fields: Sequence[str] | None = None,
        top: Top | None = None,
    ) -> pa.Table:
        """Return integer, float and histogram fields (those named, else all) summed per step and `by` tags.

        Columns: `time` (start of the step), the `by` tags, the fields in the schema's order. A step of 0 is the
        whole window in one row per `by` group. Only for fields that sum (session, quality, registration, trunk
        minutes, counts of load minutes, forecast_accuracy). `top` leaves only the groups it names, at every step.
        Quantiles of histograms: `storage.quantiles`.
        """

    def load(
        self,
        window: Window,
        *,
        step_seconds: int,
        by: Sequence[str] = (),
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> pa.Table:
        """Return the levels of `load_minute` per step and `by` tags; a step of 0 is the whole window.

        Columns: `time`, the `by` tags, minutes (with at least one row: the others are gaps, not zeros), arrivals
        (sum), concurrent_mean, packets_per_second, erlangs, transcodes (mean over those minutes of the sum over
        rows), concurrent_max, cps_max (greatest of a minute's sum over rows: where rows of several tenants, pools
        or nodes are added, whose peaks need not coincide, an upper bound).
        """

    def latest(
        self,
        measurement: str,
        window: Window,
        *,
        by: Sequence[str],
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> pa.Table:
        """Return the newest row of each combination of the `by` columns (tags, text or time fields) in the window.

        So `by=["tenant", "incident_id"]` of `alert_event` is the state of every incident, `by=["pool"]` of
        `replica_decision` the last decision, `by=["action_id"]` of `operator_action` what people told last.
        """

    def forecasts(
        self,
        slots: Window,
        *,
        where: Mapping[str, Sequence[str]] | None = None,
        issued_until_ns: int | None = None,
    ) -> pa.Table:
        """Return the newest `forecast` of each slot that starts in the window, per tags, in order of slot.

        With `issued_until_ns`, as believed then: what was issued after it is as if it were not there.
        """

    def worst_calls(
        self, window: Window, *, limit: int = 50, where: Mapping[str, Sequence[str]] | None = None
    ) -> pa.Table:
        """Return the calls with the worst intervals, live ones included, worst first.

        Columns: call_id, tenant, trunk, region, node, codec, mos_min, mos_avg, r_min, loss_ratio, jitter_ms_max,
        rtt_ms_max, intervals, degraded_intervals (R below 70), last_seen (time), observers (text), live (bool:
        no `call` row yet), outcome, duration_s, verdicts (text).
        """

    def calls(
        self,
        window: Window,
        *,
        where: Mapping[str, Sequence[str]] | None = None,
        match: CallMatch = EVERY_CALL,
        limit: int = 100,
        offset: int = 0,
    ) -> CallPage:
        """Return the calls that match, newest first (equal times by call_id and tags: pages never overlap)."""

    def call(self, call_id: str) -> CallTrace:
        """Return all that is stored of one call; raises OutOfScope where nothing of it is in the scope."""

    def tag_values(
        self,
        measurement: str,
        tag: str,
        window: Window,
        *,
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> list[str]:
        """Return the sorted values of a tag in the window, within the scope."""


class Store(Protocol):
    """A place where measurements live."""

    def writer(self, name: str) -> Writer:
        """Open the one writer of this name; raises StoreLocked where it is open elsewhere."""

    def reader(self, scope: Scope) -> Reader:
        """Open a reader; cheap, one per request if need be."""

    def close(self) -> None:
        """Release everything this process holds."""
