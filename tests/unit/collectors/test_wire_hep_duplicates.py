"""Duplicates from several agents against true retransmissions of one."""

import pytest
from hep_support import AT_NS, DST, SRC, GuardedMemory, datagram, parse
from hypothesis import given
from hypothesis import strategies as st

from collectors.facts import Payload
from collectors.kernels.screen import hash_key
from collectors.wire.hep import DuplicateFilter, HepParser
from telephony.model import Endpoint

MS = 1_000_000


def flags(duplicates: DuplicateFilter, *datagrams: bytes) -> list[int]:
    batch = parse(HepParser(), datagrams)
    duplicates.mark(batch)
    return [int(flag) for flag in batch.rows["flags"]]


def seen(at_ms: float, node_id: int, payload: bytes = b"INVITE", **fields: object) -> bytes:
    return datagram(payload, captured_ns=AT_NS + int(at_ms * MS), node_id=node_id, **fields)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (seen(0, 1), seen(1, 1), 1),  # one agent traced it twice, or a mirror port did
        (seen(0, 1), seen(19, 1), 1),
        (seen(0, 1), seen(21, 1), 0),
        (seen(0, 1), seen(500, 1), 0),  # retransmission (timer T1)
        (seen(0, 1), seen(0, 2), 1),
        (seen(0, 1), seen(250, 2), 1),
        (seen(0, 1), seen(-250, 2), 1),  # the other agent's report came first
        (seen(0, 1), seen(301, 2), 0),
        (seen(0, 1), seen(0, 1, b"INVITE "), 0),
        (seen(0, 1), seen(0, 1, src=Endpoint("192.0.2.9", 5060)), 0),
        (seen(0, 1), seen(0, 1, dst=Endpoint(DST.ip, 5063)), 0),
        (seen(0, 1), seen(0, 1, src=DST, dst=SRC), 0),
        (seen(0, 1, correlation_id="a"), seen(0, 2, correlation_id="b"), 1),  # SIP carries its own Call-ID
        (
            seen(0, 1, correlation_id="a", payload_type=Payload.LOG),
            seen(0, 1, correlation_id="b", payload_type=Payload.LOG),
            0,
        ),
        (seen(0, 1), seen(0, 1, payload_type=Payload.LOG), 0),
    ],
)
def test_second_sighting(first: bytes, second: bytes, expected: int) -> None:
    assert [0, expected] == flags(DuplicateFilter(), first, second)


def test_a_retransmission_seen_by_two_agents_is_two_messages_and_two_duplicates() -> None:
    expected = [0, 1, 0, 1]
    assert expected == flags(DuplicateFilter(), seen(0, 1), seen(3, 2), seen(500, 1), seen(503, 2))


def test_a_chain_of_copies_cannot_stretch_the_window() -> None:
    assert [0, 1, 1, 0] == flags(DuplicateFilter(), *(seen(at, 1) for at in (0, 15, 19, 34)))


def test_duplicates_are_found_across_batches_and_generations() -> None:
    duplicates = DuplicateFilter(capacity=64)
    flags(duplicates, seen(0, 1, b"wanted"))
    flags(duplicates, *(seen(1, 1, f"filler {n}".encode()) for n in range(64)))
    assert [1] == flags(duplicates, seen(2, 2, b"wanted"))


def test_memory_is_bounded_and_the_oldest_is_forgotten() -> None:
    duplicates = DuplicateFilter(capacity=64)
    flags(duplicates, seen(0, 1, b"old"))
    flags(duplicates, *(seen(1, 1, f"filler {n}".encode()) for n in range(200)))
    assert ([0], 3) == (flags(duplicates, seen(2, 2, b"old")), duplicates.rotations)


def test_counts_what_it_flags() -> None:
    duplicates = DuplicateFilter()
    flags(duplicates, *(seen(0, node) for node in range(5)))
    assert 4 == duplicates.duplicates


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.integers(0, 700), st.integers(1, 3)), max_size=30))
def test_agrees_with_an_obvious_filter(sightings: list[tuple[bytes, int, int]]) -> None:
    held: dict[bytes, tuple[int, int]] = {}
    expected = []
    for payload, at_ms, node in sightings:
        known = held.get(payload)
        repeated = known is not None and abs(at_ms - known[0]) < (20 if known[1] == node else 300)
        expected.append(int(repeated))
        if not repeated:
            held[payload] = at_ms, node
    assert expected == flags(DuplicateFilter(), *(seen(at, node, payload) for payload, at, node in sightings))


_GUARDED = GuardedMemory()


@given(st.binary(max_size=150), st.integers(0, 2**64 - 1))
def test_hashing_reads_exactly_its_bytes(data: bytes, seed: int) -> None:
    place = _GUARDED.hold(data)
    first = hash_key(place.ctypes.data, len(data), seed)
    place = GuardedMemory(1).hold(data) if len(data) % 50 == 0 else place
    assert first == hash_key(place.ctypes.data, len(data), seed)


@given(st.binary(min_size=1, max_size=150), st.data())
def test_hashing_sees_every_bit(data: bytes, choice: st.DataObject) -> None:
    at = choice.draw(st.integers(0, len(data) * 8 - 1))
    other = bytearray(data)
    other[at // 8] ^= 1 << at % 8
    hashes = [hash_key(_GUARDED.hold(each).ctypes.data, len(each), 12345) for each in (data, bytes(other))]
    assert hashes[0] != hashes[1]
