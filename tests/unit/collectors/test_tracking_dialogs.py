"""Session attempts: what the caller saw, whatever order and number of hops it is seen on."""

import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sip_batches import CALLEE, CALLER, OTHER, PROXY, START_NS, Ladder, batch_of, hep_sip, message, sdp

from collectors.facts import (
    DATAGRAM_DUPLICATE,
    CallAnswered,
    CallEnded,
    CallStarted,
    MediaDescription,
    SipCall,
    SipSighting,
)
from collectors.tracking.dialogs import (
    DialogEvent,
    DialogSettings,
    DialogTracker,
    QualityReportBody,
    RtpStatHeader,
)
from telephony.model import Endpoint

S_NS = 1_000_000_000
FAR_S = 5 * 3600.0


class Run:
    """A tracker that was fed ladders, one datagram a batch, and then closed."""

    def __init__(
        self, *ladders: Ladder, until_s: float | None = FAR_S, settings: DialogSettings | None = None
    ) -> None:
        self.tracker = DialogTracker(settings or DialogSettings())
        self.sightings: list[SipSighting] = []
        self.events: list[DialogEvent] = []
        for ladder in ladders:
            for datagram in ladder.datagrams:
                self.tracker.feed(batch_of([datagram]), np.arange(1))
                self.take()
        if until_s is not None:
            self.advance(until_s)

    def take(self) -> None:
        self.events += self.tracker.take_events()
        self.sightings += self.tracker.take_sightings()

    def advance(self, at_s: float) -> "Run":
        self.tracker.advance(START_NS + round(at_s * S_NS))
        self.take()
        return self

    @property
    def calls(self) -> list[SipCall]:
        return [event.call for event in self.events if isinstance(event, CallEnded)]

    @property
    def call(self) -> SipCall:
        (call,) = self.calls
        return call

    @property
    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    @property
    def media(self) -> list[MediaDescription]:
        return [event for event in self.events if isinstance(event, MediaDescription)]


def ms(call: SipCall, field: str) -> float | None:
    """Return a time of a call in ms since its start, None where it is 0."""
    at_ns = getattr(call, field)
    return round((at_ns - call.started_ns) / 1e6, 3) if at_ns else None


def answered(ladder: Ladder | None = None, *, at_s: float = 0.0, src: Endpoint = CALLER) -> Ladder:
    """Write a call that rings after 1 s and is answered after 3 s."""
    ladder = ladder or Ladder()
    return (
        ladder.request(at_s, "INVITE", src, body=sdp())
        .response(at_s + 0.1, 100, dst=src)
        .response(at_s + 1, 180, dst=src)
        .response(at_s + 3, 200, dst=src, body=sdp("10.0.0.3"))
        .request(at_s + 3.1, "ACK", src, in_dialog=True)
    )


def released(ladder: Ladder, at_s: float, *, by_callee: bool = False, cseq: int = 2) -> Ladder:
    src, dst = (CALLEE, CALLER) if by_callee else (CALLER, CALLEE)
    ladder.request(at_s, "BYE", src, dst, cseq=cseq, in_dialog=True, from_callee=by_callee)
    return ladder.response(at_s + 0.1, 200, dst, src, method="BYE", cseq=cseq, from_callee=by_callee)


def refused(status: int, *, ringing: bool = False, at_s: float = 2.0) -> Ladder:
    ladder = Ladder().request(0, "INVITE").response(0.1, 100)
    if ringing:
        ladder.response(1, 180)
    return ladder.response(at_s, status).request(at_s + 0.1, "ACK", in_dialog=True, branch="z9hG4bK-INVITE-1-a")


# -- one hop ---------------------------------------------------------------------------------------------------


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


def proxied(skew_s: float = 0.0) -> Ladder:
    """Write a call through a proxy, whose far side is stamped by a clock that is off by `skew_s`."""
    ladder = Ladder()
    ladder.request(0, "INVITE", CALLER, PROXY)
    ladder.request(0.01 + skew_s, "INVITE", PROXY, CALLEE, vias=2, node_id=2)
    ladder.response(1 + skew_s, 180, CALLEE, PROXY, vias=2, node_id=2)
    ladder.response(1.01, 180, PROXY, CALLER)
    ladder.response(3 + skew_s, 200, CALLEE, PROXY, vias=2, node_id=2)
    ladder.response(3.01, 200, PROXY, CALLER)
    ladder.request(3.1, "ACK", CALLER, PROXY, in_dialog=True)
    ladder.request(3.11 + skew_s, "ACK", PROXY, CALLEE, in_dialog=True, vias=2, node_id=2)
    ladder.request(9, "BYE", CALLER, PROXY, cseq=2, in_dialog=True)
    ladder.request(9.01 + skew_s, "BYE", PROXY, CALLEE, cseq=2, in_dialog=True, vias=2, node_id=2)
    ladder.response(9.1 + skew_s, 200, CALLEE, PROXY, method="BYE", cseq=2, vias=2, node_id=2)
    return ladder.response(9.11, 200, PROXY, CALLER, method="BYE", cseq=2)


