"""Each class of false loss, made packet by packet: it gets its name, the network no blame, and MOS stays."""

from pathlib import Path

import pytest
from call_captures import (
    CALLEE,
    CALLER,
    PCMA,
    START_NS,
    Capture,
    Packet,
    continued,
    measured,
    sdp,
    voice,
)

from surgecast.replay import ReplayResult
from telephony.model import Endpoint, StreamInterval

GOOD_MOS = 4.3
EVENT = ((8, "PCMA/8000"), (101, "telephone-event/8000"))
RELAY = Endpoint("10.0.0.3", 7000)


def call(until_ms: float = 30_200) -> Capture:
    return Capture().call(until_ms)


def assert_not_the_network(streams: list[StreamInterval], verdicts: set[str], *, lost: int = 0) -> None:
    assert verdicts == {verdict for stream in streams for verdict in stream.verdict.split()}
    assert lost == sum(stream.lost or 0 for stream in streams)
    assert all(stream.mos is not None and stream.mos > GOOD_MOS for stream in streams)
    assert all((stream.jitter_max_ms or 0.0) < 20 for stream in streams)


def only(packets: list[Packet], tmp_path: Path, capture: Capture | None = None) -> list[StreamInterval]:
    """Return the streams of a call whose caller sends these packets."""
    result = (capture or call()).rtp(packets).back(voice(100, 30_000)).replay(tmp_path)
    assert_not_the_network(measured(result, 0xB2), quiet(result))
    return measured(result)


def quiet(result: ReplayResult) -> set[str]:
    """Return the verdicts of the other direction, which is only ever told what the whole call is."""
    told = {verdict for stream in measured(result, 0xB2) for verdict in stream.verdict.split()}
    return told & {"hold", "t38"}


def test_plain_call(tmp_path: Path) -> None:
    assert_not_the_network(only(voice(100, 30_000), tmp_path), set())


def test_silence_with_marker_and_timestamps_that_go_on(tmp_path: Path) -> None:
    first = voice(100, 5_000)
    second = continued(first, 9_000, 14_000)
    third = continued(second, 14_700, 30_000)
    assert_not_the_network(only([*first, *second, *third], tmp_path), {"dtx"})


@pytest.mark.parametrize("gap_ms", [900, 5_000, 25_000])
def test_silence_without_marker_and_timestamps_that_stood_still(tmp_path: Path, gap_ms: int) -> None:
    first = voice(100, 3_000)
    second = continued(first, 3_000 + gap_ms, 30_000, ticks=160)
    packets = [*first, *(p._replace(marker=False) for p in second)]
    assert_not_the_network(only(packets, tmp_path), {"dtx"})


def test_comfort_noise(tmp_path: Path) -> None:
    first = voice(100, 5_000)
    noise = continued(first, 5_000, 9_000, payload_type=13, step_ms=200, payload_bytes=11)
    second = continued(noise, 9_000, 30_000)
    # timestamps of comfort noise that stand still, as some gateways send them, make naive jitter of seconds
    noise = [p._replace(timestamp=noise[0].timestamp) for p in noise]
    assert_not_the_network(only([*first, *noise, *second], tmp_path), {"comfort_noise", "dtx"})


def test_events_in_the_stream(tmp_path: Path) -> None:
    first = voice(100, 5_000)
    event = [
        p._replace(timestamp=first[-1].timestamp + 160)
        for p in continued(first, 5_000, 5_400, payload_type=101, payload_bytes=4)
    ]
    capture = Capture().call(30_200, "call", CALLER, CALLEE, EVENT)
    second = continued(event, 5_400, 30_000, ticks=3_200)
    assert_not_the_network(only([*first, *event, *second], tmp_path, capture), {"dtmf"})


def test_digits_of_a_stream_of_their_own_are_no_loss(tmp_path: Path) -> None:
    """Players of recorded digits let sequence numbers leap from digit to digit."""
    capture = Capture().call(30_200, "call", CALLER, CALLEE, EVENT).rtp(voice(100, 30_000))
    for digit in range(4):
        capture.rtp(
            voice(1000 * digit + 500, 1000 * digit + 700, seq=400 * digit, payload_type=101, payload_bytes=4),
            ssrc=0xD1,
        )
    result = capture.back(voice(100, 30_000)).replay(tmp_path)
    (events,) = measured(result, 0xD1)
    assert ("TELEPHONE-EVENT", None, "dtmf seq_restart") == (events.codec, events.mos, events.verdict)
    assert_not_the_network(measured(result), set())


