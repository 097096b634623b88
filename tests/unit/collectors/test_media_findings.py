"""What is wrong with a call's media is found, and said of no call whose media is right."""

from pathlib import Path

import pytest
from call_captures import CALLEE, CALLER, PCMA, Capture, Packet, continued, findings_of, sdp, voice

from collectors.settings import CollectorSettings
from surgecast.replay import replay_files
from telephony.model import Endpoint

ELSEWHERE = Endpoint("10.0.0.9", 4400)


def talk(until_ms: float = 25_000) -> Capture:
    return Capture().call(until_ms + 200)


def both(until_ms: float = 25_000) -> Capture:
    return talk(until_ms).rtp(voice(100, until_ms)).back(voice(100, until_ms))


def without(packets: list[Packet], every: int) -> list[Packet]:
    return [p for p in packets if p.seq % every]


def reports(capture: Capture, lost_of: int, until_ms: int = 25_000) -> Capture:
    for at_ms in range(5_000, until_ms + 1, 5_000):
        sent = (at_ms - 100) // 20
        capture.receiver_report(at_ms, sent // lost_of if lost_of else 0, 100 + sent - 1)
    return capture


def test_plain_call_has_no_findings(tmp_path: Path) -> None:
    assert {} == findings_of(reports(both(), 0).replay(tmp_path))


def test_loss_that_both_saw_is_no_disagreement(tmp_path: Path) -> None:
    capture = talk().rtp(without(voice(100, 25_000), 20)).back(voice(100, 25_000))
    assert {} == findings_of(reports(capture, 20).replay(tmp_path))


def test_loss_after_the_tap_is_found(tmp_path: Path) -> None:
    found = findings_of(reports(both(), 20).replay(tmp_path))
    assert ["loss_after_tap"] == list(found)
    assert "reports 25 of 500 packets lost, seen here 0 of 500" in found["loss_after_tap"]


def test_loss_of_the_capture_is_found(tmp_path: Path) -> None:
    capture = talk().rtp(without(voice(100, 25_000), 8)).back(voice(100, 25_000))
    assert ["tap_loss"] == list(findings_of(reports(capture, 0).replay(tmp_path)))


def test_a_burst_on_the_border_of_intervals_is_no_disagreement(tmp_path: Path) -> None:
    packets = [p for p in voice(100, 25_000) if not 9_000 <= p.at_ms < 9_800]
    capture = talk().rtp(packets).back(voice(100, 25_000))
    for at_ms in range(3_000, 25_001, 5_000):
        lost = min(max(at_ms - 9_000, 0) // 20, 40)
        capture.receiver_report(at_ms, lost, 100 + (at_ms - 100) // 20 - 1)
    assert {} == findings_of(capture.replay(tmp_path))


def test_capture_that_began_in_the_middle_blames_nobody(tmp_path: Path) -> None:
    """The receiver's totals hold loss from before the capture."""
    capture = both()
    for at_ms in range(2_000, 25_001, 5_000):
        capture.receiver_report(at_ms, 300, 0x10000 + 100 + (at_ms - 100) // 20 - 1)
    assert {} == findings_of(capture.replay(tmp_path))


@pytest.mark.parametrize(
    ("payload_type", "found"),
    [(0, ["wrong_codec"]), (8, []), (18, ["wrong_codec"]), (120, ["rtp_clock_estimated", "wrong_codec"])],
)
def test_codec_that_no_answer_agreed_on_is_found(tmp_path: Path, payload_type: int, found: list[str]) -> None:
    capture = talk().rtp(voice(100, 25_000, payload_type=payload_type)).back(voice(100, 25_000))
    assert found == sorted(findings_of(capture.replay(tmp_path)))


def test_dynamic_types_mean_what_their_receiver_says(tmp_path: Path) -> None:
    offer = sdp(CALLER, [(96, "opus/48000/2"), (97, "iLBC/8000")])
    answer = sdp(CALLEE, [(97, "opus/48000/2")])
    capture = Capture().invite(0, offer, answer).bye(25_200)
    capture.rtp(voice(100, 25_000, payload_type=97, ticks_per_ms=48))
    capture.back(voice(100, 25_000, payload_type=96, ticks_per_ms=48))
    assert {} == findings_of(capture.replay(tmp_path))


def test_dynamic_type_of_a_codec_that_was_not_chosen_is_found(tmp_path: Path) -> None:
    offer = sdp(CALLER, [(96, "opus/48000/2"), (98, "iLBC/8000")])
    answer = sdp(CALLEE, [(97, "opus/48000/2")])
    capture = Capture().invite(0, offer, answer).bye(25_200)
    capture.rtp(voice(100, 25_000, payload_type=97, ticks_per_ms=48))
    capture.back(voice(100, 25_000, payload_type=98))
    assert "payload type 98 (ILBC)" in findings_of(capture.replay(tmp_path))["wrong_codec"]


def test_codec_of_a_reinvite_is_not_wrong(tmp_path: Path) -> None:
    capture = Capture().call(30_200)
    pcmu = [(0, "PCMU/8000")]
    capture.invite(12_000, sdp(CALLER, pcmu), sdp(CALLEE, pcmu), again=True)
    for add in (capture.rtp, capture.back):
        first = voice(100, 12_500)
        add([*first, *continued(first, 12_500, 30_000, payload_type=0)])
    assert {} == findings_of(capture.replay(tmp_path))


def test_media_to_an_address_that_nobody_named_is_found(tmp_path: Path) -> None:
    capture = talk().rtp(voice(100, 25_000)).rtp(voice(100, 25_000), src=CALLEE, dst=ELSEWHERE, ssrc=7)
    found = findings_of(capture.replay(tmp_path))
    assert "goes to 10.0.0.9:4400, which no SDP of the call names" in found["wrong_address"]


def test_media_to_a_wrong_port_is_found_at_the_end_of_a_short_call(tmp_path: Path) -> None:
    wrong = Endpoint(CALLER.ip, CALLER.port + 2)
    capture = talk(8_000).rtp(voice(100, 8_000)).rtp(voice(100, 8_000), src=CALLEE, dst=wrong, ssrc=7)
    assert "wrong_address" in findings_of(capture.replay(tmp_path))


def test_relay_that_latches_on_is_not_wrong(tmp_path: Path) -> None:
    """The caller named a private address; the callee's relay answers to where packets come from."""
    public = Endpoint("198.51.100.7", 61_000)
    capture = talk().rtp(voice(100, 25_000), src=public).rtp(voice(300, 25_000), src=CALLEE, dst=public, ssrc=7)
    assert {} == findings_of(capture.replay(tmp_path))


def test_second_sender_is_found(tmp_path: Path) -> None:
    capture = both().rtp(voice(5_000, 20_000), src=ELSEWHERE, ssrc=0xBAD)
    assert {"two_senders"} == findings_of(capture.replay(tmp_path)).keys()


def test_answered_call_without_media_is_found_beside_one_that_has_it(tmp_path: Path) -> None:
    other = Endpoint("10.0.0.7", 4100), Endpoint(CALLEE.ip, 6100)
    good = both(12_000)
    bad = good.call(40_000, "silent", *other)
    assert {"no_media": "silent"} == {
        str(row["kind"]): row["call_id"] for row in bad.replay(tmp_path).rows["finding"]
    }


def test_call_without_media_is_no_finding_where_no_media_is_seen(tmp_path: Path) -> None:
    capture = talk().call(25_200, "second")
    assert {} == findings_of(capture.replay(tmp_path))


@pytest.mark.parametrize("sendrecv", ["a=inactive", "a=sendonly"])
def test_held_call_without_media_is_no_finding(tmp_path: Path, sendrecv: str) -> None:
    capture = both(12_000)
    other = Endpoint("10.0.0.7", 4100), Endpoint(CALLEE.ip, 6100)
    offer, answer = sdp(other[0], PCMA, sendrecv), sdp(other[1], PCMA, "a=inactive")
    capture.invite(0, offer, answer, call_id="held").bye(40_000, "held")
    assert {} == findings_of(capture.replay(tmp_path))


def test_call_in_which_nobody_speaks_is_found(tmp_path: Path) -> None:
    noise = [p._replace(payload=bytes(1)) for p in voice(100, 25_000, payload_type=13, step_ms=100)]
    found = findings_of(talk().rtp(noise).back(noise).replay(tmp_path))
    assert "events or comfort noise only" in found["no_audio"]


def test_call_whose_parties_send_nothing_is_found(tmp_path: Path) -> None:
    capture = talk()
    for at_ms in range(2_000, 25_000, 5_000):
        capture.sender_report(at_ms, 0)
    assert "sent and received nothing" in findings_of(capture.replay(tmp_path))["no_audio"]


@pytest.mark.captures
@pytest.mark.parametrize("folder", ["lab", "public"])
def test_no_false_alarm_on_real_captures(captures: Path, folder: str) -> None:
    paths = sorted(p for p in (captures / folder).iterdir() if p.suffix in (".pcap", ".pcapng"))
    assert paths
    found = {
        (path.name, kind)
        for path in paths
        for kind in findings_of(replay_files([path], CollectorSettings()))
        if kind not in ("rtp_unmatched", "rtcp_unmatched", "rtcp_without_call")
    }
    assert set() == found
