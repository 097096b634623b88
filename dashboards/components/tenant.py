"""The page of a tenant: the report of a period, with its downloads."""

from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from dash import dcc, html

from dashboards.components.rows import band_badge
from dashboards.components.tiles import tile
from dashboards.components.wiring import aria
from dashboards.numbers import UNKNOWN_TEXT, count, date_time, duration, percent, significant
from dashboards.reports import words
from dashboards.reports.model import Figure, Incident, Report, Unit
from telephony.kpis import Ratio, ner

_PERIODS = (
    ("today", "Today so far"),
    ("this-week", "This week so far"),
    ("this-month", "This month so far"),
    ("last-7d", "Last 7 days"),
    ("last-28d", "Last 28 days"),
    ("last-month", "Last month"),
)
_TILES = ("attempts", "minutes", "asr", "ner", "degraded", "mos_nb_p50", "one_way", "pdd_p95")


def tenant_body(report: Report, chosen: str, fault: str = "") -> html.Div:
    """Return the page's content; `chosen` is the period as it was asked for, `fault` what was wrong with that."""
    zone = ZoneInfo(report.zone)
    parts: list[Any] = [_head(report, chosen)]
    so_far = words.so_far_text(report)
    provisional = f"Provisional{f', {so_far}' if so_far else ''}: {report.provisional}."
    notices = (fault, provisional if report.provisional else "", report.empty)
    parts += [html.P(notice, className="notice", role="status") for notice in notices if notice]
    if not report.empty:
        parts.append(html.Div([_tile(report.figure(key)) for key in _TILES], className="tiles tiles-top"))
        parts.append(html.Div([*_charts(report)], className="grid"))
    parts += [_figures(report), _incidents(report, zone), _worst(report, zone)]
    return html.Div(parts, className="body")


def _head(report: Report, chosen: str) -> html.Div:
    path = f"/tenant/{quote(report.tenant, safe='')}"
    periods = [
        html.Span(
            dcc.Link(label, href=f"{path}?period={key}", className="tool tool-solid"),
            className="choice",
            **aria(current="true" if key == chosen else "false"),
        )
        for key, label in _PERIODS
    ]
    downloads = [
        html.A(
            [html.Span(className="icon icon-download"), kind.upper()],
            href=f"/export/report?{urlencode({'tenant': report.tenant, 'period': report.period, 'format': kind})}",
            className="tool tool-solid",
            title=f"Download this report as {kind.upper()}",
            download="",
        )
        for kind in ("html", "pdf", "csv")
    ]
    return html.Div(
        [
            html.Div(
                [
                    html.P(dcc.Link("Tenants", href="/tenants")),
                    html.H1(report.tenant),
                    html.P(f"{words.period_text(report)} · report {report.id}"),
                    html.P(words.compared_text(report)),
                ]
            ),
            html.Div([*periods, *downloads], className="body-tools"),
        ],
        className="body-head",
    )


def _tile(figure: Figure) -> html.Div:
    detail = f"n = {words.n_text(figure)}"
    if figure.change is not None:  # why it is not told stands once, in the head
        detail += f" · {words.compared_figure_text(figure)}"
    hint = figure.reason or figure.definition
    value, unit = words.value_text(figure), ""
    if figure.unit is Unit.MINUTES:  # small, beside millions of them
        value, _, unit = value.rpartition(" ")
    quiet = figure.few or figure.value is None
    return tile(
        figure.name, words.value_text(figure) if quiet else value, detail, hint=hint, unit=unit, quiet=quiet
    )


def _charts(report: Report) -> tuple[html.Section, ...]:
    def ratio(found: Ratio) -> float | None:
        return found.value if found.enough else None

    part = words.part_text(report)
    return (
        _bars(
            f"Session attempts by {part}",
            "How much was there?",
            report,
            [float(day.counts.attempts) if day.stored else None for day in report.days],
            lambda value: count(round(value)),
        ),
        _bars(
            f"NER by {part}",
            "Did the network carry the calls?",
            report,
            [ratio(ner(day.counts)) for day in report.days],
            percent,
        ),
        _bars(
            f"Degraded stream time by {part}",
            "When did people hear badly?",
            report,
            [ratio(day.degraded) for day in report.days],
            percent,
        ),
    )


