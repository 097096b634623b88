"""Measurements, tags and fields: the storage contract, as Arrow schemas.

A point is identified by measurement, tags and time; an equal one overwrites. Tags are bounded
dimensions. Call-IDs, SSRCs, addresses and numbers are fields, never tags. What belongs to no tenant (pools, their
forecasts and decisions) has the tenant `unassigned`, which only a scope of every tenant sees.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import pyarrow as pa

from telephony.histogram import HOLDING_S, JITTER_MS, LOSS_RATIO, MOS, PDD_MS, R_FACTOR, RRD_MS, Buckets
from telephony.model import Outcome

TIME = pa.timestamp("ns", tz="UTC")
TAG = pa.string()
SHARDS = 64
"""Values of the `shard` tag: CRC-32 of the call id (of a finding: its subject) modulo this."""


def histogram_type(buckets: Buckets) -> pa.DataType:
    """Return the Arrow type of a histogram column over these buckets: one count per bucket."""
    return pa.list_(pa.uint32(), buckets.count)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measurement: its tags (identity, bounded) and its fields."""

    name: str
    tags: tuple[str, ...]
    fields: dict[str, pa.DataType]
    histograms: dict[str, Buckets] = field(default_factory=dict)
    """The fields among `fields` that are histograms, with their buckets."""
    tenant_scoped: bool = True
    schema: pa.Schema = field(init=False, repr=False, compare=False)
    """Arrow schema: `time`, tags, fields; all but time and tags nullable."""

    def __post_init__(self) -> None:
        schema = pa.schema(
            [
                pa.field("time", TIME, nullable=False),
                *(pa.field(tag, TAG, nullable=False) for tag in self.tags),
                *(pa.field(name, type_) for name, type_ in self.fields.items()),
            ]
        )
        # Made once: every write and every query looks at it.
        object.__setattr__(self, "schema", schema)


_PLACE = ("tenant", "trunk", "region", "node")
_I, _F, _S, _B = pa.int64(), pa.float64(), pa.string(), pa.bool_()


def _histograms(**buckets: Buckets) -> tuple[dict[str, pa.DataType], dict[str, Buckets]]:
    return {name: histogram_type(b) for name, b in buckets.items()}, dict(buckets)


def _measure(name: str, tags: tuple[str, ...], fields: dict[str, pa.DataType], **buckets: Buckets) -> Measurement:
    types, kinds = _histograms(**buckets)
    return Measurement(name, tags, fields | types, kinds)


STREAM_INTERVAL = _measure(
    "stream_interval",
    (*_PLACE, "direction", "observer", "codec", "shard"),
    {
        "call_id": _S,
        "ssrc": _I,
        "src": _S,
        "dst": _S,
        "clock_rate_hz": _I,
        "expected": _I,
        "received": _I,
        "lost": _I,
        "discarded": _I,
        "duplicates": _I,
        "reordered": _I,
        "jitter_ms": _F,
        "jitter_max_ms": _F,
        "rtt_ms": _F,
        "burst_ratio": _F,
        "r_factor": _F,
        "mos": _F,
        "mos_scale": _S,
        "delay_ms": _F,
        "delay_source": _S,
        "codec_source": _S,
        "verdict": _S,
        "own_drops": _I,
        # what only those tell who saw the packets themselves
        "payload_types": _S,  # seen since the stream began, in order of number
        "payload_type_changes": _I,
        "markers": _I,  # packets with the marker bit
        "dscp": _I,  # of the newest packet
        "spacing_min_ms": _F,
        "spacing_max_ms": _F,
        "burst_density": _F,
        "gap_density": _F,
    },
)
"""`time` is the interval's start plus a stable sub-interval offset (ns) of the stream, so that no two streams
collide and writing an interval again hits the same point."""

CALL = _measure(
    "call",
    (*_PLACE, "codec", "outcome", "shard"),
    {
        "call_id": _S,
        "from_masked": _S,
        "to_masked": _S,
        "destination": _S,
        "started_at": TIME,
        "pdd_ms": _F,
        "setup_ms": _F,
        "duration_s": _F,
        "sip_code": _I,
        "q850": _I,
        "released_by": _S,
        "attempts": _I,
        "mos_min": _F,
        "mos_avg": _F,
        "degraded_ratio": _F,
        "one_way": _B,
        "legs": _I,
        "hops": pa.list_(_S),
        "codecs": pa.list_(_S),
        "correlated": pa.list_(_S),
        "quality_reason": _S,
    },
)
"""`time` is the end of the call."""

