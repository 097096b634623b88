"""The scaling page's tiles, its log of decisions, one decision explained, and what operators told."""

import json
from typing import Any
from zoneinfo import ZoneInfo

from dash import dcc, html

from dashboards.components.tiles import tile
from dashboards.numbers import (
    SECOND_NS,
    UNKNOWN_TEXT,
    clock_time,
    count,
    date_time,
    duration,
    short_time,
    significant,
)
from dashboards.scaling_views import SOURCE_WORDS, Controls, Decision, Log, ScalingSubject, ScalingView, Told

_DAY_NS = 86_400 * SECOND_NS
HOLD_WORDS = {
    "load_missing": "no load of this pool was ever seen",
    "load_stale": "the newest load is too old",
    "load_invalid": "the load is not a number, or negative",
    "load_zero": "the load fell to nothing at once",
    "load_jumped": "the load leapt and was not yet seen again",
    "forecast_stale": "the forecast is too old",
    "forecast_invalid": "the forecast is not a number, or absurd",
    "few_ready": "too few of the pods are ready",
    "stabilising": "more was wanted within the stabilisation time",
    "grace_short": "nothing empties pods, and their termination grace period is shorter than drain.deadline",
}
LIMIT_WORDS = {
    "owner": "Another autoscaler",
    "kill_switch": "Scaling is switched off",
    "freeze": "Frozen",
    "override": "Set by hand",
    "step_up": "Most pods added at once",
    "step_down": "Most pods removed at once",
    "budget": "Budget",
    "maximum": "Maximum",
    "drain": "Pods not empty yet",
}
_VERDICT_WORDS = {
    "scale_up": "up",
    "scale_down": "down",
    "limited": "limited",
    "hold": "held",
    "steady": "steady",
}
_MODE_WORDS = {
    "observe": "decisions are written down",
    "advise": "decisions are advice",
    "act": "decisions are carried out",
}
_TERM_WORDS = {
    "sessions": "calls",
    "packets_per_second": "packets/s",
    "calls_per_second": "calls/s",
    "transcoded_sessions": "transcoded calls",
    "blocking": "blocking",
}


