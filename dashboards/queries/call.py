"""The trace of one call, from the store to the view of its page. A call that is still up has no `call` row yet."""

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from dashboards.figures.sip import OUTCOME_WORDS
from dashboards.numbers import (
    SECOND_NS,
    UNKNOWN_TEXT,
    count,
    date_time,
    duration,
    milliseconds,
    percent,
    significant,
)
from dashboards.queries.lanes import intervals_of, lanes_of, verdicts_of
from dashboards.queries.why import why
from dashboards.trace_views import CallFinding, CallView, Fact, Ladder, LadderMessage, Missing, Suggestion
from dashboards.views import READY, PanelState, Status
from storage.seam import CallMatch, CallTrace, OutOfScope, Reader, Window
from telephony.model import Outcome
from telephony.outcomes import q850_text

from .tables import rows, times_ns

_SUGGESTIONS = 8
_SUGGEST_DAYS = 7
_GOOD = frozenset({Outcome.ANSWERED.value})
_BAD = frozenset({Outcome.NO_FACILITY.value, Outcome.TIMEOUT.value, Outcome.CLIENT_ERROR.value})
_OUTCOMES = {outcome.value: words for outcome, words in OUTCOME_WORDS.items()}

CallRow = Mapping[str, object]


def find_call(
    reader: Reader, call_id: str, now_ns: int, zone: ZoneInfo, ladder_messages: int
) -> CallView | Missing:
    """Return the view of a call; one out of scope is as missing as one that never was."""
    try:
        trace = reader.call(call_id)
    except OutOfScope:
        return Missing(call_id, _suggest(reader, call_id, now_ns))
    return call_view(trace, call_id, now_ns, zone, ladder_messages)


def _suggest(reader: Reader, call_id: str, now_ns: int) -> tuple[Suggestion, ...]:
    window = Window(now_ns - _SUGGEST_DAYS * 86_400 * SECOND_NS, now_ns + SECOND_NS)
    found = reader.calls(window, match=CallMatch(contains=call_id), limit=_SUGGESTIONS).rows
    return tuple(
        Suggestion(
            str(row["call_id"]),
            f"{_OUTCOMES.get(str(row['outcome']), row['outcome'])} · {row['from_masked'] or UNKNOWN_TEXT} → "
            f"{row['to_masked'] or UNKNOWN_TEXT} · {duration(_number(row, 'duration_s'))} · {row['tenant']}",
        )
        for row in rows(found)
    )


def call_view(trace: CallTrace, call_id: str, now_ns: int, zone: ZoneInfo, ladder_messages: int) -> CallView:
    """Return everything the page of a call shows."""
    ladder = _ladder(trace, ladder_messages)
    intervals = intervals_of(trace.intervals)
    since_ns, until_ns = _span(trace, now_ns)
    reason = str(trace.call.get("quality_reason") or "") if trace.call is not None else ""
    lanes = lanes_of(intervals, reason, live=trace.call is None)
    headline, tone = _headline(trace, ladder)
    return CallView(
        call_id=call_id,
        live=trace.call is None,
        headline=headline,
        tone=tone,
        facts=_ended_facts(trace.call, zone)
        if trace.call is not None
        else _live_facts(trace, ladder, now_ns, zone),
        related=_related(trace.call),
        verdicts=verdicts_of(intervals),
        since_ns=since_ns,
        until_ns=until_ns,
        ladder=ladder,
        lanes=lanes,
        why=why(intervals, reason, zone),
        findings=_findings(trace, reason),
    )


def _number(row: CallRow, name: str) -> float | None:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else None


def _words(row: CallRow, name: str) -> str:
    value = row.get(name)
    return str(value) if value not in (None, "", "unknown") else UNKNOWN_TEXT


def _span(trace: CallTrace, now_ns: int) -> tuple[int, int]:
    stamps = [*times_ns(trace.messages).tolist(), *times_ns(trace.intervals).tolist()]
    if trace.call is not None:
        stamps += [int(at) for at in (trace.call["started_at"], trace.call["time"]) if isinstance(at, int)]
        return min(stamps), max(stamps)
    return (min(stamps), max(*stamps, now_ns)) if stamps else (now_ns, now_ns)


def _headline(trace: CallTrace, ladder: Ladder) -> tuple[str, str]:
    if trace.call is None:
        return f"In progress: {_state(ladder)}", "neutral"
    outcome = str(trace.call["outcome"])
    tone = "good" if outcome in _GOOD else "bad" if outcome in _BAD else "neutral"
    return _OUTCOMES.get(outcome, outcome), tone


def _state(ladder: Ladder) -> str:
    """Tell how far a live call has come, from its messages alone."""
    invites = [m for m in ladder.messages if m.cseq.endswith("INVITE")]
    if any(m.kind == "success" for m in invites):
        return "answered"
    if any(m.kind == "provisional" and not m.label.startswith("100") for m in invites):
        return "ringing"
    return "in setup" if invites else "media seen, no SIP"


