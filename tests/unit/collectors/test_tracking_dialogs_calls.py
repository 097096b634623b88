"""Session attempts from first INVITE to the end: answered, refused, cancelled, challenged, vanished."""

from itertools import pairwise

import pytest
from dialog_runs import S_NS, Run, answered, ms, refused, released
from sip_batches import CALLEE, CALLER, OTHER, START_NS, Ladder

from collectors.facts import (
    CallAnswered,
    CallEnded,
    CallStarted,
)


def test_answered_call() -> None:
    run = Run(released(answered(), 63))
    call = run.call
    assert (200, 1, 1000.0, 1000.0, 3000.0, 63000.0, "caller", True, 1, False) == (
        call.sip_code,
        call.attempts,
        ms(call, "ringing_ns"),
        ms(call, "first_response_ns"),
        ms(call, "answered_ns"),
        ms(call, "ended_ns"),
        call.released_by,
        call.clean_end,
        call.legs,
        call.expired,
    )


def test_events_come_in_the_order_of_the_call() -> None:
    assert ["CallStarted", "MediaDescription", "MediaDescription", "CallAnswered", "CallEnded"] == Run(
        released(answered(), 63)
    ).kinds


def test_events_share_one_call() -> None:
    run = Run(released(answered(), 63))
    calls = [e.call for e in run.events if isinstance(e, CallStarted | CallAnswered | CallEnded)]
    assert all(one is other for one, other in pairwise(calls))


def test_who_called_whom_from_where() -> None:
    ladder = Ladder("id-1", "tag-1").request(
        0, "INVITE", headers=["User-Agent: phone", "X-CID: leg-2", "Subject: no"], node_id=7
    )
    call = Run(ladder).call
    assert (
        "id-1",
        "alice",
        "example.com",
        "bob",
        "example.net",
        CALLER,
        CALLEE,
        7,
        "n7",
        "k",
        {"user-agent": "phone", "x-cid": "leg-2"},
        ["10.0.0.1:5060 > 10.0.0.3:5060"],
    ) == (
        call.call_id,
        call.from_user,
        call.from_domain,
        call.to_user,
        call.to_domain,
        call.src,
        call.dst,
        call.node_id,
        call.node_name,
        call.tenant_key,
        call.headers,
        call.hops,
    )


def test_callee_hangs_up() -> None:
    call = Run(released(answered(), 10, by_callee=True)).call
    assert ("callee", True) == (call.released_by, call.clean_end)


def test_both_hang_up_at_once() -> None:
    ladder = answered().request(9, "BYE", cseq=2, in_dialog=True)
    call = Run(released(ladder, 9.01, by_callee=True)).call
    assert ("caller", 9000.0, True) == (call.released_by, ms(call, "ended_ns"), call.clean_end)


def test_bye_without_answer_is_no_clean_end() -> None:
    run = Run(answered().request(9, "BYE", cseq=2, in_dialog=True), until_s=40)
    assert [] == run.calls
    call = run.advance(42).call
    assert ("caller", False, False) == (call.released_by, call.clean_end, call.expired)


def test_bye_that_was_not_seen_is_known_by_its_answer() -> None:
    call = Run(answered().response(9, 200, CALLER, CALLEE, method="BYE", cseq=5, from_callee=True)).call
    assert ("callee", True, 9000.0) == (call.released_by, call.clean_end, ms(call, "ended_ns"))


def test_challenged_bye_is_not_answered_yet() -> None:
    ladder = answered().request(9, "BYE", cseq=2, in_dialog=True).response(9.1, 401, method="BYE", cseq=2)
    call = Run(released(ladder, 9.2, cseq=3)).call
    assert ("caller", True, 9000.0) == (call.released_by, call.clean_end, ms(call, "ended_ns"))


def test_q850_cause_of_the_bye() -> None:
    ladder = answered().request(9, "BYE", cseq=2, in_dialog=True, headers=["Reason: Q.850;cause=16"])
    assert 16 == Run(ladder).call.q850