def tiles(view: ScalingView) -> list[html.Div]:
    """Return what holds now of a pool."""
    newest, now_ns = view.newest, view.at_ns
    if newest is None:
        return []
    age = duration(max(now_ns - newest.at_ns, 0) // SECOND_NS)
    lead = duration(newest.lead_seconds)
    told = view.controls.rows
    held = ", ".join(dict.fromkeys(_control_words(each) for each in told)) or "none"
    return [
        tile(
            "Pods", count(newest.final), f"{count(newest.ready)} ready · {count(newest.draining)} draining",
            hint="Asked for by the newest decision; ready and draining as it saw them",
        ),
        tile(
            "Need", count(newest.wanted),
            _because(newest),
            hint="The largest of what the sources ask for, before holds and limits",
        ),
        tile("Mode", newest.mode, _MODE_WORDS.get(newest.mode, ""), hint="How far decisions about this pool go"),
        tile(
            "Lead time", lead, "from a new pod to a ready one · p95",
            hint="Learned from pods that became ready; as far ahead the forecast is looked at",
        ),
        tile(
            "Controls", count(len(told)), held, hint="What operators told, in force now", quiet=not told,
        ),
        tile("Last decision", f"{age} ago", newest.verdict.replace("_", " "), hint=newest.message),
    ]  # fmt: skip


def _control_words(told: Told) -> str:
    scope = "all pools " if told.target == "*" else ""
    return f"{scope}{told.kind} {told.to}".strip()


def _source(source: str) -> str:
    return "blocking" if source == "blocking" else SOURCE_WORDS.get(source, source or UNKNOWN_TEXT).lower()


def _because(row: Decision) -> str:
    return _source(row.source) if row.term in ("", row.source) else f"{_source(row.source)} · {_term(row.term)}"


def _term(term: str) -> str:
    return _TERM_WORDS.get(term, term)


def log_table(log: Log, subject: ScalingSubject, shown: str, zone: ZoneInfo) -> html.Div:
    """Return a page of decisions, newest first; each opens its explanation."""
    columns = (f"When ({zone.key})", "Pods", "Ready", "Need", "Because of", "Held or limited", "Done")
    return html.Div(
        [
            html.Div(
                html.Table(
                    [
                        html.Caption("Decisions, newest first", className="visually-hidden"),
                        _head(columns, ("Ready", "Need")),
                        html.Tbody([_log_row(row, log, subject, shown, zone) for row in log.rows]),
                    ]
                ),
                className="scroll",
                tabIndex=0,
            ),
            _pager(log, subject),
        ]
    )


def _log_row(row: Decision, log: Log, subject: ScalingSubject, shown: str, zone: ZoneInfo) -> html.Tr:
    fresh = log.rows[0].at_ns - row.at_ns < _DAY_NS
    when = clock_time(row.at_ns, zone) if fresh and not log.page else date_time(row.at_ns, zone)
    link = dcc.Link(when, href=_href(subject, subject.page, row.id), title=row.message)
    change = f"{row.current} → {row.final}" if row.final != row.current else str(row.final)
    verdict = html.Span(_VERDICT_WORDS.get(row.verdict, row.verdict), className=f"tag verdict-{row.verdict}")
    why = [LIMIT_WORDS.get(row.limit, row.limit).lower()] if row.limit else []
    why += [HOLD_WORDS.get(hold, hold.replace("_", " ")) for hold in row.holds]
    return html.Tr(
        [
            html.Th(link, scope="row"),
            html.Td([f"{change} ", verdict]),
            html.Td(count(row.ready), className="num"),
            html.Td(count(row.wanted), className="num"),
            html.Td(_because(row)),
            html.Td(", ".join(why), className="wrap"),
            html.Td(_done(row)),
        ],
        className="chosen" if row.id == shown else "",
    )


def _done(row: Decision) -> str:
    if row.error:
        return "failed"
    if row.applied:
        return "yes"
    return "nothing to do" if row.final == row.current else f"no, {row.mode} mode"


def _pager(log: Log, subject: ScalingSubject) -> html.Nav:
    newer = [dcc.Link("Newer", href=_href(subject, log.page - 1, ""), className="tool")] if log.page else []
    older = [dcc.Link("Older", href=_href(subject, log.page + 1, ""), className="tool")] if log.more else []
    return html.Nav([*newer, html.Span(f"page {log.page + 1}", className="quiet-word"), *older], className="pager")


def _href(subject: ScalingSubject, page: int, decision: str) -> str:
    return f"/scaling{ScalingSubject(subject.pool, subject.reach_key, page, decision).to_search()}"


def explanation(row: Decision, zone: ZoneInfo) -> html.Div:
    """Return all that led to a decision."""
    message = row.message[:1].upper() + row.message[1:]
    parts: list[Any] = [html.P(message, className="said"), _facts(row, zone), _needs(row)]
    if row.holds:
        items = [html.Li(HOLD_WORDS.get(hold, hold.replace("_", " "))) for hold in row.holds]
        parts += [html.H3("No pod goes, because"), html.Ul(items)]
    if row.limits:
        parts += [html.H3("Limits that changed the number"), _limits(row)]
    if row.inputs:
        parts.append(
            html.Details(
                [
                    html.Summary(f"Inputs, as seen (digest {row.digest})"),
                    html.Pre(_indented(row.inputs), tabIndex=0),
                ]
            )
        )
    return html.Div(parts, className="explained")


def _facts(row: Decision, zone: ZoneInfo) -> html.Dl:
    quantile = f"q{row.quantile * 100:g} of the slot maximum" if row.quantile else UNKNOWN_TEXT
    forecast = f"issued {clock_time(row.forecast_ns, zone)}, {quantile}" if row.forecast_ns else "none"
    pairs = [
        ("Decision", row.id),
        ("Made", date_time(row.at_ns, zone)),
        ("Mode", f"{row.mode}: {_MODE_WORDS.get(row.mode, '')}"),
        ("Pods", f"{row.current} → {row.final}, {row.ready} ready, {row.draining} draining"),
        ("Carried out", f"{_done(row)}{f': {row.error}' if row.error else ''}"),
        ("Lead time", duration(row.lead_seconds)),
        ("Forecast", forecast),
        ("Load as of", clock_time(row.load_ns, zone)),
    ]
    if row.cost_per_hour:
        pairs.append(("Cost per hour", significant(row.cost_per_hour)))
    cells: list[Any] = []
    for name, text in pairs:
        cells.append(html.Div([html.Dt(name), html.Dd(text)], className="fact"))
    return html.Dl(cells, className="facts")


def _needs(row: Decision) -> html.Div:
    most = max((need.pods for need in row.needs), default=0)
    columns = ("Source", "Pods", "By", "Why")
    body = [
        html.Tr(
            [
                html.Th(_source(need.source), scope="row"),
                html.Td(count(need.pods), className="num"),
                html.Td(_term(need.term)),
                html.Td(need.why, className="wrap"),
            ],
            className="chosen" if need.pods == most else "",
        )
        for need in row.needs
    ]
    return _table(columns, body, numbers=("Pods",))


def _limits(row: Decision) -> html.Div:
    body = [
        html.Tr(
            [
                html.Th(LIMIT_WORDS.get(limit.limit, limit.limit), scope="row"),
                html.Td(f"{limit.before} → {limit.after}", className="num"),
                html.Td(limit.why, className="wrap"),
            ]
        )
        for limit in row.limits
    ]
    return _table(("Limit", "Pods", "Why"), body, numbers=("Pods",))


def _table(columns: tuple[str, ...], body: list[html.Tr], numbers: tuple[str, ...] = ()) -> html.Div:
    return html.Div(
        html.Table([_head(columns, numbers), html.Tbody(body)]),
        className="scroll",
        tabIndex=0,
    )


def _head(columns: tuple[str, ...], numbers: tuple[str, ...]) -> html.Thead:
    """Return the head of a table, over numbers aligned as they are."""
    return html.Thead(
        html.Tr([html.Th(text, scope="col", className="num" if text in numbers else "") for text in columns])
    )


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2)
    except ValueError:
        return text


def controls_table(controls: Controls, zone: ZoneInfo) -> Any:
    """Return what operators told, in force now, each with the button that ends it."""
    if not controls.rows:
        return html.P("Nothing is in force: the policy decides alone.", className="quiet-word")
    columns = ("What", "Of", "By", "Why", f"Since ({zone.key})", "Until", "")
    body = [
        html.Tr(
            [
                html.Th(f"{each.kind} {each.to}".strip(), scope="row"),
                html.Td("all pools" if each.target == "*" else each.target),
                html.Td(each.author),
                html.Td(each.reason or UNKNOWN_TEXT, className="wrap"),
                html.Td(short_time(each.starts_ns, zone)),
                html.Td("released" if each.until_ns is None else short_time(each.until_ns, zone)),
                html.Td(
                    html.Button(
                        "Release",
                        id={"type": "scaling-release", "id": each.id},
                        n_clicks=0,
                        className="tool",
                        title=f"End {each.kind} of {each.target} now",
                    )
                ),
            ]
        )
        for each in controls.rows
    ]
    return _table(columns, body)