SIP_MESSAGE = _measure(
    "sip_message",
    ("tenant", "node", "shard"),
    {
        "call_id": _S,
        "src": _S,
        "dst": _S,
        "method": _S,
        "status": _I,
        "reason": _S,
        "cseq": _I,
        "vias": _I,
        "has_sdp": _B,
        "retransmission": _B,
    },
)
"""The ladder: one row per message and hop sighting. No bodies, no numbers."""

SESSION_MINUTE = _measure(
    "session_minute",
    _PLACE,
    {
        "attempts": _I,
        **{outcome.value: _I for outcome in Outcome},
        "seer_effective": _I,  # finals 200, 480, 486, 600, 603 (RFC 6076 section 4.7)
        "ineffective": _I,  # finals 408, 500, 503, 504 (RFC 6076 section 4.8)
        "completed": _I,  # answered with a clean end (RFC 6076 section 4.9)
        "one_way": _I,
        "no_media": _I,  # answered, ended, and no report or packet of media was seen
        "short_calls": _I,  # answered and shorter than 10 s
        "minutes": _F,  # conversation minutes of the calls that ended in this minute
    },
    pdd_ms_histogram=PDD_MS,
)
"""Attempts are counted in the minute of their final outcome; answered calls in the minute of their answer's INVITE
final (the 200), their minutes and completion in the minute of their end."""

QUALITY_MINUTE = _measure(
    "quality_minute",
    (*_PLACE, "codec", "direction", "observer"),
    {
        "stream_seconds": _F,
        "degraded_seconds": _F,
        "intervals": _I,
        "expected": _I,
        "lost": _I,
    },
    r_histogram=R_FACTOR,
    mos_histogram=MOS,
    jitter_histogram=JITTER_MS,
    loss_histogram=LOSS_RATIO,
)

LOAD_NOW = _measure(
    "load_now",
    ("tenant", "pool", "region", "node"),
    {
        "concurrent": _I,
        "setup_in_progress": _I,
        "attempts": _I,  # since the previous row
        "answered": _I,
        "measured_calls": _I,  # of the concurrent ones, those whose media somebody reported on
        "frames": _I,
        "datagrams": _I,
        "bytes": _I,
        "sip_messages": _I,
        "rtcp_reports": _I,
        "duplicates": _I,
        "errors": _I,
        "drops_kernel": _I,
        "drops_queue": _I,
        "drops_table": _I,
        "unmatched_reports": _I,
        "clock_offset_ms": _F,
        "agents_alive": _I,
        # Of the interfaces that the collector itself captures from; its own row alone has them.
        "rtp_packets": _I,
        "rtp_streams": _I,  # alive
        "drops_ring": _I,  # among drops_kernel, as drops_softnet is
        "drops_softnet": _I,  # of the whole machine
        "frames_refused": _I,  # captured, and neither RTP nor SIP nor RTCP
        "interfaces": _S,  # names of those configured; empty: none
        "interfaces_down": _I,
        "may_capture": _B,  # the process has CAP_NET_RAW
        "spool_rows": _I,  # wait on disk for the store to come back
        "spool_age_s": _F,  # of the oldest of them
        "store_rows_shed": _I,  # lost because store, spool and memory were full
    },
)
"""Each 2 s: one row per tenant (its calls), one per capture agent and one of the collector (pool `capture`, tenant
`unassigned`)."""

CALL_NOW = _measure(
    "call_now",
    (*_PLACE, "shard"),
    {
        "call_id": _S,
        "state": _S,  # setup | ringing | answered | ended
        "started_at": TIME,
        "answered_at": TIME,
        "from_masked": _S,
        "to_masked": _S,
        "destination": _S,
        "codec": _S,
        "outcome": _S,
        "sip_code": _I,
        "r_last": _F,  # narrowband equivalent of the newest rated interval
        "r_min": _F,
        "reports": _I,
        "quality_reason": _S,  # why there is no R yet
    },
)
"""The calls in progress, kept an hour: a row when a call changes and every 30 s while it lives, at writing time.
Of the last 35 s, the newest row of a call_id is its state."""

