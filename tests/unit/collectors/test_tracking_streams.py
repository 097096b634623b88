"""Admission, growth, expiry, floods, intervals and announcements of the stream table."""

import struct

import numpy as np
import numpy.typing as npt
import pytest
from rtp_frames import START_NS, ethernet, frames_of, ipv4, rtp, stream_frames, take_all, udp
from rtp_reference import Sent

from collectors.facts import Codec
from collectors.kernels.memory import U
from collectors.kernels.ring import RING
from collectors.kernels.rtp import take_frames
from collectors.tracking.stream_memory import UNANNOUNCED, Announced
from collectors.tracking.streams import StreamSettings, StreamTable

S_NS = 1_000_000_000
TARGET = bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 2])


def feed(table: StreamTable, packets: list[Sent], ssrc: int = 0x1234) -> None:
    memory, frames = stream_frames(packets, ssrc)
    take_all(table, memory, frames)


def voice(count: int, *, seq: int = 0, at_ns: int = START_NS, payload_type: int = 8) -> list[Sent]:
    return [Sent(seq + i, (seq + i) * 160, at_ns + i * 20_000_000, payload_type) for i in range(count)]


def many(streams: int, packets: int, *, at_ns: int = START_NS, first_ssrc: int = 0) -> list[tuple[Sent, int]]:
    """Return packets of many streams in turns."""
    return [
        (Sent(i, i * 160, at_ns + i * 20_000_000 + s), first_ssrc + s)
        for i in range(packets)
        for s in range(streams)
    ]


def feed_many(table: StreamTable, packets: list[tuple[Sent, int]]) -> None:
    memory, frames = frames_of(
        [ethernet(ipv4(udp(rtp(p._replace(payload_bytes=0), ssrc)))) for p, ssrc in packets],
        [p.arrival_ns for p, _ in packets],
    )
    take_all(table, memory, frames)


def ended(table: StreamTable) -> npt.NDArray[np.void]:
    table.finish()
    return np.concatenate(table.take_ended())


@pytest.mark.parametrize(("announced", "need"), [(True, 2), (False, 4)])
def test_consecutive_packets_make_a_stream(announced: bool, need: int) -> None:
    table = StreamTable(StreamSettings(), seed=1)
    if announced:
        table.announce(TARGET, 5000, {8: Codec("PCMA", 8000)})
    feed(table, voice(need - 1))
    assert len(table) == 0
    feed(table, voice(1, seq=need - 1))
    assert len(table) == 1
    assert need == ended(table)["unique"][0]


def test_datagrams_that_only_look_like_rtp_make_no_stream() -> None:
    table = StreamTable(StreamSettings(), seed=1)
    generator = np.random.default_rng(1)
    payloads = [b"\x80" + generator.bytes(59) for _ in range(5000)]
    memory, frames = frames_of([ethernet(ipv4(udp(p))) for p in payloads], [START_NS + i for i in range(5000)])
    take_all(table, memory, frames)
    assert len(table) == 0


def test_table_grows_to_its_bound_and_then_refuses() -> None:
    table = StreamTable(StreamSettings(streams=100, max_streams=6000, candidates=65_536), seed=1)
    feed_many(table, many(7000, 8))
    assert len(table) == 6000
    assert table.shed()["rtp_streams_refused"] > 0
    assert 6000 == len(ended(table))


def test_growth_keeps_every_count() -> None:
    table = StreamTable(
        StreamSettings(streams=16, max_streams=100_000, candidates=131_072, need_unknown=2), seed=1
    )
    feed_many(table, many(9000, 12))
    totals = ended(table)
    assert (9000, 12, 12) == (len(totals), totals["unique"].min(), totals["unique"].max())
    assert 0 == totals["lost"].sum()


