"""The ladder of a call as SVG: a lifeline per endpoint, an arrow per message and hop.

Made on the server as text, with every value escaped; the browser parses it as XML and shows it. Colours are
classes of the style sheet; an exported file carries its own.
"""

import re
from xml.sax.saxutils import escape, quoteattr

from dashboards.figures.chart import Frame, Json
from dashboards.numbers import clock_time, count, duration
from dashboards.theme import FONT, MONO, TOKENS, Scheme
from dashboards.trace_views import Ladder, LadderMessage

_LEFT, _COLUMN, _RIGHT = 104, 210, 60
_TOP, _ROW, _GAP_ROW = 74, 34, 30
_GAP_SECONDS = 3.0
_HEAD_WIDTH = 176
_LABEL_LENGTH = 28
_KIND_TOKENS = {
    "request": "accent",
    "provisional": "text-3",
    "success": "line-4",
    "redirect": "line-3",
    "failure": "bad-text",
}


_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
"""What XML 1.0 cannot hold in any writing (section 2.2)."""


def _text(value: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", value))


def ladder_svg(view: Ladder, frame: Frame, *, standalone: bool = False) -> str:
    """Return the drawing; `standalone` gives a file with its own colours."""
    lanes = len(view.endpoints)
    width = _LEFT + _COLUMN * max(lanes - 1, 1) + _HEAD_WIDTH // 2 + _RIGHT
    body, y = [], _TOP + 22
    previous = 0.0
    for i, message in enumerate(view.messages):
        if i and message.since_start_s - previous > _GAP_SECONDS:
            body.append(_gap(y, width, message.since_start_s - previous))
            y += _GAP_ROW
        body.append(_arrow(message, y, frame))
        previous = message.since_start_s
        y += _ROW
    height = y + 10
    heads = [_head(endpoint, i, height) for i, endpoint in enumerate(view.endpoints)]
    title = _text(_summary(view))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" class="ladder-svg" role="img" aria-label={quoteattr(_summary(view))}>'
        f"<title>{title}</title>{_style() if standalone else ''}{_MARKERS}{''.join(heads)}{''.join(body)}</svg>"
    )


_MARKERS = (
    "<defs>"
    + "".join(
        f'<marker id="tip-{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        f'orient="auto-start-reverse"><path class="tip {kind}" d="M0 0.8 10 5 0 9.2z"/></marker>'
        for kind in _KIND_TOKENS
    )
    + "</defs>"
)


def _x(lane: int) -> int:
    return _LEFT + _COLUMN * lane + _HEAD_WIDTH // 2 - 30


def _head(endpoint: str, lane: int, height: int) -> str:
    x = _x(lane)
    address, _, port = endpoint.rpartition(":")
    return (
        f'<g class="party"><line class="life" x1="{x}" y1="{_TOP - 12}" x2="{x}" y2="{height - 6}"/>'
        f'<rect class="box" x="{x - _HEAD_WIDTH // 2}" y="8" width="{_HEAD_WIDTH}" height="50" rx="9"/>'
        f'<text class="address" x="{x}" y="30" text-anchor="middle">{_text(address or endpoint)}</text>'
        f'<text class="port" x="{x}" y="47" text-anchor="middle">port {_text(port)}</text></g>'
    )


def _gap(y: int, width: int, seconds: float) -> str:
    return (
        f'<g class="pause"><line x1="{_LEFT - 30}" y1="{y - 6}" x2="{width - 20}" y2="{y - 6}"/>'
        f'<text x="{_LEFT - 38}" y="{y - 2}" text-anchor="end">{_text(duration(seconds))}</text></g>'
    )


