"""Reports find their stream by the addresses SDP announced, and by Call-ID where addresses lie."""

from collectors.facts import Codec, MediaDescription
from collectors.tracking.media import MediaIndex, StreamMatch, rtp_of
from telephony.model import Direction, Endpoint

CALLER, CALLEE = Endpoint("10.0.0.1", 4000), Endpoint("10.0.0.2", 6000)
RELAY_TO_CALLER, RELAY_TO_CALLEE = Endpoint("10.0.0.9", 30000), Endpoint("10.0.0.9", 30020)
PCMA = Codec("PCMA", 8000)
DTMF = Codec("telephone-event", 8000)


def rtcp(endpoint: Endpoint) -> Endpoint:
    return Endpoint(endpoint.ip, endpoint.port + 1)


def described(
    endpoint: Endpoint, *, from_caller: bool, call_id: str = "c1", answer: bool = False, at_ns: int = 0
) -> MediaDescription:
    codecs = {101: DTMF, 8: PCMA} if answer else {0: Codec("PCMU", 8000), 8: PCMA}
    return MediaDescription(
        at_ns, call_id, from_caller, "audio", endpoint, rtcp(endpoint), codecs, 20, "sendrecv", answer, False
    )


def relayed_call() -> MediaIndex:
    index = MediaIndex()
    index.announce(described(CALLER, from_caller=True))
    index.announce(described(RELAY_TO_CALLEE, from_caller=True))
    index.announce(described(CALLEE, from_caller=False, answer=True))
    index.announce(described(RELAY_TO_CALLER, from_caller=False, answer=True))
    return index


def test_report_of_the_callee_is_about_the_stream_to_the_callee() -> None:
    match = relayed_call().match(rtcp(CALLEE), rtcp(RELAY_TO_CALLEE))
    assert StreamMatch("c1", Direction.TO_CALLEE, RELAY_TO_CALLEE, CALLEE, PCMA, 20) == match


def test_report_of_the_caller_is_about_the_stream_to_the_caller() -> None:
    match = relayed_call().match(rtcp(CALLER), rtcp(RELAY_TO_CALLER))
    assert match is not None
    assert (Direction.TO_CALLER, RELAY_TO_CALLER, CALLER) == (match.direction, match.src, match.dst)


def test_relayed_report_has_the_direction_of_the_party_behind_the_relay() -> None:
    match = relayed_call().match(rtcp(RELAY_TO_CALLEE), rtcp(CALLEE))
    assert match is not None
    assert Direction.TO_CALLER == match.direction


def test_nat_hides_the_reporter_but_the_relay_tells_who_it_is() -> None:
    match = relayed_call().match(Endpoint("203.0.113.7", 51001), rtcp(RELAY_TO_CALLEE))
    assert match is not None
    assert (Direction.TO_CALLEE, Endpoint("203.0.113.7", 51000)) == (match.direction, match.dst)


def test_call_id_overrules_an_address_of_another_call() -> None:
    index = relayed_call()
    index.announce(described(CALLER, from_caller=False, call_id="c2", at_ns=5))
    match = index.match(rtcp(CALLER), rtcp(RELAY_TO_CALLER), call_id="c1")
    assert match is not None
    assert ("c1", Direction.TO_CALLER) == (match.call_id, match.direction)


def test_newest_announcement_owns_a_reused_port() -> None:
    index = relayed_call()
    index.announce(described(CALLER, from_caller=True, call_id="c2", at_ns=9))
    match = index.match(rtcp(CALLER), Endpoint("10.9.9.9", 1))
    assert match is not None
    assert "c2" == match.call_id


def test_a_call_forgets_only_what_is_still_its_own() -> None:
    index = MediaIndex()
    old = index.announce(described(CALLER, from_caller=True))
    index.announce(described(CALLER, from_caller=True, call_id="c2"))
    index.forget(old)
    side = index.find(CALLER)
    assert side is not None
    assert "c2" == side.call_id


def test_addresses_that_no_call_uses_any_more_are_told_once() -> None:
    index = MediaIndex()
    old = index.announce(described(CALLER, from_caller=True))
    new = index.announce(described(CALLER, from_caller=True, call_id="c2"))
    index.forget(old)
    assert [] == index.take_released()
    index.forget(new)
    assert ([CALLER], []) == (index.take_released(), index.take_released())


def test_addresses_in_no_sdp_match_nothing() -> None:
    assert relayed_call().match(Endpoint("1.1.1.1", 1), Endpoint("2.2.2.2", 2)) is None


def test_index_is_bounded_and_counts_what_it_evicts() -> None:
    index = MediaIndex(max_addresses=10)
    for port in range(1000, 1100, 2):
        index.announce(described(Endpoint("10.0.0.1", port), from_caller=True, call_id=str(port)))
    assert (10, 90) == (len(index), index.evicted)


def test_rtp_of_is_one_below_an_odd_port() -> None:
    assert [Endpoint("a", 4000), Endpoint("a", 4000)] == [rtp_of(Endpoint("a", 4001)), rtp_of(Endpoint("a", 4000))]
