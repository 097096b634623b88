"""What our interfaces saw, in figures: the cells above the chart, and each observer's quality beside it."""

from typing import Any

from dash import html

from dashboards.numbers import UNKNOWN_TEXT, count, milliseconds, percent, significant
from dashboards.views import Wire, WireQuality
from telephony.kpis import ENOUGH

from .tiles import strip_cell


def wire_strip(view: Wire, span: str) -> html.Div:
    """Return the cells; `span` is the range in words."""
    return html.Div(
        [
            strip_cell(
                "Interfaces",
                view.interfaces or UNKNOWN_TEXT,
                detail=f"{count(view.interfaces_down)} down or gone" if view.interfaces_down else "up",
                tone="bad" if view.interfaces_down else "ok" if view.interfaces else "",
                hint=f"Captured from: {view.interfaces or 'none now'}",
            ),
            strip_cell("RTP packets", significant(view.packets_hz_now), detail="per second"),
            strip_cell(
                "RTP streams",
                count(view.streams_now),
                detail="alive",
                hint="A stream is over when nothing was heard of it for a minute.",
            ),
            _drops("Ring drops", view.ring_drops, span, "Frames that came while our rings were full."),
            _drops(
                "CPU backlog drops",
                view.softnet_drops,
                span,
                "Packets that the kernel dropped before any program could see them, of whatever interface of this "
                "machine: softnet_stat. They may have been of our streams.",
            ),
            strip_cell(
                "Not media",
                count(view.refused),
                detail=span,
                hint="Frames within the filter that are neither RTP nor SIP nor RTCP (STUN, DTLS, others): the "
                "exporter has the kinds.",
            ),
        ],
        className="strip strip-wire",
    )


def _drops(label: str, value: int, span: str, hint: str) -> html.Div:
    note = "Ours, not the network's: intervals that they may have hurt are marked and their loss is not rated."
    return strip_cell(label, count(value), detail=span, tone="bad" if value else "ok", hint=f"{hint} {note}")


def quality_table(rows: tuple[WireQuality, ...]) -> Any:
    """Return a row per observer, each figure with the number of intervals behind it."""
    if not rows:
        return html.P("No interval was measured or reported in this range yet.", className="wire-none")
    heads = (
        ("Seen by", "Who saw it. Of one stream, loss that only one of them sees is before or behind our tap"),
        ("Intervals", "Stream intervals of 10 s"),
        ("Loss", "Packets lost, of those expected"),
        ("p95", "Loss that 95 % of the intervals stay below"),
        ("Jitter p50", "Interarrival jitter (RFC 3550)"),
        ("p95", "Jitter that 95 % of the intervals stay below"),
        ("MOS p50", "On the scale of each stream's codec; n: rated intervals"),
        ("p5", "MOS that 5 % of the rated intervals stay below"),
    )
    return html.Table(
        [
            html.Caption("Each observer of the streams that it saw: not always the same ones."),
            html.Thead(
                html.Tr(
                    [
                        html.Th(text, scope="col", title=hint, className="num" if i else None)
                        for i, (text, hint) in enumerate(heads)
                    ]
                )
            ),
            html.Tbody([_quality_row(row) for row in rows]),
        ],
        className="wire-table",
    )


def _quality_row(row: WireQuality) -> html.Tr:
    """Say `too few` where fewer than 30 intervals stand behind a percentile."""
    enough = row.intervals >= ENOUGH
    jitter, mos = row.jitter_intervals >= ENOUGH, row.mos_intervals >= ENOUGH
    return html.Tr(
        [
            html.Th(
                [row.words, html.Code(row.observer)],
                scope="row",
            ),
            _cell(count(row.intervals), "intervals"),
            _cell(
                percent(row.loss.value),
                f"{count(round(row.loss.numerator))} of {count(round(row.loss.denominator))} packets",
            ),
            _percentile(percent(row.loss_p95), row.intervals, enough),
            _percentile(milliseconds(row.jitter_p50_ms), row.jitter_intervals, jitter),
            _percentile(milliseconds(row.jitter_p95_ms), row.jitter_intervals, jitter),
            _percentile(significant(row.mos_p50), row.mos_intervals, mos, says_n=True),
            _percentile(significant(row.mos_p5), row.mos_intervals, mos),
        ]
    )


def _percentile(value: str, n: int, enough: bool, *, says_n: bool = False) -> html.Td:
    if not n:
        return _cell(UNKNOWN_TEXT, "none")
    if not enough:
        return _cell("too few", f"n = {count(n)}: percentiles are shown from {ENOUGH} on")
    return _cell([value, html.Small(f"n = {count(n)}")] if says_n else value, f"n = {count(n)}")


def _cell(value: Any, hint: str) -> html.Td:
    return html.Td(value, title=hint, className="num")
