"""One message on several hops, forks and hunting: what the caller saw counts."""

import pytest
from dialog_runs import FAR_S, PROXIED, Run, figures, ms, proxied, released
from hypothesis import given
from hypothesis import strategies as st
from sip_batches import CALLEE, CALLER, OTHER, PROXY, Ladder, sdp


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
