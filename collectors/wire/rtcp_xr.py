"""RTCP extended reports (RFC 3611), binary, both ways.

The seven block types of RFC 3611 are decoded; the later ones (RFC 5725, 6776, 6958, 7003, 7266, ...) are skipped
by their length, since a field read from the wrong place is worse than none. Not available (127, section 4.7.5)
becomes None here, so that no reader can mistake it for a value. What the figures mean over time is
`collectors.tracking.reports`' business: in particular the loss and discard rates of a VoIP metrics block are of
the whole stream so far, not of the interval.
"""

from struct import Struct
from typing import NamedTuple

from collectors.facts import (
    ReceiptTimes,
    ReferenceDelay,
    ReferenceTime,
    RtcpFact,
    SequenceRuns,
    StatisticsSummary,
    VoipMetrics,
)

XR = 207
LOSS_RLE, DUPLICATE_RLE, RECEIPT_TIMES, REFERENCE_TIME, DLRR, STATISTICS_SUMMARY, VOIP_METRICS = range(1, 8)

BAD_BLOCK = "bad_xr_block"
"""Reason: a block's length does not fit its type or its packet."""
UNKNOWN_BLOCK = "xr_block"
"""Reason: a block of a type that RFC 3611 does not define, skipped by its length."""

PLC = ("unspecified", "disabled", "enhanced", "standard")
"""Of the receiver configuration byte, bits 7-6 (section 4.7.6)."""

NOT_AVAILABLE = 127

_BLOCK = Struct(">BBH")
_RANGE = Struct(">IHH")
_WORDS2 = Struct(">II")
_WORDS3 = Struct(">III")
_SUMMARY = Struct(">IHHIIIIIIBBBB")
_VOIP = Struct(">IBBBBHHHHbbBBBBBBBBHHH")
_U16 = Struct(">H")
_U32 = Struct(">I")


class XrBlocks(NamedTuple):
    """What the blocks of one XR packet said, and the reasons of those that said nothing."""

    facts: list[RtcpFact]
    rejected: list[str]
    skipped: list[str]


def parse_xr_blocks(data: bytes | memoryview, at: int, end: int, reporter_ssrc: int) -> XrBlocks:
    """Return the facts of the report blocks in `data[at:end]`; never raises."""
    found = XrBlocks([], [], [])
    while at < end:
        if at + 4 > end:
            found.rejected.append(BAD_BLOCK)
            break
        kind, specific, words = _BLOCK.unpack_from(data, at)
        body, at = at + 4, at + 4 + 4 * words
        if at > end:
            found.rejected.append(BAD_BLOCK)
            break
        if not LOSS_RLE <= kind <= VOIP_METRICS:
            found.skipped.append(UNKNOWN_BLOCK)
            continue
        facts = _block(data, kind, specific, body, at, reporter_ssrc)
        if facts is None:
            found.rejected.append(BAD_BLOCK)
        else:
            found.facts.extend(facts)
    return found


def _block(
    data: bytes | memoryview, kind: int, specific: int, body: int, end: int, reporter: int
) -> list[RtcpFact] | None:
    size = end - body
    if kind == VOIP_METRICS:
        return [_voip_metrics(data, body, reporter)] if size == _VOIP.size else None
    if kind == STATISTICS_SUMMARY:
        return [_summary(data, specific, body, reporter)] if size == _SUMMARY.size else None
    if kind == REFERENCE_TIME:
        if size != _WORDS2.size:
            return None
        high, low = _WORDS2.unpack_from(data, body)
        return [ReferenceTime(reporter, high << 32 | low)]
    if kind == DLRR:
        if size % _WORDS3.size:
            return None
        return [ReferenceDelay(reporter, *_WORDS3.unpack_from(data, at)) for at in range(body, end, _WORDS3.size)]
    if size < _RANGE.size:
        return None
    source, begin, past = _RANGE.unpack_from(data, body)
    body += _RANGE.size
    thinning = specific & 0x0F
    if kind == RECEIPT_TIMES:
        ticks = tuple(_U32.unpack_from(data, at)[0] for at in range(body, end, 4))
        return [ReceiptTimes(reporter, source, begin, past, thinning, ticks)]
    runs = _runs(data, body, end)
    return [SequenceRuns(reporter, source, begin, past, thinning, kind == DUPLICATE_RLE, runs)]


def _runs(data: bytes | memoryview, body: int, end: int) -> tuple[tuple[bool, int], ...]:
    """Return the runs of RFC 3611 section 4.1 chunks, neighbours of the same value joined."""
    runs: list[tuple[bool, int]] = []
    for at in range(body, end, 2):
        chunk = _U16.unpack_from(data, at)[0]
        if not chunk:
            break  # terminating null chunk
        if chunk & 0x8000:  # bit vector, most significant bit first
            pieces = [(bool(chunk >> bit & 1), 1) for bit in range(14, -1, -1)]
        else:
            pieces = [(bool(chunk & 0x4000), chunk & 0x3FFF)]
        for value, length in pieces:
            if runs and runs[-1][0] is value:
                runs[-1] = (value, runs[-1][1] + length)
            else:
                runs.append((value, length))
    return tuple(runs)


