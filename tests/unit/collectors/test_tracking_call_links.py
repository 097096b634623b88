"""Legs are joined by X-CID and Session-ID, within bounds."""

import pytest

from collectors.facts import SipCall
from collectors.tracking.call_links import MAX_LEGS, CallLinks
from telephony.model import Endpoint

UUID = "ab30317f1a784dc48ff824d0d3715d86"


def call(call_id: str, **headers: str) -> SipCall:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    here = Endpoint("10.0.0.1", 5060)
    return SipCall(call_id, 0, "1", "", "2", "", here, here, 0, "", headers=headers)


@pytest.mark.parametrize(
    ("expected", "first", "second"),
    [
        pytest.param((), call("a"), call("b"), id="nothing joins them"),
        pytest.param(("a",), call("a"), call("b", x_cid="a"), id="X-CID names the leg before"),
        pytest.param(("a",), call("a"), call("b", x_cid=" a "), id="X-CID with blanks"),
        pytest.param(("a",), call("a", x_cid="b"), call("b"), id="X-CID names a leg to come"),
        pytest.param(("a",), call("a", session_id=UUID), call("b", session_id=UUID), id="Session-ID"),
        pytest.param(
            ("a",),
            call("a", session_id=UUID.upper()),
            call("b", session_id=f"{UUID};remote={'0' * 32}"),
            id="Session-ID with parameters and in capitals",
        ),
        pytest.param(
            (), call("a", session_id="0" * 32), call("b", session_id="0" * 32), id="the nil UUID joins nothing"
        ),
        pytest.param((), call("a", session_id=";"), call("b", session_id=" ;x"), id="an empty Session-ID"),
        pytest.param((), call("a", session_id=UUID), call("a", session_id=UUID), id="itself is no other leg"),
    ],
)
def test_earlier_legs(expected: tuple[str, ...], first: SipCall, second: SipCall) -> None:
    links = CallLinks(100)
    links.add(first)
    assert expected == links.add(second)


def test_every_leg_knows_the_others_in_order() -> None:
    links = CallLinks(100)
    legs = [call(name, session_id=UUID) for name in ("a", "b", "c")]
    for leg in legs:
        links.add(leg)
    assert [("b", "c"), ("a", "c"), ("a", "b")] == [links.of(leg) for leg in legs]


def test_a_key_that_everyone_sends_joins_no_more_than_so_many() -> None:
    links = CallLinks(10_000)
    for i in range(1000):
        joined = links.add(call(f"c{i}", session_id=UUID))
    assert MAX_LEGS == len(joined)


def test_the_key_not_used_for_the_longest_time_goes_first() -> None:
    links = CallLinks(2)
    links.add(call("a"))
    links.add(call("b"))
    links.add(call("a"))
    links.add(call("c"))
    assert 1 == links.evicted
    assert ("a",) == links.add(call("d", x_cid="a"))
    assert () == links.add(call("e", x_cid="b"))
