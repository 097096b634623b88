"""The overview of tenants: one row each, sorted by the column that the address names."""

from urllib.parse import quote
from zoneinfo import ZoneInfo

from dash import dcc, html

from dashboards.components.panel import state_block
from dashboards.components.tiles import sparkline
from dashboards.components.wiring import aria
from dashboards.numbers import count, minute_time
from dashboards.reports.model import Figure
from dashboards.reports.words import compared_figure_text, interval_text, n_text, value_text
from dashboards.tenant_views import TenantRow, TenantsView

DEFAULT_SORT = "-attempts"
_FIGURES = (
    ("attempts", "Attempts", "Session attempts with a final outcome; below, the change to the 7 days before"),
    ("asr", "ASR", "Answer-seizure ratio (ITU-T E.425); below, n"),
    ("ner", "NER", "Network effectiveness ratio (ITU-T E.425); below, n"),
    ("mos_nb_p5", "MOS p5", "MOS that 95 % of rated narrowband stream time is above; below, stream-seconds"),
    ("mos_nb_p50", "MOS p50", "Median MOS of rated narrowband stream time; below, stream-seconds"),
    ("degraded", "Degraded", "Rated stream time with R below 70; below, stream-seconds"),
    ("one_way", "One-way", "Answered calls with media in one direction only; below, n"),
)
SORTS = ("tenant", *(key for key, _, _ in _FIGURES), "incidents")


def tenants_body(view: TenantsView, sort: str, zone: ZoneInfo) -> html.Div:
    """Return the page's content."""
    if not view.status.drawn:
        return html.Div(
            [html.H1("Tenants"), html.Div(state_block(view.status), className="body-wait")], className="body"
        )
    rows = _sorted(view.rows, sort)
    heads = [_head("tenant", "Tenant", "Name", sort, number=False)]
    heads += [_head(key, words, hint, sort) for key, words, hint in _FIGURES]
    heads += [
        _head("incidents", "Incidents", "Incidents that touched these days", sort),
        html.Th("Attempts over time", scope="col"),
    ]
    span = f"{minute_time(view.since_ns, zone)} to {minute_time(view.until_ns, zone)}"
    cut = f" · the {len(rows)} with the most attempts" if view.cut else ""
    return html.Div(
        [
            html.Div(
                [html.H1("Tenants"), html.P(f"{span} · n = {count(len(rows))} tenants{cut}")],
                className="body-head",
            ),
            html.Section(
                html.Div(
                    html.Table([html.Thead(html.Tr(heads)), html.Tbody([_row(row) for row in rows])]),
                    className="wide-table",
                    tabIndex=0,
                    role="region",
                    **aria(label="Tenants of the last 7 days"),
                ),
                className="panel",
            ),
        ],
        className="body",
    )


def _sorted(rows: tuple[TenantRow, ...], sort: str) -> list[TenantRow]:
    """Return rows by a column; those without a value, or with too few observations for one, come last."""
    key, falling = sort.removeprefix("-"), sort.startswith("-")

    def value(row: TenantRow) -> float | None:
        if key == "incidents":
            return float(row.incidents)
        figure = row.figures[key]
        return None if figure.few else figure.value

    by_name = sorted(rows, key=lambda row: row.name, reverse=falling and key == "tenant")
    if key == "tenant":
        return by_name
    known = [(found, row) for row in by_name if (found := value(row)) is not None]
    known.sort(key=lambda pair: -pair[0] if falling else pair[0])
    return [row for _, row in known] + [row for row in by_name if value(row) is None]


def _head(key: str, words: str, hint: str, sort: str, *, number: bool = True) -> html.Th:
    chosen = sort.removeprefix("-") == key
    falling = sort.startswith("-")
    other = key if (not chosen and key == "tenant") or (chosen and falling) else f"-{key}"
    mark = (" ▼" if falling else " ▲") if chosen else ""
    return html.Th(
        dcc.Link(f"{words}{mark}", href=f"/tenants?sort={other}", title=f"{hint}. Sort by it."),
        scope="col",
        className="num" if number else "",
        **aria(sort=("descending" if falling else "ascending") if chosen else "none"),
    )


def _row(row: TenantRow) -> html.Tr:
    return html.Tr(
        [
            html.Th(dcc.Link(row.name, href=f"/tenant/{quote(row.name, safe='')}"), scope="row"),
            *(_cell(row.figures[key], changed=key == "attempts") for key, _, _ in _FIGURES),
            html.Td(count(row.incidents), className="num"),
            html.Td(html.Div(sparkline(row.trend), className="spark-cell")),
        ]
    )


def _cell(figure: Figure, *, changed: bool) -> html.Td:
    below = html.Div(
        compared_figure_text(figure) if changed else n_text(figure), className="below wrap" if changed else "below"
    )
    hint = figure.reason or f"{figure.definition}. {interval_text(figure)}"
    quiet = "quiet-word" if figure.few or figure.value is None else ""
    return html.Td(
        [html.Div(value_text(figure), className=quiet), below],
        className="num",
        title=hint,
    )
