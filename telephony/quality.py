"""From an observation to a rating: the one door through which loss, jitter and round-trip time become a MOS.

Every page, alert, record and command rates calls through `assess`, so no two of them can disagree. It must not
measure anything, and it says of each input whether it was measured, declared or assumed.
"""

from typing import NamedTuple

from telephony.codecs import CodecImpairment, lookup
from telephony.emodel import Rating, rate
from telephony.model import Scale, Source

DEFAULT_PTIME_MS = 20.0
"""RFC 3551 section 4.2."""

JITTER_BUFFER_MAX_MS = 300.0


class Term(NamedTuple):
    """One line of the explanation of a MOS."""

    term: str
    """Symbol of the E-model."""
    value: float
    sentence: str


def delay_budget(
    rtt_ms: float | None, jitter_ms: float | None, ptime_ms: float | None, codec: CodecImpairment
) -> tuple[float, Source]:
    """Return the one-way mouth-to-ear delay in ms, and whether its network part was measured.

    Half the round trip + jitter buffer (twice the jitter, at least one packet, at most 300 ms) + packetization
    (at least one frame) + lookahead (G.114 annex A; processing time is not counted). An unknown round trip
    counts 0 and makes the delay `assumed`; unknown jitter counts 0, an unknown packet time 20 ms.

    >>> delay_budget(100.0, 5.0, 20.0, lookup("G729"))
    (95.0, <Source.PUBLISHED: 'published'>)
    >>> delay_budget(None, 40.0, 20.0, lookup("G729"))
    (105.0, <Source.ASSUMED: 'assumed'>)
    """
    packet = ptime_ms if ptime_ms and ptime_ms > 0 else DEFAULT_PTIME_MS
    buffer = min(max(2 * (jitter_ms or 0.0), packet), JITTER_BUFFER_MAX_MS)
    fixed = buffer + max(packet, codec.frame_ms) + codec.lookahead_ms
    if rtt_ms is None:
        return fixed, Source.ASSUMED
    return max(rtt_ms, 0.0) / 2 + fixed, Source.PUBLISHED


def assess(
    codec_name: str,
    loss_ratio: float,
    discard_ratio: float | None = None,
    jitter_ms: float | None = None,
    rtt_ms: float | None = None,
    burst_ratio: float | None = None,
    ptime_ms: float | None = None,
    plc: bool | None = None,
    bitrate_kbps: float | None = None,
) -> Rating:
    """Return the rating of what was observed of one stream in one interval; None is "not observed".

    Args:
        codec_name: RTP encoding name, in any spelling; unknown ones are rated with a documented fallback.
        loss_ratio: Packets lost in the network / expected.
        discard_ratio: Packets discarded by the jitter buffer / expected; adds to loss (RFC 3611 section 4.7.1).
        jitter_ms: RFC 3550 jitter; sizes the jitter buffer, it does not lower R by itself.
        rtt_ms: Round-trip time.
        burst_ratio: BurstR; random loss where unknown.
        ptime_ms: Duration of a packet.
        plc: Whether the receiver conceals loss, where it said so.
        bitrate_kbps: For codecs with modes, where it is known.

    >>> rating = assess("PCMA", 0.01, jitter_ms=5.0, rtt_ms=100.0, ptime_ms=20)
    >>> round(rating.delay_ms, 3), round(rating.r_factor, 1), round(rating.mos, 2), rating.band.letter
    (93.75, 87.2, 4.26, 'B')
    """
    codec = lookup(codec_name, plc, bitrate_kbps)
    delay_ms, delay_source = delay_budget(rtt_ms, jitter_ms, ptime_ms, codec)
    return rate(
        codec,
        loss_ratio=loss_ratio + (discard_ratio or 0.0),
        delay_ms=delay_ms,
        burst_ratio=burst_ratio or 1.0,
        delay_source=delay_source,
    )


_SOURCE_WORDS = {Source.PUBLISHED: "measured", Source.DECLARED: "declared", Source.ASSUMED: "assumed"}
_SCALE_WORDS = {Scale.NARROWBAND: "narrowband", Scale.WIDEBAND: "wideband", Scale.FULLBAND: "fullband"}


def explain(rating: Rating) -> list[Term]:
    """Return why a MOS is what it is: R of the connection, what takes from it, and what is left.

    The values of `Ro`, `Is`, `Id`, `Ie,eff` and `A` add up: R = Ro - Is - Id - Ie,eff + A.

    >>> for term in explain(assess("PCMA-NOPLC", 0.02, rtt_ms=400.0)):
    ...     print(f"{term.term:7}{term.value:6.1f}  {term.sentence}")
    Ro       94.8  signal against noise on a narrowband connection without faults
    Is        1.4  taken off for loudness, sidetone and quantizing, at default values
    Idte      4.1  talker echo
    Idle      1.0  listener echo
    Idd       7.7  delay beyond what a conversation bears
    Id       12.8  taken off for a one-way delay of 240 ms; the network's part is measured
    Ie        0.0  PCMA-NOPLC without loss; ITU-T G.113 Appendix I; without concealment
    Ie,eff   30.2  taken off for the codec and 2.00 % of packets lost or discarded, random
    R        50.4  nearly all users dissatisfied (band E)
    MOS       2.6  on the narrowband scale, 1 to 4.5
    """
    terms, codec = rating.terms, rating.codec
    scale = _SCALE_WORDS[rating.scale]
    lines = [
        Term("Ro", terms.ro, f"signal against noise on a {scale} connection without faults"),
        Term("Is", terms.is_, "taken off for loudness, sidetone and quantizing, at default values"),
        Term("Idte", terms.idte, "talker echo"),
        Term("Idle", terms.idle, "listener echo"),
        Term("Idd", terms.idd, "delay beyond what a conversation bears"),
        Term(
            "Id",
            terms.id_,
            f"taken off for a one-way delay of {rating.delay_ms:.0f} ms; "
            f"the network's part is {_SOURCE_WORDS[rating.delay_source]}",
        ),
        Term("Ie", codec.ie, f"{codec.name} without loss; {codec.source}"),
        Term("Ie,eff", terms.ie_eff, f"taken off for the codec and {_loss_words(rating)}"),
    ]
    if terms.advantage:
        lines.append(Term("A", terms.advantage, "given back for the advantage of access"))
    lines.append(Term("R", rating.r_factor, f"{rating.band.text} (band {rating.band.letter})"))
    lines.append(Term("MOS", rating.mos, f"on the {scale} scale, 1 to 4.5"))
    return lines


def _loss_words(rating: Rating) -> str:
    if rating.loss_ratio == 0:
        return "no packet loss"
    if rating.burst_ratio == 1:
        pattern = "random"
    else:
        pattern = f"in runs {rating.burst_ratio:.1f} times as long as random loss makes"
        if rating.burst_ratio > 2:
            pattern += ", beyond what the model was checked for"
    return f"{rating.loss_ratio:.2%} of packets lost or discarded, {pattern}".replace("%", " %")
