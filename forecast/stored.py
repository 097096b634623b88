"""Forecasts, their accuracy and what people announced, as rows of the store and back.

The only place of the forecast that knows columns of `storage.schema`; nothing is decided here.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from forecast.accuracy import LEVELS
from forecast.events import Event
from forecast.horizons import Horizon
from forecast.issue import Outcome
from forecast.localtime import Ints
from forecast.masks import Mask
from forecast.signals import SECOND_NS
from forecast.targets import Kind, SeriesId, Signal
from storage.actions import NO_END_NS, Action, actions, record_all
from storage.rows import forecast_time_ns
from storage.schema import FORECAST, ActionKind
from storage.seam import Reader, Window, Writer
from telephony.model import UNASSIGNED

QUANTILE_COLUMNS = tuple(f"q{round(100 * level)}" for level in LEVELS)
_SCHEMA = FORECAST.schema
_TIME = _SCHEMA.field("time").type
_FAR_NS = 29 * 86_400 * SECOND_NS
_MOST_ACTIONS = 10_000
EVERYONE = UNASSIGNED
"""The tenant of what concerns everyone."""
SERVICE = "surgecast"
"""The author of what the service records by itself."""


def tenant_of(key: SeriesId) -> str:
    """Return the tenant tag of a series' rows: what is no tenant's belongs to those who see everything."""
    return key.name if key.kind is Kind.TENANT else UNASSIGNED


def where(key: SeriesId) -> dict[str, tuple[str, ...]]:
    """Return the restriction of a query to one series."""
    return {
        "tenant": (tenant_of(key),),
        "target_kind": (key.kind.value,),
        "target": (key.name,),
        "signal": (key.signal.value,),
    }


class Unwritten(NamedTuple):
    """What was issued for a series, before it is in the store."""

    outcome: Outcome
    slot_s: int
    issued_s: int


def forecast_batch(unwritten: Iterable[Unwritten]) -> pa.RecordBatch:
    """Return the rows of everything that was issued for some series."""
    issues = [(each, issue) for each in unwritten for issue in each.outcome.issues]
    sizes = [len(issue.quantiles) for _, issue in issues]
    rows = np.repeat(np.arange(len(issues)), sizes)
    within = np.arange(rows.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    quantiles = np.concatenate([issue.quantiles for _, issue in issues])

    def numbers(of_issues: Iterable[int]) -> Ints:
        return np.fromiter(of_issues, np.int64, len(issues))[rows]

    def texts(of_issues: Iterable[str]) -> pa.Array:
        return pa.array(of_issues, pa.string()).take(pa.array(rows))

    keys = [each.outcome.key for each, _ in issues]
    slot_s, issued_s = numbers(each.slot_s for each, _ in issues), numbers(each.issued_s for each, _ in issues)
    first_s = numbers(issue.first_s for _, issue in issues) + slot_s * within
    time_ns = numbers(forecast_time_ns(i.first_s * SECOND_NS, each.issued_s * SECOND_NS) for each, i in issues)
    watermark_s = numbers(each.outcome.watermark_s for each, _ in issues)
    columns: dict[str, pa.Array] = {
        "time": _times(time_ns + SECOND_NS * slot_s * within),
        "tenant": texts(tenant_of(key) for key in keys),
        "target_kind": texts(key.kind.value for key in keys),
        "target": texts(key.name for key in keys),
        "signal": texts(key.signal.value for key in keys),
        "horizon": texts(issue.horizon.value for _, issue in issues),
        "slot": _times(first_s * SECOND_NS),
        "slot_seconds": pa.array(slot_s),
        "issued_at": _times(issued_s * SECOND_NS),
        "lead_seconds": pa.array(first_s - watermark_s),
        "watermark": _times(watermark_s * SECOND_NS),
        "model": texts(issue.model or each.outcome.model for each, issue in issues),
        "inputs": texts(each.outcome.inputs for each, _ in issues),
        **{name: pa.array(quantiles[:, place]) for place, name in enumerate(QUANTILE_COLUMNS)},
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in _SCHEMA.names], schema=_SCHEMA)


def _times(times_ns: Ints) -> pa.Array:
    return pa.array(times_ns).cast(_TIME)


@dataclass(frozen=True, slots=True)
class LastIssue:
    """The newest issue of a series at a horizon that the store holds."""

    issued_s: int
    known_digest: str


def last_issues(reader: Reader, now_s: int) -> dict[tuple[SeriesId, Horizon], LastIssue]:
    """Return the newest issue of every series and horizon: where a restarted service goes on."""
    window = Window((now_s - 2 * 86_400) * SECOND_NS, now_s * SECOND_NS + _FAR_NS)
    table = reader.latest("forecast", window, by=("target_kind", "target", "signal", "horizon"))
    found = {}
    issued = table["issued_at"].cast(pa.int64()).to_pylist()
    rows = table.select(["target_kind", "target", "signal", "horizon", "inputs"]).to_pylist()
    for row, issued_ns in zip(rows, issued, strict=True):
        key = series_id(row["target_kind"], row["target"], row["signal"])
        horizon = next((h for h in Horizon if h.value == row["horizon"]), None)
        if key is not None and horizon is not None and issued_ns is not None:
            found[key, horizon] = LastIssue(issued_ns // SECOND_NS, _digest_in(row["inputs"]))
    return found


def series_id(kind: str, name: str, signal: str) -> SeriesId | None:
    """Return the series of tags; None where they name no kind or signal of ours."""
    try:
        return SeriesId(Kind(kind), name, Signal(signal))
    except ValueError:
        return None


def _digest_in(inputs: str | None) -> str:
    try:
        found = json.loads(inputs or "{}")
    except ValueError:
        return ""
    return str(found.get("known", "")) if isinstance(found, dict) else ""


# --- what people announced ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Announced:
    """An event or a mask that an operator recorded in the store."""

    id: str
    kind: ActionKind
    """EVENT or MASK."""
    name: str
    tenant: str
    """Whose; `EVERYONE` for all."""
    start_s: int
    end_s: int
    uplift: float | None = None
    """Expected relative change; None: learn it. Masks have none."""
    similar: str = ""
    decay_s: float = 0.0
    author: str = ""
    withdrawn: bool = False
    recorded_ns: int = 0

    @property
    def event(self) -> Event:
        """The event as the models take it."""
        tenants = () if self.tenant == EVERYONE else (self.tenant,)
        return Event(self.name, self.start_s, self.end_s, tenants, self.similar, self.uplift, self.decay_s)

    @property
    def mask(self) -> Mask:
        """The mask as series take it."""
        tenant = "" if self.tenant == EVERYONE else self.tenant
        return Mask(self.start_s, self.end_s, tenant, self.name)

    @property
    def action(self) -> Action:
        """The record as the store keeps it."""
        return Action(
            self.kind,
            "tenant",
            self.tenant,
            self.author,
            self.name,
            self.start_s * SECOND_NS,
            self.end_s * SECOND_NS,
            None if self.uplift is None else 1 + self.uplift,
            json.dumps({"similar": self.similar, "decay_s": self.decay_s}, separators=(",", ":")),
            self.tenant,
            self.id,
            self.withdrawn,
        )


def record_announced(writer: Writer, records: Iterable[Announced], now_ns: int) -> None:
    """Write records; the newest one of an id holds."""
    record_all(writer, [record.action for record in records], now_ns)


def announced(reader: Reader, now_ns: int, *, withdrawn: bool = False) -> list[Announced]:
    """Return the events and masks in force within the reader's scope, by start; `withdrawn` ones too if asked."""
    found = [
        _announced(action)
        for action in actions(reader, (ActionKind.EVENT, ActionKind.MASK), now_ns)[-_MOST_ACTIONS:]
        if 0 < action.starts_ns < action.until_ns < NO_END_NS and (withdrawn or not action.withdrawn)
    ]
    return sorted(found, key=lambda record: (record.start_s, record.id))


def _announced(action: Action) -> Announced:
    try:
        details = json.loads(action.details or "{}")
    except ValueError:
        details = {}
    details = details if isinstance(details, dict) else {}
    decay_s = details.get("decay_s", 0.0)
    uplift = None if action.value is None else round(action.value - 1, 9)
    return Announced(
        action.id,
        action.kind,
        action.reason or action.id,
        action.tenant,
        action.starts_ns // SECOND_NS,
        action.until_ns // SECOND_NS,
        uplift if uplift is not None and -1 < uplift <= 100 else None,
        str(details.get("similar", "")),
        float(decay_s) if isinstance(decay_s, int | float) else 0.0,
        action.author,
        action.withdrawn,
        action.recorded_ns,
    )
