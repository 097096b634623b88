"""The memory of a stream table: what the kernels of `collectors.kernels.rtp` work on, kept and grown here.

Kernels get addresses; this module owns the arrays behind them, replaces them between two calls, and is the
only one that writes a control block. It counts nothing and interprets nothing.
"""

from collections import OrderedDict
from typing import Any

import numpy as np
import numpy.typing as npt

from collectors.facts import Codec
from collectors.kernels.frames import FRAGMENTS, FRAME, PACKET, hash_address
from collectors.kernels.memory import U
from collectors.kernels.rtp import BATCH
from collectors.kernels.rtp_layout import (
    ADDRESSES,
    ANNOUNCEMENT,
    COMFORT_NOISE,
    CONTROL,
    DTMF,
    PROFILE,
    STREAM,
    VOICE,
    WAYS,
)
from collectors.kernels.rtp_table import rebuild, release
from telephony.codecs import static_codec

LINE_BYTES = 64
BORN_PER_CALL = 4096
"""Streams that one call of the kernel may admit; the others wait on probation for the next call."""
HANDED_PER_CALL = 4096
MAX_PROFILES = 4096
UNANNOUNCED, STATIC = 0, 1
"""Profiles: of an address that no SDP named, and of one named without (room for) its payload types."""


def aligned_zeros(count: int, layout: np.dtype[Any]) -> npt.NDArray[Any]:
    """Return zeroed records that start on a cache line."""
    raw = np.zeros(count * layout.itemsize + LINE_BYTES, np.uint8)
    at = -raw.ctypes.data % LINE_BYTES
    return raw[at : at + count * layout.itemsize].view(layout)


def _power_of_two(least: int) -> int:
    return 1 << max(least - 1, 1).bit_length()


class Profiles:
    """What payload types mean, by announcement; equal announcements share one profile."""

    def __init__(self) -> None:
        self.array = np.zeros(MAX_PROFILES, PROFILE)
        self.refused = 0
        """Announcements that found no room: their streams are read by static payload types."""
        self.codecs: list[dict[int, Codec]] = []
        self._known: dict[tuple[tuple[int, Codec], ...], int] = {}
        self._add({})
        self._add({})

    def number_of(self, codecs: dict[int, Codec]) -> int:
        """Return the profile of an announcement's payload types, made where it is new."""
        key = tuple(sorted(codecs.items()))
        if not key:
            return STATIC
        number = self._known.get(key)
        if number is None:
            if len(self.codecs) == MAX_PROFILES:
                self.refused += 1
                return STATIC
            number = self._known[key] = self._add(codecs)
        return number

    def _add(self, codecs: dict[int, Codec]) -> int:
        number = len(self.codecs)
        profile = self.array[number]
        for payload_type in range(128):
            fixed = static_codec(payload_type)
            codec = codecs.get(payload_type) or (fixed and Codec(fixed.name, fixed.clock_rate_hz))
            if codec is None:
                continue
            profile["kind"][payload_type] = _KINDS.get(codec.name.upper(), VOICE)
            profile["tick_us"][payload_type] = 1e6 / codec.clock_rate_hz if codec.clock_rate_hz > 0 else 0.0
        self.codecs.append(codecs)
        return number


_KINDS = {"CN": COMFORT_NOISE, "TELEPHONE-EVENT": DTMF}


class Announced:
    """Announced media addresses with their profiles, in the open-addressed table that the kernel reads.

    Bounded: the one not announced for longest goes first (`evicted` counts). A port that is used again is
    announced again.
    """

    def __init__(self, seed: int, max_addresses: int = 200_000) -> None:
        self._seed = U(seed)
        self._max_addresses = max_addresses
        self.evicted = 0
        self._profiles: OrderedDict[tuple[bytes, int], int] = OrderedDict()
        self._slots = np.zeros(1 << 10, ANNOUNCEMENT)
        self._filled = 0

    @property
    def slots(self) -> npt.NDArray[np.void]:
        """The table; replaced when it grows."""
        return self._slots

    def set(self, ip: bytes, port: int, profile: int) -> None:
        """Announce an address of 16 bytes (IPv4 as v4-mapped) and a port."""
        self._profiles[ip, port] = profile
        self._profiles.move_to_end((ip, port))
        if len(self._profiles) > self._max_addresses:
            oldest, _ = self._profiles.popitem(last=False)
            self._put(*oldest, UNANNOUNCED)
            self.evicted += 1
        if 2 * (self._filled + 1) > len(self._slots):
            self._rebuild()
        else:
            self._put(ip, port, profile)

    def forget(self, ip: bytes, port: int) -> None:
        """Let go of an address that no call uses any more."""
        if self._profiles.pop((ip, port), None) is not None:
            self._put(ip, port, UNANNOUNCED)

    def __len__(self) -> int:
        return len(self._profiles)

    def profile(self, ip: bytes, port: int) -> int:
        """Return the profile announced for an address."""
        return self._profiles.get((ip, port), UNANNOUNCED)

    def _rebuild(self) -> None:
        self._slots = np.zeros(_power_of_two(4 * len(self._profiles) + 1024), ANNOUNCEMENT)
        self._filled = 0
        for (ip, port), profile in self._profiles.items():
            self._put(ip, port, profile)

    def _put(self, ip: bytes, port: int, profile: int) -> None:
        high, low = int.from_bytes(ip[:8], "big"), int.from_bytes(ip[8:], "big")
        mixed = int(hash_address(U(high), U(low), U(port), self._seed))
        mask = len(self._slots) - 1
        at = mixed & mask
        while self._slots["hash"][at] not in (0, mixed):
            at = (at + 1) & mask
        if self._slots["hash"][at] == 0:
            self._filled += 1
        self._slots[at] = (mixed, profile)