def _summary(data: bytes | memoryview, flags: int, body: int, reporter: int) -> StatisticsSummary:
    source, begin, past, lost, duplicates, _, highest, mean, *_rest = _SUMMARY.unpack_from(data, body)
    has_jitter = bool(flags & 0x20)
    return StatisticsSummary(
        reporter_ssrc=reporter,
        source_ssrc=source,
        begin_seq=begin,
        end_seq=past,
        lost=lost if flags & 0x80 else None,
        duplicates=duplicates if flags & 0x40 else None,
        jitter_mean_ticks=mean if has_jitter else None,
        jitter_max_ticks=highest if has_jitter else None,
    )


def _voip_metrics(data: bytes | memoryview, body: int, reporter: int) -> VoipMetrics:
    (
        source,
        loss,
        discard,
        burst_density,
        gap_density,
        burst_ms,
        gap_ms,
        round_trip_ms,
        end_system_ms,
        _signal,
        _noise,
        _rerl,
        _gmin,
        r_factor,
        _ext_r_factor,
        mos_lq,
        mos_cq,
        receiver_config,
        _reserved,
        nominal_ms,
        _maximum_ms,
        _absolute_ms,
    ) = _VOIP.unpack_from(data, body)
    return VoipMetrics(
        reporter_ssrc=reporter,
        source_ssrc=source,
        loss_ratio=loss / 256,
        discard_ratio=discard / 256,
        burst_density=burst_density / 256,
        gap_density=gap_density / 256,
        burst_duration_ms=float(burst_ms),
        gap_duration_ms=float(gap_ms),
        # Zero stands for "not measured yet" in both delays (section 4.7.3).
        round_trip_ms=float(round_trip_ms) or None,
        end_system_delay_ms=float(end_system_ms) or None,
        r_factor=float(r_factor) if r_factor <= 100 else None,
        mos_lq=mos_of_byte(mos_lq),
        mos_cq=mos_of_byte(mos_cq),
        plc=PLC[receiver_config >> 6],
        jitter_buffer_nominal_ms=float(nominal_ms),
    )


def mos_of_byte(value: int) -> float | None:
    """Return a MOS of its tenfold byte (section 4.7.5); 127 and what is outside 10..50 are not available."""
    return value / 10 if 10 <= value <= 50 else None


def _of_256(ratio: float | None) -> int:
    return min(255, int((ratio or 0.0) * 256))


def _mos_byte(mos: float | None) -> int:
    return NOT_AVAILABLE if mos is None else round(mos * 10)


def _xr_packet(reporter_ssrc: int, blocks: bytes) -> bytes:
    return _BLOCK.pack(0x80, XR, 1 + len(blocks) // 4) + _U32.pack(reporter_ssrc) + blocks


def build_voip_metrics(*metrics: VoipMetrics) -> bytes:
    """Return one XR packet with a VoIP metrics block for each (RFC 3611 section 4.7).

    The first names the reporter. Ratios are cut to 1/256 and times to whole milliseconds, as the block carries
    them. Levels, echo loss and the outer R factor are sent as not available, Gmin as its recommended 16.
    """
    blocks = b"".join(
        _BLOCK.pack(VOIP_METRICS, 0, 8)
        + _VOIP.pack(
            m.source_ssrc,
            _of_256(m.loss_ratio),
            _of_256(m.discard_ratio),
            _of_256(m.burst_density),
            _of_256(m.gap_density),
            int(m.burst_duration_ms or 0),
            int(m.gap_duration_ms or 0),
            int(m.round_trip_ms or 0),
            int(m.end_system_delay_ms or 0),
            NOT_AVAILABLE,
            NOT_AVAILABLE,
            NOT_AVAILABLE,
            16,
            NOT_AVAILABLE if m.r_factor is None else round(m.r_factor),
            NOT_AVAILABLE,
            _mos_byte(m.mos_lq),
            _mos_byte(m.mos_cq),
            PLC.index(m.plc) << 6,
            0,
            nominal := int(m.jitter_buffer_nominal_ms or 0),
            nominal,
            nominal,
        )
        for m in metrics
    )
    return _xr_packet(metrics[0].reporter_ssrc, blocks)


def build_statistics_summary(summary: StatisticsSummary) -> bytes:
    """Return one XR packet with a statistics summary block (RFC 3611 section 4.6)."""
    flags = 0x80 * (summary.lost is not None) | 0x40 * (summary.duplicates is not None)
    flags |= 0x20 * (summary.jitter_mean_ticks is not None)
    mean, highest = summary.jitter_mean_ticks or 0, summary.jitter_max_ticks or 0
    block = _SUMMARY.pack(
        summary.source_ssrc,
        summary.begin_seq,
        summary.end_seq,
        summary.lost or 0,
        summary.duplicates or 0,
        0,
        highest,
        mean,
        0,
        *(0, 0, 0, 0),
    )
    return _xr_packet(summary.reporter_ssrc, _BLOCK.pack(STATISTICS_SUMMARY, flags, 9) + block)
