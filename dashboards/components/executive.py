"""The executive page: eight numbers with target, change and trend, on one A4 sheet."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from dash import html

from dashboards.components.panel import state_block
from dashboards.components.tiles import sparkline
from dashboards.components.wiring import aria
from dashboards.numbers import UNKNOWN_TEXT, count, minute_time
from dashboards.reports.words import compared_figure_text, interval_text, n_text, value_text
from dashboards.tenant_views import ExecutiveView, Headline

_LEAST_WEEKS = 2


def executive_body(view: ExecutiveView, zone: ZoneInfo) -> html.Div:
    """Return the page's content."""
    head = html.Div(
        [
            html.Div(
                [
                    html.H1("Voice service at a glance"),
                    html.P(
                        f"28 days, {minute_time(view.since_ns, zone)} to {minute_time(view.until_ns, zone)}, "
                        "beside the 28 days before; lines are 13 weeks"
                    ),
                ]
            )
        ],
        className="body-head",
    )
    if not view.status.drawn:
        return html.Div([head, html.Div(state_block(view.status), className="body-wait")], className="body")
    return html.Div(
        [
            head,
            html.Div([_card(headline) for headline in view.headlines], className="cards"),
            html.Details(
                [
                    html.Summary("Definitions"),
                    html.Ul([html.Li(f"{h.figure.name}: {h.figure.definition}.") for h in view.headlines]),
                ],
                className="definitions",
                open=True,
            ),
        ],
        className="body",
    )


def _written(headline: Headline, value: float | None) -> str:
    if value is None:
        return UNKNOWN_TEXT
    if headline.money:
        return f"{count(round(value))} {headline.money}"
    return value_text(replace(headline.figure, value=value))


def _card(headline: Headline) -> html.Section:
    figure = headline.figure
    met = headline.met
    if headline.target is None:
        target, tone = "no target", ""
    else:
        bound = "at least" if headline.at_least else "at most"
        target = f"target: {bound} {_written(headline, headline.target)}"
        tone = {True: "tone-ok", False: "tone-bad", None: ""}[met]
    verdict = {True: "met", False: "missed", None: "not known"}[met] if headline.target is not None else ""
    compared = compared_figure_text(figure) or f"before: {_written(headline, figure.before)}"
    interval = f"CI {interval_text(figure)}" if interval_text(figure) else ""
    quiet = " quiet" if figure.few or figure.value is None else ""
    return html.Section(
        [
            html.H2(figure.name),
            html.Div(_written(headline, figure.value), className=f"card-value{quiet}"),
            html.Div(
                [target, html.Span(verdict, className=f"verdict {tone}") if verdict else None],
                className="card-line",
            ),
            html.Div(compared, className="card-line"),
            _trend(headline),
            html.P(figure.reason or headline.sentence, className="card-text"),
            html.P(
                f"n = {n_text(figure)} {'' if figure.ratio else figure.n_of} {interval}".strip(),
                className="card-n",
            ),
        ],
        className="panel card",
    )


def _trend(headline: Headline) -> html.Div:
    known, weeks = sum(value is not None for value in headline.trend), len(headline.trend)
    label = f"{headline.figure.name}, {known} of {weeks} weeks known"
    if known < _LEAST_WEEKS:
        return html.Div(f"no trend yet: {known} of {weeks} weeks known" if weeks else "", className="card-trend")
    return html.Div(sparkline(headline.trend), className="card-spark", role="img", **aria(label=label))