@pytest.mark.parametrize("status", [302, 404, 408, 480, 486, 488, 500, 503, 600, 603])
def test_refused_call(status: int) -> None:
    call = Run(refused(status)).call
    assert (status, None, 2000.0, 2000.0, None, "") == (
        call.sip_code,
        ms(call, "ringing_ns"),
        ms(call, "first_response_ns"),
        ms(call, "ended_ns"),
        ms(call, "answered_ns"),
        call.released_by,
    )


def test_no_answer_after_ringing() -> None:
    call = Run(refused(408, ringing=True, at_s=60)).call
    assert (408, 1000.0, 1000.0) == (call.sip_code, ms(call, "ringing_ns"), ms(call, "first_response_ns"))


def test_q850_cause_of_a_refusal() -> None:
    ladder = Ladder().request(0, "INVITE").response(1, 503, headers=["Reason: Q.850 ;cause=34"])
    assert 34 == Run(ladder).call.q850


def test_caller_cancels_while_ringing() -> None:
    ladder = Ladder().request(0, "INVITE").response(1, 180)
    ladder.request(4, "CANCEL", headers=["Reason: Q.850;cause=16"]).response(4.1, 200, method="CANCEL")
    call = Run(ladder.response(4.2, 487)).call
    assert (487, True, "caller", 1000.0, 16) == (
        call.sip_code,
        call.cancelled,
        call.released_by,
        ms(call, "ringing_ns"),
        call.q850,
    )


def test_caller_abandons_before_ringing() -> None:
    ladder = Ladder().request(0, "INVITE").response(0.1, 100).request(1, "CANCEL").response(1.2, 487)
    call = Run(ladder).call
    assert (487, True, None) == (call.sip_code, call.cancelled, ms(call, "ringing_ns"))


def test_cancel_that_came_too_late() -> None:
    ladder = answered().request(3.05, "CANCEL")
    call = Run(released(ladder, 3.2)).call
    assert (200, False, "caller") == (call.sip_code, call.cancelled, call.released_by)


def test_nobody_answers_at_all() -> None:
    ladder = Ladder().request(0, "INVITE").request(0.5, "INVITE").request(1.5, "INVITE")
    run = Run(ladder, until_s=39)
    assert ([], 1, 2) == (run.calls, run.tracker.setup_in_progress, run.tracker.stats.retransmissions)
    call = run.advance(42).call
    assert (0, "timeout", True, 1) == (call.sip_code, call.released_by, call.expired, call.attempts)


def test_ringing_without_end() -> None:
    run = Run(Ladder().request(0, "INVITE").response(1, 180), until_s=240)
    assert [] == run.calls
    call = run.advance(242).call
    assert (0, True, 1000.0) == (call.sip_code, call.expired, ms(call, "ended_ns"))


def test_answered_call_that_vanishes() -> None:
    run = Run(answered(), until_s=4 * 3600)
    assert ([], 1) == (run.calls, run.tracker.live_calls)
    call = run.advance(4 * 3600 + 5).call
    assert ("timeout", True, 3100.0, False) == (
        call.released_by,
        call.expired,
        ms(call, "ended_ns"),
        call.clean_end,
    )


def test_media_keeps_a_call_alive() -> None:
    run = Run(answered(), until_s=3 * 3600)
    run.tracker.touch("call-1", START_NS + 3 * 3600 * S_NS)
    assert [] == run.advance(6 * 3600).calls
    assert 3 * 3600 * 1000.0 == ms(run.advance(7 * 3600 + 5).call, "ended_ns")


def test_touching_an_unknown_call_does_nothing() -> None:
    run = Run(until_s=None)
    run.tracker.touch("nobody", START_NS)
    assert 0 == len(run.tracker)


