"""From what an observer reported of a stream to a rated `StreamInterval`.

The only place of the collectors where an observation meets the E-model (`telephony.quality`).
"""

from collectors.tracking.media import StreamMatch, rtp_of
from collectors.tracking.reports import ReportedInterval
from telephony.codecs import lookup
from telephony.jitter import ticks_to_ms
from telephony.model import UNKNOWN, Direction, Labels, Source, StreamInterval
from telephony.quality import assess

ASSUMED_CLOCK_HZ = 8000
"""Clock of a stream whose codec nobody told; jitter is in its ticks, so it is marked as assumed."""


def rated(reported: ReportedInterval, match: StreamMatch | None, labels: Labels) -> StreamInterval:
    """Return the rated interval of a reported one; without a match the codec and direction are unknown."""
    codec = match.codec if match is not None else None
    name = codec.name.upper() if codec is not None else UNKNOWN
    clock_hz = codec.clock_rate_hz if codec is not None else ASSUMED_CLOCK_HZ
    jitter_ms = reported.jitter_ms
    jitter_max_ms = reported.jitter_ms
    if reported.jitter_ticks_mean is not None:
        jitter_ms = ticks_to_ms(reported.jitter_ticks_mean, clock_hz)
        jitter_max_ms = ticks_to_ms(reported.jitter_ticks_max or reported.jitter_ticks_mean, clock_hz)
    rating = None
    if reported.expected:
        rating = assess(
            name,
            loss_ratio=(reported.lost or 0) / reported.expected,
            discard_ratio=(reported.discarded or 0) / reported.expected,
            jitter_ms=jitter_ms or 0.0,
            rtt_ms=reported.rtt_ms,
            burst_ratio=reported.burst_ratio or 1.0,
            ptime_ms=(match.ptime_ms if match is not None else 0) or 20,
            plc=reported.plc,
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
        codec=name,
        clock_rate_hz=clock_hz,
        expected=reported.expected,
        received=reported.received,
        lost=reported.lost,
        discarded=reported.discarded,
        jitter_ms=jitter_ms,
        jitter_max_ms=jitter_max_ms,
        rtt_ms=reported.rtt_ms,
        burst_ratio=reported.burst_ratio,
        r_factor=rating.r_factor if rating is not None else None,
        mos=rating.mos if rating is not None else None,
        mos_scale=rating.scale if rating is not None else None,
        delay_ms=rating.delay_ms if rating is not None else None,
        delay_source=rating.delay_source if rating is not None else Source.ASSUMED,
        codec_source=lookup(name).provenance if codec is not None else Source.ASSUMED,
        verdict=" ".join(v.value for v in reported.verdicts),
    )
