"""Each class of false loss is recognised by its name, and an ordinary interval has none."""

import pytest

from collectors.facts import Codec, MediaDescription
from collectors.tracking.verdicts import CallContext, Seen, StreamMemo, verdicts_of
from telephony.model import INTERVAL_NS, Endpoint, Verdict

S_NS = 1_000_000_000
START_NS = 1_700_000_000 * S_NS
CALL = "a@b"
PLAIN = Seen(
    start_ns=START_NS,
    first_ns=START_NS - 20 * S_NS,
    last_ns=START_NS + INTERVAL_NS,
    timestamp=160 * 500,
    tick_us=125.0,
    unique=500,
    lost=0,
    duplicates=0,
    dtmf=0,
    comfort_noise=0,
    restarts=0,
    retimed=0,
    type_changes=0,
    spacing_max_us=25_000,
    jitter_max_us=1_000.0,
)


def memo() -> StreamMemo:
    return StreamMemo(last_ns=START_NS, timestamp=0, packet_ms=20.0)


def described(
    at_s: float, sendrecv: str = "sendrecv", *, media: str = "audio", reinvite: bool = True
) -> CallContext:
    context = CallContext()
    endpoint = Endpoint("10.0.0.1", 4000)
    context.feed(
        [
            MediaDescription(
                START_NS + int(at_s * S_NS),
                CALL,
                True,
                media,
                endpoint,
                endpoint,
                {8: Codec("PCMA", 8000)},
                20,
                sendrecv,
                False,
                reinvite,
            )
        ]
    )
    return context


def judge(seen: Seen, context: CallContext | None = None, *, own_drops: int = 0) -> set[Verdict]:
    return set(verdicts_of(seen, memo(), CALL, context or CallContext(), own_drops=own_drops))


def test_an_ordinary_interval_has_no_verdict() -> None:
    assert set() == judge(PLAIN)
    assert set() == judge(PLAIN._replace(unique=480, lost=20))
    assert set() == judge(PLAIN, described(-100, reinvite=False))


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({"dtmf": 7}, Verdict.DTMF),
        ({"comfort_noise": 3}, Verdict.COMFORT_NOISE),
        ({"duplicates": 499}, Verdict.DUPLICATE_CAPTURE),
        ({"restarts": 1}, Verdict.SEQ_RESTART),
        ({"spacing_max_us": 5_000_000, "unique": 250}, Verdict.DTX),
        ({"retimed": 1}, Verdict.DTX),
        ({"lost": 2000, "unique": 500}, Verdict.SEQ_RESTART),  # there was no time to send so many
        ({"timestamp": 240 * 333, "unique": 333}, Verdict.PTIME_CHANGE),
    ],
)
def test_counts_give_the_verdict(change: dict[str, int], verdict: Verdict) -> None:
    assert {verdict} == judge(PLAIN._replace(**change))


def test_a_gap_with_loss_is_no_silence() -> None:
    assert set() == judge(PLAIN._replace(spacing_max_us=2_000_000, lost=100, unique=400))


@pytest.mark.parametrize(
    ("context", "change", "verdicts"),
    [
        (described(3, "sendonly"), {"spacing_max_us": 4_000_000}, {Verdict.HOLD}),
        (described(-15, "inactive"), {"unique": 0}, {Verdict.HOLD}),
        (described(3), {"restarts": 1}, {Verdict.REINVITE, Verdict.SEQ_RESTART}),
        (described(3), {"type_changes": 1}, {Verdict.REINVITE}),
        (described(3, media="image"), {}, {Verdict.T38}),
    ],
)
def test_signalling_explains(context: CallContext, change: dict[str, int], verdicts: set[Verdict]) -> None:
    assert verdicts == judge(PLAIN._replace(**change), context)


def test_resumed_call_is_no_longer_held() -> None:
    context = described(-100, "sendonly")
    context.feed([])
    resumed = described(-50)
    context._calls[CALL].descriptions += resumed._calls[CALL].descriptions
    assert set() == judge(PLAIN, context)


def test_own_drops_are_named() -> None:
    assert {Verdict.OWN_DROP} == judge(PLAIN, own_drops=3)


def test_clock_drift_takes_a_minute_to_see() -> None:
    state, context = StreamMemo(), CallContext()
    found: list[set[Verdict]] = []
    for i in range(9):
        seen = PLAIN._replace(
            start_ns=START_NS + i * INTERVAL_NS,
            last_ns=START_NS + (i + 1) * INTERVAL_NS,
            timestamp=int(80_000 * (i + 1) * 1.002),
        )
        found.append(set(verdicts_of(seen, state, CALL, context)))
    assert [set()] * 6 == found[:6]
    assert {Verdict.CLOCK_DRIFT} == found[8]