def figures(call: SipCall) -> tuple[object, ...]:
    return (
        call.sip_code,
        call.attempts,
        ms(call, "ringing_ns"),
        ms(call, "first_response_ns"),
        ms(call, "answered_ns"),
        call.src,
        call.node_id,
        call.legs,
        call.released_by,
        call.clean_end,
    )


PROXIED = (200, 1, 1010.0, 1010.0, 3010.0, CALLER, 1, 1, "caller", True)


@pytest.mark.parametrize("skew_s", [0.0, 0.5, -0.5])
def test_times_are_of_the_hop_nearest_the_caller(skew_s: float) -> None:
    assert PROXIED == figures(Run(proxied(skew_s)).call)


@given(st.randoms(use_true_random=False))
def test_order_in_which_agents_report_does_not_matter(chance: object) -> None:
    """The far side's datagrams come up to 0.4 s late, or early."""
    ladder = proxied()
    late = {d: chance.uniform(-0.4, 0.4) if d.node_id == 2 else 0.0 for d in ladder.datagrams}  # type: ignore[attr-defined]
    ladder.datagrams.sort(key=lambda d: d.at_ns / 1e9 + late[d])
    run = Run(ladder)
    assert PROXIED == figures(run.call)
    assert ("CallStarted", "CallEnded") == (run.kinds[0], run.kinds[-1])


def test_hops_are_kept_in_order() -> None:
    assert ["10.0.0.1:5060 > 10.0.0.2:5060", "10.0.0.2:5060 > 10.0.0.3:5060"] == Run(proxied()).call.hops


def test_code_is_what_the_caller_saw() -> None:
    ladder = Ladder().request(0, "INVITE", CALLER, PROXY).request(0.01, "INVITE", PROXY, CALLEE, vias=2)
    ladder.response(1, 503, CALLEE, PROXY, vias=2).response(1.01, 500, PROXY, CALLER)
    assert 500 == Run(ladder).call.sip_code


def test_code_of_the_far_hop_counts_where_no_other_was_seen() -> None:
    ladder = Ladder().request(0, "INVITE", CALLER, PROXY).request(0.01, "INVITE", PROXY, CALLEE, vias=2)
    run = Run(ladder.response(1, 503, CALLEE, PROXY, vias=2), until_s=30)
    assert [] == run.calls
    call = run.advance(300).call
    assert (503, True) == (call.sip_code, call.expired)


def test_far_hop_alone_is_as_good_as_the_caller() -> None:
    ladder = Ladder().request(0, "INVITE", PROXY, CALLEE, vias=2).response(1, 486, CALLEE, PROXY, vias=2)
    run = Run(ladder, until_s=4)
    assert (486, False) == (run.call.sip_code, run.call.expired)


def test_back_to_back_user_agent_that_keeps_the_call_id() -> None:
    ladder = (
        Ladder().request(0, "INVITE", CALLER, PROXY).request(0.01, "INVITE", PROXY, CALLEE, branch="z9hG4bK-b")
    )
    ladder.response(1, 503, CALLEE, PROXY, branch="z9hG4bK-b").response(1.01, 480, PROXY, CALLER)
    assert 480 == Run(ladder).call.sip_code


def test_same_message_on_two_hops_is_two_sightings() -> None:
    run = Run(proxied())
    invites = [s for s in run.sightings if s.method == "INVITE" and not s.status]
    assert [(CALLER, PROXY, 1, 1, False), (PROXY, CALLEE, 2, 2, False)] == [
        (s.src, s.dst, s.vias, s.node_id, s.retransmission) for s in invites
    ]