@pytest.mark.parametrize("sendrecv", ["a=sendonly", "a=inactive"])
def test_hold(tmp_path: Path, sendrecv: str) -> None:
    capture = call()
    capture.invite(8_000, sdp(CALLER, PCMA, sendrecv), sdp(CALLEE, PCMA, "a=recvonly"), again=True)
    capture.invite(16_000, sdp(CALLER), sdp(CALLEE), again=True)
    first = voice(100, 8_000)
    second = continued(first, 16_100, 30_000, ticks=160)
    assert_not_the_network(only([*first, *second], tmp_path, capture), {"hold"})


def test_hold_by_an_unspecified_address(tmp_path: Path) -> None:
    capture = call()
    capture.invite(8_000, sdp(Endpoint("0.0.0.0", CALLER.port)), sdp(CALLEE), again=True)
    capture.invite(16_000, sdp(CALLER), sdp(CALLEE), again=True)
    first = voice(100, 8_000)
    packets = [*first, *continued(first, 16_100, 30_000, ticks=160)]
    assert {"hold"} <= set(only(packets, tmp_path, capture)[0].verdict.split())


def test_reinvite_that_starts_the_stream_anew(tmp_path: Path) -> None:
    capture = call().invite(12_000, sdp(CALLER), sdp(CALLEE), again=True)
    packets = [*voice(100, 12_000), *voice(12_100, 30_000, seq=40_000, timestamp=77)]
    assert_not_the_network(only(packets, tmp_path, capture), {"reinvite", "seq_restart"})


def test_reinvite_to_another_codec(tmp_path: Path) -> None:
    pcmu = [(0, "PCMU/8000")]
    capture = call().invite(12_000, sdp(CALLER, pcmu), sdp(CALLEE, pcmu), again=True)
    first = voice(100, 12_100)
    packets = [*first, *continued(first, 12_100, 30_000, payload_type=0)]
    assert_not_the_network(only(packets, tmp_path, capture), {"reinvite"})


def test_change_to_a_codec_of_another_clock(tmp_path: Path) -> None:
    codecs = [(8, "PCMA/8000"), (111, "opus/48000/2")]
    capture = Capture().call(30_200, "call", CALLER, CALLEE, codecs)
    first = voice(100, 12_000)
    second = voice(12_000, 30_000, seq=first[-1].seq + 1, payload_type=111, ticks_per_ms=48, payload_bytes=80)
    assert_not_the_network(only([*first, *second], tmp_path, capture), set())


def test_change_of_packet_time(tmp_path: Path) -> None:
    first = voice(100, 20_000)
    packets = [*first, *continued(first, 20_000, 60_000, step_ms=40, payload_bytes=320)]
    assert_not_the_network(only(packets, tmp_path, call(60_200)), {"ptime_change"})


def test_change_of_ssrc(tmp_path: Path) -> None:
    capture = call().rtp(voice(100, 12_000)).rtp(voice(12_000, 30_000, seq=9_000, timestamp=3), ssrc=0xA2)
    result = capture.back(voice(100, 30_000)).replay(tmp_path)
    assert_not_the_network(measured(result), set())
    assert_not_the_network(measured(result, 0xA2), {"ssrc_change"})


