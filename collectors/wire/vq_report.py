"""Voice quality reports of phones: application/vq-rtcpxr bodies (RFC 6035).

A phone publishes what it measured of the stream it received (`LocalMetrics`) and often what the other party told
it of the opposite one (`RemoteMetrics`). Names are case-insensitive, spacing varies, and zero or 127 stand for
"not measured" in fields where that is no value. Nothing here raises; a body without metrics is rejected.
"""

import re
from datetime import UTC, datetime, timedelta

from collectors.facts import RtcpFact, VoipMetrics
from collectors.wire import lenient
from collectors.wire.rtcp import ParsedRtcp
from collectors.wire.rtcp_xr import PLC
from telephony.model import Endpoint

NOT_VQ = "not_vq_report"
NO_METRICS = "no_metrics"
OVERSIZED = "oversized"

MAX_BODY_BYTES = 65_535
MAX_LINES = 200

MAX_COVERS = timedelta(days=7)
"""Longer is a wrong clock, not a call."""

LOCAL, REMOTE = "localmetrics", "remotemetrics"

STATIC_CODECS = {0: "PCMU", 3: "GSM", 4: "G723", 8: "PCMA", 9: "G722", 15: "G728", 18: "G729"}
"""RFC 3551 payload types, for reports that give PT alone."""

# Repeats are bounded and names anchored, so that no line makes these backtrack.
_FIELD = re.compile(r'(?<![A-Za-z])([A-Za-z]{1,16})\s{0,4}=\s{0,4}("[^"]{0,128}"|[^\s;,"]+)')
_FIELD_COLON = re.compile(r"\b(IP|PORT|SSRC)\s{0,4}:\s{0,4}([^\s;,]+)", re.IGNORECASE)
_BARE_ADDRESS = re.compile(
    r"\s{0,4}(?:\[([0-9A-Fa-f.:]{2,45})\]|([0-9.]{7,15}|[0-9A-Fa-f:]{2,45}(?=\s)))(?:\s{1,4}|:)(\d{1,5})\b"
)


_Fields = dict[str, str]
_Section = dict[str, _Fields]


def parse_vq_report(body: bytes | memoryview) -> ParsedRtcp:
    """Return the metrics of a VQSessionReport or VQIntervalReport, with its Call-ID and media addresses.

    The facts are of the stream the reporter received and, marked `by_far_end`, of the one it sent. `local` is the
    reporter's media address. A `CallTerm` report, and it alone, is final.
    """
    if len(body) > MAX_BODY_BYTES:
        return ParsedRtcp((), (OVERSIZED,))
    lines = bytes(body).decode("utf-8", "replace").splitlines()[:MAX_LINES]
    top: dict[str, str] = {}
    sections: dict[str, _Section] = {}
    section: _Section | None = None
    for line in lines:
        name, colon, value = line.partition(":")
        key = name.strip().lower()
        if not colon and key not in (LOCAL, REMOTE) and not key.startswith("vq"):
            continue  # `VQIntervalReport` and `LocalMetrics` come without their colon too
        if key in (LOCAL, REMOTE):
            section = sections.setdefault(key, {})
        elif key in _METRIC_LINES:
            # Some senders leave the LocalMetrics line out.
            section = sections.setdefault(LOCAL, {}) if section is None else section
            section.setdefault(key, {}).update(_fields(value))
        else:
            top.setdefault(key, value.strip())
    report = next((key for key in top if key.startswith("vq") and key.endswith("report")), None)
    if report is None:
        return ParsedRtcp((), (NOT_VQ,))
    local, local_ssrc = _address(top.get("localaddr", ""))
    remote, remote_ssrc = _address(top.get("remoteaddr", ""))
    final = "callterm" in top[report].replace(" ", "").lower()
    facts: list[RtcpFact] = []
    for key, reporter, source in ((LOCAL, local_ssrc, remote_ssrc), (REMOTE, remote_ssrc, local_ssrc)):
        metrics = _metrics(sections.get(key, {}), reporter, source, final, by_far_end=key == REMOTE)
        if metrics is not None:
            facts.append(metrics)
    return ParsedRtcp(
        tuple(facts),
        () if facts else (NO_METRICS,),
        call_id=top.get("callid", ""),
        local=local,
        remote=remote,
        from_vq=True,
    )


