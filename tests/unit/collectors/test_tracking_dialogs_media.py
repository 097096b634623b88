"""What a dialog says of its media, and what is told of each message."""

from dialog_runs import S_NS, Run, answered, figures, ms, released
from sip_batches import CALLEE, CALLER, OTHER, PROXY, START_NS, Ladder, sdp

from collectors.facts import (
    DATAGRAM_DUPLICATE,
    SipSighting,
)
from collectors.tracking.dialogs import (
    DialogSettings,
    QualityReportBody,
    RtpStatHeader,
)
from telephony.model import Endpoint


def shown(run: Run) -> list[tuple[bool, str, str, bool, bool]]:
    return [(m.from_caller, str(m.endpoint), m.sendrecv, m.is_answer, m.is_reinvite) for m in run.media]


def test_offer_and_answer() -> None:
    assert [
        (True, "10.0.0.1:40000", "sendrecv", False, False),
        (False, "10.0.0.3:40000", "sendrecv", True, False),
    ] == shown(Run(answered()))


def test_offer_in_the_answer_and_answer_in_the_ack() -> None:
    ladder = Ladder().request(0, "INVITE").response(1, 200, body=sdp("10.0.0.3"))
    assert [
        (False, "10.0.0.3:40000", "sendrecv", False, False),
        (True, "10.0.0.1:40000", "sendrecv", True, False),
    ] == shown(Run(ladder.request(1.1, "ACK", in_dialog=True, body=sdp())))


def test_hops_with_other_addresses_are_told_each_and_once() -> None:
    ladder = Ladder().request(0, "INVITE", CALLER, PROXY, body=sdp())
    ladder.request(0.01, "INVITE", PROXY, CALLEE, vias=2, body=sdp("10.0.0.20", 30000))
    for at_s, status in ((1, 183), (2, 200)):
        ladder.response(at_s, status, CALLEE, PROXY, vias=2, body=sdp("10.0.0.3"))
        ladder.response(at_s + 0.01, status, PROXY, CALLER, body=sdp("10.0.0.20", 30002))
    assert [
        (True, "10.0.0.1:40000", "sendrecv", False, False),
        (True, "10.0.0.20:30000", "sendrecv", False, False),
        (False, "10.0.0.3:40000", "sendrecv", True, False),
        (False, "10.0.0.20:30002", "sendrecv", True, False),
    ] == shown(Run(ladder))


def test_hold_and_resume_are_media_updates_of_the_same_attempt() -> None:
    ladder = answered()
    for at_s, cseq, direction in ((10, 2, "sendonly"), (20, 3, "sendrecv")):
        ladder.request(at_s, "INVITE", cseq=cseq, in_dialog=True, body=sdp(direction=direction))
        ladder.response(at_s + 1, 200, cseq=cseq, body=sdp("10.0.0.3"))
    run = Run(released(ladder, 30, cseq=4))
    assert (1, 1, 3000.0) == (len(run.calls), run.call.attempts, ms(run.call, "answered_ns"))
    assert [
        (True, "10.0.0.1:40000", "sendonly", False, True),
        (False, "10.0.0.3:40000", "sendrecv", True, True),
        (True, "10.0.0.1:40000", "sendrecv", False, True),
        (False, "10.0.0.3:40000", "sendrecv", True, True),
    ] == shown(run)[2:]


def test_reinvite_of_the_callee_and_glare() -> None:
    ladder = answered()
    ladder.request(10, "INVITE", cseq=2, in_dialog=True, body=sdp(port=40010))
    ladder.request(10, "INVITE", CALLEE, CALLER, cseq=1, in_dialog=True, from_callee=True, body=sdp("10.0.0.3", 5))
    ladder.response(10.1, 491, cseq=2).response(10.1, 491, CALLER, CALLEE, cseq=1, from_callee=True)
    ladder.request(12, "INVITE", CALLEE, CALLER, cseq=2, in_dialog=True, from_callee=True, body=sdp("10.0.0.3", 7))
    ladder.response(12.1, 200, CALLER, CALLEE, cseq=2, from_callee=True, body=sdp(port=40012))
    run = Run(released(ladder, 30, cseq=3))
    assert (200, 1, True) == (run.call.sip_code, run.call.attempts, run.call.clean_end)
    assert [
        (True, "10.0.0.1:40010", "sendrecv", False, True),
        (False, "10.0.0.3:5", "sendrecv", False, True),
        (False, "10.0.0.3:7", "sendrecv", False, True),
        (True, "10.0.0.1:40012", "sendrecv", True, True),
    ] == shown(run)[2:]


def test_update_changes_media() -> None:
    ladder = answered().request(5, "UPDATE", cseq=2, in_dialog=True, body=sdp(port=41000))
    ladder.response(5.1, 200, method="UPDATE", cseq=2, body=sdp("10.0.0.3", 42000))
    assert [
        (True, "10.0.0.1:41000", "sendrecv", False, True),
        (False, "10.0.0.3:42000", "sendrecv", True, True),
    ] == shown(Run(ladder))[2:]


def test_prack_answers_the_offer_of_a_reliable_183() -> None:
    ladder = Ladder().request(0, "INVITE").response(1, 183, body=sdp("10.0.0.3"))
    ladder.request(1.1, "PRACK", cseq=2, in_dialog=True, body=sdp())
    assert [
        (False, "10.0.0.3:40000", "sendrecv", False, False),
        (True, "10.0.0.1:40000", "sendrecv", True, False),
    ] == shown(Run(ladder))