def test_answer_seen_before_the_invite() -> None:
    ladder = Ladder()
    ladder.response(0.5, 180, body=sdp("10.0.0.3")).response(0.6, 200).request(0, "INVITE", body=sdp())
    run = Run(released(ladder, 9))
    assert (200, 500.0, 600.0, CALLER) == (
        run.call.sip_code,
        ms(run.call, "ringing_ns"),
        ms(run.call, "answered_ns"),
        run.call.src,
    )
    assert ["CallStarted", "MediaDescription", "CallAnswered", "MediaDescription", "CallEnded"] == run.kinds


def test_answer_without_an_invite_tells_nothing() -> None:
    run = Run(Ladder().response(0, 200).request(0.1, "ACK", in_dialog=True))
    assert ([], 1, 0, 0) == (
        run.events,
        run.tracker.stats.without_invite,
        run.tracker.live_calls,
        len(run.tracker),
    )


@pytest.mark.parametrize("method", ["BYE", "ACK", "UPDATE", "CANCEL"])
def test_dialogs_from_before_the_start_are_counted_and_left(method: str) -> None:
    run = Run(Ladder().request(0, method, cseq=9, in_dialog=True))
    assert ([], 1, 0) == (run.events, run.tracker.stats.without_invite, len(run.tracker))


# -- forks -----------------------------------------------------------------------------------------------------


def test_parallel_forks_are_legs_of_one_call() -> None:
    ladder = Ladder().request(0, "INVITE", CALLER, PROXY)
    for hop, (dst, tag) in enumerate([(CALLEE, "b"), (OTHER, "c")]):
        branch = f"z9hG4bK-fork-{hop}"
        ladder.request(0.01, "INVITE", PROXY, dst, vias=2, branch=branch)
        ladder.response(1 + hop, 180, dst, PROXY, vias=2, to_tag=tag, branch=branch)
        ladder.response(1.01 + hop, 180, PROXY, CALLER, to_tag=tag)
    ladder.response(4, 200, OTHER, PROXY, vias=2, to_tag="c", branch="z9hG4bK-fork-1")
    ladder.response(4.01, 200, PROXY, CALLER, to_tag="c")
    ladder.request(4.02, "CANCEL", PROXY, CALLEE, branch="z9hG4bK-fork-0-1")
    ladder.response(4.03, 487, CALLEE, PROXY, vias=2, branch="z9hG4bK-fork-0")
    run = Run(ladder, until_s=60)
    assert ([], 1) == (run.calls, run.tracker.live_calls)
    call = run.advance(FAR_S).call
    assert (200, 2, False, 1010.0, 4010.0, 3) == (
        call.sip_code,
        call.legs,
        call.cancelled,
        ms(call, "ringing_ns"),
        ms(call, "answered_ns"),
        len(call.hops),
    )


def test_several_200_are_answered_once() -> None:
    ladder = Ladder().request(0, "INVITE").response(1, 200, to_tag="b").response(1.2, 200, to_tag="c")
    run = Run(ladder)
    assert (1, 2, 1000.0) == (run.kinds.count("CallAnswered"), run.call.legs, ms(run.call, "answered_ns"))


@pytest.mark.parametrize("near_hop_is_seen", [True, False])
def test_hunting_through_targets_goes_on_after_a_refusal(near_hop_is_seen: bool) -> None:
    ladder = Ladder()
    if near_hop_is_seen:
        ladder.request(0, "INVITE", CALLER, PROXY)
    ladder.request(0.01, "INVITE", PROXY, CALLEE, vias=2, branch="z9hG4bK-first")
    ladder.response(1, 486, CALLEE, PROXY, vias=2, branch="z9hG4bK-first", to_tag="b")
    ladder.request(1.1, "INVITE", PROXY, OTHER, vias=2, branch="z9hG4bK-second")
    ladder.response(2, 180, OTHER, PROXY, vias=2, branch="z9hG4bK-second", to_tag="c")
    ladder.response(30, 200, OTHER, PROXY, vias=2, branch="z9hG4bK-second", to_tag="c")
    run = Run(ladder, until_s=40)
    assert ([], 1, 0) == (run.calls, run.tracker.live_calls, run.tracker.setup_in_progress)
    assert (200, 1) == ((call := run.advance(FAR_S).call).sip_code, call.attempts)


def test_cancel_of_a_proxy_is_not_the_callers() -> None:
    ladder = Ladder().request(0, "INVITE", CALLER, PROXY).request(0.01, "INVITE", PROXY, CALLEE, vias=2)
    ladder.response(1, 180, CALLEE, PROXY, vias=2).response(1.01, 180, PROXY, CALLER)
    ladder.request(30, "CANCEL", PROXY, CALLEE).response(30.1, 487, CALLEE, PROXY, vias=2)
    call = Run(ladder.response(30.2, 408, PROXY, CALLER)).call
    assert (408, False, "") == (call.sip_code, call.cancelled, call.released_by)