def test_a_flood_of_sources_neither_grows_the_table_nor_evicts_a_stream() -> None:
    table = StreamTable(StreamSettings(), seed=1)
    feed(table, voice(50))
    at_ns = START_NS + S_NS
    flood = [(Sent(i * 7919, i, at_ns + i * 1000), 1_000_000 + i) for i in range(100_000)]
    feed_many(table, flood)
    feed(table, voice(50, seq=50, at_ns=at_ns))
    assert len(table) == 1
    assert 100 == ended(table)["unique"][0]


def test_new_calls_get_through_a_flood() -> None:
    table = StreamTable(StreamSettings(candidates=1024), seed=1)
    packets = [(p, 1) for p in voice(200)]
    flood = [(Sent(i * 31, i, START_NS + i * 20_000), 1_000_000 + i) for i in range(100_000)]  # 50,000 a second
    feed_many(table, sorted([*packets, *flood], key=lambda item: item[0].arrival_ns))
    assert len(table) == 1


def test_idle_streams_end_and_their_rows_serve_again() -> None:
    table = StreamTable(StreamSettings(streams=16, idle_ns=30 * S_NS), seed=1)
    feed_many(table, many(100, 60))
    feed_many(table, many(100, 60, at_ns=START_NS + 45 * S_NS, first_ssrc=500))
    feed_many(table, many(1, 60, at_ns=START_NS + 95 * S_NS, first_ssrc=5000))
    feed_many(table, many(1, 60, at_ns=START_NS + 106 * S_NS, first_ssrc=5000))
    assert len(table) == 1
    assert 200 == sum(len(e) for e in table.take_ended())
    assert len(table._memory.rows) >= table._memory.used
    assert table._memory.used <= 200


def test_intervals_are_aligned_and_add_up() -> None:
    table = StreamTable(StreamSettings(need_unknown=1), seed=1)
    packets = [p for p in voice(3000) if p.seq % 97]
    feed(table, packets)
    totals = ended(table)
    intervals = np.concatenate(table.take_intervals())
    assert set(intervals["start_ns"] % (10 * S_NS)) == {0}
    assert len(intervals) in (6, 7)
    for name in ("unique", "lost", "bytes", "jitter_count"):
        assert intervals[name].sum() == totals[name][0]
    assert totals["lost"][0] == sum(1 for s in range(3000) if s % 97 == 0) - 1  # the first was never missed


def test_late_announcement_explains_a_running_stream() -> None:
    table = StreamTable(StreamSettings(), seed=1)
    feed(table, voice(10, payload_type=96))
    table.announce(TARGET, 5000, {96: Codec("opus", 48000, 2)})
    feed(table, [Sent(10 + i, i * 960, START_NS + S_NS + i * 20_000_000, 96) for i in range(100)])
    total = ended(table)[0]
    assert 48_000 == round(1e6 / total["tick_us"])
    assert total["jitter_max_us"] < 1
    assert {96: Codec("opus", 48000, 2)} == table.codecs_of(int(total["profile"]))


def test_an_announcement_that_is_taken_back_holds_for_the_streams_that_flow() -> None:
    table = StreamTable(StreamSettings(), seed=1)
    table.announce(TARGET, 5000, {96: Codec("opus", 48000, 2)})
    feed(table, voice(10, payload_type=96))
    table.forget(TARGET, 5000)
    assert 0 == table.announcements
    feed(table, voice(10, payload_type=96), ssrc=0x9999)
    codecs = {int(row["ssrc"]): table.codecs_of(int(row["profile"])) for row in ended(table)}
    assert {0x1234: {96: Codec("opus", 48000, 2)}, 0x9999: {}} == codecs


def test_announcements_come_and_go_in_memory_for_those_that_stay() -> None:
    announced = Announced(seed=1)
    for port in range(1, 60_000):
        announced.set(TARGET, port, 2)
        if port > 100:
            announced.forget(TARGET, port - 100)
    assert (100, True) == (len(announced), len(announced.slots) <= 4096)
    assert {2} == {announced.profile(TARGET, port) for port in range(59_900, 60_000)}
    assert UNANNOUNCED == announced.profile(TARGET, 1)