@pytest.mark.parametrize("spell_ms", [1_000, 14_000])
def test_two_ssrcs_in_turn_that_count_on(tmp_path: Path, spell_ms: int) -> None:
    packets = voice(100, 56_000)
    capture = call(56_200)
    for ssrc, turn in ((0xA1, 0), (0xA2, 1)):
        capture.rtp([p for p in packets if p.at_ms // spell_ms % 2 == turn], ssrc=ssrc)
    result = capture.replay(tmp_path)
    for stream in (*measured(result), *measured(result, 0xA2)):
        assert "ssrc_change" in stream.verdict.split()
        assert stream.mos is not None
        assert stream.mos > GOOD_MOS


def test_two_ssrcs_side_by_side_hide_no_loss(tmp_path: Path) -> None:
    packets = voice(100, 30_000)
    capture = call().rtp([p for p in packets if p.seq % 10]).rtp(packets, ssrc=0xA2)
    (stream,) = measured(capture.replay(tmp_path))
    assert stream.verdict == ""
    assert stream.lost == 149
    assert stream.mos is not None
    assert stream.mos < 4


def test_media_that_takes_another_way(tmp_path: Path) -> None:
    packets = voice(100, 30_000)
    early, late = [p for p in packets if p.at_ms < 12_000], [p for p in packets if p.at_ms >= 13_000]
    moved = call().invite(12_500, sdp(RELAY), sdp(CALLEE), again=True)
    result = moved.rtp(early).rtp(late, src=RELAY).replay(tmp_path)
    assert_not_the_network(measured(result), {"rerouted"})


def test_packets_captured_twice(tmp_path: Path) -> None:
    """Loopback, or a mirror of both directions of a switch."""
    packets = [copy for p in voice(100, 30_000) for copy in (p, p._replace(at_ms=p.at_ms + 0.01))]
    (stream,) = only(packets, tmp_path)
    assert (1495, 2990, 0, 1495) == (stream.expected, stream.received, stream.lost, stream.duplicates)
    assert_not_the_network([stream], {"duplicate_capture"})


def test_both_legs_of_a_relay_that_keeps_the_ssrc(tmp_path: Path) -> None:
    packets = voice(100, 30_000)
    onward = [p._replace(at_ms=p.at_ms + 0.4) for p in packets]
    result = call().rtp(packets, dst=RELAY).rtp(onward, src=RELAY).replay(tmp_path)
    assert [0, 0] == [stream.duplicates for stream in measured(result)]
    assert_not_the_network(measured(result), set())


@pytest.mark.parametrize("seq", [30_000, 100, 2_600])
def test_sequence_numbers_that_start_over(tmp_path: Path, seq: int) -> None:
    packets = [*voice(100, 12_000), *voice(12_100, 30_000, seq=seq, timestamp=1_000_000)]
    (stream,) = only(packets, tmp_path)
    assert "seq_restart" in stream.verdict.split()
    assert stream.mos is not None
    assert stream.mos > GOOD_MOS


def test_voice_that_turned_to_fax(tmp_path: Path) -> None:
    capture = call(80_200)
    image = [sdp(address, (), media="image", profile="udptl") for address in (CALLER, CALLEE)]
    capture.invite(10_000, *image, again=True)
    for i in range(1_500):  # UDPTL: a sequence number, then an IFP packet (T.38 annex D)
        capture.datagram(10_100 + i * 20, CALLER, CALLEE, bytes([i >> 8, i & 0xFF, 1, 0]) + bytes(30))
    capture.invite(45_000, sdp(CALLER), sdp(CALLEE), again=True)
    first = voice(100, 10_000)
    after = continued(first, 45_100, 80_000, skip=1_750)  # it counted on as if it had talked all the time
    (stream,) = measured(capture.rtp([*first, *after]).replay(tmp_path))
    assert "t38" in stream.verdict.split()
    assert stream.mos is not None
    assert stream.mos > GOOD_MOS


def test_clock_that_runs_at_another_speed(tmp_path: Path) -> None:
    packets = [p._replace(at_ms=p.at_ms * 1.002) for p in voice(100, 100_000)]
    assert_not_the_network(only(packets, tmp_path, call(110_200)), {"clock_drift"})


@pytest.mark.parametrize(("seq", "timestamp"), [(200, 40_000_000), (60_000, 7)])
def test_early_media_and_answer_from_two_sources(tmp_path: Path, seq: int, timestamp: int) -> None:
    """The network's announcement and the callee's voice come under one SSRC (homer#430)."""
    capture = Capture().invite(0, sdp(CALLER), sdp(CALLEE), early=sdp(CALLEE), answer_ms=4_000).bye(30_200)
    capture.rtp(voice(4_100, 30_000))
    capture.back([*voice(100, 4_000), *voice(4_020, 30_000, seq=seq, timestamp=timestamp)])
    (stream,) = measured(capture.replay(tmp_path), 0xB2)
    assert {"early_media_splice", "seq_restart"}.intersection(stream.verdict.split())
    assert stream.jitter_max_ms is not None
    assert stream.jitter_max_ms < 20
    assert stream.mos is not None
    assert stream.mos > GOOD_MOS


def test_packets_sent_again_fill_the_gap(tmp_path: Path) -> None:
    packets = voice(100, 30_000)
    again = [p._replace(at_ms=p.at_ms + 250) for p in packets if p.seq % 50 == 0]
    (stream,) = only([*(p for p in packets if p.seq % 50), *again], tmp_path)
    assert (0, 0, 30) == (stream.lost, stream.duplicates, stream.reordered)


def test_packets_that_come_after_all_are_late_and_not_lost(tmp_path: Path) -> None:
    packets = voice(100, 30_000)
    late = [p._replace(at_ms=p.at_ms + 1_500) for p in packets if p.seq in (600, 601, 602)]
    (stream,) = measured(call().rtp([*(p for p in packets if not 600 <= p.seq <= 602), *late]).replay(tmp_path))
    assert (3, 3, "late") == (stream.lost, stream.discarded, stream.verdict)


def test_retransmission_stream_is_no_voice(tmp_path: Path) -> None:
    codecs = [(8, "PCMA/8000"), (97, "rtx/8000")]
    capture = Capture().call(30_200, "call", CALLER, CALLEE, codecs)
    sparse = [p for p in voice(100, 30_000, payload_type=97, seq=0) if p.seq % 7 or p.seq < 50]
    result = capture.rtp(voice(100, 30_000)).rtp(sparse, ssrc=0xA2).replay(tmp_path)
    (again,) = measured(result, 0xA2)
    assert ("RTX", None) == (again.codec, again.mos)
    assert "retransmission" in again.verdict.split()


def test_redundant_audio_heals_single_losses(tmp_path: Path) -> None:
    codecs = [(63, "red/8000"), (8, "PCMA/8000")]
    capture = Capture().call(30_200, "call", CALLER, CALLEE, codecs, "a=fmtp:63 8/8")
    packets = [p for p in voice(100, 30_000, payload_type=63, payload_bytes=325) if p.seq % 20]
    (stream,) = only(packets, tmp_path, capture)
    assert ("PCMA", 74, "redundancy") == (stream.codec, stream.lost, stream.verdict)
    assert stream.mos is not None
    assert stream.mos > GOOD_MOS


def test_ends_of_a_stream_are_not_rated(tmp_path: Path) -> None:
    """Ten packets of an interval, of which three are missing, are no 30 % loss that anybody heard."""
    head = [p for p in voice(9_800, 30_000) if p.seq not in (103, 104, 106)]
    result = call().rtp(head).replay(tmp_path)
    rated = {(i.time_ns - START_NS) // 10**9: i.mos is not None for i in result.intervals}
    assert {0: False, 10: True, 20: True} == rated


def test_stream_that_was_on_before_the_capture_has_no_loss(tmp_path: Path) -> None:
    assert_not_the_network(only(voice(0, 30_000, seq=65_000, timestamp=2**32 - 9), tmp_path), set())


def test_reported_jitter_of_a_pause_is_shown_and_not_rated(tmp_path: Path) -> None:
    first = voice(100, 5_000)
    capture = call().rtp([*first, *continued(first, 10_500, 30_000, ticks=160)])
    for at_ms in (4_000, 9_000, 14_000, 19_000, 24_000, 29_000):
        sent = sum(p.at_ms < at_ms for p in [*first, *continued(first, 10_500, 30_000)])
        capture.receiver_report(at_ms, 0, 100 + sent - 1, jitter=2_500 if at_ms == 14_000 else 5)
    reported = [i for i in capture.replay(tmp_path).intervals if i.observer == "rtcp_rr"]
    (leap,) = [i for i in reported if (i.jitter_max_ms or 0) > 300]
    assert "dtx" in leap.verdict.split()
    assert leap.mos is not None
    assert leap.mos > GOOD_MOS


@pytest.mark.parametrize("protected", [True, False])
def test_encrypted_rtcp_is_counted_and_not_believed(tmp_path: Path, protected: bool) -> None:
    capture = call().rtp(voice(100, 30_000)).back(voice(100, 30_000))
    plain = bytes.fromhex("80c90006") + bytes.fromhex("000000b2")
    rtcp = Endpoint(CALLEE.ip, CALLEE.port + 1), Endpoint(CALLER.ip, CALLER.port + 1)
    for number in range(1, 6):
        cipher = bytes((number * 97 + i * 151) % 256 for i in range(20 + 24))
        trailer = (0x80000000 | number).to_bytes(4, "big") + cipher[:10] if protected else b""
        capture.datagram(number * 4_000, *rtcp, plain + cipher + trailer)
    result = capture.replay(tmp_path)
    assert result.rtcp_rejected == 5
    assert [] == [stream for stream in result.streams if stream.observer != "rtp"]
