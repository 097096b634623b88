"""RTCP in JSON: every dialect gives the same facts, repeated keys are kept, nonsense is counted."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtcp_captures import hep_rtcp

from collectors.facts import Goodbye, ReceptionReport, RtcpFact, SenderInfo, SourceDescription, VoipMetrics
from collectors.wire.rtcp import ParsedRtcp
from collectors.wire.rtcp_json import encode_rtpengine_json, parse_rtcp_json
from telephony.model import Endpoint


def ntp(seconds: int, fraction: int) -> int:
    return seconds << 32 | fraction


RTPENGINE = (
    b'{ "sender_information":{"ntp_timestamp_sec":4004215740,"ntp_timestamp_usec":3426709592,"octets":40000,'
    b'"rtp_timestamp":73498, "packets":250},"ssrc":2810442038,"type":200,"report_count":1,"report_blocks":['
    b'{"source_ssrc":2185553789,"highest_seq_no":7813,"fraction_lost":8,"ia_jitter":24,"packets_lost":8,"lsr":0,'
    b'"dlsr":0}],"sdes_report_count":1,"sdes_information": [ {"sdes_chunk_ssrc":2810442038,"type":1,'
    b'"text":"sip:2002@lab.test"}] }'
)
RTPENGINE_FACTS = (
    SenderInfo(2810442038, ntp(4004215740, 3426709592), 73_498, 250, 40_000),
    ReceptionReport(2810442038, 2185553789, 8, 8, 7813, True, 24, 0, 0),
    SourceDescription(2810442038, "sip:2002@lab.test"),
)

DIALECTS: dict[str, ParsedRtcp] = {
    "rtpengine_sr_native_md": ParsedRtcp(
        (
            SenderInfo(3724882677, ntp(3667834977, 2355549043), 84_679, 514, 82_240),
            ReceptionReport(3724882677, 2062957521, 0, 0, 4663, True, 13, 3093100159, 296_222),
        )
    ),
    "captagent_rr": ParsedRtcp(
        (ReceptionReport(1, 2, 1, 1, 313, True, 0, 0, 0), SourceDescription(1, "monkeytester@mylab"))
    ),
    "heplify_v1_sdes_overwrites_type": ParsedRtcp(
        (
            SenderInfo(602099638, ntp(3782653667, 673437987), 4164483065, 474, 75_840),
            ReceptionReport(602099638, 26962, 0, 0, 29832, False, 37.0, 0, 0),
        )
    ),
    "asterisk_signed_and_strings": ParsedRtcp(
        (
            ReceptionReport(1814766290, 2**32 - 1640316609, 0, 0, 541, True, 57.0, 0, 0),
            SenderInfo(1814766290, ntp(3373905462, 4286124543), 2**32 - 210811367, 137, 2740),
        )
    ),
    "rtpengine_srtcp_garbage": ParsedRtcp((), ("encrypted",)),
    "rtp_agent_type34": ParsedRtcp(
        (
            VoipMetrics(
                reporter_ssrc=0,
                source_ssrc=0,
                loss_ratio=0.0,
                discard_ratio=None,
                r_factor=80.2,
                mos_cq=4.032,
                jitter_ms=0.005,
                codec="G722",
                expected=1512,
                lost=0,
            ),
        ),
        call_id="cid",
        local=Endpoint("192.0.2.2", 51354),
        remote=Endpoint("192.0.2.1", 26872),
        from_vq=True,
    ),
}


@pytest.mark.captures
@pytest.mark.parametrize("name", DIALECTS)
def test_each_dialect_of_the_vectors(captures: Path, name: str) -> None:
    vectors = json.loads((captures / "vectors" / "hep_json_dialects.json").read_text())
    assert DIALECTS[name] == parse_rtcp_json(json.dumps(vectors[name]["json"]).encode())


def test_rtpengine_as_captured() -> None:
    assert ParsedRtcp(RTPENGINE_FACTS) == parse_rtcp_json(RTPENGINE)


def test_rtpengine_is_built_byte_for_byte() -> None:
    sender, report, name = RTPENGINE_FACTS
    assert isinstance(sender, SenderInfo)
    assert isinstance(report, ReceptionReport)
    assert isinstance(name, SourceDescription)
    assert RTPENGINE == encode_rtpengine_json(sender.ssrc, sender, [report], name.cname)


@pytest.mark.captures
@pytest.mark.parametrize("name", ["01_clean", "02_loss2", "03_jitter30", "05_hold_reinvite", "20_net_clean"])
def test_all_json_of_a_real_rtpengine(captures: Path, name: str) -> None:
    payloads = [seen.payload for seen in hep_rtcp(captures / "hep" / f"{name}.hepbin")]
    parsed = [parse_rtcp_json(payload) for payload in payloads]
    assert payloads
    assert {()} == {p.rejected for p in parsed}
    for payload, p in zip(payloads, parsed, strict=True):
        (sender,) = [f for f in p.facts if isinstance(f, SenderInfo)]
        reports = [f for f in p.facts if isinstance(f, ReceptionReport)]
        (cname,) = [f.cname for f in p.facts if isinstance(f, SourceDescription)]
        assert payload == encode_rtpengine_json(sender.ssrc, sender, reports, cname)


def test_repeated_keys_of_a_compound_are_all_kept() -> None:
    text = (
        b'{"sender_information":{"ntp_timestamp_sec":4004215740,"ntp_timestamp_usec":1,"octets":1600,'
        b'"rtp_timestamp":5,"packets":10},"ssrc":11,"type":200,"report_count":1,"report_blocks":['
        b'{"source_ssrc":21,"highest_seq_no":70000,"fraction_lost":1,"ia_jitter":2,"packets_lost":3,"lsr":4,"dlsr":5}],'
        b'"ssrc":12,"type":201,"report_count":1,"report_blocks":['
        b'{"source_ssrc":22,"highest_seq_no":8,"fraction_lost":0,"ia_jitter":9,"packets_lost":16777214,"lsr":0,"dlsr":0}]}'
    )
    expected = (
        SenderInfo(11, ntp(4004215740, 1), 5, 10, 1600),
        ReceptionReport(11, 21, 1, 3, 70_000, False, 2.0, 4, 5),
        ReceptionReport(12, 22, 0, -2, 8, True, 9.0, 0, 0),
    )
    assert ParsedRtcp(expected) == parse_rtcp_json(text)


def block(**changes: object) -> dict[str, object]:
    usual: dict[str, object] = {
        "source_ssrc": 2,
        "fraction_lost": 0,
        "packets_lost": 0,
        "highest_seq_no": 500,
        "ia_jitter": 0,
        "lsr": 0,
        "dlsr": 0,
    }
    return usual | changes


def parse(message: object) -> ParsedRtcp:
    return parse_rtcp_json(json.dumps(message).encode())


@pytest.mark.parametrize("lost", [16_777_214, -2, "-2", "16777214", "0xfffffe"])
def test_cumulative_loss_is_signed_24_bit(lost: object) -> None:
    (fact,) = parse({"ssrc": 1, "report_blocks": [block(packets_lost=lost)]}).facts
    assert isinstance(fact, ReceptionReport)
    assert -2 == fact.cumulative_lost


@pytest.mark.parametrize(
    ("highest", "is_16_bit"), [(500, True), (65_535, True), (65_536, False), ("131072", False)]
)
def test_a_sequence_number_within_16_bits_may_be_cut_off(highest: object, is_16_bit: bool) -> None:
    (fact,) = parse({"ssrc": 1, "report_blocks": [block(highest_seq_no=highest)]}).facts
    assert isinstance(fact, ReceptionReport)
    assert is_16_bit is fact.seq_is_16_bit


def test_freeswitch_hex_floats_and_nulls() -> None:
    message = {
        "type": 200,
        "ssrc": "1a2b3c4d",
        "report_count": 48_213,
        "report_blocks": [
            block(source_ssrc="58f33dea", ia_jitter=12.75, packets_lost=5, fraction_lost=3, lsr=7, dlsr=None)
        ],
        "sender_information": {
            "packets": 137,
            "ntp_timestamp_sec": 3373905462,
            "ntp_timestamp_usec": 4286124543,
            "rtp_timestamp": 4,
            "octets": None,
        },
    }
    expected = (
        ReceptionReport(0x1A2B3C4D, 0x58F33DEA, 3, 5, 500, True, 12.75, 7, 0),
        SenderInfo(0x1A2B3C4D, ntp(3373905462, 4286124543), 4, 137, 0),
    )
    assert ParsedRtcp(expected) == parse(message)


def test_asterisk_unix_time_becomes_ntp() -> None:
    sender = {"ntp_timestamp_sec": "1700000000", "ntp_timestamp_usec": "500000", "packets": 9, "octets": 1440}
    (fact,) = parse({"ssrc": 1, "sender_information": sender}).facts
    assert SenderInfo(1, ntp(1_700_000_000 + 2_208_988_800, 1 << 31), 0, 9, 1440) == fact


def test_heplify1_zeros_are_absence() -> None:
    zeros = dict.fromkeys(("ntp_timestamp_sec", "ntp_timestamp_usec", "rtp_timestamp", "packets", "octets"), 0)
    message = {"sender_information": zeros, "ssrc": 1, "type": 201, "report_blocks": [block()]}
    assert (ReceptionReport,) == tuple(type(fact) for fact in parse(message).facts)


def test_heplify1_extended_report() -> None:
    xr = {
        "type": 7,
        "id": 8,
        "fraction_lost": 5,
        "fraction_discard": 6,
        "burst_density": 7,
        "gap_density": 8,
        "burst_duration": 120,
        "gap_duration": 9000,
        "round_trip_delay": 40,
        "end_system_delay": 0,
    }
    expected = VoipMetrics(1, 8, 5 / 256, 6 / 256, 7 / 256, 8 / 256, 120.0, 9000.0, 40.0, None)
    assert ParsedRtcp((expected,)) == parse(
        {"ssrc": 1, "type": 207, "report_blocks": None, "report_blocks_xr": xr}
    )


@pytest.mark.parametrize("key", ["Extended_report_information", "extended_report_information"])
def test_captagent_extended_report(key: str) -> None:
    xr = {
        "identifier": 8,
        "loss_rate": 5,
        "discard_rate": 0,
        "burst_rate": 0,
        "gap_rate": 0,
        "burst_duration": 0,
        "gap_duration": 9000,
        "round_trip_delay": 40,
        "end_sys_delay": 60,
        "signal_lev": 127,
        "noise_lev": 127,
        "RERL": 127,
        "Gmin": 16,
        "R_fact": 92,
        "ext_R_fact": 127,
        "MOS_LQ": 42,
        "MOS_CQ": 127,
        "RX_conf": [{"PLC": 3, "JB_adapt": 3, "JB_rate": 5}],
        "JB_nom": 40,
        "JB_max": 80,
        "JB_abs_max": 160,
    }
    expected = VoipMetrics(
        reporter_ssrc=1,
        source_ssrc=8,
        loss_ratio=5 / 256,
        discard_ratio=0.0,
        burst_density=0.0,
        gap_density=0.0,
        burst_duration_ms=0.0,
        gap_duration_ms=9000.0,
        round_trip_ms=40.0,
        end_system_delay_ms=60.0,
        r_factor=92.0,
        mos_lq=4.2,
        mos_cq=None,
        plc="standard",
        jitter_buffer_nominal_ms=40.0,
    )
    assert ParsedRtcp((expected,)) == parse({"ssrc": 1, "type": 207, key: xr})


def test_heplify2_names_and_its_swapped_mos() -> None:
    message = {
        "type": "SR",
        "ssrc": 1,
        "sender_report": {
            "ssrc": 1,
            "ntp_time_sec": 4004215740,
            "ntp_time_frac": 1,
            "rtp_time": 5,
            "packet_count": 10,
            "octet_count": 1600,
        },
        "receiver_report": [
            {
                "ssrc": 2,
                "fraction_lost": 1,
                "packets_lost": -2,
                "highest_seq": 500,
                "jitter": 24,
                "last_sr": 4,
                "delay_since_last_sr": 5,
                "mos": 4.5,
            }
        ],
        "sdes": [{"ssrc": 1, "items": [{"type": 1, "name": "CNAME", "text": "me@here"}]}],
        "voip_metrics": {
            "ssrc": 2,
            "loss_rate": 5,
            "r_factor": 127,
            "mos_cq": 4.2,
            "mos_lq": 4.0,
            "rx_config": 64,
        },
    }
    expected: tuple[RtcpFact, ...] = (
        SenderInfo(1, ntp(4004215740, 1), 5, 10, 1600),
        ReceptionReport(1, 2, 1, -2, 500, False, 24.0, 4, 5),
        VoipMetrics(1, 2, 5 / 256, 0.0, 0.0, 0.0, mos_lq=4.2, mos_cq=4.0, plc="disabled"),
        SourceDescription(1, "me@here"),
    )
    assert ParsedRtcp(expected) == parse(message)


def test_type_203_ends_the_source() -> None:
    assert Goodbye((1,)) in parse({"ssrc": 1, "type": 203, "report_blocks": [block()]}).facts


def test_short_report_of_type_35() -> None:
    message = {"CORRELATION_ID": "a", "RTP_SIP_CALL_ID": "b", "MOS": 4.409, "RFACTOR": 93.2, "TYPE": "FINAL"}
    metrics = VoipMetrics(0, 0, None, None, r_factor=93.2, mos_cq=4.409, final=True)
    assert ParsedRtcp((metrics,), call_id="b", from_vq=True) == parse(message)


def test_of_a_freeswitch_quality_report_only_mos_is_taken() -> None:
    message = {
        "RTP_SIP_CALL_ID": "b",
        "JITTER": 3358.1,
        "TOTAL_PK": 3000,
        "PACKET_LOSS": 12,
        "MOS": 4.5,
        "CODEC_NAME": "PCMA",
        "TYPE": "CHANNEL_DESTROY",
    }
    metrics = VoipMetrics(0, 0, None, None, mos_cq=4.5, codec="PCMA", final=True)
    assert ParsedRtcp((metrics,), call_id="b", from_vq=True) == parse(message)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xff\xfe\x00", "not_json"),
        (b"[" * 50_000, "not_json"),
        (b'{"a":' * 10_000, "not_json"),
        (b"[]", "not_rtcp_json"),
        (b"{}", "not_rtcp_json"),
        (b'"ssrc"', "not_rtcp_json"),
        (b'{"ssrc":1}', "not_rtcp_json"),
        (b'{"ssrc":NaN,"report_blocks":7}', "not_rtcp_json"),
        (b'{"ssrc":' + b"9" * 5000 + b"}", "not_json"),
        (b'{"MOS":127}', "no_metrics"),
        (b" " * 70_000, "oversized"),
    ],
)
def test_what_is_no_report_is_counted_by_reason(text: bytes, reason: str) -> None:
    assert ParsedRtcp((), (reason,)) == parse_rtcp_json(text)


def test_text_in_latin_1_and_a_trailing_nul_are_read() -> None:
    parsed = parse_rtcp_json(RTPENGINE.replace(b"sip:2002", b"sip:J\xf6rg") + b"\0")
    assert RTPENGINE_FACTS[:2] == parsed.facts[:2]


def test_values_beyond_a_word_are_cut_to_it() -> None:
    (fact,) = parse({"ssrc": 2**40 + 1, "report_blocks": [block(highest_seq_no=2**33 + 70_000)]}).facts
    assert isinstance(fact, ReceptionReport)
    assert (1, 70_000) == (fact.reporter_ssrc, fact.extended_highest_seq)


u32 = st.integers(0, 2**32 - 1)


@given(
    sender=st.none()
    | st.builds(
        SenderInfo, st.just(7), st.integers(2_208_988_800 << 32, 2**64 - 1), u32, st.just(9), st.just(1440)
    ),
    reports=st.lists(
        st.builds(
            ReceptionReport,
            reporter_ssrc=st.just(7),
            source_ssrc=u32,
            fraction_lost=st.integers(0, 255),
            cumulative_lost=st.integers(-1000, 100_000),
            extended_highest_seq=st.integers(0, 65_535),
            seq_is_16_bit=st.just(True),
            jitter_ticks=st.integers(0, 48_000),
            lsr=u32,
            dlsr=st.integers(0, 2**24),
        ),
        max_size=31,
    ),
    cname=st.text(min_size=1, max_size=40),
)
def test_rtpengine_parses_back(sender: SenderInfo | None, reports: list[ReceptionReport], cname: str) -> None:
    expected = (*([sender] if sender else []), *reports, SourceDescription(7, cname))
    assert ParsedRtcp(expected) == parse_rtcp_json(encode_rtpengine_json(7, sender, reports, cname))


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["0x12", "-5"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "ssrc",
                    "type",
                    "report_blocks",
                    "receiver_report",
                    "sender_information",
                    "sender_report",
                    "source_ssrc",
                    "packets_lost",
                    "ia_jitter",
                    "highest_seq_no",
                    "sdes",
                    "sdes_information",
                    "items",
                    "text",
                    "report_blocks_xr",
                    "Extended_report_information",
                    "RX_conf",
                    "PLC",
                    "voip_metrics",
                    "rx_config",
                    "mos_cq",
                    "MOS",
                    "TYPE",
                    "SRC_IP",
                    "SRC_PORT",
                    "EXPECTED_PK",
                    "PACKET_LOSS",
                    "CODEC_NAME",
                ]
            ),
            inner,
            max_size=8,
        )
    ),
    max_leaves=30,
)


@given(values)
def test_no_json_raises(value: object) -> None:
    parsed = parse_rtcp_json(json.dumps(value).encode())
    assert parsed.facts or parsed.rejected


@given(st.binary(max_size=200))
def test_no_bytes_raise(data: bytes) -> None:
    assert parse_rtcp_json(data).rejected


@given(st.data())
def test_no_mutation_raises(data: st.DataObject) -> None:
    mutated = bytearray(RTPENGINE)
    for _ in range(data.draw(st.integers(1, 6))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    parsed = parse_rtcp_json(bytes(mutated))
    assert parsed.facts or parsed.rejected
