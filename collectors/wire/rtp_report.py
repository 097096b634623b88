"""Quality reports that are not RTCP: RTP-agent JSON (HEP types 34 and 35) and the X-RTP-Stat SIP header.

Both are what some box says of a stream, in words of its own. What a key means was taken from the senders, and
what two senders mean differently is left out rather than guessed.
"""

from collections.abc import Mapping

from collectors.facts import VoipMetrics
from collectors.wire import lenient
from collectors.wire.rtcp import ParsedRtcp
from telephony.model import Endpoint

AGENT_KEYS = frozenset({"RTP_SIP_CALL_ID", "CORRELATION_ID", "RFACTOR", "MOS"})
"""One of these makes a JSON object an RTP-agent report."""

FINAL_TYPES = frozenset({"FINAL", "HANGUP", "CHANNEL_DESTROY"})
"""`TYPE` of the report that closes the stream."""

FREESWITCH_TYPE = "CHANNEL_DESTROY"

NO_METRICS = "no_metrics"

MAX_PACKETS = 1 << 27
"""A month at 50 packets/s; more is no count of a call."""


def rtp_agent_report(report: Mapping[str, object]) -> ParsedRtcp:
    """Return what an RTP-agent report says of the stream from SRC to DST; type 35 carries MOS and R alone.

    FreeSWITCH (hepipe) adds up both directions in its packet counts and puts a variance under JITTER: of those
    reports only MOS is taken.
    """
    kind = str(report.get("TYPE", "")).upper()
    mixed = kind == FREESWITCH_TYPE
    expected = None if mixed else lenient.to_int(report.get("EXPECTED_PK"))
    lost = None if mixed else lenient.to_int(report.get("PACKET_LOSS"))
    if expected is None or lost is None or not 0 <= lost <= expected <= MAX_PACKETS:
        expected = lost = None
    name = report.get("CODEC_NAME")
    metrics = VoipMetrics(
        reporter_ssrc=0,
        source_ssrc=lenient.to_ssrc(report.get("SSRC")),
        loss_ratio=lost / expected if expected and lost is not None else None,
        discard_ratio=None,
        r_factor=lenient.r_factor(report.get("RFACTOR")),
        mos_cq=lenient.mos(report.get("MOS")),
        jitter_ms=None if mixed else lenient.milliseconds(report.get("MEAN_JITTER", report.get("JITTER"))),
        codec=name.upper() if isinstance(name, str) else "",
        expected=expected,
        lost=lost,
        final=kind in FINAL_TYPES,
    )
    if metrics.mos_cq is None and metrics.r_factor is None and metrics.jitter_ms is None and not expected:
        return ParsedRtcp((), (NO_METRICS,))
    call_id = report.get("RTP_SIP_CALL_ID") or report.get("CORRELATION_ID")
    return ParsedRtcp(
        (metrics,),
        call_id=call_id if isinstance(call_id, str) else "",
        # The report speaks of the stream SRC to DST, and a report is sent by who receives the stream.
        local=_endpoint(report, "DST"),
        remote=_endpoint(report, "SRC"),
        from_vq=True,
    )


def _endpoint(report: Mapping[str, object], side: str) -> Endpoint | None:
    ip, port = report.get(f"{side}_IP"), lenient.to_int(report.get(f"{side}_PORT"))
    if not isinstance(ip, str) or not ip or port is None or not 0 < port < 65_536:
        return None
    return Endpoint(ip, port)


def parse_rtp_stat(header_value: str) -> VoipMetrics | None:
    """Return what an X-RTP-Stat or P-RTP-Stat header of a BYE says of the stream its sender received.

    None where it has none of the figures. PR, PL, JI, DL or LA and DU are packets received, packets lost (of
    the received stream first), jitter and round trip in ms, and seconds of call; CS is the call's setup time.

    >>> said = parse_rtp_stat("PS=300,OS=48000,PR=360,OR=58400,PL=5,JI=2,LA=40,DU=7")
    >>> said.expected, said.lost, said.jitter_ms, said.round_trip_ms, said.covers_ms
    (365, 5, 2.0, 40.0, 7000.0)
    """
    figures: dict[str, str] = {}
    # Entries are divided by semicolons and their values by commas (AVM), or entries by commas (Cisco).
    for entry in header_value[:2048].split(";" if ";" in header_value else ","):
        name, _, value = entry.partition("=")
        figures.setdefault(name.strip().upper(), value.split(",")[0].strip())
    received, lost = lenient.to_int(figures.get("PR")), lenient.to_int(figures.get("PL"))
    jitter_ms = lenient.milliseconds(figures.get("JI"))
    round_trip_ms = lenient.positive(figures.get("DL", figures.get("LA")))
    if received is None and lost is None and jitter_ms is None and round_trip_ms is None:
        return None
    expected = None
    if received is not None and lost is not None and 0 <= received <= MAX_PACKETS and 0 <= lost <= MAX_PACKETS:
        expected = received + lost
    seconds = lenient.positive(figures.get("DU"))
    return VoipMetrics(
        reporter_ssrc=0,
        source_ssrc=0,
        loss_ratio=lost / expected if expected and lost is not None else None,
        discard_ratio=None,
        round_trip_ms=round_trip_ms,
        jitter_ms=jitter_ms,
        codec=_voice_codec(figures.get("DE", "")),
        expected=expected,
        lost=lost if expected is not None else None,
        final=True,
        covers_ms=seconds * 1000 if seconds is not None else None,
    )


def _voice_codec(decoders: str) -> str:
    return decoders.upper() if decoders.isalnum() else ""
