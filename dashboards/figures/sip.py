"""Session attempts by final outcome, stacked over time."""

from dashboards.numbers import clock_time, percent
from dashboards.theme import outcome_token
from dashboards.views import Outcomes
from telephony.model import Outcome

from .chart import Chart, Frame, Json

OUTCOME_WORDS = {
    Outcome.ANSWERED: "Answered",
    Outcome.BUSY: "Busy",
    Outcome.NO_ANSWER: "No answer",
    Outcome.ABANDONED: "Abandoned",
    Outcome.REJECTED: "Rejected",
    Outcome.REDIRECTED: "Redirected",
    Outcome.CHALLENGED: "Challenged",
    Outcome.CLIENT_ERROR: "Client error",
    Outcome.NO_FACILITY: "Server failure",
    Outcome.TIMEOUT: "Timeout",
}
"""In stacking order: what the callee decided below, what failed on top."""


def outcomes_chart(view: Outcomes, frame: Frame) -> Chart:
    """Draw attempts per step, one bar segment per outcome; outcomes that never came are left out."""
    x = frame.x(view.starts_ns)
    counts, totals = view.counts or {}, view.totals or {}
    present = [outcome for outcome in OUTCOME_WORDS if totals.get(outcome)]
    traces: list[Json] = [
        {
            "type": "bar",
            "name": OUTCOME_WORDS[outcome],
            "x": x,
            "y": counts[outcome],
            "offset": 0,
            "marker": {"color": outcome_token(outcome), "line": {"width": 0}},
            "hovertemplate": "%{y:,}",
        }
        for outcome in present
    ]
    step = f"{view.step_seconds // 60} min" if view.step_seconds > 60 else "minute"
    layout = frame.layout(
        barmode="stack",
        bargap=0.18,
        xaxis=frame.time_axis(view.starts_ns, view.step_seconds),
        yaxis={"rangemode": "tozero", "title": {"text": f"attempts per {step}"}, "nticks": 6},
    )
    rows = tuple(
        (clock_time(at, frame.zone), *("—" if counts[o][i] is None else f"{counts[o][i]:,}" for o in present))
        for i, at in enumerate(view.starts_ns)
    )
    largest = sorted(present, key=lambda o: -totals[o])[:3]
    shares = ", ".join(f"{OUTCOME_WORDS[o].lower()} {percent(totals[o] / view.attempts)}" for o in largest)
    return Chart(
        {"data": traces, "layout": layout},
        (f"Start ({frame.zone.key})", *(OUTCOME_WORDS[o] for o in present)),
        rows,
        f"{view.attempts:,} session attempts came to an end: {shares}.",
    )
