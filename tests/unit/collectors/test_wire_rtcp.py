"""Binary RTCP: what is built is parsed back, what is captured parses whole, what is not RTCP is counted."""

import os
import random
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtcp_captures import pcap_rtcp

from collectors.facts import (
    Goodbye,
    ReceiptTimes,
    ReceptionReport,
    ReferenceDelay,
    ReferenceTime,
    SenderInfo,
    SequenceRuns,
    SourceDescription,
    StatisticsSummary,
    VoipMetrics,
)
from collectors.wire import rtcp
from collectors.wire.rtcp import (
    ParsedRtcp,
    build_goodbye,
    build_receiver_report,
    build_sender_report,
    build_source_description,
    parse_rtcp,
)
from collectors.wire.rtcp_xr import build_statistics_summary, build_voip_metrics

SENDER = SenderInfo(0x0A0A0A01, 4004215740 << 32 | 3426709592, 73_498, 250, 40_000)
REPORT = ReceptionReport(0x0A0A0A01, 0x0B0B0B02, 8, 8, 73_349, False, 24, 2_075_971_407, 326_696)
NAME = SourceDescription(0x0A0A0A01, "sip:2002@lab.test")
COMPOUND = build_sender_report(SENDER, [REPORT]) + build_source_description(NAME)

u32 = st.integers(0, 2**32 - 1)
u16 = st.integers(0, 2**16 - 1)
senders = st.integers(0, rtcp.MAX_SENDER_PACKETS).flatmap(
    lambda packets: st.builds(
        SenderInfo,
        u32,
        st.integers(0, 2**64 - 1),
        u32,
        st.just(packets),
        st.integers(0, min(2**32 - 1, packets * 1500)),
    )
)
reports = st.builds(
    ReceptionReport,
    reporter_ssrc=st.just(7),
    source_ssrc=u32,
    fraction_lost=st.integers(0, 255),
    cumulative_lost=st.integers(rtcp.MIN_CUMULATIVE_LOST + 1, rtcp.MAX_CUMULATIVE_LOST - 1),
    extended_highest_seq=u32,
    seq_is_16_bit=st.just(False),
    jitter_ticks=st.integers(0, rtcp.MAX_JITTER_TICKS),
    lsr=u32,
    dlsr=st.integers(0, rtcp.MAX_DLSR),
)
of_256 = st.integers(0, 255).map(lambda n: n / 256)
whole_ms = u16.map(float)
mos = st.none() | st.integers(10, 50).map(lambda n: n / 10)
metrics = st.builds(
    VoipMetrics,
    reporter_ssrc=st.just(7),
    source_ssrc=u32,
    loss_ratio=of_256,
    discard_ratio=of_256,
    burst_density=of_256,
    gap_density=of_256,
    burst_duration_ms=whole_ms,
    gap_duration_ms=whole_ms,
    round_trip_ms=whole_ms.map(lambda ms: ms or None),
    end_system_delay_ms=whole_ms.map(lambda ms: ms or None),
    r_factor=st.none() | st.integers(0, 100).map(float),
    mos_lq=mos,
    mos_cq=mos,
    plc=st.sampled_from(["unspecified", "disabled", "enhanced", "standard"]),
    jitter_buffer_nominal_ms=whole_ms,
)


@given(senders, st.lists(reports, max_size=31))
def test_sender_report_parses_back(sender: SenderInfo, blocks: list[ReceptionReport]) -> None:
    mine = [replace(block, reporter_ssrc=sender.ssrc) for block in blocks]
    assert ParsedRtcp((sender, *mine)) == parse_rtcp(build_sender_report(sender, mine))


@given(st.lists(reports, max_size=31))
def test_receiver_report_parses_back(blocks: list[ReceptionReport]) -> None:
    assert ParsedRtcp(tuple(blocks)) == parse_rtcp(build_receiver_report(7, blocks))


@given(st.lists(st.builds(SourceDescription, u32, st.text(max_size=60)), min_size=1, max_size=31))
def test_source_descriptions_parse_back(names: list[SourceDescription]) -> None:
    assert ParsedRtcp(tuple(names)) == parse_rtcp(build_source_description(*names))


@given(st.lists(u32, min_size=1, max_size=31).map(tuple))
def test_goodbye_parses_back(ssrcs: tuple[int, ...]) -> None:
    assert ParsedRtcp((Goodbye(ssrcs),)) == parse_rtcp(build_goodbye(Goodbye(ssrcs)))


@given(st.lists(metrics, min_size=1, max_size=4))
def test_several_voip_metrics_blocks_parse_back(blocks: list[VoipMetrics]) -> None:
    assert ParsedRtcp(tuple(blocks)) == parse_rtcp(build_voip_metrics(*blocks))


@pytest.mark.parametrize(
    "summary",
    [
        StatisticsSummary(7, 8, 100, 350, 3, 1, 12, 40),
        StatisticsSummary(7, 8, 65_500, 214, 3, None, None, None),
        StatisticsSummary(7, 8, 0, 1, None, 0, 0, 0),
    ],
)
def test_statistics_summary_parses_back(summary: StatisticsSummary) -> None:
    assert ParsedRtcp((summary,)) == parse_rtcp(build_statistics_summary(summary))


