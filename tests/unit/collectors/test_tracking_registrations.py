"""REGISTER attempts: challenges folded, hops taken as one, each refresh an attempt of its own."""

import numpy as np
import pytest
from sip_batches import CALLEE, CALLER, PROXY, START_NS, Ladder, batch_of

from collectors.facts import RegistrationEnded
from collectors.tracking.dialogs import DialogSettings, DialogTracker
from telephony.model import RegistrationOutcome

S_NS = 1_000_000_000
TO = "<sip:1001@lab.test>"
CONTACT = "Contact: <sip:1001@10.0.0.1>"
CREDENTIALS = "Authorization: Digest x"


def register(ladder: Ladder, at_s: float, cseq: int, *headers: str, to: str = TO, vias: int = 1) -> Ladder:
    src, dst = (CALLER, PROXY) if vias == 1 else (PROXY, CALLEE)
    return ladder.request(at_s, "REGISTER", src, dst, cseq=cseq, headers=[CONTACT, *headers], to=to, vias=vias)


def answer(ladder: Ladder, at_s: float, status: int, cseq: int, *, to: str = TO, vias: int = 1) -> Ladder:
    src, dst = (PROXY, CALLER) if vias == 1 else (CALLEE, PROXY)
    return ladder.response(at_s, status, src, dst, method="REGISTER", cseq=cseq, to=to, vias=vias)


def run(
    ladder: Ladder, until_s: float = 1000.0, settings: DialogSettings | None = None
) -> list[RegistrationEnded]:
    tracker = DialogTracker(settings or DialogSettings())
    for datagram in sorted(ladder.datagrams, key=lambda d: d.at_ns):
        tracker.feed(batch_of([datagram]), np.arange(1))
    tracker.advance(START_NS + round(until_s * S_NS))
    assert not tracker.take_sightings()
    events = tracker.take_events()
    assert all(isinstance(e, RegistrationEnded) for e in events)
    return [e for e in events if isinstance(e, RegistrationEnded)]


def test_registered_after_a_challenge() -> None:
    ladder = answer(register(Ladder(), 0, 1), 0.1, 401, 1)
    ladder = answer(register(ladder, 0.2, 2, CREDENTIALS), 0.5, 200, 2)
    assert [
        RegistrationEnded(
            START_NS + 500_000_000,
            "1001@lab.test",
            RegistrationOutcome.REGISTERED,
            200,
            True,
            300_000_000,
            CALLER,
            PROXY,
            1,
            "n1",
            "k",
            False,
        )
    ] == run(ladder)


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        ([], RegistrationOutcome.REGISTERED),
        (["Expires: 3600"], RegistrationOutcome.REGISTERED),
        (["Expires: 0"], RegistrationOutcome.UNREGISTERED),
    ],
)
def test_expires_tells_whether_a_binding_is_removed(headers: list[str], outcome: RegistrationOutcome) -> None:
    (ended,) = run(answer(register(Ladder(), 0, 1, *headers), 0.1, 200, 1))
    assert outcome == ended.outcome


@pytest.mark.parametrize(
    ("contact", "outcome"),
    [
        ("Contact: *", RegistrationOutcome.UNREGISTERED),
        ("Contact: <sip:a@b>;expires=0", RegistrationOutcome.UNREGISTERED),
        ("Contact: <sip:a@b>;expires=60", RegistrationOutcome.REGISTERED),
        ("X-None: 1", RegistrationOutcome.REGISTERED),
    ],
)
def test_contact_goes_before_expires(contact: str, outcome: RegistrationOutcome) -> None:
    ladder = Ladder().request(0, "REGISTER", CALLER, PROXY, headers=[contact, "Expires: 0"], to=TO)
    (ended,) = run(answer(ladder, 0.1, 200, 1))
    assert outcome == ended.outcome


@pytest.mark.parametrize(
    ("status", "outcome", "auth_failed"),
    [
        (403, RegistrationOutcome.REJECTED, True),
        (404, RegistrationOutcome.REJECTED, False),
        (503, RegistrationOutcome.REJECTED, False),
        (408, RegistrationOutcome.TIMEOUT, False),
        (401, RegistrationOutcome.CHALLENGED, True),
        (407, RegistrationOutcome.CHALLENGED, True),
    ],
)
def test_refused_after_credentials(status: int, outcome: RegistrationOutcome, auth_failed: bool) -> None:
    ladder = answer(register(Ladder(), 0, 1), 0.1, 401, 1)
    (ended,) = run(answer(register(ladder, 0.2, 2, CREDENTIALS), 0.5, status, 2))
    assert (outcome, status, True, auth_failed) == (
        ended.outcome,
        ended.sip_code,
        ended.challenged,
        ended.auth_failed,
    )


