"""Tables and facts of the incident pages, and the line of the live page."""

from collections.abc import Sequence
from math import isfinite
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from dash import dcc, html

from dashboards.figures.evidence import amount
from dashboards.incident_views import Change, IncidentRow, IncidentView, Quantity, Told
from dashboards.numbers import (
    SECOND_NS,
    UNKNOWN_TEXT,
    count,
    date_time,
    duration,
    percent,
    short_time,
    significant,
)
from dashboards.views import OpenIncidents, PanelState

from .wiring import aria


def incident_href(id_: str) -> str:
    """Return the address of an incident's page; messages link to it too."""
    return f"/incidents/{quote(id_, safe='')}"


def severity_badge(severity: str) -> html.Span:
    """Return a severity as a word with its colour."""
    return html.Span(severity, className=f"severity severity-{severity}")


def state_word(state: str) -> html.Span:
    """Return a state as a word with its mark."""
    return html.Span(state.replace("_", " "), className=f"incident-state incident-state-{state}")


def _table(
    columns: Sequence[tuple[str, bool]], rows: Sequence[Any], caption: str, *, cards: bool = False
) -> html.Div:
    head = [html.Th(text, scope="col", className="num" if is_number else "") for text, is_number in columns]
    return html.Div(
        html.Table(
            [
                html.Caption(caption, className="visually-hidden"),
                html.Thead(html.Tr(head)),
                html.Tbody(list(rows)),
            ],
            className="incidents incident-cards" if cards else "incidents",
        ),
        className="scroll",
        tabIndex=0,
        role="region",
        **aria(label=caption),
    )


_COLUMNS = (
    ("Severity", False), ("State", False), ("What", False), ("Where", False), ("Since", False),
    ("Observed", True), ("Expected", True), ("n", True), ("Impact", True), ("Notified", False),
)  # fmt: skip


def incidents_table(rows: Sequence[IncidentRow], zone: ZoneInfo, caption: str) -> html.Div:
    """Return incidents, one a row; each leads to its page."""
    return _table(_COLUMNS, [_incident(one, zone) for one in rows], caption, cards=True)


def _impact(one: IncidentRow) -> str:
    """Return how much it touched: an excess over what is normal, so no whole number by itself."""
    known = one.impact_calls is not None and isfinite(one.impact_calls)
    return f"{count(round(one.impact_calls or 0) if known else None)} {one.counts}"


def _minutes(one: IncidentRow) -> str:
    return duration(60 * round(one.minutes))


def _clock(at_ns: int, began_ns: int, zone: ZoneInfo) -> str:
    """Return a time, without its day where that is the day it began."""
    day, _, clock = short_time(at_ns, zone).rpartition(" ")
    return clock if short_time(began_ns, zone).startswith(f"{day} ") else f"{day} {clock}"


def _raised_ns(one: IncidentRow) -> int:
    return one.raised_ns + one.slot_seconds * SECOND_NS


def _incident(one: IncidentRow, zone: ZoneInfo) -> html.Tr:
    what: list[Any] = [dcc.Link(f"{one.title} {one.direction} normal", href=incident_href(one.id))]
    if one.children:
        what.append(html.Span(f"+ {count(one.children)} grouped", className="quiet-word grouped"))
    raised = f"raised {_clock(_raised_ns(one), one.began_ns, zone)}"
    since: list[Any] = [short_time(one.began_ns, zone), html.Span(raised, className="quiet-word below")]
    if one.ended_ns is not None:
        since.append(html.Span(f"until {_clock(one.ended_ns, one.began_ns, zone)}", className="quiet-word below"))
    impact = [_impact(one), html.Span(_minutes(one), className="quiet-word below")]
    cells: tuple[Any, ...] = (
        severity_badge(one.severity), state_word(one.state), what, one.where, since,
        amount(one.observed, one.quantity), [amount(one.expected, one.quantity), _band(one)], count(one.n), impact,
        notified_words(one.notified),
    )  # fmt: skip
    hints = {"n": "In the pool that raised it", "Impact": f"As of {short_time(one.changed_ns, zone)}"}
    row: list[Any] = []
    for (name, is_number), cell in zip(_COLUMNS, cells, strict=True):
        tone = "num" if is_number else "wide-words" if name == "Notified" else ""
        # On a narrow screen a row is a card, and its cells say what they are (style sheet).
        labelled: dict[str, Any] = {"data-column": name}
        if name == "What":
            row.append(html.Th(cell, scope="row", **labelled))
        else:
            row.append(html.Td(cell, className=tone, title=hints.get(name, ""), **labelled))
    return html.Tr(row, className="" if one.is_open else "over")


def _band(one: IncidentRow) -> html.Span:
    return html.Span(
        f"{amount(one.low, one.quantity)} – {amount(one.high, one.quantity)}",
        className="quiet-word below",
        title="Would be normal",
    )


def notified_words(notified: str) -> str:
    """Say where an incident was sent to, or why not.

    >>> notified_words("desk, sms"), notified_words("no: silenced by kim"), notified_words("")
    ('desk, sms', 'not sent: silenced by kim', '—')
    """
    if not notified:
        return UNKNOWN_TEXT
    return f"not sent: {notified.removeprefix('no: ')}" if notified.startswith("no: ") else notified


def told_table(told: Sequence[Told], zone: ZoneInfo, now_ns: int, *, may_act: bool, page: str) -> html.Div:
    """Return acknowledgements and silences with author, reason and end; those in force can be released."""
    columns = (("What", False), ("About", False), ("By", False), ("Why", False), ("Until", False), ("", False))
    return _table(columns, [_told(each, zone, now_ns, may_act, page) for each in told], "Told by people")