def _bars(title: str, question: str, report: Report, values: list[float | None], written: Any) -> html.Section:
    """Return bars by day or hour; one without a value has none and says so in its title."""
    most = max((value for value in values if value is not None), default=0.0)
    days, bars = report.days, []
    for day, value in zip(days, values, strict=True):
        label = f"{words.part_name(report, day)}: {UNKNOWN_TEXT if value is None else written(value)}"
        height = f"{100 * value / most:.1f}%" if value and most else "0"
        bars.append(html.Div(html.Div(style={"height": height}), title=label, className="day-bar"))
    ends = (words.part_name(report, days[0]), words.part_name(report, days[-1])) if days else ("", "")
    known = sum(value is not None for value in values)
    summary = f"{title}: highest {written(most)}, {known} of {len(values)} {words.part_text(report)}s known"
    return html.Section(
        [
            html.Header(
                [
                    html.H2(title),
                    html.P(
                        f"{question} Highest {written(most)} · n = {known} {words.part_text(report)}s",
                        className="panel-question",
                    ),
                ],
                className="panel-head",
            ),
            html.Div(bars, className="day-bars", role="img", **aria(label=summary)),
            html.Div([html.Span(ends[0]), html.Span(ends[1])], className="day-ends"),
        ],
        className="panel panel-third",
    )


def _figures(report: Report) -> html.Section:
    rows = [
        html.Tr(
            [
                html.Th(figure.name, scope="row", title=figure.definition),
                html.Td(words.value_text(figure), className="num"),
                html.Td(words.n_text(figure), className="num"),
                html.Td(figure.reason or figure.n_of, className="below"),
                html.Td(words.interval_text(figure), className="num"),
                html.Td(
                    [words.before_text(figure), html.Div(words.before_n_text(figure), className="below")],
                    className="num",
                ),
                html.Td(words.change_text(figure), className="num"),
            ]
        )
        for figure in report.figures
    ]
    columns = ("Figure", "Value", "n", "of", "95 % interval or error bound", "Before", "Change")
    return _table("Figures", "What are they made of, and how do they compare?", columns, rows, {1, 2, 4, 5, 6})


def _what(incident: Incident) -> list[Any]:
    link = dcc.Link(incident.title, href=f"/incidents/{quote(incident.id, safe='')}")
    told = [html.Strong(incident.severity), " ", link if incident.id else incident.title]
    told += [html.Div(incident.message)] if incident.message else []
    return told + ([html.Div(f"Cause: {incident.cause}", className="below")] if incident.cause else [])


def _incidents(report: Report, zone: ZoneInfo) -> html.Section:
    rows = [
        html.Tr(
            [
                html.Td(date_time(incident.started_ns, zone)),
                html.Td(words.incident_length(incident)),
                html.Td(_what(incident), className="wrap"),
                html.Td(incident.scope),
                html.Td(incident.state),
                html.Td(
                    UNKNOWN_TEXT if incident.impact_calls is None else count(round(incident.impact_calls)),
                    className="num",
                ),
                html.Td(
                    UNKNOWN_TEXT if incident.impact_minutes is None else count(round(incident.impact_minutes)),
                    className="num",
                ),
            ]
        )
        for incident in report.incidents
    ]
    columns = ("Began", "Lasted", "What", "Where", "State", "Calls affected", "Minutes affected")
    none = "No incident of this tenant is recorded in this period."
    return _table("Incidents", "What went wrong, and whom did it touch?", columns, rows, {5, 6}, none)


def _worst(report: Report, zone: ZoneInfo) -> html.Section:
    rows = [
        html.Tr(
            [
                html.Td(band_badge(call.r_min)),
                html.Td(significant(call.mos_min), className="num"),
                html.Td(date_time(call.last_seen_ns, zone)),
                html.Td(call.reference, className="mono wrap"),
                html.Td(call.caller or UNKNOWN_TEXT),
                html.Td(call.callee or UNKNOWN_TEXT),
                html.Td(f"{call.trunk} · {call.codec}"),
                html.Td(percent(call.loss_ratio), className="num"),
                html.Td(f"{call.degraded} / {call.intervals}", className="num"),
                html.Td(duration(call.duration_s), className="num"),
            ]
        )
        for call in report.worst
    ]
    columns = (
        "Lowest R",
        "MOS",
        "Last seen",
        "Reference",
        "From",
        "To",
        "Trunk · codec",
        "Loss",
        "Degraded",
        "Duration",
    )
    none = "No call has a rated interval in this period, or the store keeps intervals for a shorter time."
    return _table(
        "Worst calls", "Which calls were heard worst? Numbers are masked.", columns, rows, {1, 7, 8, 9}, none
    )


def _table(
    title: str, question: str, columns: tuple[str, ...], rows: list[html.Tr], numbers: set[int], none: str = ""
) -> html.Section:
    head = [html.Th(name, scope="col", className="num" if i in numbers else "") for i, name in enumerate(columns)]
    body: Any = html.P(none, className="more")
    if rows:
        body = html.Div(
            html.Table([html.Thead(html.Tr(head)), html.Tbody(rows)]),
            className="wide-table",
            tabIndex=0,
            role="region",
            **aria(label=title),
        )
    return html.Section(
        [
            html.Header([html.H2(title), html.P(question, className="panel-question")], className="panel-head"),
            body,
        ],
        className="panel",
    )
