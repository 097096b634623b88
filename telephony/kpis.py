"""The service KPIs, each defined once: RFC 6076, ITU-T E.425 and our own, as pure functions of counts.

A ratio carries its numerator and denominator and a Wilson 95 % interval; below n = 30 it says that there are
too few. Ratios of tenants or minutes are never averaged: add the counts and divide once. The counts are of
session attempts with a final outcome on one measured side, retransmissions dropped and challenges folded
(docs/kpis.md has every decision). Nothing here reads a store.
"""

from dataclasses import dataclass, fields
from math import sqrt

ENOUGH = 30
"""Observations below which a ratio is shown as "too few"."""

_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio that keeps its parts.

    >>> ratio = Ratio(45, 60)
    >>> ratio.value, ratio.enough, [round(edge, 4) for edge in ratio.interval or ()]
    (0.75, True, [0.6277, 0.8422])
    >>> Ratio(0, 0).value is None
    True
    """

    numerator: float
    denominator: float
    formula: str = ""
    """What was counted, in words, for tooltips and the definitions of reports."""

    @property
    def value(self) -> float | None:
        """Numerator over denominator, 0..1; None where there is nothing to divide by."""
        return self.numerator / self.denominator if self.denominator > 0 else None

    @property
    def enough(self) -> bool:
        """True from 30 observations on."""
        return self.denominator >= ENOUGH

    @property
    def interval(self) -> tuple[float, float] | None:
        """The Wilson score interval at 95 %, within 0..1; None without observations."""
        if self.denominator <= 0:
            return None
        n, p, z2 = self.denominator, self.numerator / self.denominator, _Z95 * _Z95
        middle = p + z2 / (2 * n)
        half = _Z95 * sqrt(max(0.0, p * (1 - p)) / n + z2 / (4 * n * n))
        return max(0.0, (middle - half) / (1 + z2 / n)), min(1.0, (middle + half) / (1 + z2 / n))


@dataclass(frozen=True, slots=True)
class SessionCounts:
    """Counts of session attempts by final outcome; the fields of the measurement `session_minute`."""

    attempts: int = 0
    """Attempts with a final outcome."""
    answered: int = 0
    busy: int = 0
    no_answer: int = 0
    rejected: int = 0
    abandoned: int = 0
    redirected: int = 0
    challenged: int = 0
    no_facility: int = 0
    timeout: int = 0
    client_error: int = 0
    seer_effective: int = 0
    """Final status 200, 480, 486, 600 or 603."""
    ineffective: int = 0
    """Final status 408, 500, 503 or 504."""
    completed: int = 0
    """Answered, and the BYE was answered with 2xx."""
    one_way: int = 0
    no_media: int = 0
    short_calls: int = 0
    """Answered and shorter than 10 s."""
    minutes: float = 0.0
    """Conversation minutes of the calls that ended."""

    def __add__(self, other: "SessionCounts") -> "SessionCounts":
        """Add two counts: the only right way to join tenants, trunks or minutes."""
        return SessionCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class RegistrationCounts:
    """Counts of REGISTER attempts by final outcome, challenges folded; the fields of `registration_minute`."""

    attempts: int = 0
    registered: int = 0
    unregistered: int = 0
    rejected: int = 0
    challenged: int = 0
    timeout: int = 0
    auth_failures: int = 0


SEER_EFFECTIVE = frozenset({200, 480, 486, 600, 603})
"""Final statuses that make an attempt effective (RFC 6076 section 4.7)."""

INEFFECTIVE = frozenset({408, 500, 503, 504})
"""Final statuses that make an attempt ineffective (RFC 6076 section 4.8)."""


def asr(counts: SessionCounts) -> Ratio:
    """Return the answer-seizure ratio: answered / attempts (ITU-T E.411, E.425).

    >>> asr(SessionCounts(attempts=100, answered=55)).value
    0.55
    """
    return Ratio(counts.answered, counts.attempts, "answered / attempts")


def ner(counts: SessionCounts) -> Ratio:
    """Return the network effectiveness ratio: (answered + busy + no answer + rejected) / attempts (ITU-T E.425).

    Q.850 causes 16, 17, 18, 19 and 21. It does not punish the callee's behaviour; it is not SEER.

    >>> ner(SessionCounts(attempts=100, answered=55, busy=12, no_answer=20, rejected=3)).value
    0.9
    """
    effective = counts.answered + counts.busy + counts.no_answer + counts.rejected
    return Ratio(effective, counts.attempts, "(answered + busy + no answer + rejected) / attempts")


def ser(counts: SessionCounts, *, exclude_challenge: bool = False) -> Ratio:
    """Return the session establishment ratio: answered / (attempts - redirected) (RFC 6076 section 4.6).

    Args:
        counts: The counts.
        exclude_challenge: Also take attempts that ended in 401, 402 or 407 out of the denominator, as late
            drafts and HOMER do. The formula of the result says which was used.

    >>> counts = SessionCounts(attempts=100, answered=57, redirected=5, challenged=1)
    >>> ser(counts).value, round(ser(counts, exclude_challenge=True).value, 4)
    (0.6, 0.6064)
    """
    if exclude_challenge:
        rest = counts.attempts - counts.redirected - counts.challenged
        return Ratio(counts.answered, rest, "answered / (attempts - redirected - challenged)")
    return Ratio(counts.answered, counts.attempts - counts.redirected, "answered / (attempts - redirected)")


def seer(counts: SessionCounts) -> Ratio:
    """Return the session establishment effectiveness ratio (RFC 6076 section 4.7).

    Attempts ending in 200, 480, 486, 600 or 603 / (attempts - redirected). A caller who hangs up while it rings
    (487) lowers it: NER is the one that forgives.

    >>> seer(SessionCounts(attempts=105, redirected=5, seer_effective=88)).value
    0.88
    """
    return Ratio(
        counts.seer_effective,
        counts.attempts - counts.redirected,
        "final 200, 480, 486, 600, 603 / (attempts - redirected)",
    )


def isa(counts: SessionCounts) -> Ratio:
    """Return the ineffective session attempts: final 408, 500, 503 or 504 / attempts (RFC 6076 section 4.8).

    >>> isa(SessionCounts(attempts=200, ineffective=3)).value
    0.015
    """
    return Ratio(counts.ineffective, counts.attempts, "final 408, 500, 503, 504 / attempts")


def scr(counts: SessionCounts) -> Ratio:
    """Return the session completion ratio: answered and cleanly ended / attempts (RFC 6076 section 4.9).

    A clean end is a BYE answered with 2xx; a call whose end was never seen is not completed.

    >>> scr(SessionCounts(attempts=100, answered=55, completed=54)).value
    0.54
    """
    return Ratio(counts.completed, counts.attempts, "answered, BYE answered with 2xx / attempts")


def ira(counts: RegistrationCounts) -> Ratio:
    """Return the ineffective registration attempts: failed / attempts (RFC 6076 section 4.2).

    Failed is rejected or without an answer; a final 401, 402 or 407 is not counted as failed.

    >>> ira(RegistrationCounts(attempts=50, registered=46, rejected=1, timeout=1, challenged=2)).value
    0.04
    """
    return Ratio(counts.rejected + counts.timeout, counts.attempts, "(rejected + timeout) / REGISTER attempts")


def acd(counts: SessionCounts) -> float | None:
    """Return the average call duration in seconds: conversation time / answered calls (mean of RFC 6076 SDT).

    None without answered calls. Over a window the minutes are of calls that ended in it.

    >>> acd(SessionCounts(attempts=100, answered=50, minutes=125.0))
    150.0
    """
    return counts.minutes * 60 / counts.answered if counts.answered else None


def one_way_ratio(counts: SessionCounts) -> Ratio:
    """Return the one-way audio ratio: answered calls with media in one direction only / answered.

    >>> one_way_ratio(SessionCounts(answered=50, one_way=1)).value
    0.02
    """
    return Ratio(counts.one_way, counts.answered, "one-way audio / answered")


def no_media_ratio(counts: SessionCounts) -> Ratio:
    """Return the share of answered calls of which no media was seen: a fault, or our own blindness.

    >>> no_media_ratio(SessionCounts(answered=50, no_media=2)).value
    0.04
    """
    return Ratio(counts.no_media, counts.answered, "no media seen / answered")


def short_call_ratio(counts: SessionCounts) -> Ratio:
    """Return the short-call ratio: answered calls under 10 s / answered.

    >>> short_call_ratio(SessionCounts(answered=50, short_calls=5)).value
    0.1
    """
    return Ratio(counts.short_calls, counts.answered, "answered, shorter than 10 s / answered")


def good_minutes(good: float, measured: float) -> Ratio:
    """Return the good-minutes ratio: minutes with both directions at R >= 70 / minutes measured.

    >>> good_minutes(930.0, 1000.0).value
    0.93
    """
    return Ratio(good, measured, "minutes with R of at least 70 both ways / minutes measured")


def degraded_interval_ratio(degraded: int, measured: int) -> Ratio:
    """Return the degraded-interval ratio: intervals with R below the threshold / intervals measured.

    Measured are intervals of at least 100 expected packets; the threshold is 70 in reports, 80 for engineers.

    >>> degraded_interval_ratio(12, 480).value
    0.025
    """
    return Ratio(degraded, measured, "intervals with R below the threshold / intervals of 100 packets or more")


def erlangs(conversation_minutes: float, period_minutes: float) -> float:
    """Return the traffic carried: conversation time / period (ITU-T E.600), a mean of concurrent calls.

    >>> erlangs(1800.0, 60.0)
    30.0
    """
    return conversation_minutes / period_minutes
