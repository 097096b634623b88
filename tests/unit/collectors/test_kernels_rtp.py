"""The stream kernel and the slow reference agree on every counter."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rtp_frames import START_NS, stream_frames, take_all
from rtp_reference import COMFORT_NOISE, DTMF, VOICE, Reference, Sent

from collectors.facts import Codec
from collectors.tracking.streams import MEASURED, StreamSettings, StreamTable

COUNTERS = [
    "bytes",
    "unique",
    "markers",
    "duplicates",
    "reordered",
    "lost",
    "late_fixed_50",
    "late_fixed_200",
    "late_adaptive",
    "c11",
    "c13",
    "c14",
    "c22",
    "c23",
    "c33",
    "dtmf",
    "comfort_noise",
    "type_changes",
    "restarts",
    "retimed",
    "strays",
    "too_late",
    "dscp_changes",
]
PCMA, G722, OPUS, CN, EVENT = 8, 9, 111, 13, 101
CODECS = {OPUS: Codec("opus", 48000, 2), EVENT: Codec("telephone-event", 8000)}
KINDS = {
    PCMA: (VOICE, 125.0),
    G722: (VOICE, 125.0),
    OPUS: (VOICE, 1e6 / 48000),
    CN: (COMFORT_NOISE, 125.0),
    EVENT: (DTMF, 125.0),
}
TARGET = bytes(10) + b"\xff\xff" + bytes([10, 0, 0, 2])
EASY = StreamSettings(streams=64, max_streams=64, candidates=64, need_announced=1, need_unknown=1)


def measure(packets: list[Sent], bounds: StreamSettings = EASY) -> np.void:
    """Return the totals of the one stream that the packets make."""
    table = StreamTable(bounds, seed=1)
    table.announce(TARGET, 5000, CODECS)
    memory, frames = stream_frames(packets)
    take_all(table, memory, frames)
    assert table.frames_by_kind().keys() == {"rtp"}
    table.finish()
    (ended,) = table.take_ended()
    assert ended.dtype == MEASURED
    assert len(ended) == 1
    return ended[0]


def refer(packets: list[Sent]) -> Reference:
    reference = Reference(KINDS)
    for packet in packets:
        reference.take(packet)
    reference.finish()
    return reference


def assert_equal(packets: list[Sent]) -> None:
    measured, expected = measure(packets), refer(packets)
    assert {name: expected.counts[name] for name in COUNTERS} == {name: int(measured[name]) for name in COUNTERS}
    assert [expected.counts[f"run_{i}"] for i in range(8)] == measured["runs"].tolist()
    assert len(expected.jitters) == measured["jitter_count"]
    assert sum(expected.jitters) == measured["jitter_sum_us"]
    assert max(expected.jitters, default=0.0) == pytest.approx(float(measured["jitter_max_us"]), rel=1e-6)
    assert max(expected.spacings, default=0) == measured["spacing_max_us"]
    if expected.spacings:
        assert min(expected.spacings) == measured["spacing_min_us"]


class Script:
    """Builds a stream packet by packet."""

    def __init__(self, seq: int, timestamp: int) -> None:
        self.seq, self.timestamp, self.now_ns = seq, timestamp, START_NS
        self.payload_type, self.step, self.dscp = PCMA, 160, 46
        self.packets: list[Sent] = []

    def send(self, count: int = 1, *, delay_us: int = 0, marker: bool = False) -> None:
        for _ in range(count):
            self.packets.append(
                Sent(
                    self.seq & 0xFFFF,
                    self.timestamp & 0xFFFFFFFF,
                    self.now_ns + delay_us * 1000,
                    self.payload_type,
                    marker,
                    dscp=self.dscp,
                )
            )
            self.skip()

    def skip(self, count: int = 1) -> None:
        self.seq += count
        self.timestamp += count * self.step
        self.now_ns += count * 20_000_000

    def again(self, back: int) -> None:
        if self.packets:
            old = self.packets[-1 - back % len(self.packets)]
            self.packets.append(old._replace(arrival_ns=self.now_ns))

    def swap(self, back: int) -> None:
        if len(self.packets) > back:
            moved = self.packets.pop(-1 - back)
            self.packets.append(moved._replace(arrival_ns=self.now_ns))


ACTION = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 40)),
    st.tuples(st.just("jitter"), st.lists(st.integers(0, 90_000), min_size=1, max_size=20)),
    st.tuples(st.just("lose"), st.integers(1, 80)),
    st.tuples(st.just("again"), st.integers(0, 120)),
    st.tuples(st.just("swap"), st.integers(1, 110)),
    st.tuples(st.just("seq"), st.integers(-32768, 32767)),
    st.tuples(st.just("stamp"), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.just("wait"), st.integers(0, 6_000)),
    st.tuples(st.just("stall"), st.integers(1, 60)),
    st.tuples(st.just("type"), st.sampled_from([PCMA, G722, OPUS, CN, EVENT])),
    st.tuples(st.just("dscp"), st.integers(0, 63)),
    st.tuples(st.just("marker"), st.just(0)),
)


def play(seq: int, timestamp: int, actions: list[tuple[str, object]]) -> list[Sent]:
    script = Script(seq, timestamp)
    script.send()
    for name, value in actions:
        if isinstance(value, list):
            for delay_us in value:
                script.send(delay_us=delay_us)
            continue
        assert isinstance(value, int)
        if name == "send":
            script.send(value)
        elif name == "lose":
            script.skip(value)
        elif name == "again":
            script.again(value)
        elif name == "swap":
            script.swap(value)
        elif name == "seq":
            script.seq += value
        elif name == "stamp":
            script.timestamp += value
        elif name == "wait":
            script.now_ns += value * 1_000_000
        elif name == "stall":  # the network held packets back, then let them go together
            held_until_ns = script.now_ns + value * 20_000_000
            first = len(script.packets)
            script.send(value)
            script.packets[first:] = [p._replace(arrival_ns=held_until_ns) for p in script.packets[first:]]
        elif name == "type":
            script.payload_type = value
        elif name == "dscp":
            script.dscp = value
        else:
            script.send(marker=True)
    return script.packets


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(st.integers(0, 65_535), st.integers(65_500, 65_535)),
    st.integers(0, 2**32 - 1),
    st.lists(ACTION, max_size=40),
)
@example(65_530, 2**32 - 100, [("send", 40), ("lose", 70), ("send", 40), ("seq", -20_000), ("send", 3)])
@example(3, 0, [("swap", 0), ("send", 20), ("wait", 900), ("send", 3), ("stall", 30), ("send", 5)])
def test_kernel_agrees_with_the_reference(seq: int, timestamp: int, actions: list[tuple[str, object]]) -> None:
    assert_equal(play(seq, timestamp, actions))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 65_535), st.lists(st.sampled_from("rrrrrrrrldo"), min_size=100, max_size=2000))
def test_kernel_agrees_over_long_streams(seq: int, fates: list[str]) -> None:
    script = Script(seq, 0)
    script.send()
    for fate in fates:
        if fate == "l":
            script.skip()
        elif fate == "d":
            script.again(3)
        elif fate == "o":
            script.send(2)
            script.swap(1)
        else:
            script.send()
    assert_equal(script.packets)


def test_loss_is_final_only_outside_the_window() -> None:
    script = Script(100, 0)
    script.send(10)
    missing = Sent(script.seq, script.timestamp, script.now_ns)
    script.skip()
    script.send(62)
    script.packets.append(missing._replace(arrival_ns=script.now_ns))
    script.send(80)
    measured = measure(script.packets)
    assert (0, 1, 0) == (measured["lost"], measured["reordered"], measured["duplicates"])


def test_first_packets_out_of_order_move_the_start() -> None:
    packets = [Sent(seq, seq * 160, START_NS + i * 20_000_000) for i, seq in enumerate([5, 3, 4, 6, 7, 8])]
    measured = measure(packets)
    assert (6, 0, 2) == (measured["unique"], measured["lost"], measured["reordered"])


def test_stray_packet_neither_restarts_nor_counts() -> None:
    script = Script(1000, 0)
    script.send(20)
    script.packets.append(Sent(40_000, 5, script.now_ns))
    script.send(20)
    measured = measure(script.packets)
    assert (40, 0, 0, 1) == tuple(int(measured[n]) for n in ("unique", "lost", "restarts", "strays"))


def test_silence_without_timestamps_is_no_jitter() -> None:
    script = Script(1, 0)
    script.send(50)
    script.now_ns += 5_000_000_000
    script.send(50)
    measured = measure(script.packets)
    assert (0.0, 1, 0) == (measured["jitter_max_us"], measured["retimed"], measured["late_fixed_200"])


def test_stall_of_the_network_is_jitter() -> None:
    measured = measure(play(1, 0, [("send", 50), ("stall", 30), ("send", 50)]))
    assert measured["jitter_max_us"] > 30_000
    assert measured["retimed"] == 0
    assert measured["late_fixed_200"] > 10


@pytest.mark.parametrize("clock_hz", [8000, 16000, 48000])
def test_unknown_clock_is_estimated(clock_hz: int) -> None:
    packets = [
        Sent(i, i * clock_hz // 50, START_NS + i * 20_000_000 + (i * 7919 % 5) * 1_000_000, payload_type=120)
        for i in range(200)
    ]
    measured = measure(packets)
    assert clock_hz == round(1e6 / measured["tick_us"])
    assert 1000 < measured["jitter_sum_us"] / measured["jitter_count"] < 4000