def test_sdp_inside_multipart_and_refused_lines() -> None:
    part = sdp() + "m=audio 0 RTP/AVP 0\r\nm=video 5000 RTP/AVP 99\r\nm=image 5002 udptl t38\r\n"
    body = f"--x\r\nContent-Type: application/sdp\r\n\r\n{part}\r\n--x--\r\n"
    ladder = Ladder().request(0, "INVITE", headers=["Content-Type: multipart/mixed;boundary=x"], body=body)
    run = Run(ladder)
    assert [("audio", 40000), ("image", 5002)] == [(m.media, m.endpoint.port) for m in run.media]
    assert [True] == [s.has_sdp for s in run.sightings]


# -- copies ----------------------------------------------------------------------------------------------------


def test_retransmissions_change_nothing_but_the_ladder() -> None:
    plain = released(answered(), 63)
    doubled = Ladder()
    for datagram in plain.datagrams:
        doubled.datagrams += [datagram, datagram._replace(at_ns=datagram.at_ns + 500_000_000)]
    doubled.datagrams.sort(key=lambda d: d.at_ns)
    once, twice = Run(plain), Run(doubled)
    assert figures(once.call) == figures(twice.call)
    assert (once.kinds, 7, 7) == (
        twice.kinds,
        twice.tracker.stats.retransmissions,
        sum(s.retransmission for s in twice.sightings),
    )


def test_the_same_datagram_from_another_agent_is_a_duplicate() -> None:
    ladder = Ladder().request(0, "INVITE")
    ladder.datagrams.append(ladder.datagrams[0]._replace(node_id=9))
    run = Run(ladder)
    assert (1, 0, [False, False]) == (
        run.tracker.stats.duplicates,
        run.tracker.stats.retransmissions,
        [s.retransmission for s in run.sightings],
    )


def test_marked_duplicates_are_counted_and_skipped() -> None:
    ladder = Ladder().request(0, "INVITE")
    ladder.datagrams.append(ladder.datagrams[0]._replace(flags=DATAGRAM_DUPLICATE))
    run = Run(ladder)
    assert (1, 1, 1) == (
        run.tracker.stats.duplicates,
        len(run.sightings),
        run.tracker.stats.requests_by_method()["INVITE"],
    )


# -- the ladder and other facts ---------------------------------------------------------------------------------


def test_sighting_of_a_request_and_a_response() -> None:
    ladder = Ladder("id", "near", "far").request(0, "INVITE", body=sdp()).response(1, 180)
    expected = [
        SipSighting(
            START_NS, "id", CALLER, CALLEE, 1, "n1", "INVITE", 0, "sip:bob@example.net", 1, "near", "",
            "z9hG4bK-INVITE-1-near-0", 1, True, False,
        ),
        SipSighting(
            START_NS + S_NS, "id", CALLEE, CALLER, 1, "n1", "INVITE", 180, "Ringing", 1, "near", "far",
            "z9hG4bK-INVITE-1-near-0", 1, False, False,
        ),
    ]  # fmt: skip
    assert expected == Run(ladder).sightings


def test_sighting_of_the_callee_s_request_and_of_an_unknown_method() -> None:
    ladder = answered().request(5, "NEWMETHOD", CALLEE, CALLER, cseq=3, in_dialog=True, from_callee=True)
    last = Run(ladder).sightings[-1]
    assert ("NEWMETHOD", "b", "a") == (last.method, last.from_tag, last.to_tag)


def test_sightings_of_one_call_are_bounded() -> None:
    ladder = answered()
    for number in range(20):
        ladder.request(10 + number, "INFO", cseq=10 + number, in_dialog=True)
    run = Run(ladder, settings=DialogSettings(max_sightings_per_call=8))
    assert (8, 17) == (len(run.sightings), run.tracker.stats.sightings_shed)


def test_ipv6_endpoints() -> None:
    call = Run(Ladder().request(0, "INVITE", Endpoint("2001:db8::1", 5060), Endpoint("2001:db8::2", 5060))).call
    assert ["[2001:db8::1]:5060 > [2001:db8::2]:5060"] == call.hops


def test_quality_report_of_a_publish_is_told_once() -> None:
    ladder = Ladder("publish-1")
    headers = ["Content-Type: application/vq-rtcpxr"]
    ladder.request(0, "PUBLISH", CALLER, PROXY, headers=headers, body="VQSessionReport\r\n")
    ladder.request(0.01, "PUBLISH", PROXY, OTHER, vias=2, headers=headers, body="VQSessionReport\r\n")
    assert [QualityReportBody(START_NS, "publish-1", b"VQSessionReport\r\n", CALLER, PROXY, 1)] == Run(
        ladder
    ).events


def test_rtp_stat_headers_of_both_sides() -> None:
    ladder = answered().request(
        9, "BYE", CALLEE, CALLER, cseq=1, in_dialog=True, from_callee=True, headers=["X-RTP-Stat: PS=1"]
    )
    ladder.response(9.1, 200, CALLER, CALLEE, method="BYE", cseq=1, from_callee=True, headers=["P-RTP-Stat: PS=2"])
    stats = [e for e in Run(ladder).events if isinstance(e, RtpStatHeader)]
    assert [("PS=1", False, CALLEE), ("PS=2", True, CALLER)] == [(e.value, e.from_caller, e.src) for e in stats]