def _arrow(message: LadderMessage, y: int, frame: Frame) -> str:
    x1, x2 = _x(message.src), _x(message.dst)
    classes = f"message {message.kind}{' again' if message.retransmission else ''}"
    middle = (x1 + x2) / 2
    if message.src == message.dst:
        line = f'<path class="wire" d="M{x1} {y - 8}h36v14h-30" marker-end="url(#tip-{message.kind})"/>'
        middle, anchor = x1 + 44, "start"
    else:
        inset = 3 if x2 > x1 else -3
        line = (
            f'<line class="wire" x1="{x1 + inset}" y1="{y}" x2="{x2 - inset}" y2="{y}" '
            f'marker-end="url(#tip-{message.kind})"/>'
        )
        anchor = "middle"
    label = message.label if len(message.label) <= _LABEL_LENGTH else f"{message.label[: _LABEL_LENGTH - 1]}…"
    text = label + (" (again)" if message.retransmission else "")
    sdp = ""
    if message.has_sdp:
        offset = 4 + 3.6 * len(text)
        at = middle + offset if anchor == "middle" else middle + 2 * offset
        sdp = (
            f'<rect class="sdp" x="{at:.0f}" y="{y - 18}" width="30" height="14" rx="4"/>'
            f'<text class="sdp-text" x="{at + 15:.0f}" y="{y - 7.5}" text-anchor="middle">SDP</text>'
        )
    return (
        f'<g class="{classes}" tabindex="0"><title>{_text(_tooltip(message, frame))}</title>'
        f'<rect class="row" x="0" y="{y - 22}" width="100%" height="{_ROW}"/>'
        f'<text class="time" x="{_LEFT - 38}" y="{y + 1}" text-anchor="end">'
        f"{_since(message.since_start_s)}</text>{line}"
        f'<text class="label" x="{middle:.0f}" y="{y - 7}" text-anchor="{anchor}">{_text(text)}</text>{sdp}</g>'
    )


def _since(seconds: float) -> str:
    return f"+{seconds:.3f} s" if seconds < 1000 else f"+{seconds:.1f} s"


def _tooltip(message: LadderMessage, frame: Frame) -> str:
    lines = [
        message.label + (" (retransmission)" if message.retransmission else ""),
        f"CSeq {message.cseq}",
        f"{clock_time(message.at_ns, frame.zone)} {frame.zone.key}, {_since(message.since_start_s)} s",
        f"seen by {message.node}" if message.node else "",
        message.detail,
        "with SDP" if message.has_sdp else "",
    ]
    return "\n".join(line for line in lines if line)


def _summary(view: Ladder) -> str:
    n, parties = len(view.messages), len(view.endpoints)
    span = view.messages[-1].since_start_s if view.messages else 0.0
    again = sum(message.retransmission for message in view.messages)
    return f"{count(n)} messages between {parties} endpoints in {duration(span)}, {count(again)} retransmitted."


def _style() -> str:
    token = TOKENS[Scheme.LIGHT]
    rules = [
        f"text{{font-family:{FONT};font-size:12px;fill:{token['text']}}}",
        f".time{{font-family:{MONO};font-size:11px;fill:{token['text-3']}}}",
        f".address{{font-weight:600}}.port,.pause text{{fill:{token['text-3']};font-size:11px}}",
        f".box{{fill:{token['surface-2']};stroke:{token['border-strong']}}}",
        f".life{{stroke:{token['border-strong']};stroke-dasharray:3 4}}.pause line{{stroke:{token['border']}}}",
        ".row{fill:none}.wire{stroke-width:1.6;fill:none}.again .wire{stroke-dasharray:6 4}",
        f".sdp{{fill:{token['surface-3']}}}.sdp-text{{font-size:9px}}",
        *(
            f".{kind} .wire{{stroke:{token[name]}}}.tip.{kind}{{fill:{token[name]}}}"
            for kind, name in _KIND_TOKENS.items()
        ),
    ]
    return f"<style>{_text(''.join(rules))}</style>"


def ladder_table(view: Ladder, frame: Frame) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return columns and rows of the ladder as text: the alternative to the drawing, and its CSV."""
    columns = (
        f"Time ({frame.zone.key})",
        "Since start (s)",
        "From",
        "To",
        "Message",
        "CSeq",
        "SDP",
        "Retransmission",
        "Seen by",
    )
    rows = tuple(
        (
            clock_time(m.at_ns, frame.zone),
            f"{m.since_start_s:.6f}",
            view.endpoints[m.src],
            view.endpoints[m.dst],
            m.label,
            m.cseq,
            "yes" if m.has_sdp else "no",
            "yes" if m.retransmission else "no",
            m.node,
        )
        for m in view.messages
    )
    return columns, rows


def ladder_json(view: Ladder, frame: Frame) -> Json:
    """Return what the browser gets of a ladder: the drawing, its table and its summary."""
    columns, rows = ladder_table(view, frame)
    return {"svg": ladder_svg(view, frame), "table": {"columns": columns, "rows": rows}, "summary": _summary(view)}
