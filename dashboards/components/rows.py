"""Tables and lists of a page: the ranking of places, the findings, and grid rows."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from dash import dcc, html

from dashboards.figures.sip import OUTCOME_WORDS
from dashboards.filters import Filters
from dashboards.numbers import (
    UNKNOWN_TEXT,
    clock_time,
    count,
    duration,
    milliseconds,
    percent,
    short_time,
    significant,
)
from dashboards.queries.call_search import FoundCall
from dashboards.views import CallNow, FindingRow, RankRow, WorstCall
from telephony.bands import band_of
from telephony.model import Outcome

from .tiles import ratio_words

_SHOWN_FINDINGS = 40
_OUTCOMES = {outcome.value: words for outcome, words in OUTCOME_WORDS.items()}


def call_href(call_id: str) -> str:
    """Return the address of a call's page."""
    return f"/call/{quote(call_id, safe='')}"


def band_badge(r_factor: float | None) -> html.Span:
    """Return the letter of a rating's band with its R; letter, colour and number together."""
    if r_factor is None:
        return html.Span(UNKNOWN_TEXT, className="badge")
    band = band_of(r_factor)
    return html.Span(
        [html.B(band.letter), f" {r_factor:.0f}"],
        className=f"badge band-{band.letter.lower()}",
        title=f"R {r_factor:.1f}: {band.text}",
    )


def ranking_table(place: str, rows: Sequence[RankRow], hidden: int, filters: Filters) -> html.Div:
    """Return a kind of place worst first; each name narrows the view to it."""
    most = max((row.degraded_seconds for row in rows), default=0.0)
    body = [_rank_row(place, row, most, filters) for row in rows]
    return html.Div(
        [
            html.Table(
                [
                    html.Thead(
                        html.Tr(
                            [
                                html.Th(place.capitalize(), scope="col"),
                                html.Th("Degraded stream time", scope="col", title="Stream time with R below 70"),
                                html.Th("Share", scope="col", className="num", title="Of rated stream time"),
                                html.Th("ASR", scope="col", className="num"),
                                html.Th("Attempts", scope="col", className="num"),
                                html.Th(
                                    "Failed", scope="col", className="num", title="Server failures and timeouts"
                                ),
                            ]
                        )
                    ),
                    html.Tbody(body),
                ],
                className="rank",
            ),
            html.P(f"and {hidden} more", className="more") if hidden else None,
        ],
        className="rank-wrap",
    )


def _rank_row(place: str, row: RankRow, most: float, filters: Filters) -> html.Tr:
    share = row.degraded_seconds / row.stream_seconds if row.stream_seconds else None
    asr, hint = UNKNOWN_TEXT, "no attempt came to an end"
    if row.asr is not None:
        asr, hint, _ = ratio_words(row.asr)
    measured = row.stream_seconds > 0
    return html.Tr(
        [
            html.Th(
                dcc.Link(
                    row.name or UNKNOWN_TEXT,
                    href=f"/live{filters.narrowed_to(place, row.name).to_search()}",
                    title=f"Show only {place} {row.name}",
                ),
                scope="row",
            ),
            html.Td(
                html.Div(
                    [
                        html.Div(className="bar", style={"width": f"{100 * row.degraded_seconds / most:.1f}%"})
                        if row.degraded_seconds
                        else None,
                        html.Span(duration(row.degraded_seconds) if measured else "no stream rated"),
                    ],
                    className="bar-cell",
                )
            ),
            html.Td(percent(share), className="num"),
            html.Td(asr, className="num", title=hint),
            html.Td(count(row.attempts), className="num"),
            html.Td(count(row.failed), className="num"),
        ]
    )


def findings_list(rows: Sequence[FindingRow], zone: ZoneInfo) -> html.Ul:
    """Return findings newest first; those of a call lead to it."""
    return html.Ul(
        [
            html.Li(
                [
                    html.Div(
                        [
                            html.Span(row.kind.replace("_", " "), className="tag"),
                            html.Span(f"× {count(row.count)}", className="times") if row.count > 1 else None,
                            html.Span(
                                f"{clock_time(row.last_ns, zone)} · {row.node or UNKNOWN_TEXT}", className="when"
                            ),
                        ],
                        className="finding-head",
                    ),
                    dcc.Link(row.text, href=call_href(row.call_id)) if row.call_id else html.Span(row.text),
                ]
            )
            for row in rows[:_SHOWN_FINDINGS]
        ],
        className="findings",
    )


