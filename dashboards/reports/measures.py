"""Figures of a report from the sums of its period: formulas are those of `telephony.kpis`, here they get words.

`VERSION` is part of a report's id: it grows when a figure is added or means something else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from storage.quantiles import width_at
from telephony.histogram import JITTER_MS, MOS, PDD_MS, R_FACTOR, Buckets
from telephony.kpis import (
    Ratio,
    RegistrationCounts,
    SessionCounts,
    acd,
    asr,
    ira,
    isa,
    ner,
    no_media_ratio,
    one_way_ratio,
    scr,
    seer,
    ser,
    short_call_ratio,
)
from telephony.model import Scale

from .model import Figure, Unit

VERSION = 2
_NO_ATTEMPT = "No session attempt came to an end."
_NO_ANSWER = "No call was answered."
_NO_RATED = "No stream was rated: nobody reported on media."
_SCALES = {Scale.NARROWBAND: "narrowband", Scale.WIDEBAND: "wideband", Scale.FULLBAND: "fullband"}


@dataclass(frozen=True, slots=True)
class Totals:
    """What a span adds up to."""

    counts: SessionCounts = field(default_factory=SessionCounts)
    pdd_ms: Sequence[int] = ()
    r: Sequence[int] = ()
    """Stream-seconds by R on the narrowband scale."""
    mos: dict[Scale, Sequence[int]] = field(default_factory=dict)
    """Stream-seconds by MOS; scales are never mixed."""
    jitter_ms: Sequence[int] = ()
    degraded_seconds: float = 0.0
    expected: int = 0
    lost: int = 0
    registrations: RegistrationCounts = field(default_factory=RegistrationCounts)
    peak: float | None = None
    erlangs: float | None = None
    watched_minutes: int = 0

    @property
    def nothing(self) -> bool:
        """Whether nothing was stored: its zeros say nothing."""
        return not (self.counts.attempts or self.counts.minutes or any(self.r) or self.watched_minutes)

    @property
    def degraded(self) -> Ratio:
        """Rated stream time with R below 70, of rated stream time."""
        formula = "stream-seconds with R below 70 / stream-seconds rated"
        return Ratio(self.degraded_seconds, float(sum(self.r)), formula)


def figures_of(totals: Totals, before: Totals, incomparable: str = "") -> tuple[Figure, ...]:
    """Return all figures of a period beside those of the one before, where anything is stored of that.

    `incomparable` says why no change may be told (`comparison.why_not_compared`).
    """
    earlier = {} if before.nothing else {figure.key: figure for figure in _figures(before)}
    found = []
    for figure in _figures(totals):
        other = earlier.get(figure.key)
        found.append(figure if other is None else _beside(figure, other, incomparable))
    return tuple(found)


def _beside(figure: Figure, before: Figure, incomparable: str) -> Figure:
    return replace(figure, before=before.value, before_n=before.n, incomparable=incomparable)


def _figures(totals: Totals) -> list[Figure]:
    return [*_calls(totals), *_traffic(totals), *_media(totals), *_registrations(totals)]


def _calls(totals: Totals) -> list[Figure]:
    counts = totals.counts
    attempts, answered = "session attempts", "answered calls"

    def ratio(key: str, name: str, found: Ratio, of: str, source: str, reason: str = _NO_ATTEMPT) -> Figure:
        return _ratio(key, name, found, of, f"{found.formula} ({source})", reason)

    return [
        _count(
            "attempts",
            "Session attempts",
            counts.attempts,
            attempts,
            "INVITEs with a final outcome, retransmissions dropped and challenges folded (RFC 6076)",
        ),
        _count(
            "answered",
            "Answered calls",
            counts.answered,
            attempts,
            "attempts answered with 2xx",
            n=counts.attempts,
        ),
        ratio("asr", "ASR, answer-seizure ratio", asr(counts), attempts, "ITU-T E.425"),
        ratio("ner", "NER, network effectiveness ratio", ner(counts), attempts, "ITU-T E.425"),
        ratio("ser", "SER, session establishment ratio", ser(counts), attempts, "RFC 6076 section 4.6"),
        ratio("seer", "SEER, session establishment effectiveness", seer(counts), attempts, "RFC 6076 section 4.7"),
        ratio("isa", "ISA, ineffective session attempts", isa(counts), attempts, "RFC 6076 section 4.8"),
        ratio("scr", "SCR, session completion ratio", scr(counts), attempts, "RFC 6076 section 4.9"),
        ratio("one_way", "One-way audio", one_way_ratio(counts), answered, "ours", _NO_ANSWER),
        ratio("no_media", "No media seen", no_media_ratio(counts), answered, "ours", _NO_ANSWER),
        ratio("short_calls", "Short calls", short_call_ratio(counts), answered, "ours", _NO_ANSWER),
        *(
            _percentile(
                f"pdd_p{q}",
                f"Post-dial delay, p{q}",
                PDD_MS,
                totals.pdd_ms,
                q,
                Unit.MILLISECONDS,
                "attempts timed",
                "first INVITE to first 18x or final response (RFC 6076 section 4.3)",
                "No attempt got a response that stops the clock.",
            )
            for q in (50, 95)
        ),
    ]


def _traffic(totals: Totals) -> list[Figure]:
    counts, watched = totals.counts, float(totals.watched_minutes)
    no_load = "" if totals.watched_minutes else "No minute of load is stored."
    return [
        Figure(
            "minutes",
            "Conversation minutes",
            counts.minutes,
            Unit.MINUTES,
            counts.answered,
            "answered calls",
            "conversation time of the calls that ended",
        ),
        Figure(
            "acd",
            "ACD, average call duration",
            acd(counts),
            Unit.SECONDS,
            counts.answered,
            "answered calls",
            "conversation time / answered calls (mean of RFC 6076 SDT)",
            "" if counts.answered else _NO_ANSWER,
        ),
        Figure(
            "peak",
            "Peak calls in progress",
            totals.peak,
            Unit.COUNT,
            watched,
            "minutes with calls",
            "greatest number of calls in progress in a minute, summed over pools and nodes (an upper bound "
            "where there are several)",
            no_load,
        ),
        Figure(
            "erlangs",
            "Carried traffic",
            totals.erlangs,
            Unit.ERLANGS,
            watched,
            "minutes with calls",
            "mean of the calls in progress over the minutes with calls (ITU-T E.600)",
            no_load,
        ),
    ]


def _media(totals: Totals) -> list[Figure]:
    seconds = "stream-seconds rated"
    found = [
        _ratio("degraded", "Degraded stream time", totals.degraded, seconds, totals.degraded.formula, _NO_RATED),
        *(
            _percentile(
                f"r_p{q}",
                f"R, p{q}",
                R_FACTOR,
                totals.r,
                q,
                Unit.R,
                seconds,
                "rating of ITU-T G.107 brought to the narrowband scale",
                _NO_RATED,
            )
            for q in (5, 50)
        ),
    ]
    for scale, words in _SCALES.items():
        if scale is Scale.NARROWBAND or scale in totals.mos:
            found += [
                _percentile(
                    f"mos_{scale.value}_p{q}",
                    f"MOS, p{q}, {words}",
                    MOS,
                    totals.mos.get(scale, ()),
                    q,
                    Unit.MOS,
                    seconds,
                    f"MOS-CQE of ITU-T G.107 of codecs on the {words} scale",
                    _NO_RATED,
                )
                for q in (5, 50)
            ]
    loss = Ratio(totals.lost, totals.expected, "packets lost / packets expected")
    found += [
        _ratio("loss", "Packet loss", loss, "packets expected", f"{loss.formula} (RFC 3550)", _NO_RATED),
        _percentile(
            "jitter_p95",
            "Jitter, p95",
            JITTER_MS,
            totals.jitter_ms,
            95,
            Unit.MILLISECONDS,
            "stream-seconds with jitter",
            "interarrival jitter of intervals (RFC 3550)",
            "No report carried jitter.",
        ),
    ]
    return found


def _registrations(totals: Totals) -> list[Figure]:
    counts = totals.registrations
    failed = ira(counts)
    return [
        _count(
            "registers",
            "REGISTER attempts",
            counts.attempts,
            "REGISTER attempts",
            "REGISTER attempts with a final outcome, challenges folded",
        ),
        _ratio(
            "ira",
            "IRA, ineffective registrations",
            failed,
            "REGISTER attempts",
            f"{failed.formula} (RFC 6076 section 4.2)",
            "No REGISTER attempt came to an end.",
        ),
    ]


def _count(key: str, name: str, value: int, of: str, definition: str, n: float | None = None) -> Figure:
    return Figure(key, name, float(value), Unit.COUNT, float(value if n is None else n), of, definition)


def _ratio(key: str, name: str, found: Ratio, of: str, definition: str, reason: str) -> Figure:
    why = "" if found.denominator else reason
    return Figure(key, name, found.value, Unit.RATIO, float(found.denominator), of, definition, why, ratio=found)


def _percentile(
    key: str,
    name: str,
    buckets: Buckets,
    counts: Sequence[int],
    q: int,
    unit: Unit,
    of: str,
    definition: str,
    reason: str,
) -> Figure:
    value = buckets.quantile(counts, q / 100) if len(counts) else None
    bound = float(width_at(buckets, np.array([value]))[0]) if value is not None else 0.0
    why = "" if value is not None else reason
    return Figure(key, name, value, unit, float(sum(counts)), of, definition, why, bound=bound)
