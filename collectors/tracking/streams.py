"""RTP streams of one source of frames: blocks in, intervals of 10 s and the totals of streams out, in columns.

Wraps the kernel: it grows the table between two calls, ends idle streams, tells the kernel what SDP announced,
and reads what was counted. What the figures mean for a call is not its business.
"""

import secrets
from collections import Counter, deque
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from collectors.facts import Codec, FramesTaken
from collectors.kernels.frames import COUNTED
from collectors.kernels.memory import U
from collectors.kernels.ring import take_ring
from collectors.kernels.rtp import take_frames
from collectors.kernels.rtp_layout import CLOCK_UNKNOWN, LIVE, NO_PAYLOAD_TYPE, STREAM
from collectors.kernels.rtp_table import finish_idle
from collectors.tracking.stream_memory import BORN_PER_CALL, UNANNOUNCED, StreamMemory
from telephony.model import INTERVAL_NS

_S_NS = 1_000_000_000
_FOREVER_NS = 2**63 - 1
_LATENESS_NS = _S_NS
"""How long after the end of an interval frames of it may still wait in a ring."""
_DROPS_SHOW_NS = 5 * _S_NS
"""How long after a drop the loss that it makes may be counted: once it has left the reordering window."""
_FRAMES_PER_CALL = 2 * BORN_PER_CALL
"""So few that the streams they can bring find room: it takes two packets to make one."""

_COUNTERS = (
    "bytes",
    "jitter_sum_us",
    "jitter_count",
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
    "runs",
    "dtmf",
    "comfort_noise",
    "type_changes",
    "restarts",
    "retimed",
    "strays",
    "too_late",
    "dscp_changes",
)
_LEVELS = (
    "payload_type",
    "dscp",
    "flags",
    "tick_us",
    "highest",
    "timestamp",
    "first_ns",
    "payload_types",
    "profile",
)
_EXTREMES = ("jitter_max_us", "spacing_max_us", "spacing_min_us")
_fields = STREAM.fields
assert _fields is not None

READING = np.dtype([(name, STREAM[name]) for name in (*_COUNTERS, *_EXTREMES)])
"""What is remembered of a row from one interval to the next: counters as read, extremes since the start."""

