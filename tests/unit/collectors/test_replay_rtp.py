"""`replay` of captures with SIP, RTP and RTCP: what the contract promises, against what is known of them."""

import re
import struct
from pathlib import Path
from typing import Any

import pytest
from rtp_frames import START_NS, ethernet, ipv4, rtp, udp
from rtp_reference import Sent

from collectors.settings import CollectorSettings
from surgecast.commands.replay import as_contract
from surgecast.replay import replay_files

pytestmark = pytest.mark.captures


def replay(path: Path) -> dict[str, Any]:
    return as_contract(replay_files([path], CollectorSettings()))


def rtp_streams(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [stream for stream in found["streams"] if stream["observer"] == "rtp"]


@pytest.mark.parametrize("name", ["01_clean", "02_loss2", "03_jitter30", "20_net_clean", "21_net_loss3"])
def test_streams_are_complete_and_belong_to_the_call(captures: Path, name: str) -> None:
    found = replay(captures / "lab" / f"{name}.pcap")
    (call,) = found["calls"]
    streams = rtp_streams(found)
    assert 4 == len(streams)
    for stream in streams:
        assert [] == [key for key, value in stream.items() if value is None and key != "burst_ratio"]
        assert call["call_id"] == stream["call_id"]
        assert ("PCMA", 8000, [8], []) == tuple(
            stream[key] for key in ("codec", "clock_rate_hz", "payload_types", "verdicts")
        )
    assert call["one_way"] is False


def test_loss_equals_what_the_impairer_dropped(captures: Path) -> None:
    streams = rtp_streams(replay(captures / "lab" / "21_net_loss3.pcap"))
    assert {(59, "0xa783f136"), (69, "0x8244e77d")} == {(s["lost"], s["ssrc"]) for s in streams}
    assert all(3.9 < s["mos"] < 4.2 for s in streams)


def test_jitter_equals_tshark(captures: Path) -> None:
    told = (captures / "lab" / "03_jitter30.rtpstreams.txt").read_text()
    tshark = {
        (src, sport): (float(mean), float(most))
        for src, sport, mean, most in re.findall(
            r"^\s+\S+\s+\S+\s+(\S+)\s+(\d+)\s+\S+\s+\d+\s+0x\S+\s+\S+\s+\d+\s+\d+ \(\S+\)"
            r"(?:\s+\S+){4}\s+(\S+)\s+(\S+)",
            told,
            re.MULTILINE,
        )
    }
    assert 4 == len(tshark)
    for stream in rtp_streams(replay(captures / "lab" / "03_jitter30.pcap")):
        mean, most = tshark[tuple(stream["src"].rsplit(":", 1))]
        assert stream["jitter_mean_ms"] == pytest.approx(mean, rel=0.01)
        assert stream["jitter_max_ms"] == pytest.approx(most, rel=0.01)


@pytest.mark.parametrize(
    ("name", "verdicts"),
    [
        ("lab/05_hold_reinvite.pcap", {"hold", "seq_restart", "reinvite"}),
        ("public/ws_FAX-Call-t38-CA-TDM-SIP-FB-1.pcap", {"comfort_noise", "t38"}),
        ("public/sipnab_SIP_CALL_RTP_G711.pcap", {"dtx"}),
        ("public/sipnab_register-invite-reinvite-bye.pcap", {"ssrc_change"}),
    ],
)
def test_what_is_not_the_network_is_named_and_not_rated_down(
    captures: Path, name: str, verdicts: set[str]
) -> None:
    streams = rtp_streams(replay(captures / name))
    assert verdicts <= {verdict for stream in streams for verdict in stream["verdicts"]}
    for stream in streams:
        assert 0 == stream["lost"]
        assert stream["mos"] > 4.3
        assert stream["jitter_max_ms"] < 20  # taken plainly it is 733, 2730 and more


def test_bunching_sender_is_jitter_and_not_loss(captures: Path) -> None:
    streams = rtp_streams(replay(captures / "public" / "ws_MagicJack-_short_call.pcap"))
    assert [(0.229, 0), (12.234, 0)] == sorted((round(s["jitter_mean_ms"], 3), s["lost"]) for s in streams)


def test_events_have_no_mos(captures: Path) -> None:
    streams = rtp_streams(replay(captures / "lab" / "16_dtmf.pcap"))
    events = [s for s in streams if s["payload_types"] == [101]]
    assert [("TELEPHONE-EVENT", None, ["dtmf"])] * 2 == [(s["codec"], s["mos"], s["verdicts"]) for s in events]
    assert all(s["mos"] > 4.3 for s in streams if s not in events)


def test_one_way_audio_is_seen(captures: Path) -> None:
    (call,) = replay(captures / "lab" / "04_oneway_callee_silent.pcap")["calls"]
    assert call["one_way"] is True


def test_renegotiated_codec_is_read_with_its_own_clock(captures: Path) -> None:
    streams = rtp_streams(replay(captures / "public" / "sipnab_register-invite-reinvite-bye.pcap"))
    assert {("PCMU", 8000, "nb"), ("OPUS", 48000, "fb")} == {
        (s["codec"], s["clock_rate_hz"], s["mos_scale"]) for s in streams
    }


def test_rtp_without_signalling_is_measured_by_its_own_clock(tmp_path: Path) -> None:
    packets = [Sent(i, i * 960, START_NS + i * 20_000_000, 111) for i in range(500)]
    frames = [ethernet(ipv4(udp(rtp(p, 0xBEEF)))) for p in packets]
    records = [
        struct.pack("<IIII", *divmod(p.arrival_ns, 10**9), len(f), len(f)) + f
        for p, f in zip(packets, frames, strict=True)
    ]
    path = tmp_path / "a.pcap"
    path.write_bytes(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1) + b"".join(records))
    result = replay_files([path], CollectorSettings())
    (stream,) = as_contract(result)["streams"]
    assert ("0x0000beef", "unknown", 48_000, 500, 0, [111], "") == tuple(
        stream[key] for key in ("ssrc", "codec", "clock_rate_hz", "received", "lost", "payload_types", "call_id")
    )
    assert {"rtp_clock_estimated"} == {row["kind"] for row in result.rows["finding"]}


def test_codec_of_a_reinvite_is_timed_from_its_first_packet(captures: Path) -> None:
    streams = rtp_streams(replay(captures / "public" / "sipnab_register-invite-reinvite-bye.pcap"))
    jitter = sorted(s["jitter_mean_ms"] for s in streams if s["codec"] == "OPUS")
    # as tshark says, but for the second packet, which comes with the first and before the SDP is looked at
    assert jitter == pytest.approx([0.581, 0.794], rel=0.03)


def test_what_the_kernel_counts_of_packets_is_told(captures: Path) -> None:
    result = replay_files([captures / "lab" / "21_net_loss3.pcap"], CollectorSettings())
    for stream in result.streams:
        if stream.observer == "rtp":
            assert ((8,), 8, 0) == (stream.payload_types, stream.payload_type, stream.payload_type_changes)
            assert stream.spacing_min_ms is not None
            assert stream.spacing_max_ms is not None
            assert stream.spacing_min_ms < 20 < stream.spacing_max_ms
            assert stream.dscp is not None
            assert stream.gap_density is not None
            assert 0.0 < stream.gap_density < 0.05