def test_answer_that_was_not_seen_is_told_by_ack_and_bye() -> None:
    ladder = Ladder().request(0, "INVITE").response(1, 180).request(3, "ACK", in_dialog=True)
    run = Run(released(ladder, 9))
    assert (200, 3000.0, "caller") == (run.call.sip_code, ms(run.call, "answered_ns"), run.call.released_by)
    assert ["CallStarted", "CallAnswered", "CallEnded"] == run.kinds


def test_bye_of_an_early_dialog_waits_for_the_final_answer() -> None:
    ladder = Ladder().request(0, "INVITE").response(1, 180).request(2, "BYE", cseq=2, in_dialog=True)
    assert 487 == Run(ladder.response(2.1, 487)).call.sip_code


# -- attempts --------------------------------------------------------------------------------------------------


def challenged(first: int = 407) -> Ladder:
    ladder = Ladder().request(0, "INVITE").response(0.1, first, to_tag="proxy")
    return ladder.request(0.11, "ACK", in_dialog=True, branch="z9hG4bK-INVITE-1-a")


@pytest.mark.parametrize("status", [401, 407])
def test_challenge_and_credentials_are_one_attempt(status: int) -> None:
    ladder = challenged(status).request(0.2, "INVITE", cseq=2, headers=["Proxy-Authorization: Digest x"])
    ladder.response(1.2, 180, cseq=2).response(2.2, 200, cseq=2)
    ladder.request(2.3, "ACK", cseq=2, in_dialog=True)
    run = Run(released(ladder, 9, cseq=3))
    call = run.call
    assert (200, 2, 1200.0, 2200.0) == (
        call.sip_code,
        call.attempts,
        ms(call, "first_response_ns"),
        ms(call, "answered_ns"),
    )
    assert 1 == run.kinds.count("CallStarted")


def test_challenge_without_follow_up_is_final() -> None:
    run = Run(challenged(), until_s=4)
    assert [] == run.calls
    assert (407, 1, 100.0) == (
        (call := run.advance(6).call).sip_code,
        call.attempts,
        ms(call, "first_response_ns"),
    )


def test_credentials_that_come_before_the_challenge_is_seen() -> None:
    ladder = Ladder().request(0, "INVITE").request(0.2, "INVITE", cseq=2, headers=["Authorization: x"])
    ladder.response(0.19, 407).response(1, 200, cseq=2)
    call = Run(ladder).call
    assert (200, 2) == (call.sip_code, call.attempts)


def test_another_try_after_a_redirect_is_the_same_attempt() -> None:
    ladder = refused(302, at_s=0.2).request(0.5, "INVITE", dst=OTHER, cseq=2).response(1, 486, OTHER, cseq=2)
    call = Run(ladder).call
    assert (486, 2) == (call.sip_code, call.attempts)


def test_call_id_used_again_later_is_another_attempt() -> None:
    ladder = refused(486).request(20, "INVITE", cseq=2).response(21, 480, cseq=2)
    assert [(486, 1), (480, 1)] == [(call.sip_code, call.attempts) for call in Run(ladder).calls]


def test_call_id_used_again_right_after_the_end_is_another_call() -> None:
    ladder = released(answered(), 9).request(9.3, "INVITE", cseq=7).response(9.4, 486, cseq=7)
    assert [200, 486] == [call.sip_code for call in Run(ladder).calls]


def test_late_copies_of_an_ended_attempt_start_nothing() -> None:
    ladder = refused(404, at_s=0.2).request(4, "INVITE").response(4.1, 404)
    run = Run(ladder.request(4.2, "ACK", in_dialog=True, branch="z9hG4bK-INVITE-1-a"))
    assert (1, 3, 0) == (len(run.calls), run.tracker.stats.late, run.tracker.stats.without_invite)


def test_two_tags_under_one_call_id_are_two_attempts() -> None:
    first, second = Ladder(from_tag="a"), Ladder(from_tag="z")
    first.request(0, "INVITE").response(1, 486)
    second.request(1.5, "INVITE").response(2, 404)
    assert [486, 404] == [call.sip_code for call in Run(first, second).calls]


# -- hops ------------------------------------------------------------------------------------------------------