# -- media -----------------------------------------------------------------------------------------------------


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


def test_counts_messages() -> None:
    run = Run(released(answered(), 9), until_s=None)
    run.tracker.feed(batch_of([run_datagram(b"\r\n\r\n"), run_datagram(b"junk")]), np.arange(2))
    stats = run.tracker.stats
    assert (9, {"INVITE": 1, "ACK": 1, "BYE": 1}, [0, 2, 2, 0, 0, 0, 0], {"keepalive": 1, "not_sip": 1}) == (
        stats.messages,
        dict(stats.requests_by_method()),
        stats.responses,
        dict(stats.rejected_by_reason()),
    )


def run_datagram(payload: bytes) -> object:
    return Ladder().request(0, "INVITE").datagrams[0]._replace(payload=payload)


# -- time and bounds --------------------------------------------------------------------------------------------


def test_counts_of_calls_in_setup_and_live() -> None:
    run = Run(until_s=None)
    seen = []
    for datagram in released(answered(), 9).datagrams:
        run.tracker.feed(batch_of([datagram]), np.arange(1))
        seen.append((run.tracker.setup_in_progress, run.tracker.live_calls))
    assert [(1, 0), (1, 0), (1, 0), (0, 1), (0, 1), (0, 0), (0, 0)] == seen


def test_one_batch_gives_the_same_as_many() -> None:
    ladder = proxied()
    run = Run(until_s=None)
    run.tracker.feed(batch_of(ladder.datagrams), np.arange(len(ladder.datagrams)))
    run.advance(FAR_S)
    assert (Run(ladder).kinds, PROXIED) == (run.kinds, figures(run.call))


def test_timers_run_inside_a_batch() -> None:
    ladder = refused(486).request(20, "INVITE", cseq=2).response(21, 480, cseq=2)
    run = Run(until_s=None)
    run.tracker.feed(batch_of(ladder.datagrams), np.arange(len(ladder.datagrams)))
    assert [486, 480] == [call.sip_code for call in run.advance(40).calls]


def test_a_wild_capture_time_does_not_end_the_calls() -> None:
    ladder = answered()
    wild = Ladder("wild").request(86400 * 365, "INVITE")
    run = Run(until_s=None)
    run.tracker.feed(batch_of(ladder.datagrams + wild.datagrams), np.arange(6))
    assert (1, []) == (run.tracker.live_calls, run.calls)


def test_a_gap_in_the_capture_lets_time_pass() -> None:
    run = Run(answered(), Ladder("later").request(86400, "INVITE"), until_s=None)
    assert [True] == [call.expired for call in run.calls]


def test_time_does_not_go_back() -> None:
    run = Run(Ladder().request(100, "INVITE"), until_s=None)
    assert [] == run.advance(0).calls


def test_close_ends_what_lives() -> None:
    run = Run(answered(Ladder("live")), refused(486), Ladder("setup").request(4, "INVITE"), until_s=None)
    run.tracker.close(START_NS + 5 * S_NS)
    run.take()
    assert {"live": (200, True), "call-1": (486, False), "setup": (0, True)} == {
        call.call_id: (call.sip_code, call.expired) for call in run.calls
    }
    assert (0, 0, 0) == (len(run.tracker), run.tracker.live_calls, run.tracker.setup_in_progress)


def flood(count: int) -> Callable[[int], object]:
    return lambda first: batch_of(
        [
            d
            for n in range(first, first + count)
            for d in Ladder(f"flood-{n}", f"t{n}").request(5, "INVITE").datagrams
        ]
    )


def test_a_flood_of_call_ids_is_bounded_and_spares_answered_calls() -> None:
    run = Run(answered(Ladder("kept")), until_s=None, settings=DialogSettings(max_calls=50))
    make = flood(100)
    for first in range(0, 500, 100):
        run.tracker.feed(make(first), np.arange(100))  # type: ignore[arg-type]
        run.take()
    assert (50, 451, 1, 451) == (
        len(run.tracker),
        run.tracker.stats.calls_evicted,
        run.tracker.live_calls,
        len(run.calls),
    )
    assert "kept" not in {call.call_id for call in run.calls}