def test_announcements_are_bounded_and_what_goes_is_counted() -> None:
    announced = Announced(seed=1, max_addresses=10)
    for port in range(25):
        announced.set(TARGET, port, 2)
    assert (10, 15, UNANNOUNCED, 2) == (
        len(announced),
        announced.evicted,
        announced.profile(TARGET, 14),
        announced.profile(TARGET, 15),
    )


def ring_block(packets: list[Sent], ssrc: int, *, outgoing: bool = False) -> npt.NDArray[np.uint8]:
    """Return a TPACKET_V3 block as the kernel would fill it."""
    body = bytearray(48)
    for i, packet in enumerate(packets):
        frame = ethernet(ipv4(udp(rtp(packet, ssrc)), tos=packet.dscp << 2))
        size = (82 + len(frame) + 15) // 16 * 16
        seconds, nanoseconds = divmod(packet.arrival_ns, S_NS)
        following = 0 if i == len(packets) - 1 else size
        head = struct.pack("<6I2H", following, seconds, nanoseconds, len(frame), len(frame), 1, 82, 96)
        address = bytes(10) + bytes([4 if outgoing else 0])
        body += (head.ljust(48, b"\0") + address).ljust(82, b"\0") + frame + bytes(size - 82 - len(frame))
    body[12:20] = struct.pack("<2I", len(packets), 48)
    return np.frombuffer(bytes(body) + bytes(2048), np.uint8)


def ring_of(
    blocks: list[npt.NDArray[np.uint8]], ready: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.void], npt.NDArray[np.uint8]]:
    """Return the copies, the state and the memory of a ring of which the first `ready` blocks are handed over."""
    memory = np.zeros((len(blocks), RING_BLOCK), np.uint8)
    for number, block in enumerate(blocks):
        memory[number, : len(block)] = block
        memory[number, 8:12].view(np.uint32)[0] = number < ready
    copies = np.zeros(2 * RING_BLOCK, np.uint8)
    state = np.zeros(1, RING)
    state["base"], state["block_bytes"], state["blocks"] = memory.ctypes.data, RING_BLOCK, len(blocks)
    state["copies"], state["copies_bytes"] = copies.ctypes.data, len(copies)
    state["at_once"] = 2
    return copies, state, memory


RING_BLOCK = 1 << 17


def take_ring(table: StreamTable, state: npt.NDArray[np.void]) -> list[int]:
    """Return how many frames each call took, until nothing is left."""
    taken = []
    while True:
        found = table.take_ring(state, START_NS)
        if not found.frames and not found.wants_datagrams:
            return taken
        taken.append(found.frames)


def test_a_ring_is_read_block_by_block_and_given_back() -> None:
    table = StreamTable(StreamSettings(need_unknown=1), seed=1)
    blocks = [ring_block(voice(100, seq=100 * i, at_ns=START_NS + i * 2 * S_NS), 1) for i in range(3)]
    _, state, memory = ring_of(blocks, ready=2)
    assert 200 == sum(take_ring(table, state))
    assert [0, 0, 0] == memory[:, 8].tolist()
    memory[2, 8] = 1
    assert 100 == sum(take_ring(table, state))
    assert (300, 0) == (ended(table)["unique"][0], state["number"][0])


def test_intervals_end_inside_a_block_of_a_ring() -> None:
    table = StreamTable(StreamSettings(need_unknown=1), seed=1)
    _, state, _ = ring_of([ring_block(voice(400, at_ns=START_NS + 6 * S_NS), 1)], ready=1)
    take_ring(table, state)
    assert [200] == [int(batch["unique"][0]) for batch in table.take_intervals()]