def _told(each: Told, zone: ZoneInfo, now_ns: int, may_act: bool, page: str) -> html.Tr:
    open_ended = each.until_ns >= 2**62
    if each.withdrawn:
        until = f"released {short_time(each.recorded_ns, zone)}"
    elif open_ended:
        until = "released"
    else:
        until = short_time(each.until_ns, zone)
    over = each.withdrawn or each.until_ns <= now_ns
    return html.Tr(
        [
            html.Th("Silence" if each.is_silence else "Acknowledged", scope="row"),
            html.Td(each.target),
            html.Td(each.author),
            html.Td(each.reason, className="wide-words"),
            html.Td(until),
            html.Td(release_button(each, page) if may_act and not over else None, className="num"),
        ],
        className="over" if over else "",
    )


def release_button(each: Told, page: str) -> html.Button:
    """Return the button that ends a silence or acknowledgement; `page` names the page that answers it."""
    what = f"{'silence of' if each.is_silence else 'acknowledgement of'} {each.target} by {each.author}"
    return html.Button(
        "Release",
        id={"type": f"{page}-release", "id": each.id},
        className="tool tool-solid",
        title=f"End the {what}",
        **aria(label=f"Release the {what}"),
    )


def history_table(history: Sequence[Change], quantity: Quantity, zone: ZoneInfo) -> html.Div:
    """Return every change of an incident, oldest first."""
    columns = (
        ("When", False), ("State", False), ("Severity", False), ("Observed", True), ("Expected", True),
        ("n", True), ("Notified", False),
    )  # fmt: skip
    rows = [
        html.Tr(
            [
                html.Th(short_time(each.at_ns, zone), scope="row", title=date_time(each.at_ns, zone)),
                html.Td(state_word(each.state)),
                html.Td(severity_badge(each.severity)),
                html.Td(amount(each.observed, quantity), className="num"),
                html.Td(amount(each.expected, quantity), className="num"),
                html.Td(count(each.n), className="num"),
                html.Td(notified_words(each.notified), className="wide-words"),
            ]
        )
        for each in history
    ]
    return _table(columns, rows, "History of states")


def incident_head(view: IncidentView, zone: ZoneInfo) -> list[Any]:
    """Return title, state and facts of an incident."""
    one = view.one
    facts: list[tuple[str, Any]] = [
        ("Where", one.where),
        ("Since", date_time(one.began_ns, zone)),
        ("Raised", date_time(_raised_ns(one), zone)),
        ("Ended" if one.ended_ns is not None else "Lasts", _end(one, zone)),
        ("Observed", amount(one.observed, one.quantity)),
        ("Expected", [amount(one.expected, one.quantity), _band(one)]),
        ("n", count(one.n)),
        ("Impact", f"{_impact(one)} · {_minutes(one)}"),
        ("Cause", one.cause or UNKNOWN_TEXT),
        ("Notified", notified_words(one.notified)),
        ("Surprise", significant(one.score)),
        ("Smallest change seen", percent(one.detectable_change)),
        ("Runbook", _runbook(one)),
    ]
    if view.parent is not None:
        parent = view.parent
        facts.append(("Part of", dcc.Link(f"{parent.title}, {parent.where}", href=incident_href(parent.id))))
    cells = [html.Div([html.Dt(name), html.Dd(text)], className="fact") for name, text in facts]
    return [
        html.Div(
            [
                html.H1(f"{one.title} of {one.where} {one.direction} normal"),
                severity_badge(one.severity),
                state_word(one.state),
            ],
            className="call-title",
        ),
        html.P(one.message, className="incident-message") if one.message else None,
        html.Dl(cells, className="facts"),
    ]


def _end(one: IncidentRow, zone: ZoneInfo) -> str:
    lasted = duration(60 * one.minutes + (one.raised_ns - one.began_ns) / SECOND_NS)
    return lasted if one.ended_ns is None else f"{date_time(one.ended_ns, zone)}, after {lasted}"


def _runbook(one: IncidentRow) -> Any:
    if not one.runbook:
        return "none linked"
    if not one.runbook.startswith(("https://", "http://")):
        return html.Code(one.runbook)
    return html.A("Open the runbook", href=one.runbook, target="_blank", rel="noopener noreferrer")


def incident_line(view: OpenIncidents, zone: ZoneInfo) -> html.Div:
    """Return the one line of the live page that leads to the incidents."""
    status, total = view.status, sum(n for _, n in view.by_severity)
    tone, words, detail = "", "", ""
    if not status.drawn:
        words = {PanelState.EMPTY: "No incident on record", PanelState.LOADING: "Incidents"}.get(
            status.state, "Incidents cannot be read"
        )
        detail = status.reason
    elif total:
        tone = f" incident-line-{view.by_severity[0][0]}"
        words = f"{count(total)} open incident{'' if total == 1 else 's'}"
        detail = " · ".join(f"{count(n)} {name}" for name, n in view.by_severity)
    else:
        words = "No open incident"
        detail = f"quiet since {date_time(view.last_end_ns, zone)}" if view.last_end_ns is not None else ""
        detail = f"{detail} · {count(view.recorded)} on record".removeprefix(" · ")
    stale = f" · {status.reason}" if status.state is PanelState.STALE else ""
    return html.Div(
        [dcc.Link(words, href="/incidents"), html.Span(f"{detail}{stale}")],
        className=f"incident-line{tone}",
        role="status",
    )