def test_a_table_full_of_answered_calls_gives_up_the_oldest() -> None:
    ladders = [answered(Ladder(f"call-{n}", f"t{n}"), at_s=n * 10) for n in range(3)]
    run = Run(*ladders, until_s=None, settings=DialogSettings(max_calls=2))
    assert ["call-0"] == [call.call_id for call in run.calls]


def test_events_that_nobody_takes_are_bounded() -> None:
    tracker = DialogTracker(DialogSettings(max_pending=10))
    tracker.feed(flood(30)(0), np.arange(30))  # type: ignore[arg-type]
    assert (10, 20, 10, 20) == (
        len(tracker.take_events()),
        tracker.stats.events_shed,
        len(tracker.take_sightings()),
        tracker.stats.sightings_shed,
    )


def test_messages_remembered_of_one_call_are_bounded() -> None:
    ladder = answered()
    for number in range(3000):
        ladder.request(10 + number * 0.01, "INFO", cseq=10 + number, in_dialog=True)
    run = Run(until_s=None)
    run.tracker.feed(batch_of(ladder.datagrams), np.arange(len(ladder.datagrams)))
    (attempt,) = run.tracker._calls.values()
    assert len(attempt.seen) <= 1024


def test_long_values_are_cut() -> None:
    payload = message(
        "INVITE sip:x SIP/2.0", cseq="1 INVITE", to=f"<sip:{'b' * 600}@x>", headers=[f"X-CID: {'x' * 5000}"]
    )
    ladder = Ladder()
    ladder._add(0, CALLER, CALLEE, payload, 1)
    call = Run(ladder).call
    assert (256, 256) == (len(call.to_user), len(call.headers["x-cid"]))


# -- whatever comes ---------------------------------------------------------------------------------------------


def well_told(run: Run) -> None:
    """Check what must hold of any input: each attempt starts once and ends once, and nothing stays behind."""
    run.tracker.close(run.tracker._now_ns)
    run.take()
    started = [id(e.call) for e in run.events if isinstance(e, CallStarted)]
    ended = [id(e.call) for e in run.events if isinstance(e, CallEnded)]
    told = [id(e.call) for e in run.events if isinstance(e, CallAnswered)]
    assert (len(set(started)), sorted(started)) == (len(started), sorted(ended))
    assert (len(set(told)), True) == (len(told), set(told) <= set(started))
    assert (0, 0, 0, 0) == (
        len(run.tracker),
        run.tracker.live_calls,
        run.tracker.setup_in_progress,
        len(run.tracker._by_call_id),
    )
    for call in run.calls:
        assert bool(call.answered_ns) == (200 <= call.sip_code < 300)


_STEPS = [
    *(("request", method) for method in ("INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "PRACK", "INFO")),
    *(("response", status) for status in (100, 180, 200, 302, 407, 486, 487, 503, 603)),
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_STEPS),
            st.floats(-1, 6),
            st.integers(1, 3),
            st.integers(1, 2),
            st.booleans(),
            st.booleans(),
            st.sampled_from(["INVITE", "BYE", "UPDATE"]),
        ),
        max_size=40,
    )
)
def test_any_messages_in_any_order_are_told_well(
    steps: list[tuple[tuple[str, object], float, int, int, bool, bool, str]],
) -> None:
    ladder, at_s = Ladder(), 10.0
    for (kind, what), wait_s, cseq, vias, in_dialog, from_callee, method in steps:
        at_s += wait_s
        src, dst = ((CALLER, PROXY), (PROXY, CALLEE))[vias - 1]
        if kind == "request":
            ladder.request(
                at_s,
                str(what),
                src,
                dst,
                cseq=cseq,
                vias=vias,
                in_dialog=in_dialog,
                from_callee=from_callee,
                body=sdp(),
            )
        else:
            ladder.response(
                at_s, int(str(what)), dst, src, method=method, cseq=cseq, vias=vias, from_callee=from_callee
            )
    well_told(Run(ladder, until_s=None, settings=DialogSettings(max_calls=3)))


@pytest.mark.captures
def test_mutated_captures_are_told_well(captures: Path) -> None:
    chance = random.Random(7)
    datagrams = [d for path in sorted((captures / "hep").glob("*.hepbin")) for d in hep_sip(path)]
    mutated = []
    for datagram in datagrams * 10:
        payload = bytearray(datagram.payload)
        for _ in range(chance.choice([0, 1, 3])):
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        mutated.append(datagram._replace(payload=bytes(payload)))
    run = Run(until_s=None)
    run.tracker.feed(batch_of(mutated), np.arange(len(mutated)))
    well_told(run)
