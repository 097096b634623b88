"""Stream intervals of one call as lanes: one per direction, one series per observer and stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from dashboards.numbers import percent, significant
from dashboards.trace_views import Lane, StreamSeries
from dashboards.views import READY, PanelState, Status
from telephony.bands import DEGRADED_R, R_DIVISOR
from telephony.model import INTERVAL_NS, Direction, Observer, Scale

from .tables import optional, rows, times_ns

MAX_STREAMS = 6
_ALWAYS = (Direction.TO_CALLEE, Direction.TO_CALLER)
OBSERVER_WORDS = {
    Observer.RTP.value: "RTP measured",
    Observer.RTCP_RR.value: "RTCP report",
    Observer.RTCP_XR.value: "RTCP XR report",
    Observer.VQ_REPORT.value: "SIP quality report",
}


@dataclass(frozen=True, slots=True)
class Interval:
    """One stored interval, as the page of a call needs it; `r_factor` is on the narrowband scale."""

    start_ns: int
    direction: Direction
    observer: str
    codec: str
    ssrc: int
    src: str
    dst: str
    expected: int | None
    lost: int | None
    discarded: int | None
    jitter_ms: float | None
    rtt_ms: float | None
    burst_ratio: float | None
    r_factor: float | None
    mos: float | None
    verdicts: tuple[str, ...]
    packets: str
    """What was seen of its packets beside all that, in words; empty where only reports tell."""

    @property
    def loss_ratio(self) -> float | None:
        """Lost of expected packets; None where it was not observed."""
        if not self.expected or self.lost is None:
            return None
        return min(max(self.lost, 0) / self.expected, 1.0)


def intervals_of(table: pa.Table) -> tuple[Interval, ...]:
    """Return the rows of `stream_interval` in order of time."""
    return tuple(
        Interval(
            start_ns=at_ns - at_ns % INTERVAL_NS,
            direction=Direction(row["direction"]) if row["direction"] in set(Direction) else Direction.UNKNOWN,
            observer=str(row["observer"]),
            codec=str(row["codec"]),
            ssrc=int(row["ssrc"] or 0),
            src=str(row["src"] or "?"),
            dst=str(row["dst"] or "?"),
            expected=row["expected"],
            lost=row["lost"],
            discarded=row["discarded"],
            jitter_ms=optional(row["jitter_ms"]),
            rtt_ms=optional(row["rtt_ms"]),
            burst_ratio=optional(row["burst_ratio"]),
            r_factor=_narrowband(row["r_factor"], row["mos_scale"]),
            mos=optional(row["mos"]),
            verdicts=tuple(str(row["verdict"] or "").split()),
            packets=_packets(row),
        )
        for at_ns, row in zip(times_ns(table).tolist(), rows(table), strict=True)
    )


def _packets(row: Mapping[str, object]) -> str:
    if row["spacing_max_ms"] is None and row["payload_types"] is None:
        return ""
    told = [
        f"payload types {row['payload_types']}" if row["payload_types"] else "",
        f"changed {row['payload_type_changes']} times" if row["payload_type_changes"] else "",
        f"spacing {significant(optional(row['spacing_min_ms']))}–{significant(optional(row['spacing_max_ms']))} ms"
        if row["spacing_max_ms"] is not None
        else "",
        f"markers {row['markers']}" if row["markers"] else "",
        f"DSCP {row['dscp']}" if row["dscp"] is not None else "",
        *(
            f"{name} density {percent(density)}"
            for name in ("burst", "gap")
            if (density := optional(row[f"{name}_density"]))
        ),
    ]
    return " · ".join(text for text in told if text)


def _narrowband(r_factor: float | None, scale: str | None) -> float | None:
    if r_factor is None:
        return None
    return r_factor / (R_DIVISOR[Scale(scale)] if scale in set(Scale) else 1.0)


def verdicts_of(intervals: Sequence[Interval]) -> Mapping[str, int]:
    """Count the intervals each verdict was given to."""
    found: dict[str, int] = {}
    for interval in intervals:
        for verdict in interval.verdicts:
            found[verdict] = found.get(verdict, 0) + 1
    return found


def lanes_of(intervals: Sequence[Interval], reason: str, *, live: bool) -> tuple[Lane, ...]:
    """Return the lanes of both directions, always, and one of unknown direction where there are such streams."""
    lanes = [_lane(direction, intervals, reason, live) for direction in _ALWAYS]
    if any(interval.direction is Direction.UNKNOWN for interval in intervals):
        lanes.append(_lane(Direction.UNKNOWN, intervals, reason, live))
    return tuple(lanes)


def _lane(direction: Direction, all_: Sequence[Interval], reason: str, live: bool) -> Lane:
    mine = [interval for interval in all_ if interval.direction is direction]
    if not mine:
        return Lane(direction, Status(PanelState.EMPTY, _why_empty(all_, reason, live)))
    streams: dict[tuple[str, int, str, str], list[Interval]] = {}
    for interval in mine:
        key = (interval.observer, interval.ssrc, interval.src, interval.dst)
        streams.setdefault(key, []).append(interval)
    longest = sorted(streams.values(), key=len, reverse=True)
    hidden = len(longest) - MAX_STREAMS
    status = Status(PanelState.PARTIAL, f"{hidden} shorter streams are not drawn") if hidden > 0 else READY
    return Lane(
        direction,
        status,
        streams=tuple(_series(stream) for stream in longest[:MAX_STREAMS]),
        intervals=len(mine),
        degraded=sum(i.r_factor is not None and i.r_factor < DEGRADED_R for i in mine),
        lost=sum(max(i.lost or 0, 0) for i in mine),
        expected=sum(i.expected or 0 for i in mine),
    )


def _why_empty(all_: Sequence[Interval], reason: str, live: bool) -> str:
    if all_:
        return (
            "Nobody reported on this direction, only on another: the receiving party sends no RTCP, or its "
            "reports do not pass a capture agent."
        )
    if reason:
        return f"No quality figure: {reason}"
    if live:
        return (
            "No report yet: the first comes with the first RTCP, and is shown when its interval of 10 s is over."
        )
    return "No RTCP, XR or quality report of this call was seen: let rtpengine, the phones or heplify send them."


def _series(stream: Sequence[Interval]) -> StreamSeries:
    first = stream[0]
    return StreamSeries(
        name=f"{OBSERVER_WORDS.get(first.observer, first.observer)} · {first.src} → {first.dst}",
        observer=first.observer,
        ssrc=first.ssrc,
        codec=first.codec,
        middles_ns=tuple(i.start_ns + INTERVAL_NS // 2 for i in stream),
        r_factor=tuple(i.r_factor for i in stream),
        mos=tuple(i.mos for i in stream),
        loss_ratio=tuple(i.loss_ratio for i in stream),
        jitter_ms=tuple(i.jitter_ms for i in stream),
        rtt_ms=tuple(i.rtt_ms for i in stream),
        verdicts=tuple(" ".join(i.verdicts).replace("_", " ") for i in stream),
        packets=tuple(i.packets for i in stream),
    )
