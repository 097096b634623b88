"""The deep dive on the page of a call: what tshark knows of its packets, on demand, for engineers only.

Nothing runs until somebody asks; one at a time, since each is a process of its own that works for seconds.
"""

import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dash import Dash, Input, Output, State, html
from flask import request

from collectors.capture.base import CaptureError
from collectors.deepdive import DeepDive, DeepDiveError, deep_dive
from dashboards.auth import scope_of
from dashboards.components.panel import state_block
from dashboards.components.wiring import aria, on_server
from dashboards.numbers import count, percent, significant
from dashboards.services import Services
from dashboards.views import PanelState, Status
from storage.seam import OutOfScope, Scope

_BUSY = threading.Lock()
_SHOWN = 200
"""Rows of a table on the page; `surgecast call ID --deep` lists all of them."""
_SECOND_NS = 1_000_000_000


def dive_panel() -> html.Section:
    """Return the panel with its button; the result comes when it is asked for."""
    return html.Section(
        [
            html.Header(
                [
                    html.Div(
                        [
                            html.H2("Deep dive", id="dive-title"),
                            html.Div(
                                html.Button(
                                    "Deep dive",
                                    id="dive-run",
                                    n_clicks=0,
                                    className="tool",
                                    title="Let tshark look at the packets of this call",
                                ),
                                className="panel-tools",
                            ),
                        ],
                        className="panel-line",
                    ),
                    html.Div(
                        html.P("What does tshark know of this call's packets?", className="panel-question"),
                        className="panel-line",
                    ),
                ],
                className="panel-head",
            ),
            html.Div(html.Div(id="dive-result", **aria(live="polite")), className="panel-body"),
        ],
        id="dive-panel",
        className="panel panel-dive",
        **aria(labelledby="dive-title"),
    )


def register(app: Dash, services: Services) -> None:
    """Wire the button."""

    @on_server(
        app,
        Output("dive-result", "children"),
        Input("dive-run", "n_clicks"),
        State("call-id", "data"),
        running=[
            (Output("dive-run", "disabled"), True, False),
            (Output("dive-run", "children"), "Looking …", "Deep dive"),
        ],
        prevent_initial_call=True,
    )
    def on_click(_n: int | None, call_id: str) -> Any:
        return dived(services, scope_of(request), call_id)


def dived(services: Services, scope: Scope, call_id: str) -> Any:
    """Return the result of a deep dive, or why there is none."""
    if scope.tenants is not None:
        # What shared trunks carry, and numbers as they were dialled, are no tenant's to see.
        return state_block(Status(PanelState.NOT_ALLOWED, "Packets are for engineers only."))
    if not _BUSY.acquire(blocking=False):
        return state_block(Status(PanelState.EMPTY, "Another deep dive is running: try again in a moment."))
    try:
        return render(_dive(services, scope, call_id))
    except OutOfScope:
        return state_block(Status(PanelState.EMPTY, "The store knows no such call."))
    except _Unavailable as reason:
        return state_block(Status(PanelState.EMPTY, str(reason)))
    finally:
        _BUSY.release()


class _Unavailable(Exception):
    """There is no deep dive of this call; the message says why."""


def _dive(services: Services, scope: Scope, call_id: str) -> DeepDive:
    # Here and not above: its kernels compile when they are imported, and most pages do without.
    from collectors.callpackets import save_call_packets
    from collectors.capture.packetslice import PacketsGone

    trace = services.store.reader(scope).call(call_id)
    with tempfile.TemporaryDirectory(prefix="surgecast-call-") as folder:
        try:
            saved = save_call_packets(services.packets, call_id, trace, Path(folder) / "call.pcapng")
            return deep_dive(saved.path)
        except (PacketsGone, CaptureError, DeepDiveError) as error:
            raise _Unavailable(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


def render(dive: DeepDive) -> Any:
    """Return what tshark knows, as tables."""
    start_ns = min([*(step.time_ns for step in dive.sip), *(report.time_ns for report in dive.rtcp)], default=0)

    def seconds(at_ns: int) -> str:
        return f"{(at_ns - start_ns) / _SECOND_NS:.3f}"

    return html.Div(
        [
            html.P(f"{dive.tool}" + (" · not all messages and reports are listed" if dive.cut else "")),
            _table(
                "SIP",
                ("s", "hop", "message", "CSeq"),
                [(seconds(s.time_ns), f"{s.src} → {s.dst}", s.what, s.cseq) for s in dive.sip],
            ),
            _table("SDP", ("from", "line"), [(line.src, line.text) for line in dive.sdp]),
            _table(
                "RTP streams",
                ("stream", "SSRC", "payload", "packets", "lost", "jitter ms (mean, max)", "longest gap ms"),
                [
                    (
                        f"{s.src} → {s.dst}",
                        f"0x{s.ssrc:08x}",
                        s.payload,
                        count(s.packets),
                        f"{count(s.lost)} ({percent(s.lost_ratio)})",
                        f"{significant(s.mean_jitter_ms)}, {significant(s.max_jitter_ms)}",
                        significant(s.max_delta_ms),
                    )
                    for s in dive.streams
                ],
            ),
            _table(
                "RTCP",
                ("s", "hop", "kind", "lost in all", "jitter (ticks)"),
                [
                    (
                        seconds(r.time_ns),
                        f"{r.src} → {r.dst}",
                        r.kind,
                        _or_dash(r.cumulative_lost),
                        _or_dash(r.jitter_ticks),
                    )
                    for r in dive.rtcp
                ],
            ),
            _table(
                "Expert information",
                ("severity", "n", "protocol", "what"),
                [(e.severity, count(e.count), e.protocol, e.summary) for e in dive.experts],
            ),
        ],
        className="dive",
    )


def _or_dash(value: int | None) -> str:
    return "—" if value is None else count(value)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> html.Details:
    more = f", first {_SHOWN}" if len(rows) > _SHOWN else ""
    return html.Details(
        [
            html.Summary(f"{title} ({count(len(rows))}{more})"),
            html.Div(
                html.Table(
                    [
                        html.Thead(html.Tr([html.Th(column, scope="col") for column in columns])),
                        html.Tbody([html.Tr([html.Td(cell) for cell in row]) for row in rows[:_SHOWN]]),
                    ]
                ),
                className="chart-table",
                tabIndex=0,
            ),
        ],
        open=0 < len(rows) <= _SHOWN,
    )