MEASURED = np.dtype(
    [
        ("row", "<u4"),
        ("stream", "<u8"),  # number of the stream, never used again
        ("start_ns", "<i8"),  # of the interval; of a total, when the stream was first seen
        ("last_ns", "<i8"),
        ("ssrc", "<u4"),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("src_ip", "u1", 16),
        ("dst_ip", "u1", 16),
        *((name, STREAM[name]) for name in (*_LEVELS, *_COUNTERS, *_EXTREMES)),
        ("own_drops", "<u4"),  # of what is lost, at most so many did we lose ourselves
    ]
)
"""What was counted of a stream, in an interval or in all."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """Bounds and timings of a stream table."""

    streams: int = 8_192
    """Streams that there is room for at first."""
    max_streams: int = 400_000
    candidates: int = 16_384
    """Sources that may be on probation at a time."""
    idle_ns: int = 60 * _S_NS
    """A stream that nothing was heard of for so long is over."""
    young_idle_ns: int = 10 * _S_NS
    """The same for a stream of fewer than 50 packets."""
    need_announced: int = 2
    """Consecutive packets that prove a source whose target SDP announced (RFC 3550 appendix A.1)."""
    need_unknown: int = 4
    """Consecutive packets that prove one that nobody announced."""


class StreamTable:
    """The RTP streams of one source of frames.

    Frames in lists bring their own time; for a ring, `advance` lets time pass where nothing comes.
    """

    def __init__(self, settings: StreamSettings, *, seed: int | None = None, first_number: int = 0) -> None:
        self.settings = settings
        self.lock = Lock()
        """Held around each call by those who use a table from two threads."""
        self._memory = StreamMemory(
            streams=settings.streams,
            max_streams=settings.max_streams,
            candidates=settings.candidates,
            seed=secrets.randbits(64) if seed is None else seed,
        )
        self._memory.set("need_announced", settings.need_announced)
        self._memory.set("need_unknown", settings.need_unknown)
        self._readings = _readings(len(self._memory.rows))
        self._numbers = np.zeros(len(self._memory.rows), np.uint64)
        self._next_number = first_number
        self._by_target: dict[tuple[bytes, int], set[int]] = {}
        """Rows by where their streams go."""
        self._until_ns = 0
        self._intervals: list[npt.NDArray[np.void]] = []
        self._ended: list[npt.NDArray[np.void]] = []
        self._drops: deque[tuple[int, int]] = deque()
        """When packets were dropped before we saw them, and how many."""

    def __len__(self) -> int:
        return self._memory.live

    # -- what SDP says -----------------------------------------------------------------------------------

    def announce(self, ip: bytes, port: int, codecs: dict[int, Codec]) -> None:
        """Say what payload types mean to whoever listens at an address (16 bytes, IPv4 as v4-mapped)."""
        profile = self._memory.profiles.number_of(codecs)
        self._memory.announced.set(ip, port, profile)
        for row in self._by_target.get((ip, port), ()):
            self._explain(row, profile)

    def forget(self, ip: bytes, port: int) -> None:
        """Take an announcement back, for streams to come: those that flow keep what was said of theirs."""
        self._memory.announced.forget(ip, port)

    def codecs_of(self, profile: int) -> dict[int, Codec]:
        """Return the payload types of an announcement, by its number in `MEASURED`."""
        return self._memory.profiles.codecs[profile]

    def _explain(self, row: int, profile: int) -> None:
        record = self._memory.rows[row : row + 1]
        if record["profile"][0] == UNANNOUNCED or record["flags"][0] & CLOCK_UNKNOWN:
            record["payload_type"] = NO_PAYLOAD_TYPE  # to be looked up with the next packet
        record["profile"] = profile

    @property
    def announcements(self) -> int:
        """Addresses that are announced now."""
        return len(self._memory.announced)

    # -- frames ------------------------------------------------------------------------------------------

    def take(
        self, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void], *, waiting: bool = False
    ) -> FramesTaken:
        """Take frames in order, as many as go together.

        Args:
            memory: Holds the frames.
            frames: Contiguous array of `FRAME`, not empty.
            waiting: Datagrams from before these frames have not been handed on yet.
        """
        until_ns = self._open_interval(int(frames["captured_ns"][0]))
        self._make_room()
        self._memory.set("waiting", waiting)
        rtp = self._memory.counter("rtp")
        offered = min(len(frames), _FRAMES_PER_CALL)
        count = int(
            take_frames(
                U(self._memory.address),
                U(memory.ctypes.data),
                U(frames.ctypes.data),
                U(0),
                U(offered),
                U(until_ns),
            )
        )
        self._welcome()
        return FramesTaken(count, self._memory.counter("rtp") - rtp, self._memory.taken(), count < offered)

    def take_ring(self, state: npt.NDArray[np.void], now_ns: int) -> FramesTaken:
        """Take what is ready in a ring; it alone feeds this table.

        Args:
            state: The one `collectors.kernels.ring.RING` of the ring. What is handed back is in its `copies`.
            now_ns: Time of the first interval where nothing else tells.
        """
        until_ns = self._open_interval(int(state["next_ns"][0]) if state["left"][0] else now_ns)
        self._make_room()
        rtp = self._memory.counter("rtp")
        state["copied"] = 0
        count = int(take_ring(U(self._memory.address), U(state.ctypes.data), U(until_ns)))
        self._welcome()
        return FramesTaken(count, self._memory.counter("rtp") - rtp, self._memory.taken(), bool(state["left"][0]))

    def skip_outgoing(self) -> None:
        """Leave out what the host of a ring sends: over loopback it is seen again as it arrives."""
        self._memory.set("skip_outgoing", 1)

    def note_drops(self, count: int, now_ns: int) -> None:
        """Say that packets, perhaps of these streams, were dropped before they could be read."""
        self._drops.append((now_ns, count))

    def advance(self, now_ns: int) -> None:
        """Let time pass: intervals end, and idle streams, though no frame comes."""
        if not self._until_ns:
            return
        if now_ns >= self._until_ns + _LATENESS_NS or now_ns < self._until_ns - 2 * INTERVAL_NS:
            # the latter: the clock was ahead and has been set back
            self._memory.set("newest_ns", now_ns)
            self._close_interval()
            self._until_ns = (now_ns // INTERVAL_NS + 1) * INTERVAL_NS

    def _open_interval(self, now_ns: int) -> int:
        if now_ns >= self._until_ns:
            if self._until_ns:
                self._close_interval()
            self._until_ns = (now_ns // INTERVAL_NS + 1) * INTERVAL_NS
        return self._until_ns

    def _welcome(self) -> None:
        """Look at the streams that the last call admitted."""
        for row in self._memory.born():
            number = int(row)
            self._numbers[number] = self._next_number
            self._next_number += 1
            target = self._target(number)
            self._by_target.setdefault(target, set()).add(number)
            profile = self._memory.announced.profile(*target)
            if profile != self._memory.rows["profile"][number]:
                self._explain(number, profile)

    def _target(self, row: int) -> tuple[bytes, int]:
        port = int(self._memory.rows["key_b"][row] >> U(32)) & 0xFFFF
        return self._memory.addresses["dst"][row].tobytes(), port

    def _make_room(self) -> None:
        if self._memory.make_room():
            more = len(self._memory.rows) - len(self._numbers)
            self._readings = np.concatenate((self._readings, _readings(more)))
            self._numbers = np.concatenate((self._numbers, np.zeros(more, np.uint64)))

    def addresses_for(self, frames: npt.NDArray[np.void]) -> tuple[int, int, int, int, int]:
        """Return the addresses of frames, slots, slot mask, rows and the seed: for a kernel compared with ours."""
        memory = self._memory
        slots, mask, rows, seed = (memory.counter(name) for name in ("slots", "slot_mask", "rows", "seed"))
        return frames.ctypes.data, slots, mask, rows, seed

    # -- readings ----------------------------------------------------------------------------------------

    def finish(self) -> None:
        """End all streams: nothing more comes."""
        if self._until_ns:
            self._close_interval(all_over=True)
            self._until_ns = 0

    def take_intervals(self) -> list[npt.NDArray[np.void]]:
        """Return the intervals closed since the last call: `MEASURED` of each stream that had packets."""
        taken, self._intervals = self._intervals, []
        return taken

    def take_ended(self) -> list[npt.NDArray[np.void]]:
        """Return the totals of the streams that ended since the last call."""
        taken, self._ended = self._ended, []
        return taken

    def _close_interval(self, *, all_over: bool = False) -> None:
        now_ns = self._memory.counter("newest_ns")
        before_ns = _FOREVER_NS if all_over else max(now_ns - self.settings.idle_ns, 0)
        young_before_ns = _FOREVER_NS if all_over else max(now_ns - self.settings.young_idle_ns, 0)
        ended = np.zeros(max(self._memory.used, 1), np.uint32)
        count = finish_idle(
            U(self._memory.control.ctypes.data), U(before_ns), U(young_before_ns), U(ended.ctypes.data)
        )
        ended = ended[: int(count)]
        self._read_interval()
        if len(ended):
            self._ended.append(self._totals(ended))
            self._forget(ended)

    def _read_interval(self) -> None:
        rows = self._memory.rows[: self._memory.used]
        readings = self._readings[: len(rows)]
        changed = (rows["bytes"] != readings["bytes"]) | (rows["lost"] != readings["lost"])
        index = np.flatnonzero((rows["state"] == LIVE) & changed).astype(np.uint32)
        if not len(index):
            return
        measured = self._identify(index)
        measured["start_ns"] = self._until_ns - INTERVAL_NS
        drops = self._drops_since(self._until_ns - INTERVAL_NS - _DROPS_SHOW_NS)
        for name in _COUNTERS:
            value = rows[name][index]
            measured[name] = value - readings[name][index]
            readings[name][index] = value
        for name in _EXTREMES:
            measured[name] = rows[name][index]
        measured["own_drops"] = np.minimum(measured["lost"], drops)
        self._merge_extremes(index, measured)
        self._intervals.append(measured)

    def _drops_since(self, since_ns: int) -> int:
        while self._drops and self._drops[0][0] < since_ns:
            self._drops.popleft()
        return sum(count for _, count in self._drops)

    def _merge_extremes(self, index: npt.NDArray[np.uint32], measured: npt.NDArray[np.void]) -> None:
        readings, rows = self._readings, self._memory.rows
        for name in ("jitter_max_us", "spacing_max_us"):
            readings[name][index] = np.maximum(readings[name][index], measured[name])
            rows[name][index] = 0
        least = readings["spacing_min_us"][index]
        readings["spacing_min_us"][index] = np.minimum(least, measured["spacing_min_us"])
        rows["spacing_min_us"][index] = 0xFFFFFFFF

    def _totals(self, index: npt.NDArray[np.uint32]) -> npt.NDArray[np.void]:
        measured = self._identify(index)
        measured["start_ns"] = measured["first_ns"]
        for name in _COUNTERS:
            measured[name] = self._memory.rows[name][index]
        for name in _EXTREMES:
            measured[name] = self._readings[name][index]
        return measured

    def _identify(self, index: npt.NDArray[np.uint32]) -> npt.NDArray[np.void]:
        rows = self._memory.rows[index]
        measured = np.zeros(len(index), MEASURED)
        measured["row"] = index
        measured["stream"] = self._numbers[index]
        measured["ssrc"] = rows["key_b"] & 0xFFFFFFFF
        measured["src_port"] = rows["key_b"] >> U(48)
        measured["dst_port"] = (rows["key_b"] >> U(32)) & U(0xFFFF)
        measured["src_ip"] = self._memory.addresses["src"][index]
        measured["dst_ip"] = self._memory.addresses["dst"][index]
        measured["last_ns"] = np.maximum(rows["arrival_ns"], rows["event_ns"])
        for name in _LEVELS:
            measured[name] = rows[name]
        return measured

    def _forget(self, ended: npt.NDArray[np.uint32]) -> None:
        for number in ended:
            row = int(number)
            target = self._target(row)
            rows = self._by_target[target]
            rows.discard(row)
            if not rows:
                del self._by_target[target]
        self._readings[ended] = _readings(1)
        self._memory.give_back(ended)

    @property
    def newest_ns(self) -> int:
        """Time of the newest frame."""
        return self._memory.counter("newest_ns")

    # -- figures -----------------------------------------------------------------------------------------

    def frames_by_kind(self) -> Counter[str]:
        """Return how many frames were what, since the start."""
        kinds = {kind: self._memory.counter(kind) for kind in ("rtp", *COUNTED, "outgoing")}
        kinds["handed"] = self._memory.counter("handed_total")
        return Counter({kind: count for kind, count in kinds.items() if count})

    def shed(self) -> dict[str, int]:
        """Return what found no room, since the start."""
        return {
            "rtp_streams_refused": self._memory.counter("refused"),
            "rtp_candidates_unadmitted": self._memory.counter("unadmitted"),
            "rtp_candidates_displaced": self._memory.counter("displaced"),
            "rtp_profiles": self._memory.profiles.refused,
            "rtp_announcements": self._memory.announced.evicted,
        }

    @property
    def bytes_per_stream(self) -> float:
        """Memory that a stream takes."""
        return self._memory.bytes_per_stream + READING.itemsize + self._numbers.itemsize


def _readings(count: int) -> npt.NDArray[np.void]:
    readings = np.zeros(count, READING)
    readings["spacing_min_us"] = 0xFFFFFFFF
    return readings
