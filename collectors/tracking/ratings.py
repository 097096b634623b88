"""From what an observer reported of a stream to a rated `StreamInterval`.

The only place of the collectors where an observation meets the E-model (`telephony.quality`).
"""

from collectors.tracking.media import StreamMatch, codec_tag, rtp_of
from collectors.tracking.report_intervals import ReportedInterval
from collectors.tracking.report_streams import ReportedStream
from telephony.codecs import lookup, pinned_bitrate_kbps
from telephony.jitter import ticks_to_ms
from telephony.model import Direction, Labels, Source, StreamInterval, Verdict
from telephony.quality import assess

MIN_RATED_PACKETS = 100
"""Packets an interval must have been expected to hold to be rated: a fifth of 10 s of 20 ms packets."""
UNKNOWN_CLOCK_HZ = 0
"""Of a stream whose codec nobody told: jitter in its ticks is no time, and is not made one by a guess."""
_PLC = {"disabled": False, "standard": True, "enhanced": True}
"""RFC 3611 section 4.7.6; `unspecified` says nothing."""
_UNRATED = frozenset({Verdict.IMPLAUSIBLE_REPORT, Verdict.ENCRYPTED_RTCP})
"""What carries one of these is shown, and not believed enough to be given a MOS."""


def rated_stream(
    stream: ReportedStream, match: StreamMatch | None, labels: Labels, *, silent: tuple[Verdict, ...] = ()
) -> StreamInterval:
    """Return a stream's totals, rated as one long interval that starts with its first report."""
    whole = ReportedInterval(
        interval_start_ns=stream.first_ns,
        call_id=stream.call_id,
        observer=stream.observer,
        reporter=stream.reporter,
        far=stream.far,
        ssrc=stream.ssrc,
        node_id=0,
        expected=stream.expected,
        received=stream.received,
        lost=stream.lost,
        discarded=stream.discarded,
        duplicates=None,
        jitter_ticks_mean=stream.jitter_ticks_mean,
        jitter_ticks_max=stream.jitter_ticks_max,
        jitter_ms=stream.jitter_ms,
        jitter_max_ms=stream.jitter_max_ms,
        rtt_half_ms=stream.rtt_half_ms,
        rtt_ms=stream.rtt_ms,
        burst_ratio=stream.burst_ratio,
        plc="unspecified",
        mos=None,
        r_factor=None,
        codec="",
        verdicts=stream.verdicts,
        sender_packets_sent=None,
        final=True,
    )
    return rated(whole, match, labels, min_expected=1, silent=silent)


def rated(
    reported: ReportedInterval,
    match: StreamMatch | None,
    labels: Labels,
    *,
    min_expected: int = MIN_RATED_PACKETS,
    silent: tuple[Verdict, ...] = (),
) -> StreamInterval:
    """Return the rated interval of a reported one; without a match the codec and direction are unknown.

    Fewer packets than `min_expected` are shown and get no R: at the ends of a stream three lost packets of ten
    are no 30 % loss that anybody heard. `silent` is how the packets themselves, where we saw them, explain the
    jitter that a receiver computes across a pause of the sender (RFC 3550 section 6.4.1 knows no pauses): it is
    shown and not rated.
    """
    codec = match.codec if match is not None else None
    name = codec.name if codec is not None else reported.codec
    clock_hz = codec.clock_rate_hz if codec is not None else UNKNOWN_CLOCK_HZ
    jitter_ms, jitter_max_ms = reported.jitter_ms, reported.jitter_max_ms
    if reported.jitter_ticks_mean is not None and clock_hz:
        jitter_ms = ticks_to_ms(reported.jitter_ticks_mean, clock_hz)
        jitter_max_ms = ticks_to_ms(reported.jitter_ticks_max or reported.jitter_ticks_mean, clock_hz)
    rating = None
    expected = reported.expected or 0
    if expected >= min_expected and lookup(name).voice and not _UNRATED.intersection(reported.verdicts):
        rating = assess(
            name,
            loss_ratio=min(max(reported.lost or 0, 0) / expected, 1.0),
            discard_ratio=min(max(reported.discarded or 0, 0) / expected, 1.0),
            jitter_ms=jitter_ms if not silent else None,
            rtt_ms=reported.rtt_ms,
            burst_ratio=reported.burst_ratio,
            ptime_ms=match.ptime_ms if match is not None else None,
            plc=_PLC.get(reported.plc),
            bitrate_kbps=pinned_bitrate_kbps(codec.name, codec.fmtp) if codec is not None else None,
        )
    return StreamInterval(
        time_ns=reported.interval_start_ns,
        labels=labels,
        call_id=reported.call_id,
        ssrc=reported.ssrc,
        src=match.src if match is not None else rtp_of(reported.far),
        dst=match.dst if match is not None else rtp_of(reported.reporter),
        direction=match.direction if match is not None else Direction.UNKNOWN,
        observer=reported.observer,
        codec=codec_tag(name),
        clock_rate_hz=clock_hz,
        expected=reported.expected,
        received=reported.received,
        lost=reported.lost,
        discarded=reported.discarded,
        duplicates=reported.duplicates,
        jitter_ms=jitter_ms,
        jitter_max_ms=jitter_max_ms,
        rtt_ms=reported.rtt_ms,
        burst_ratio=reported.burst_ratio,
        r_factor=rating.r_factor if rating is not None else None,
        mos=rating.mos if rating is not None else None,
        mos_scale=rating.scale if rating is not None else None,
        delay_ms=rating.delay_ms if rating is not None else None,
        delay_source=rating.delay_source if rating is not None else Source.ASSUMED,
        codec_source=rating.codec_source if rating is not None else Source.ASSUMED,
        verdict=" ".join(dict.fromkeys(v.value for v in (*reported.verdicts, *silent))),
    )