def test_what_others_read_is_copied_out_of_the_ring() -> None:
    table = StreamTable(StreamSettings(need_unknown=1), seed=1)
    rtcp = b"\x80\xc9\x00\x01\x00\x00\x00\x01"
    frame = ethernet(ipv4(udp(rtcp)))
    block = np.zeros(1000, np.uint8)
    head = struct.pack("<6I2H", 0, START_NS // S_NS, 0, len(frame), len(frame), 1, 82, 96)
    block[12:20] = np.frombuffer(struct.pack("<2I", 1, 48), np.uint8)
    block[48 : 48 + len(head)] = np.frombuffer(head, np.uint8)
    block[48 + 82 : 48 + 82 + len(frame)] = np.frombuffer(frame, np.uint8)
    copies, state, memory = ring_of([block], ready=1)
    found = table.take_ring(state, START_NS)
    memory[:] = 0  # the kernel's again
    (row,) = found.handed
    assert frame == copies[row["offset"] : row["offset"] + row["captured"]].tobytes()


def test_time_passes_where_a_ring_is_silent() -> None:
    table = StreamTable(StreamSettings(need_unknown=1), seed=1)
    feed(table, voice(60))
    table.advance(START_NS + 10 * S_NS)
    assert [] == table.take_intervals()  # late frames may come
    table.advance(START_NS + 11 * S_NS)
    assert [60] == [int(batch["unique"][0]) for batch in table.take_intervals()]
    assert len(table) == 1
    table.advance(START_NS + 80 * S_NS)
    assert [60] == [int(batch["unique"][0]) for batch in table.take_ended()]
    assert len(table) == 0


def test_a_clock_that_was_ahead_and_is_set_back_holds_up_nothing() -> None:
    table = StreamTable(StreamSettings(need_unknown=1), seed=1)
    feed(table, voice(60, at_ns=START_NS + 86_400 * S_NS))
    table.advance(START_NS)
    assert 1 == len(table.take_intervals())
    feed(table, voice(60, seq=60))
    table.advance(START_NS + 12 * S_NS)
    assert 1 == len(table.take_intervals())


def test_own_drops_mark_the_loss_that_they_may_have_made() -> None:
    table = StreamTable(StreamSettings(need_unknown=1), seed=1)
    feed_many(table, [(p, ssrc) for p in voice(400) for ssrc in (1, 2) if ssrc == 1 or p.seq not in (100, 101)])
    table.note_drops(500, START_NS + 2 * S_NS)
    table.advance(START_NS + 30 * S_NS)
    (batch,) = table.take_intervals()
    assert {1: (0, 0), 2: (2, 2)} == {int(row["ssrc"]): (int(row["lost"]), int(row["own_drops"])) for row in batch}


def test_own_drops_of_long_ago_excuse_nothing() -> None:
    table = StreamTable(StreamSettings(need_unknown=1), seed=1)
    table.note_drops(500, START_NS - 6 * S_NS)
    feed(table, [p for p in voice(400) if p.seq != 100])
    table.advance(START_NS + 30 * S_NS)
    (batch,) = table.take_intervals()
    assert (1, 0) == (batch["lost"][0], batch["own_drops"][0])


def test_ring_blocks_and_listed_frames_count_alike() -> None:
    packets = [p for p in voice(150) if p.seq not in (20, 21, 60)]
    listed = StreamTable(StreamSettings(), seed=1)
    feed(listed, packets)
    walked = StreamTable(StreamSettings(), seed=1)
    block = ring_block(packets, 0x1234)
    memory = walked._memory
    memory.set("cursor", block.ctypes.data + 48)
    taken = take_frames(
        U(memory.address), U(block.ctypes.data), U(0), U(0), U(len(packets)), U(START_NS + 100 * S_NS)
    )
    assert len(packets) == taken
    row, other = listed._memory.rows[0], walked._memory.rows[0]
    assert row.tobytes() == other.tobytes()


def test_what_this_host_sends_over_loopback_counts_once() -> None:
    table = StreamTable(StreamSettings(need_unknown=1), seed=1)
    block = ring_block(voice(10), 1, outgoing=True)
    memory = table._memory
    memory.set("skip_outgoing", 1)
    memory.set("cursor", block.ctypes.data + 48)
    take_frames(U(memory.address), U(block.ctypes.data), U(0), U(0), U(10), U(START_NS + 100 * S_NS))
    assert {"outgoing": 10} == dict(table.frames_by_kind())