def test_compound_gives_the_facts_of_each_packet() -> None:
    rr = replace(REPORT, source_ssrc=5, cumulative_lost=-2)
    bye = Goodbye((0x0A0A0A01,))
    data = COMPOUND + build_receiver_report(0x0A0A0A01, [rr]) + build_goodbye(bye)
    assert ParsedRtcp((SENDER, REPORT, NAME, rr, bye)) == parse_rtcp(data)


def test_every_block_type_of_rfc3611(captures: Path) -> None:
    data = (captures / "vectors" / "rtcp_xr_all_blocks.bin").read_bytes()
    by, of = 0x01020304, 0x12345689
    expected = (
        SequenceRuns(
            by,
            of,
            5,
            12,
            12,
            False,
            # chunk 0x4006: six set; 0x0006: six clear; bit vector 0x8765, its bits from the high one on; 0: end
            (
                (True, 6),
                (False, 10),
                (True, 3),
                (False, 1),
                (True, 2),
                (False, 2),
                (True, 1),
                (False, 1),
                (True, 1),
            ),
        ),
        SequenceRuns(by, of, 5, 12, 6, True, ((True, 0x123), (False, 0x3FFF), (True, 15))),
        ReceiptTimes(
            by, 0x98765432, 0x3C48, 0x3CD9, 3, (0x11111111, 0x22222222, 0x33333333, 0x44444444, 0x55555555)
        ),
        ReferenceTime(by, 0x0102030405060708),
        ReferenceDelay(by, 0x88888888, 0x12345678, 0x99999999),
        ReferenceDelay(by, 0x09090909, 0x12345678, 0x99999999),
        ReferenceDelay(by, 0x11223344, 0x12345678, 0x99999999),
        StatisticsSummary(by, 0xFEDCBA98, 0x1234, 0x5678, 0x11111111, 0x22222222, 0x55555555, 0x44444444),
        VoipMetrics(
            reporter_ssrc=by,
            source_ssrc=0x89ABCDEF,
            loss_ratio=5 / 256,
            discard_ratio=6 / 256,
            burst_density=7 / 256,
            gap_density=8 / 256,
            burst_duration_ms=0x1111,
            gap_duration_ms=0x2222,
            round_trip_ms=0x3333,
            end_system_delay_ms=0x4444,
            r_factor=0x55,
            mos_lq=None,  # 0x77 and 0x88 are no tenfold MOS
            mos_cq=None,
            plc="enhanced",  # 0x99
            jitter_buffer_nominal_ms=0x1122,
        ),
    )
    assert ParsedRtcp(expected) == parse_rtcp(data)


def test_127_is_not_available() -> None:
    given_none = VoipMetrics(7, 8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, jitter_buffer_nominal_ms=0.0)
    data = build_voip_metrics(given_none)
    assert (127, 127, 127) == (data[32], data[34], data[35])
    assert given_none == parse_rtcp(data).facts[0]


@pytest.mark.parametrize("kind", [8, 9, 14, 20, 29, 255])
def test_later_block_types_are_skipped_by_length(kind: int) -> None:
    known = build_voip_metrics(VoipMetrics(7, 8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, jitter_buffer_nominal_ms=0.0))
    unknown = struct.pack(">BBHI", kind, 0, 1, 99)
    data = struct.pack(">BBHI", 0x80, 207, 12, 7) + unknown + known[8:]
    parsed = parse_rtcp(data)
    assert (("xr_block",), (), 1) == (parsed.skipped, parsed.rejected, len(parsed.facts))


@pytest.mark.parametrize(
    ("kind", "reason"), [(204, "app"), (205, "feedback"), (206, "feedback"), (209, "unknown_type")]
)
def test_packets_of_no_use_are_skipped_by_length(kind: int, reason: str) -> None:
    other = struct.pack(">BBHII", 0x81, kind, 2, 7, 1)
    parsed = parse_rtcp(other + COMPOUND)
    assert ParsedRtcp((SENDER, REPORT, NAME), (), (reason,)) == parsed


def test_padding_of_the_last_packet_is_dropped() -> None:
    plain = build_receiver_report(7, [REPORT])
    padded = bytes((plain[0] | 0x20, plain[1])) + struct.pack(">H", 7 + 2) + plain[4:] + b"\0" * 7 + b"\x08"
    assert parse_rtcp(plain) == parse_rtcp(padded)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated"),
        (b"\x80\xc9\x00", "truncated"),
        (COMPOUND[:20], "truncated"),
        (b"\x00" * 32, "bad_header"),
        (b"\x80\x00" + bytes(30), "bad_header"),
        (struct.pack(">BBHI", 0x81, 201, 1, 7), "bad_length"),
        (struct.pack(">BBHI", 0x81, 200, 1, 7), "bad_length"),
        (struct.pack(">BBHI", 0x82, 203, 1, 7), "bad_length"),
        (struct.pack(">BBHI", 0x81, 202, 0, 0)[:4] + build_receiver_report(7), "bad_length"),
        (struct.pack(">BBHI", 0xA0, 201, 1, 7), "bad_padding"),
        (struct.pack(">BBHIBBH", 0x80, 207, 2, 7, 7, 0, 8), "bad_xr_block"),
        (struct.pack(">BBHIBBHI", 0x80, 207, 3, 7, 7, 0, 1, 8), "bad_xr_block"),
    ],
)
def test_what_is_not_rtcp_is_counted_by_reason(data: bytes, reason: str) -> None:
    assert (reason,) == parse_rtcp(data).rejected


