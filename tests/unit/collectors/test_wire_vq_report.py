"""Reports of phones: the RFC's own example, the ways senders depart from it, and anything else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.facts import VoipMetrics
from collectors.wire.rtcp import ParsedRtcp
from collectors.wire.rtp_report import parse_rtp_stat
from collectors.wire.vq_report import parse_vq_report
from telephony.model import Endpoint

SESSION = """VQSessionReport: CallTerm
CallID: 6dg37f1890463
LocalID: Alice <sip:alice@example.org>
RemoteID: Bill <sip:bill@example.net>
OrigID: Alice <sip:alice@example.org>
LocalAddr: IP=10.10.1.100 PORT=5000 SSRC=1a3b5c7d
RemoteAddr: IP=11.1.1.150 PORT=5002 SSRC=0x2468abcd
LocalMetrics:
Timestamps: START=2004-10-10T18:23:43Z STOP=2004-10-10T18:26:02Z
SessionDesc: PT=18 PD=G729 SR=8000 FD=20 FO=20 FPP=2 PPS=50 FMTP="annexb=no" PLC=3 SSUP=off
JitterBuffer: JBA=3 JBR=2 JBN=40 JBM=80 JBX=120
PacketLoss: NLR=5.0 JDR=2.0
BurstGapLoss: BLD=0 BD=0 GLD=2.0 GD=500 GMIN=16
Delay: RTD=200 ESD=140 SOWD=200 IAJ=2 MAJ=10
Signal: SL=-18 NL=-50 RERL=55
QualityEst: RLQ=90 RCQ=85 EXTRI=90 MOSLQ=4.2 MOSCQ=4.1 QoEEstAlg=P.564
RemoteMetrics:
Timestamps: START=2004-10-10T18:23:43Z STOP=2004-10-10T18:26:02Z
SessionDesc: PT=18 PD=G729 SR=8000 FD=20 FO=20 FPP=2 PPS=50 FMTP="annexb=no" PLC=3 SSUP=on
PacketLoss: NLR=10.0 JDR=2.0
BurstGapLoss: BLD=0 BD=0 GLD=2.0 GD=500 GMIN=16
Delay: RTD=200 ESD=140 SOWD=200 IAJ=2 MAJ=10
QualityEst: RLQ=90 RCQ=85 MOSLQ=4.3 MOSCQ=4.2 QoEEstAlg=P.564
DialogID: 1890463548@alice.example.org;to-tag=8472761;from-tag=9123dh311
"""

LOCAL = VoipMetrics(
    reporter_ssrc=0x1A3B5C7D,
    source_ssrc=0x2468ABCD,
    loss_ratio=0.05,
    discard_ratio=0.02,
    burst_density=0.0,
    gap_density=0.02,
    burst_duration_ms=0.0,
    gap_duration_ms=500.0,
    round_trip_ms=200.0,
    end_system_delay_ms=140.0,
    r_factor=85.0,
    mos_lq=4.2,
    mos_cq=4.1,
    plc="standard",
    jitter_ms=2.0,
    codec="G729",
    expected=6950,  # 139 s at 50 packets/s
    lost=348,
    jitter_buffer_nominal_ms=40.0,
    final=True,
    covers_ms=139_000.0,
)
REMOTE = replace(
    LOCAL,
    reporter_ssrc=0x2468ABCD,
    source_ssrc=0x1A3B5C7D,
    loss_ratio=0.1,
    mos_lq=4.3,
    mos_cq=4.2,
    expected=None,  # silence was suppressed: packets/s say nothing
    lost=None,
    jitter_buffer_nominal_ms=None,
    by_far_end=True,
)
WHOLE = ParsedRtcp(
    (LOCAL, REMOTE),
    call_id="6dg37f1890463",
    local=Endpoint("10.10.1.100", 5000),
    remote=Endpoint("11.1.1.150", 5002),
    from_vq=True,
)


@pytest.mark.parametrize(
    "body",
    [
        SESSION,
        SESSION.replace("\n", "\r\n"),
        SESSION.replace(": ", ":"),
        SESSION.replace(": ", " :  "),
        SESSION.replace("=", " = ").replace("annexb = no", "annexb=no"),
        SESSION.upper().replace("6DG37F1890463", "6dg37f1890463"),
        SESSION.replace("VQSessionReport: CallTerm", "VQSessionReport : CallTerm"),
        SESSION.replace("IP=10.10.1.100 PORT=5000", "IP:10.10.1.100 PORT:5000").replace("SSRC=1a", "SSRC:1a"),
        SESSION.replace("LocalMetrics:\n", "LocalMetrics\n"),
    ],
)
def test_session_report_however_it_is_spaced(body: str) -> None:
    assert WHOLE == parse_vq_report(body.encode())


@pytest.mark.parametrize("first", ["VQIntervalReport", "VQIntervalReport:", "VQSessionReport:", "VQSessionReport"])
def test_only_a_report_at_the_end_of_the_call_is_final(first: str) -> None:
    parsed = parse_vq_report(SESSION.replace("VQSessionReport: CallTerm", first).encode())
    assert [False, False] == [fact.final for fact in parsed.facts if isinstance(fact, VoipMetrics)]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1:5000", Endpoint("10.0.0.1", 5000)),
        ("10.0.0.1 5000", Endpoint("10.0.0.1", 5000)),
        ("IP=2001:db8::1 PORT=5000", Endpoint("2001:db8::1", 5000)),
        ("[2001:db8::1]:5000", Endpoint("2001:db8::1", 5000)),
        ("IP=10.0.0.1", None),
        ("IP=10.0.0.1 PORT=70000", None),
        ("", None),
    ],
)
def test_addresses(address: str, expected: Endpoint | None) -> None:
    body = f"VQSessionReport: CallTerm\nLocalAddr: {address}\nLocalMetrics:\nPacketLoss: NLR=1.0\n"
    assert expected == parse_vq_report(body.encode()).local


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        ("QualityEst: MOSLQ=12.7 MOSCQ=0.0 RCQ=127", "mos_lq", None),
        ("QualityEst: MOSLQ=12.7 MOSCQ=0.0 RCQ=127", "mos_cq", None),
        ("QualityEst: MOSLQ=12.7 MOSCQ=0.0 RCQ=127", "r_factor", None),
        ("QualityEst: RLQ=90 RCQ=127", "r_factor", 90.0),
        ("Delay: RTD=0 ESD=0 IAJ=0", "round_trip_ms", None),
        ("Delay: RTD=0 ESD=0 IAJ=0", "jitter_ms", 0.0),
        ("PacketLoss: NLR=2.5% JDR=n/a", "loss_ratio", 0.025),
        ("PacketLoss: NLR=250 JDR=n/a", "loss_ratio", None),
        ("PacketLoss: NLR=1\nSessionDesc: PT=9", "codec", "G722"),
        ('PacketLoss: NLR=1\nSessionDesc: PD="G.711 u-law"', "codec", "G.711 U-LAW"),
        ("PacketLoss: NLR=1\nTimestamps: START=0 STOP=0", "covers_ms", None),
        ("PacketLoss: NLR=1\nSessionDesc: PLC=9", "plc", "unspecified"),
        ("Timestamps: START=9999-12-31T23:59:59-23:59 STOP=0001-01-01T00:00:00+23:59", "covers_ms", None),
        ("Timestamps: START=1004-10-10T18:23:43Z STOP=2004-10-10T18:26:02Z", "covers_ms", None),
    ],
)
def test_what_is_no_value_is_none(line: str, field: str, expected: object) -> None:
    (metrics,) = parse_vq_report(f"VQIntervalReport:\nLocalMetrics:\nDelay: IAJ=1\n{line}\n".encode()).facts
    assert expected == getattr(metrics, field)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_vq_report"),
        (b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\n", "not_vq_report"),
        (b"VQSessionReport: CallTerm\r\nCallID: 1\r\n", "no_metrics"),
        (b"VQSessionReport: CallTerm\r\nLocalMetrics:\r\nSignal: SL=-18\r\n", "no_metrics"),
        (b"x" * 70_000, "oversized"),
    ],
)
def test_what_is_no_report_is_counted_by_reason(body: bytes, reason: str) -> None:
    assert (reason,) == parse_vq_report(body).rejected


@pytest.mark.parametrize("piece", [b"a", b"a=", b"IP ", b" ", b'"', b'a="', b"1:", b"[", b"SSRC :"])
def test_no_line_makes_it_slow(piece: bytes) -> None:
    line = b"LocalAddr: " + piece * (65_000 // len(piece)) + b"\n"
    # the time limit of a test is what fails it
    parsed = [parse_vq_report(b"VQSessionReport:\n" + name + line[:65_000]) for name in (b"", b"PacketLoss: ")]
    assert [("no_metrics",), ("no_metrics",)] == [p.rejected for p in parsed]


@given(st.text(max_size=300) | st.lists(st.sampled_from(SESSION.splitlines()), max_size=30).map("\n".join))
def test_no_text_raises(body: str) -> None:
    parsed = parse_vq_report(body.encode())
    assert parsed.facts or parsed.rejected


@given(st.binary(max_size=300))
def test_no_bytes_raise(body: bytes) -> None:
    assert parse_vq_report(body).rejected


AVM = (
    "CS=123;PS=131918;ES=132131;OS=21106880;SP=0/0;SO=0;QS=-;PR=132118;ER=132131;OR=21138880;CR=0;SR=0;QR=-;"
    "PL=22,33;BL=0;LS=0;RB=0/0;SB=-/-;EN=PCMA;DE=PCMA;JI=23,111;DL=34,25,70;IP=192.168.1.185:16000,192.168.1.185:17000"
)


def test_x_rtp_stat() -> None:
    expected = VoipMetrics(
        reporter_ssrc=0,
        source_ssrc=0,
        loss_ratio=22 / 132_140,
        discard_ratio=None,
        round_trip_ms=34.0,
        jitter_ms=23.0,
        codec="PCMA",
        expected=132_140,
        lost=22,
        final=True,
    )
    assert expected == parse_rtp_stat(AVM)


@pytest.mark.parametrize("value", ["", "PS=300", "nonsense", "PL=,;JI=-;DL=0", "=" * 5000])
def test_a_header_without_figures_is_none(value: str) -> None:
    assert None is parse_rtp_stat(value)


@given(st.text(max_size=200))
def test_no_header_raises(value: str) -> None:
    parse_rtp_stat(value)
