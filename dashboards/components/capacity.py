"""Tables of the capacity page: peaks ahead, events, and what a forecast stands on."""

from typing import Any
from zoneinfo import ZoneInfo

from dash import dcc, html

from dashboards.capacity_views import EventRow, Events, Outlook, PeakRow, Peaks, Subject
from dashboards.numbers import date_time, short_time, significant

_FACTS = (
    ("history_days", "History", "days"),
    ("closed", "Closed", "slots"),
    ("missing", "Not measured", "slots"),
    ("masked", "Masked", "slots"),
    ("outage", "Outages found", "slots"),
    ("events", "Events known", ""),
)


def peaks_table(peaks: Peaks, subject: Subject, zone: ZoneInfo) -> html.Div:
    """Return every load with its highest slot of the next day; each name shows its outlook."""
    columns = ("Load", "Median", "95 %", "99 %", f"When ({zone.key})")
    head = [
        html.Th(text, scope="col", className="num" if place in (1, 2, 3) else "")
        for place, text in enumerate(columns)
    ]
    return html.Div(
        html.Table(
            [
                html.Caption("The slot with the highest 95 % quantile", className="visually-hidden"),
                html.Thead(html.Tr(head)),
                html.Tbody([_peak(row, subject, zone) for row in peaks.rows]),
            ]
        ),
        className="scroll",
        tabIndex=0,
    )


def _peak(row: PeakRow, subject: Subject, zone: ZoneInfo) -> html.Tr:
    shown = (row.kind, row.name) == (subject.kind, subject.name)
    link = dcc.Link(row.name, href=f"/capacity{subject.of(row.kind, row.name).to_search()}")
    return html.Tr(
        [
            html.Th([link, html.Span(f" {row.kind.value}{row.slot_note}", className="quiet-word")], scope="row"),
            *(html.Td(significant(value), className="num") for value in (row.q50, row.q95, row.q99)),
            html.Td(short_time(row.peak_ns, zone)),
        ],
        className="chosen" if shown else "",
    )


def events_table(events: Events, now_ns: int, zone: ZoneInfo) -> html.Div:
    """Return events and masks, those to come first."""
    columns = ("What", "Who", f"From ({zone.key})", "To", "Expected")
    return html.Div(
        html.Table(
            [
                html.Thead(html.Tr([html.Th(text, scope="col") for text in columns])),
                html.Tbody([_event(row, now_ns, zone) for row in events.rows]),
            ]
        ),
        className="scroll",
        tabIndex=0,
    )


def _event(row: EventRow, now_ns: int, zone: ZoneInfo) -> html.Tr:
    when = "over" if row.end_ns <= now_ns else "now" if row.start_ns <= now_ns else "coming"
    expected = "masked" if row.kind == "mask" else "learned" if row.uplift is None else f"{row.uplift:+.0%}"
    return html.Tr(
        [
            html.Th(
                [row.name, html.Span(f" {when}", className="quiet-word")],
                scope="row",
                title=f"{row.id} by {row.author}",
            ),
            html.Td(", ".join(row.tenants) or "everyone"),
            html.Td(short_time(row.start_ns, zone)),
            html.Td(short_time(row.end_ns, zone)),
            html.Td(expected),
        ],
        className="" if when == "over" else "chosen",
    )


def facts_list(outlook: Outlook, zone: ZoneInfo) -> html.Dl:
    """Return model, times and history of the forecast that holds."""
    pairs: list[tuple[str, str]] = [
        ("Model", outlook.model),
        ("Issued", date_time(outlook.issued_ns, zone) if outlook.issued_ns is not None else "—"),
        ("Knows until", date_time(outlook.watermark_ns, zone) if outlook.watermark_ns is not None else "—"),
    ]
    for name, words, unit in _FACTS:
        value = outlook.inputs.get(name)
        if isinstance(value, int | float):
            pairs.append((words, f"{value:,g} {unit if value != 1 else unit.removesuffix('s')}".strip()))
    digest = outlook.inputs.get("digest")
    if isinstance(digest, str):
        pairs.append(("Digest of inputs", digest))
    cells: list[Any] = []
    for name, text in pairs:
        cells.append(html.Div([html.Dt(name), html.Dd(text)], className="fact"))
    return html.Dl(cells, className="facts")