def _row_id(tenant: str, call_id: str) -> str:
    """Identify a row: streams of one Call-ID may be of several tenants. The browser reads what follows the tab."""
    return f"{tenant}\t{call_id}"


def worst_row(call: WorstCall, zone: ZoneInfo) -> dict[str, Any]:
    """Return a grid row: numbers to sort by, beside the text that is shown."""
    state = "in progress" if call.live else _OUTCOMES.get(call.outcome, call.outcome)
    return {
        "row_id": _row_id(call.tenant, call.call_id),
        "call_id": call.call_id,
        "band": "" if call.r_min is None else band_of(call.r_min).letter,
        "r_min": call.r_min,
        "r_min_text": UNKNOWN_TEXT
        if call.r_min is None
        else f"{band_of(call.r_min).letter} · {significant(call.r_min)}",
        "mos_min": call.mos_min,
        "mos_min_text": significant(call.mos_min),
        "loss": call.loss_ratio,
        "loss_text": percent(call.loss_ratio),
        "jitter": call.jitter_ms_max,
        "jitter_text": milliseconds(call.jitter_ms_max),
        "rtt": call.rtt_ms_max,
        "rtt_text": milliseconds(call.rtt_ms_max),
        "degraded": call.degraded / call.intervals if call.intervals else None,
        "degraded_text": f"{call.degraded} of {call.intervals}",
        "state": state,
        "live": call.live,
        "duration": call.duration_s,
        "duration_text": duration(call.duration_s),
        "place": " · ".join(part for part in (call.trunk, call.region, call.node) if part),
        "tenant": call.tenant,
        "codec": call.codec,
        "seen": call.last_seen_ns // 1_000_000,
        "seen_text": clock_time(call.last_seen_ns, zone),
        "verdicts": call.verdicts.replace("_", " "),
        "observers": call.observers,
    }


def found_row(call: FoundCall, zone: ZoneInfo) -> dict[str, Any]:
    """Return a grid row of a call that a search found."""
    return {
        "row_id": _row_id(call.tenant, call.call_id),
        "call_id": call.call_id,
        "ended": call.ended_ns // 1_000_000,
        "ended_text": f"{short_time(call.ended_ns, zone)}{clock_time(call.ended_ns, zone)[5:]}",
        "outcome": _OUTCOMES.get(call.outcome, call.outcome),
        "code": call.sip_code,
        "from": call.from_masked or UNKNOWN_TEXT,
        "to": call.to_masked or UNKNOWN_TEXT,
        "destination": call.destination or UNKNOWN_TEXT,
        "tenant": call.tenant,
        "trunk": call.trunk,
        "codec": call.codec,
        "duration": call.duration_s,
        "duration_text": duration(call.duration_s),
        "pdd": call.pdd_ms,
        "pdd_text": milliseconds(call.pdd_ms),
        "mos_min": call.mos_min,
        "mos_min_text": significant(call.mos_min),
        "released": call.released_by.replace("_", " "),
    }


def call_now_row(call: CallNow) -> dict[str, Any]:
    """Return a grid row of a call in progress."""
    return {
        "row_id": _row_id(call.tenant, call.call_id),
        "call_id": call.call_id,
        "band": "" if call.r_last is None else band_of(call.r_last).letter,
        "r_last": call.r_last,
        "r_last_text": UNKNOWN_TEXT
        if call.r_last is None
        else f"{band_of(call.r_last).letter} · {significant(call.r_last)}",
        "r_min": call.r_min,
        "r_min_text": significant(call.r_min),
        "state": call.state,
        "age": call.age_s,
        "age_text": duration(round(call.age_s)),
        "from": call.from_masked,
        "to": call.to_masked,
        "place": " · ".join(part for part in (call.trunk, call.region, call.node) if part),
        "tenant": call.tenant,
        "codec": call.codec,
        "reports": call.reports,
        "why": call.quality_reason,
    }


assert set(OUTCOME_WORDS) == set(Outcome)