class StreamMemory:
    """Rows, slots, probation and control block of one table."""

    def __init__(self, *, streams: int, max_streams: int, candidates: int, seed: int) -> None:
        self.max_streams = max_streams
        self.profiles = Profiles()
        self.announced = Announced(seed)
        self.control = np.zeros(1, CONTROL)
        self.handed = np.zeros(HANDED_PER_CALL, FRAME)
        self._born = np.zeros(BORN_PER_CALL, np.uint32)
        self._batch = aligned_zeros(BATCH + 1, PACKET)
        self._fragments = np.zeros(FRAGMENTS, np.uint64)
        sets = _power_of_two(candidates // WAYS)
        self._probation = aligned_zeros(sets * WAYS, STREAM)
        self._probation_addresses = np.zeros(sets * WAYS, ADDRESSES)
        self.rows = aligned_zeros(0, STREAM)
        self.addresses = np.zeros(0, ADDRESSES)
        self._free = np.zeros(0, np.uint32)
        self._slots = np.zeros(2, np.uint64)
        self._set(
            seed=seed,
            dice=seed | 1,
            set_mask=sets - 1,
            probation=self._probation.ctypes.data,
            probation_addresses=self._probation_addresses.ctypes.data,
            profiles=self.profiles.array.ctypes.data,
            batch=self._batch.ctypes.data,
            fragments=self._fragments.ctypes.data,
            born=self._born.ctypes.data,
            born_capacity=BORN_PER_CALL,
            handed=self.handed.ctypes.data,
            handed_capacity=HANDED_PER_CALL,
        )
        self._resize(min(streams, max_streams))

    @property
    def address(self) -> int:
        """Address of the control block, for the kernels; brings the announcements up to date."""
        slots = self.announced.slots
        self._set(announced=slots.ctypes.data, announced_mask=len(slots) - 1)
        self._set(born_count=0, handed_count=0, paused=0)
        return self.control.ctypes.data

    def counter(self, name: str) -> int:
        """Return a number of the control block."""
        return int(self.control[name][0])

    def set(self, name: str, value: int) -> None:
        """Set a number of the control block."""
        self._set(**{name: value})

    def _set(self, **values: int) -> None:
        for name, value in values.items():
            self.control[name] = value

    @property
    def used(self) -> int:
        """Rows ever used."""
        return self.counter("used")

    @property
    def live(self) -> int:
        """Streams that have a row."""
        return self.used - self.counter("free_count")

    def born(self) -> npt.NDArray[np.uint32]:
        """Return the rows that the last call made."""
        return self._born[: self.counter("born_count")].copy()

    def taken(self) -> npt.NDArray[np.void]:
        """Return the frames that the last call handed back."""
        return self.handed[: self.counter("handed_count")].copy()

    def make_room(self) -> bool:
        """Grow where the next call might need it and the bound allows it; return whether it grew."""
        capacity = len(self.rows)
        if self.live + BORN_PER_CALL <= capacity or capacity >= self.max_streams:
            return False
        self._resize(min(max(2 * capacity, capacity + 2 * BORN_PER_CALL), self.max_streams))
        return True

    def give_back(self, ended: npt.NDArray[np.uint32]) -> None:
        """Free rows that ended."""
        release(U(self.control.ctypes.data), U(ended.ctypes.data), U(len(ended)))
        self._slots[:] = 0
        rebuild(U(self.control.ctypes.data))

    def _resize(self, capacity: int) -> None:
        rows, addresses = aligned_zeros(capacity, STREAM), np.zeros(capacity, ADDRESSES)
        rows[: len(self.rows)] = self.rows
        addresses[: len(self.addresses)] = self.addresses
        free = np.zeros(capacity, np.uint32)
        free[: len(self._free)] = self._free
        self.rows, self.addresses, self._free = rows, addresses, free
        self._slots = aligned_zeros(_power_of_two(2 * capacity), np.dtype(np.uint64))
        self._set(
            rows=rows.ctypes.data,
            addresses=addresses.ctypes.data,
            capacity=capacity,
            free=free.ctypes.data,
            slots=self._slots.ctypes.data,
            slot_mask=len(self._slots) - 1,
        )
        rebuild(U(self.control.ctypes.data))

    @property
    def bytes_per_stream(self) -> float:
        """Memory of rows, addresses and slots for each row there is room for."""
        total = self.rows.nbytes + self.addresses.nbytes + self._slots.nbytes + self._free.nbytes
        return total / max(len(self.rows), 1)