LOAD_MINUTE = _measure(
    "load_minute",
    ("tenant", "pool", "region", "node"),
    {
        "concurrent_mean": _F,
        "concurrent_max": _I,
        "arrivals": _I,
        "cps_max": _F,
        "packets_per_second": _F,
        "erlangs": _F,
        "transcodes": _F,  # mean of the calls in progress whose two sides chose different codecs
    },
    holding_time_histogram=HOLDING_S,
)
"""Where calls are, and (pool `capture`, tenant `unassigned`) one row of zeros per agent alive in the minute: a
minute without any row was not watched, one with rows elsewhere was quiet."""

REGISTRATION_MINUTE = _measure(
    "registration_minute",
    _PLACE,
    {
        "attempts": _I,
        "registered": _I,
        "unregistered": _I,
        "rejected": _I,
        "challenged": _I,
        "timeout": _I,
        "auth_failures": _I,
    },
    rrd_ms_histogram=RRD_MS,
)

TRUNK_MINUTE = _measure(
    "trunk_minute",
    _PLACE,
    {"options_sent": _I, "options_answered": _I, "options_rtt_ms_sum": _F, "options_rtt_ms_max": _F},
)

FINDING = _measure(
    "finding",
    ("tenant", "node", "kind", "shard"),
    {"subject": _S, "text": _S, "count": _I, "call_id": _S},
)
"""What could not be joined or believed, and why, in words (bounded per minute)."""

CAPTURE_BEGAN = "capture_began"
"""Kind of the finding that a collector leaves when its traffic begins: what was before is not known to it."""

QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.99)
"""The quantiles that forecasts are stored with, in the fields `q50` ... `q99`."""
_QUANTILE_NAMES = tuple(f"q{round(q * 100)}" for q in QUANTILES)
_TARGET = ("tenant", "target_kind", "target", "signal", "horizon")

FORECAST = _measure(
    "forecast",
    _TARGET,
    {
        "slot": TIME,
        "slot_seconds": _I,
        "issued_at": TIME,
        "lead_seconds": _I,  # from the end of what was known (`watermark`) to the start of the slot
        "watermark": TIME,  # what came after this the forecast did not know
        "model": _S,  # the rung of the ladder
        **dict.fromkeys(_QUANTILE_NAMES, _F),
        "inputs": _S,  # JSON: history, calendar and events that it stands on, for `forecast explain`
    },
)
"""One row per slot that was forecast and time of issue. `target_kind`: pool, region, trunk or tenant; `target`:
its name; `signal`: arrivals, concurrent_max, packets_per_second, cps_max, transcodes; `horizon`: short (5-15 min),
medium (1-4 h) or long (1-28 days). `time` is `storage.rows.forecast_time_ns` of slot and issue, so that each issue
stays beside the others: "as believed then" is the newest issue of a slot up to then."""

FORECAST_ACCURACY = _measure(
    "forecast_accuracy",
    (*_TARGET, "lead", "model"),
    {
        "n": _I,  # slots compared
        "actual": _F,
        "forecast": _F,
        "absolute_error": _F,
        "floor_error": _F,  # what a perfect mean would still miss by (Poisson)
        "naive_error": _F,  # absolute error of the seasonal naive forecast
        **{f"pinball_{name}": _F for name in _QUANTILE_NAMES},
        **{f"covered_{name}": _I for name in _QUANTILE_NAMES},
    },
)
"""What came beside what was forecast, as sums over the slots of the row: WAPE, MASE, bias and coverage are ratios
of sums of these, over any span. `lead` is a class of leads (`15m`, `1h`, `4h`, `24h`, `7d`); `model` also names
members that were not issued, so that they can be compared."""

