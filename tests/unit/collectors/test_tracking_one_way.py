"""One-way media is told from what parties say of themselves, and not told where they say nothing."""

import pytest

from collectors.facts import Codec
from collectors.tracking.media import MediaIndex, MediaSide
from collectors.tracking.one_way import DirectionsHeard, one_way
from collectors.tracking.senders import SenderActivity
from telephony.model import Direction, Endpoint, Labels, Observer, StreamInterval

CALLER, CALLEE = Endpoint("10.0.0.1", 4000), Endpoint("10.0.0.2", 6000)


def side(rtp: Endpoint, *, from_caller: bool) -> MediaSide:
    rtcp = Endpoint(rtp.ip, rtp.port + 1)
    return MediaSide("c", from_caller, rtp, rtcp, {8: Codec("PCMA", 8000)}, 20, "sendrecv", True, "audio", 0)


SIDES = [side(CALLER, from_caller=True), side(CALLEE, from_caller=False)]


def sends(src: Endpoint, *, packets: int = 500, reports: int = 4, with_blocks: int = 4) -> SenderActivity:
    rtcp = Endpoint(src.ip, src.port + 1)
    return SenderActivity(
        "c", rtcp, Endpoint("10.0.0.9", 1), 7, packets, packets * 160, reports, with_blocks, 0, 1
    )


def hears(direction: Direction, expected: int, received: int) -> StreamInterval:
    return StreamInterval(
        0, Labels(), "c", 7, CALLER, CALLEE, direction, Observer.RTCP_RR, "PCMA", 8000, expected, received, 0
    )


@pytest.mark.parametrize(
    ("expected", "activity", "heard"),
    [
        pytest.param(None, [], [], id="nobody speaks RTCP"),
        pytest.param(False, [sends(CALLER), sends(CALLEE)], [], id="both send"),
        pytest.param(
            True, [sends(CALLER, with_blocks=0)], [], id="caller sends, hears nothing, callee was never heard of"
        ),
        pytest.param(None, [sends(CALLER)], [], id="caller hears somebody who speaks no RTCP"),
        pytest.param(None, [sends(CALLER, reports=1, with_blocks=0)], [], id="a single report proves nothing"),
        pytest.param(None, [sends(CALLER, packets=0, with_blocks=0)], [], id="who sends nothing is on hold"),
        pytest.param(
            False,
            [sends(CALLER)],
            [hears(Direction.TO_CALLER, 500, 490)],
            id="caller sends and reports what it receives",
        ),
        pytest.param(
            True,
            [sends(CALLER), sends(CALLEE)],
            [hears(Direction.TO_CALLEE, 500, 0), hears(Direction.TO_CALLER, 500, 500)],
            id="both send and none of one side's packets arrive",
        ),
        pytest.param(
            False,
            [],
            [hears(Direction.TO_CALLEE, 500, 480), hears(Direction.TO_CALLER, 500, 500)],
            id="both receive",
        ),
        pytest.param(
            None, [sends(Endpoint("192.0.2.9", 9000), with_blocks=0)], [], id="a sender that no SDP announced"
        ),
    ],
)
def test_one_way(expected: bool | None, activity: list[SenderActivity], heard: list[StreamInterval]) -> None:
    directions = DirectionsHeard()
    for interval in heard:
        directions.add(interval)
    assert expected is one_way(activity, MediaIndex(), SIDES, directions)


def test_a_sender_is_found_by_the_index_where_the_call_forgot_its_address() -> None:
    index = MediaIndex()
    index._sides[Endpoint(CALLER.ip, CALLER.port + 1)] = SIDES[0]
    assert one_way([sends(CALLER, with_blocks=0)], index, [], DirectionsHeard()) is True
