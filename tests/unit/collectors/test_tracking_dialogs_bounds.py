"""Counters, timers, bounds, and any messages in any order."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dialog_runs import FAR_S, PROXIED, S_NS, Run, answered, figures, proxied, refused, released
from hypothesis import given
from hypothesis import strategies as st
from sip_batches import CALLEE, CALLER, PROXY, START_NS, Ladder, batch_of, hep_sip, message, sdp

from collectors.facts import (
    CallAnswered,
    CallEnded,
    CallStarted,
)
from collectors.tracking.dialogs import (
    DialogSettings,
    DialogTracker,
)


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
