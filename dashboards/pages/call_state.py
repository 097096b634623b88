"""What the cache keeps for the page of one call, rendered once per refresh."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dash import dcc, html

from dashboards.components.panel import panel_update
from dashboards.components.rows import call_href
from dashboards.figures.chart import Frame, Json
from dashboards.figures.ladder import ladder_json
from dashboards.figures.lanes import lane_chart
from dashboards.figures.quality import DIRECTION_WORDS
from dashboards.numbers import SECOND_NS, count, percent, significant
from dashboards.pages.rendered import Rendered
from dashboards.queries.call import find_call
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Key
from dashboards.trace_views import CallFinding, CallView, Explanation, Lane, Missing, Why
from dashboards.views import PanelState, Status
from storage.seam import Store
from telephony.model import Direction, Verdict
from telephony.quality import Term

LANES = {Direction.TO_CALLEE: "lane-callee", Direction.TO_CALLER: "lane-caller", Direction.UNKNOWN: "lane-unknown"}
CALL_PANELS = ("ladder", *LANES.values(), "why", "call-findings")
AREAS = ("head", "why", "found")
_ENDED_EVERY_NS = 30 * SECOND_NS
"""An ended call may still get late reports, but not every 2 s."""

VERDICT_WORDS = {
    Verdict.DTX: "The sender was silent and sent nothing: not loss",
    Verdict.COMFORT_NOISE: "Comfort noise: few packets are meant",
    Verdict.DTMF: "Key presses (telephone-event), left out of jitter",
    Verdict.HOLD: "The call was on hold",
    Verdict.REINVITE: "Media was renegotiated",
    Verdict.SSRC_CHANGE: "The stream changed its SSRC: counted as two",
    Verdict.REROUTED: "The stream came from a new address",
    Verdict.DUPLICATE_CAPTURE: "Packets were captured twice: counted once",
    Verdict.T38: "Fax: not voice",
    Verdict.SEQ_RESTART: "Sequence numbers started over: not loss",
    Verdict.PTIME_CHANGE: "The packet length changed",
    Verdict.CLOCK_DRIFT: "The sender's clock runs at another speed: shows as jitter",
    Verdict.EARLY_MEDIA_SPLICE: "Early media and the answered call were spliced",
    Verdict.LATE: "Packets came too late to be played: discarded, not lost",
    Verdict.RETRANSMISSION: "Packets sent again on demand: not voice of its own",
    Verdict.REDUNDANCY: "Later packets carried what was lost: healed, not heard",
    Verdict.OWN_DROP: "We dropped packets ourselves: not the network's loss",
    Verdict.ENCRYPTED_RTCP: "RTCP is encrypted: not believed",
    Verdict.IMPLAUSIBLE_REPORT: "The report contradicts itself: shown, not rated",
    Verdict.COUNTER_RESET: "The reporter's counters started over",
}
_WORDS = {verdict.value: words for verdict, words in VERDICT_WORDS.items()}


@dataclass(frozen=True, slots=True)
class CallState(Rendered):
    """The page of a call, with what the next reading goes on from."""

    read_ns: int
    live: bool


def load_call(store: Store, settings: DashboardSettings) -> Callable[[Key, CallState | None, int], CallState]:
    """Return the loader of the call cache; a key's subject is the Call-ID."""

    def load(key: Key, before: CallState | None, now_ns: int) -> CallState:
        if before is not None and not before.live and now_ns - before.read_ns < _ENDED_EVERY_NS:
            return before
        reader = store.reader(key.scope)
        view = find_call(reader, key.subject, now_ns, settings.time_zone, settings.ladder_messages)
        if isinstance(view, Missing):
            # It may be a call whose first message is on its way: look again at every refresh.
            return render_missing(view, now_ns)
        return render(view, settings, now_ns)

    return load


def render_missing(missing: Missing, now_ns: int) -> CallState:
    """Return the page of a call that is not there, or not for this viewer: nobody can tell which."""
    body = [
        html.H1("Call not found"),
        html.P(["No call ", html.Code(missing.call_id[:200]), " is stored within what you may see."]),
    ]
    if missing.suggestions:
        body += [
            html.H2("Calls that look like it"),
            html.Ul(
                [
                    html.Li([dcc.Link(s.call_id, href=call_href(s.call_id), className="mono"), html.Div(s.words)])
                    for s in missing.suggestions
                ],
                className="suggestions",
            ),
        ]
    else:
        body.append(html.P("It may be older than the store keeps calls, or its Call-ID may be spelt differently."))
    body.append(dcc.Link("Go to the live page", href="/live", className="button"))
    own = {"missing": html.Div(body, className="not-found"), "hidden": True}
    return CallState.of(own=own, read_ns=now_ns, live=True)