def _ended_facts(call: CallRow, zone: ZoneInfo) -> tuple[Fact, ...]:
    q850 = call.get("q850")
    cause = f"Q.850 {q850}: {q850_text(q850)}" if isinstance(q850, int) and q850 else ""
    started, one_way = call.get("started_at"), call.get("one_way")
    codecs = call.get("codecs")
    degraded = _number(call, "degraded_ratio")
    return (
        Fact("Final code", _words(call, "sip_code"), f"The final status that the caller saw. {cause}".strip()),
        Fact("Released by", _words(call, "released_by"), cause),
        Fact(
            "Post-dial delay", milliseconds(_number(call, "pdd_ms")), "First INVITE to first 18x or final response"
        ),
        Fact("Setup", milliseconds(_number(call, "setup_ms")), "First INVITE to the 200"),
        Fact("Duration", duration(_number(call, "duration_s")), "Answer to end"),
        Fact("Started", date_time(started, zone) if isinstance(started, int) else UNKNOWN_TEXT),
        Fact("From", _words(call, "from_masked")),
        Fact("To", _words(call, "to_masked"), f"Destination {_words(call, 'destination')}"),
        *_place_facts(call),
        Fact(
            "Codecs",
            ", ".join(str(c) for c in codecs) if isinstance(codecs, list) and codecs else _words(call, "codec"),
        ),
        Fact("Attempts", _words(call, "attempts"), "INVITE transactions folded into this attempt over challenges"),
        Fact("Legs", _words(call, "legs")),
        Fact(
            "MOS lowest · mean",
            f"{significant(_number(call, 'mos_min'))} · {significant(_number(call, 'mos_avg'))}",
        ),
        Fact("Degraded", percent(degraded), "Intervals with R below 70, of all intervals"),
        Fact(
            "One-way audio",
            UNKNOWN_TEXT if one_way is None else "yes" if one_way else "no",
            "Nothing that was seen can tell" if one_way is None else "",
        ),
    )


def _place_facts(row: CallRow) -> tuple[Fact, ...]:
    return tuple(Fact(tag.capitalize(), _words(row, tag)) for tag in ("tenant", "trunk", "region", "node"))


def _live_facts(trace: CallTrace, ladder: Ladder, now_ns: int, zone: ZoneInfo) -> tuple[Fact, ...]:
    first = ladder.messages[0].at_ns if ladder.messages else None
    newest = rows(trace.intervals.slice(max(trace.intervals.num_rows - 1, 0)))
    message = rows(trace.messages.slice(0, 1))
    place = newest[0] if newest else message[0] if message else {}
    age = None if first is None else (now_ns - first) / SECOND_NS
    return (
        Fact("State", _state(ladder)),
        Fact("Up for", duration(round(age)) if age is not None else UNKNOWN_TEXT, "Since its first INVITE"),
        Fact("Started", date_time(first, zone)),
        *_place_facts(place),
        Fact("Codec", _words(place, "codec")),
        Fact("Final code", UNKNOWN_TEXT, "The call is not over"),
    )


def _related(call: CallRow | None) -> tuple[str, ...]:
    found = call.get("correlated") if call is not None else None
    return tuple(str(call_id) for call_id in found) if isinstance(found, list) else ()


def _findings(trace: CallTrace, reason: str) -> tuple[CallFinding, ...]:
    merged: dict[tuple[str, str], int] = {}
    for row in rows(trace.findings):
        key = (str(row["kind"]), str(row["text"] or ""))
        merged[key] = merged.get(key, 0) + int(row["count"] or 1)
    found = [CallFinding(kind, text, n) for (kind, text), n in merged.items()]
    if reason:
        found.insert(0, CallFinding("quality", reason, 1))
    return tuple(found)


def message_kind(status: int) -> str:
    """Return what kind of message a status (0: request) is.

    >>> [message_kind(status) for status in (0, 180, 200, 302, 486)]
    ['request', 'provisional', 'success', 'redirect', 'failure']
    """
    return ("request", "provisional", "success", "redirect", "failure")[min(status // 100, 4)]


def _ladder(trace: CallTrace, limit: int) -> Ladder:
    if not trace.messages.num_rows:
        why_not = "No SIP message of this call was seen: only its media was reported."
        return Ladder(Status(PanelState.EMPTY, why_not))
    shown = trace.messages.slice(0, limit)
    stamps = times_ns(shown).tolist()
    endpoints: dict[str, int] = {}
    messages = []
    for at_ns, row in zip(stamps, rows(shown), strict=True):
        src, dst = (endpoints.setdefault(str(row[end] or "?"), len(endpoints)) for end in ("src", "dst"))
        status = int(row["status"] or 0)
        method, reason = str(row["method"] or "?"), str(row["reason"] or "")
        messages.append(
            LadderMessage(
                at_ns=at_ns,
                since_start_s=(at_ns - stamps[0]) / SECOND_NS,
                src=src,
                dst=dst,
                label=f"{status} {reason}".strip() if status else method,
                kind=message_kind(status),
                cseq=f"{row['cseq']} {method}",
                detail=reason if not status else "",
                node=str(row["node"] or ""),
                has_sdp=bool(row["has_sdp"]),
                retransmission=bool(row["retransmission"]),
            )
        )
    hidden = trace.messages.num_rows - len(messages)
    status_ = (
        Status(PanelState.PARTIAL, f"{count(hidden)} more messages are in the CSV export") if hidden else READY
    )
    return Ladder(status_, tuple(endpoints), tuple(messages), hidden)