def test_refused_without_credentials_is_no_failed_authentication() -> None:
    (ended,) = run(answer(register(Ladder(), 0, 1), 0.1, 403, 1))
    assert (RegistrationOutcome.REJECTED, False, False) == (ended.outcome, ended.challenged, ended.auth_failed)


def test_challenge_that_nobody_follows() -> None:
    ladder = answer(register(Ladder(), 0, 1), 0.1, 401, 1)
    (ended,) = run(ladder, until_s=7)
    assert (RegistrationOutcome.CHALLENGED, True, False) == (ended.outcome, ended.challenged, ended.auth_failed)


def test_stale_nonce_is_one_attempt() -> None:
    ladder = answer(register(Ladder(), 0, 1, CREDENTIALS), 0.1, 401, 1)
    (ended,) = run(answer(register(ladder, 0.2, 2, CREDENTIALS), 0.5, 200, 2))
    assert (RegistrationOutcome.REGISTERED, True, False) == (ended.outcome, ended.challenged, ended.auth_failed)


def test_no_answer() -> None:
    ladder = register(register(Ladder(), 0, 1), 0.5, 1)
    assert [] == run(ladder, until_s=39)
    (ended,) = run(ladder, until_s=42)
    assert (RegistrationOutcome.TIMEOUT, 0, 0) == (ended.outcome, ended.sip_code, ended.rrd_ns)


def test_refreshes_are_attempts_of_their_own() -> None:
    ladder = Ladder()
    for number in range(3):
        register(ladder, number * 1.0, number + 1, CREDENTIALS)
        answer(ladder, number * 1.0 + 0.1, 200, number + 1)
    assert [RegistrationOutcome.REGISTERED] * 3 == [e.outcome for e in run(ladder)]


def test_two_accounts_under_one_call_id() -> None:
    ladder = Ladder()
    register(ladder, 0, 1)
    register(ladder, 0.01, 2, to="<sip:1002@lab.test>")
    answer(ladder, 0.1, 200, 1)
    answer(ladder, 0.2, 404, 2, to="<sip:1002@lab.test>")
    assert {("1001@lab.test", 200), ("1002@lab.test", 404)} == {(e.aor, e.sip_code) for e in run(ladder)}


@pytest.mark.parametrize("far_first", [False, True])
def test_several_hops_are_one_registration(far_first: bool) -> None:
    ladder = Ladder()
    skew = -0.3 if far_first else 0.0
    register(ladder, 0, 1)
    register(ladder, 0.01 + skew, 1, vias=2)
    answer(ladder, 0.2 + skew, 503, 1, vias=2)
    answer(ladder, 0.21, 500, 1)
    (ended,) = run(ladder)
    assert (500, 210_000_000, CALLER, PROXY) == (ended.sip_code, ended.rrd_ns, ended.src, ended.dst)


def test_provisional_answer_is_not_final() -> None:
    ladder = answer(register(Ladder(), 0, 1), 0.1, 100, 1)
    (ended,) = run(answer(ladder, 3, 200, 1))
    assert 200 == ended.sip_code


def test_answer_without_request_tells_nothing() -> None:
    assert [] == run(answer(Ladder(), 0, 200, 1))


def test_flood_is_bounded() -> None:
    ladders = [register(Ladder(f"id-{n}"), 0, 1) for n in range(30)]
    tracker = DialogTracker(DialogSettings(max_registrations=10))
    tracker.feed(batch_of([d for ladder in ladders for d in ladder.datagrams]), np.arange(30))
    assert (10, 20, 20) == (len(tracker.registrations), tracker.registrations.evicted, len(tracker.take_events()))


def test_close_ends_what_waits() -> None:
    tracker = DialogTracker(DialogSettings())
    tracker.feed(batch_of(answer(register(Ladder(), 0, 1), 0.1, 200, 1).datagrams), np.arange(2))
    tracker.close(START_NS + S_NS)
    (ended,) = tracker.take_events()
    assert isinstance(ended, RegistrationEnded)
    assert RegistrationOutcome.REGISTERED == ended.outcome