def render(view: CallView, settings: DashboardSettings, now_ns: int) -> CallState:
    """Draw the page of a call."""
    frame = Frame(settings.time_zone, view.call_id)
    charts: dict[str, Json] = {}
    panels = {}
    if view.ladder.status.drawn:
        charts["ladder"] = ladder_json(view.ladder, frame)
    shown = f"n = {count(len(view.ladder.messages))} messages · {settings.zone}"
    panels["ladder"] = panel_update(view.ladder.status, shown)
    lanes = {lane.direction: lane for lane in view.lanes}
    for direction, name in LANES.items():
        lane = lanes.get(direction)
        summary = ""
        if lane is None:
            panels[name] = panel_update(Status(PanelState.EMPTY, "No stream of unknown direction."), "", "")
            continue
        if lane.status.drawn:
            chart = lane_chart(lane, frame, view.since_ns, view.until_ns)
            charts[name], summary = chart.to_json(), chart.summary
        panels[name] = panel_update(lane.status, _lane_note(lane), summary or lane.status.reason)
    panels["why"] = panel_update(view.why.status, "ITU-T G.107")
    found = view.findings
    none = Status(PanelState.EMPTY, "Nothing about this call could not be joined or believed.")
    panels["call-findings"] = panel_update(
        Status() if found else none, f"n = {count(sum(f.count for f in found))}"
    )
    return CallState.of(
        charts=charts,
        panels=panels,
        areas={"head": _head(view), "why": _why(view.why), "found": _findings(found) if found else None},
        own={"missing": None, "hidden": False, "unknown_lane": LANES[Direction.UNKNOWN] not in charts},
        read_ns=now_ns,
        live=view.live,
    )


def _lane_note(lane: Lane) -> str:
    loss = percent(lane.lost / lane.expected) if lane.expected else "—"
    return f"n = {count(lane.intervals)} intervals · {count(lane.degraded)} degraded · {loss} lost"


def _head(view: CallView) -> html.Div:
    return html.Div(
        [
            html.Div(
                [
                    html.Span(view.headline, className=f"verdict verdict-{view.tone}"),
                    html.H1(view.call_id, className="mono"),
                ],
                className="call-title",
            ),
            html.Dl(
                [
                    html.Div([html.Dt(fact.label), html.Dd(fact.value)], title=fact.hint, className="fact")
                    for fact in view.facts
                ],
                className="facts",
            ),
            _badges(view),
            html.P(
                [
                    "Other legs: ",
                    *(dcc.Link(other, href=call_href(other), className="mono related") for other in view.related),
                ]
            )
            if view.related
            else None,
        ]
    )


def _badges(view: CallView) -> html.Div | None:
    if not view.verdicts:
        return None
    return html.Div(
        [
            html.Span("Not the network's doing:", className="badge-lead"),
            *(
                html.Span(
                    [html.Strong(name.replace("_", " ")), f" {_WORDS.get(name, '')} ({count(n)} intervals)"],
                    className="tag verdict-tag",
                )
                for name, n in sorted(view.verdicts.items(), key=lambda item: -item[1])
            ),
        ],
        className="badges",
    )


def _why(view: Why) -> Any:
    if not view.explanations:
        return None
    return html.Div([_explanation(e) for e in view.explanations], className="explanations")


_COSTS = frozenset({"Is", "Id", "Ie,eff"})
_RESULTS = frozenset({"R", "MOS"})
_BARS = {"Ro": "gain", "A": "gain", "R": "result", **dict.fromkeys(_COSTS, "cost")}


def _explanation(explanation: Explanation) -> html.Div:
    full = max((term.value for term in explanation.terms if term.term == "Ro"), default=1.0)
    return html.Div(
        [
            html.H3(
                [
                    html.Span(explanation.band, className=f"badge band-{explanation.band.lower()}"),
                    explanation.title,
                ]
            ),
            html.P(explanation.inputs, className="panel-question"),
            html.Table([html.Tbody([_term_row(term, full) for term in explanation.terms])], className="terms"),
            html.P(explanation.note, className="panel-question"),
        ],
        className="explanation",
    )


def _term_row(term: Term, full: float) -> html.Tr:
    main = term.term in _BARS or term.term in _RESULTS
    said: list[Any] = [html.Span(term.sentence)]
    if term.term in _BARS:
        width = min(abs(term.value) / full, 1.0)
        bar = html.Div(className=f"term-bar term-{_BARS[term.term]}", style={"width": f"{width:.1%}"})
        said.insert(0, html.Div(bar, className="term-track"))
    kind = f"{'term-main' if main else 'term-part'}{' term-end' if term.term in _RESULTS else ''}"
    sign = "−" if term.term in _COSTS and term.value > 0 else ""
    return html.Tr(
        [
            html.Th(term.term, scope="row"),
            html.Td(f"{sign}{significant(term.value)}", className="num"),
            html.Td(said),
        ],
        className=kind,
    )


def _findings(found: tuple[CallFinding, ...]) -> html.Ul:
    return html.Ul(
        [
            html.Li(
                [
                    html.Div(
                        [
                            html.Span(f.kind.replace("_", " "), className="tag"),
                            html.Span(f"× {count(f.count)}", className="times") if f.count > 1 else None,
                        ],
                        className="finding-head",
                    ),
                    html.Span(f.text),
                ]
            )
            for f in found
        ],
        className="findings",
    )


assert set(VERDICT_WORDS) == set(Verdict)
assert set(LANES) == set(DIRECTION_WORDS)