_METRIC_LINES = frozenset(
    {"timestamps", "sessiondesc", "jitterbuffer", "packetloss", "burstgaploss", "delay", "signal", "qualityest"}
)


def _fields(value: str) -> _Fields:
    return {name.upper(): text.strip('"') for name, text in _FIELD.findall(value)}


def _address(value: str) -> tuple[Endpoint | None, int]:
    """Return the endpoint and SSRC of an address line: `IP= PORT= SSRC=`, with colons, or a bare address."""
    fields = _fields(value) or {name.upper(): text for name, text in _FIELD_COLON.findall(value)}
    ip, port = fields.get("IP", "").strip("[]"), lenient.to_int(fields.get("PORT"))
    if not ip and (bare := _BARE_ADDRESS.match(value)):
        ip, port = bare[1] or bare[2], int(bare[3])
    endpoint = Endpoint(ip, port) if ip and port is not None and 0 < port < 65_536 else None
    return endpoint, lenient.to_ssrc(fields.get("SSRC"))


def _metrics(
    section: _Section, reporter: int, source: int, final: bool, *, by_far_end: bool
) -> VoipMetrics | None:
    loss = section.get("packetloss", {})
    gaps = section.get("burstgaploss", {})
    delay = section.get("delay", {})
    quality = section.get("qualityest", {})
    session = section.get("sessiondesc", {})
    loss_ratio = lenient.ratio_of_percent(loss.get("NLR"))
    covers_ms = _covers_ms(section.get("timestamps", {}))
    expected = _expected(session, covers_ms)
    plc = lenient.to_int(session.get("PLC"))
    r_conversation, r_listening = (lenient.r_factor(quality.get(key)) for key in ("RCQ", "RLQ"))
    metrics = VoipMetrics(
        reporter_ssrc=reporter,
        source_ssrc=source,
        loss_ratio=loss_ratio,
        discard_ratio=lenient.ratio_of_percent(loss.get("JDR")),
        burst_density=lenient.ratio_of_percent(gaps.get("BLD")),
        gap_density=lenient.ratio_of_percent(gaps.get("GLD")),
        burst_duration_ms=lenient.to_float(gaps.get("BD")),
        gap_duration_ms=lenient.to_float(gaps.get("GD")),
        round_trip_ms=lenient.positive(delay.get("RTD")),
        end_system_delay_ms=lenient.positive(delay.get("ESD")),
        r_factor=r_conversation if r_conversation is not None else r_listening,
        mos_lq=lenient.mos(quality.get("MOSLQ")),
        mos_cq=lenient.mos(quality.get("MOSCQ")),
        plc=PLC[plc] if plc is not None and 0 <= plc < len(PLC) else PLC[0],
        jitter_ms=lenient.milliseconds(delay.get("IAJ")),
        codec=_codec(session),
        expected=expected,
        lost=round(expected * loss_ratio) if expected is not None and loss_ratio is not None else None,
        jitter_buffer_nominal_ms=lenient.to_float(section.get("jitterbuffer", {}).get("JBN")),
        final=final,
        covers_ms=covers_ms,
        by_far_end=by_far_end,
    )
    measured = (
        metrics.loss_ratio,
        metrics.jitter_ms,
        metrics.round_trip_ms,
        metrics.r_factor,
        metrics.mos_lq,
        metrics.mos_cq,
    )
    return metrics if any(figure is not None for figure in measured) else None


def _codec(session: _Fields) -> str:
    name = session.get("PD", "").strip()
    if name:
        return name.upper()
    payload_type = lenient.to_int(session.get("PT"))
    return STATIC_CODECS.get(payload_type, "") if payload_type is not None else ""


def _expected(session: _Fields, covers_ms: float | None) -> int | None:
    """Return packets/s times the time covered; None where silence was suppressed or either is not told."""
    rate = lenient.positive(session.get("PPS"))
    if rate is None or covers_ms is None or session.get("SSUP", "").lower() == "on":
        return None
    return round(rate * covers_ms / 1000) if rate <= 1000 else None


def _covers_ms(timestamps: _Fields) -> float | None:
    start, stop = (_time(timestamps.get(key, "")) for key in ("START", "STOP"))
    if start is None or stop is None or not timedelta(0) < stop - start <= MAX_COVERS:
        return None
    return (stop - start).total_seconds() * 1000


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