REPLICA_DECISION = _measure(
    "replica_decision",
    ("tenant", "pool", "region", "mode"),
    {
        "decision_id": _S,
        "current": _I,  # pods
        "ready": _I,
        "draining": _I,
        "need_forecast": _I,
        "need_reactive": _I,
        "need_calendar": _I,  # campaigns and events
        "need_reserved": _I,  # tenants' reservations
        "need_minimum": _I,
        "need": _I,  # the greatest of them, before limits
        "final": _I,
        "binding_source": _S,  # forecast | reactive | blocking | calendar | reserved | minimum
        "binding_term": _S,  # packets_per_second | sessions | calls_per_second | transcoded_sessions | blocking
        "binding_limit": _S,  # the limit that changed `need` to `final`; empty where none did
        "limits": _S,  # JSON: every limit and guard with its value and whether it bound
        "reason": _S,  # one word of the policy's vocabulary
        "message": _S,
        "applied": _B,  # the replicas were written; false in modes observe and advise
        "error": _S,
        "lead_seconds": _F,
        "quantile": _F,
        "forecast_issued_at": TIME,
        "load_watermark": TIME,
        "cost_per_hour": _F,
        "inputs_digest": _S,
        "inputs": _S,  # JSON: all that the policy saw, for `scale explain`
    },
)
"""Every decision of the scaler, also those that change nothing. `mode`: observe, advise or act."""

ALERT_EVENT = _measure(
    "alert_event",
    ("tenant", "rule", "severity", "state", "scope_kind", "scope"),
    {
        "incident_id": _S,
        "parent_id": _S,  # the incident that this one is grouped into or inhibited by
        "signal": _S,
        "direction": _S,  # above | below
        "onset_at": TIME,  # first slot of the pool that raised it
        "started_at": TIME,  # slot at whose end it was raised
        "ended_at": TIME,
        "slot_seconds": _F,  # counts observed, expected, low and high are per slot of this length
        "observed": _F,
        "expected": _F,
        "low": _F,
        "high": _F,
        "score": _F,
        "detectable_change": _F,  # the smallest relative change that this series could show
        "n": _I,
        "impact_calls": _F,
        "impact_minutes": _F,
        "cause": _S,
        "message": _S,
        "links": _S,  # JSON: runbook, page, silence
        "notified": _S,  # where it was sent to, or why it was not
        "deliveries": _S,  # JSON: by route the newest phase told, owed and lost (a severity, or resolved)
    },
)
"""One row per change of an incident: the newest row of an `incident_id` is its state. `state`: pending, firing,
acknowledged, resolved, no_data, error, learning; `scope_kind`: pool, tenant, trunk, node, region, codec, platform;
`scope`: its name."""


class ActionKind(StrEnum):
    """What an operator can tell the other parts through the store."""

    SILENCE = "silence"
    """Send nothing about incidents that match `target`."""
    ACKNOWLEDGE = "acknowledge"
    """Somebody works on the incident `target`."""
    FREEZE = "freeze"
    """Keep the replicas of the pool `target` as they are."""
    OVERRIDE = "override"
    """Keep the pool `target` at `value` pods."""
    MODE = "mode"
    """Run the pool `target` in the mode `details` (observe, advise, act)."""
    EVENT = "event"
    """A campaign or event is coming: `value` is the factor of load expected, null to learn it."""
    MASK = "mask"
    """The forecast and the baseline of `target` shall not learn from this span."""


OPERATOR_ACTION = _measure(
    "operator_action",
    ("tenant", "kind", "shard"),
    {
        "action_id": _S,
        "target_kind": _S,  # incident | pool | tenant | trunk | node | region | rule | matcher
        "target": _S,
        "author": _S,
        "reason": _S,
        "starts_at": TIME,
        "until": TIME,
        "value": _F,
        "details": _S,
        "withdrawn": _B,
    },
)
"""What people told alerts, scaler and forecast to do; `kind` is an `ActionKind`, `shard` that of the `action_id`.
The newest row of an `action_id` holds: it is in force from `starts_at` until `until` unless withdrawn."""

MEASUREMENTS: dict[str, Measurement] = {
    m.name: m
    for m in (
        STREAM_INTERVAL,
        CALL,
        SIP_MESSAGE,
        SESSION_MINUTE,
        QUALITY_MINUTE,
        LOAD_NOW,
        CALL_NOW,
        LOAD_MINUTE,
        REGISTRATION_MINUTE,
        TRUNK_MINUTE,
        FINDING,
        FORECAST,
        FORECAST_ACCURACY,
        REPLICA_DECISION,
        ALERT_EVENT,
        OPERATOR_ACTION,
    )
}