def test_what_came_before_a_cut_is_kept() -> None:
    assert ParsedRtcp((SENDER, REPORT), ("truncated",)) == parse_rtcp(COMPOUND[:-4])


def test_zeros_left_over_after_the_last_packet_harm_nothing() -> None:
    assert parse_rtcp(COMPOUND) == parse_rtcp(COMPOUND + b"\0\0")


def test_one_impossible_value_costs_that_report_alone() -> None:
    broken = replace(REPORT, source_ssrc=9, jitter_ticks=4_294_967_295)
    parsed = parse_rtcp(build_sender_report(SENDER, [broken, REPORT]))
    assert ParsedRtcp((SENDER, REPORT), ("implausible",)) == parsed


def srtcp(plain: bytes, tag: int, rng: random.Random, *, mki: int = 0) -> bytes:
    """Encrypt as SRTCP does: all after the first eight bytes, then E and index, MKI and tag."""
    cipher = rng.randbytes(len(plain) - 8)
    index = struct.pack(">I", 1 << 31 | rng.randrange(500))
    return plain[:8] + cipher + index + rng.randbytes(mki + tag)


@pytest.mark.parametrize("tag", [10, 4, 0])
@pytest.mark.parametrize(
    "plain", [COMPOUND, build_receiver_report(7, [REPORT, REPORT]), build_sender_report(SENDER)]
)
def test_encrypted_rtcp_is_never_believed(tag: int, plain: bytes) -> None:
    rng = random.Random(tag)
    assert {ParsedRtcp((), ("encrypted",))} == {parse_rtcp(srtcp(plain, tag, rng)) for _ in range(2_000)}


def test_encrypted_rtcp_with_an_unknown_trailer_shows_in_its_values() -> None:
    rng = random.Random(1)
    parsed = [parse_rtcp(srtcp(COMPOUND, 10, rng, mki=6)) for _ in range(2_000)]
    assert 0 == sum(bool(p.facts) for p in parsed)
    assert 1_980 < sum(p.rejected == ("encrypted",) for p in parsed)


def test_authenticated_but_clear_rtcp_is_read() -> None:
    assert parse_rtcp(COMPOUND) == parse_rtcp(COMPOUND + struct.pack(">I", 77) + os.urandom(10))


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    parsed = parse_rtcp(data)
    assert parsed.facts or parsed.rejected or parsed.skipped or len(data) >= 8


@given(st.data())
def test_no_mutation_raises(data: st.DataObject) -> None:
    xr = build_voip_metrics(VoipMetrics(7, 8, 0.1, 0.1)) + build_statistics_summary(
        StatisticsSummary(7, 8, 1, 9, 1, 1, 1, 1)
    )
    mutated = bytearray(COMPOUND + xr + build_goodbye(Goodbye((7,))))
    for _ in range(data.draw(st.integers(1, 8))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    parsed = parse_rtcp(bytes(mutated[: data.draw(st.integers(0, len(mutated)))]))
    assert len(parsed.facts) < 100


def test_memoryview_reads_as_bytes_do() -> None:
    assert parse_rtcp(COMPOUND) == parse_rtcp(memoryview(COMPOUND))


LAB = ["01_clean", "02_loss2", "03_jitter30", "04_oneway_callee_silent", "05_hold_reinvite", "11_invite_407_ok"]


@pytest.mark.captures
@pytest.mark.parametrize("name", [*LAB, "16_dtmf", "20_net_clean", "21_net_loss3"])
def test_all_rtcp_of_the_lab_parses(captures: Path, name: str) -> None:
    parsed = [parse_rtcp(seen.payload) for seen in pcap_rtcp(captures / "lab" / f"{name}.pcap")]
    assert parsed
    assert {()} == {p.rejected for p in parsed}


@pytest.mark.captures
def test_all_rtcp_of_a_public_capture_parses_as_tshark_reads_it(captures: Path) -> None:
    parsed = [
        parse_rtcp(seen.payload) for seen in pcap_rtcp(captures / "public" / "sipnab_SIP_CALL_RTP_G711.pcap")
    ]
    assert {()} == {p.rejected for p in parsed}
    last = parsed[-1].facts
    # tshark counts 26: it gives up two whose description is padded to half a word
    assert (28, 548, 12_160, 9_244) == (
        len(parsed),
        *(fact.packets for fact in last if isinstance(fact, SenderInfo)),
        *(f.extended_highest_seq for f in last[2:] if isinstance(f, ReceptionReport)),
        *(f.jitter_ticks for f in last[2:] if isinstance(f, ReceptionReport)),
    )
