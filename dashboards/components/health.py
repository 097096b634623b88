"""The capture-health strip: how well we see, before anything is believed."""

from typing import Any
from zoneinfo import ZoneInfo

from dash import html

from dashboards.numbers import UNKNOWN_TEXT, clock_time, count, duration, percent, significant
from dashboards.views import AgentHealth, CaptureHealth

from .tiles import strip_cell

_CLOCK_WARN_MS, _CLOCK_BAD_MS = 100.0, 1000.0
_MEASURED_WARN = 0.9
_SHOWN_AGENTS = 12


def health_strip(view: CaptureHealth, now_ns: int, zone: ZoneInfo) -> list[Any]:
    """Return the cells of the strip and the line of agents."""
    cells = [
        _alive(view),
        strip_cell("HEP datagrams", significant(view.datagrams_hz), detail="per second"),
        strip_cell("SIP messages", significant(view.sip_hz), detail="per second"),
        strip_cell("RTCP reports", significant(view.rtcp_hz), detail="per second"),
        _lost(view),
        _counted(
            "Parse errors", view.errors, "Datagrams refused in the last minute; the exporter has the reasons."
        ),
        strip_cell(
            "Duplicates",
            count(view.duplicates),
            detail="last min",
            hint="The same message seen by several agents; counted once.",
        ),
        _counted(
            "Unmatched",
            view.unmatched,
            "RTCP reports that no call's SDP explains: see the findings below.",
        ),
        _clocks(view.agents),
        _measured(view),
        _store(view),
        _age(view, now_ns, zone),
    ]
    return [
        html.Div(cells, className="strip"),
        html.Div([_agent(agent) for agent in view.agents[:_SHOWN_AGENTS]], className="agents"),
    ]


def _alive(view: CaptureHealth) -> html.Div:
    known = len(view.agents)
    if view.agents_alive is None:
        return strip_cell("Agents alive", UNKNOWN_TEXT)
    if not known:
        return strip_cell("Agents alive", "0", detail="none was heard", hint="No agent sent HEP in this range.")
    tone = "ok" if view.agents_alive == known else "bad"
    return strip_cell(
        "Agents alive",
        f"{view.agents_alive} of {known}",
        detail="all heard" if tone == "ok" else "some fell silent",
        tone=tone,
        hint="Capture agents heard in the last seconds, of those heard in this range.",
    )


def _lost(view: CaptureHealth) -> html.Div:
    parts = (view.drops_kernel, view.drops_queue, view.drops_table)
    if any(part is None for part in parts):
        return strip_cell("Our drops", UNKNOWN_TEXT)
    kernel, queue, table = (part or 0 for part in parts)
    all_ = kernel + queue + table
    return strip_cell(
        "Our drops",
        count(all_),
        detail=f"kernel {count(kernel)} · queue {count(queue)} · table {count(table)}" if all_ else "none at all",
        tone="bad" if all_ else "ok",
        hint="What we lost ourselves in the last minute. It is never counted as the network's loss. The kernel's "
        f"drops hold {count(view.drops_ring)} of full rings and {count(view.drops_softnet)} of CPU backlogs.",
    )


def _counted(label: str, value: int | None, hint: str) -> html.Div:
    tone = "" if value is None else "warn" if value else "ok"
    return strip_cell(label, count(value), tone=tone, hint=hint)


def _clocks(agents: tuple[AgentHealth, ...]) -> html.Div:
    offsets = [a.clock_offset_ms for a in agents if a.alive and a.clock_offset_ms is not None]
    if not offsets:
        return strip_cell("Clock offset", UNKNOWN_TEXT, detail="not yet known")
    worst = max(offsets, key=abs)
    tone = "bad" if abs(worst) > _CLOCK_BAD_MS else "warn" if abs(worst) > _CLOCK_WARN_MS else "ok"
    return strip_cell(
        "Clock offset",
        _offset(worst),
        detail="largest of the agents",
        tone=tone,
        hint="Agent's clock against ours, with the network's delay in it.",
    )


def _offset(offset_ms: float) -> str:
    return f"{'+' if offset_ms > 0 else '−' if offset_ms < 0 else ''}{duration(abs(offset_ms) / 1000)}"


def _measured(view: CaptureHealth) -> html.Div:
    ratio = view.measured
    if ratio is None or ratio.value is None:
        return strip_cell("Calls measured", UNKNOWN_TEXT, detail="no call is up")
    return strip_cell(
        "Calls measured",
        percent(ratio.value),
        detail=f"{count(round(ratio.numerator))} / {count(round(ratio.denominator))} up",
        tone="warn" if ratio.enough and ratio.value < _MEASURED_WARN else "",
        hint="Calls up whose media somebody reports on. A young call has no report yet.",
    )


def _store(view: CaptureHealth) -> html.Div:
    waiting, shed = view.spool_rows, view.store_rows_shed
    if waiting is None or shed is None:
        return strip_cell("Store", UNKNOWN_TEXT)
    detail = f"oldest {duration(round(view.spool_age_s or 0))}" if waiting else "nothing waits"
    return strip_cell(
        "Store",
        f"{count(shed)} lost" if shed else f"{count(waiting)} waiting" if waiting else "in step",
        detail=detail,
        tone="bad" if shed else "warn" if waiting else "ok",
        hint="Rows that wait on the collector's disk while the store is away or slow; lost are those for which "
        "store, disk and memory had no room in the last minute.",
    )


def _age(view: CaptureHealth, now_ns: int, zone: ZoneInfo) -> html.Div:
    if view.newest_ns is None:
        return strip_cell("Data age", UNKNOWN_TEXT)
    age_s = max((now_ns - view.newest_ns) / 1e9, 0.0)
    return strip_cell(
        "Data age",
        duration(round(age_s, 1)),
        detail=f"at {clock_time(view.newest_ns, zone)} {zone.key}",
        tone="ok" if age_s < 15 else "bad",
    )


def _agent(agent: AgentHealth) -> html.Div:
    offset = UNKNOWN_TEXT if agent.clock_offset_ms is None else _offset(agent.clock_offset_ms)
    heard = "alive" if agent.alive else f"silent for {duration(round(agent.age_s))}"
    return html.Div(
        [
            html.Span(className=f"dot {'dot-ok' if agent.alive else 'dot-bad'}"),
            html.Strong(agent.node),
            html.Span(f"{heard} · {significant(agent.datagrams_hz)}/s · clock {offset}"),
        ],
        className="agent",
    )
