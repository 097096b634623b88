"""AF_PACKET rings of TPACKET_V3: frames come in blocks of memory that the kernel shares with us.

Layouts and numbers are those of 64-bit Linux (`<linux/if_packet.h>`, `<linux/filter.h>`). Opening one needs
CAP_NET_RAW and nothing else.
"""

import ctypes
import errno
import fcntl
import mmap
import os
import select
import socket
import struct
import sys
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collectors.capture.base import CaptureError, RingDrops, RingReader, RingState, RingTap
from collectors.capture.bpf import FilterTooLong, FrameFilter, build_filter, pack, reject_all
from collectors.facts import FramesTaken
from collectors.kernels.frames import FRAME
from collectors.kernels.ring import RING

MEMINFO = Path("/proc/meminfo")

_SOL_PACKET = 263
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _FANOUT, _IGNORE_OUTGOING = 1, 5, 6, 10, 18, 23
_TPACKET_V3 = 2
_MR_PROMISC = 1
_FANOUT_HASH, _FANOUT_UNIQUE_ID, _FANOUT_IGNORE_OUTGOING = 0, 0x2000, 0x4000
_SO_ATTACH_FILTER = 26
_ETH_P_ALL = 3
_SIOCGIFFLAGS, _SIOCGIFHWADDR = 0x8913, 0x8927
_IFF_UP = 1
_ARPHRD_ETHER, _ARPHRD_LOOPBACK = 1, 772
_FRAME_BYTES = 2048
_TO_USER = 1
_BLOCKS_AT_ONCE = 32
"""Read in one call, so that others who want the table do not wait long."""
_RETIRE_MS = 20
"""After which a block is handed over though it is not full."""
_NO_ROOM = (errno.ENOMEM, errno.EINVAL, errno.ENOBUFS)


@dataclass(frozen=True, slots=True)
class RingSettings:
    """How to capture from an interface."""

    interface: str
    frames: FrameFilter
    rings: int = 1
    """Rings among which the kernel spreads the flows, both directions of one to the same ring."""
    block_bytes: int = 1 << 20
    blocks: int = 64
    promiscuous: bool = False
    ignore_outgoing: bool = False
    """Leave out what this host sends; over loopback it always is, being seen again as it arrives."""


def capability_help(interface: str) -> str:
    """Return what to do where capturing is not allowed."""
    program = os.path.realpath(sys.executable)
    return (
        f"capturing from {interface} needs CAP_NET_RAW, which this process lacks. Give it in one of three ways: "
        f"'setcap cap_net_raw+ep {program}' (every program run by it then may capture); under systemd "
        "'AmbientCapabilities=CAP_NET_RAW' in the unit; in a container 'securityContext: {capabilities: {add: "
        "[NET_RAW]}}' (docker run --cap-add NET_RAW)"
    )


def may_capture() -> bool:
    """Return whether this process has CAP_NET_RAW."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError:
        return False
    return True


def missing_interface(interface: str) -> str:
    """Return what is wrong with a name; empty where there is such an interface."""
    names = [name for _, name in socket.if_nameindex()]
    return (
        "" if interface in names else f"there is no interface {interface!r}; there is {', '.join(sorted(names))}"
    )


def is_up(interface: str) -> bool:
    """Return whether an interface is there and up."""
    try:
        (flags,) = struct.unpack_from("=H", _ask(_SIOCGIFFLAGS, interface), 16)
    except OSError:
        return False
    return bool(flags & _IFF_UP)


def available_memory(path: Path = MEMINFO) -> int | None:
    """Return the bytes that the machine can still give; None where unknown."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _hardware(interface: str) -> int:
    (kind,) = struct.unpack_from("=H", _ask(_SIOCGIFHWADDR, interface), 16)
    return int(kind)


def _ask(request: int, interface: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        return fcntl.ioctl(any_socket, request, struct.pack("40s", interface.encode()))


def open_rings(settings: RingSettings, tap: RingTap | None = None) -> list["TpacketRing"]:
    """Open the rings of an interface; `tap` sees every block before it is read.

    Raises:
        CaptureError: We may not, there is no such interface, or the kernel refuses; it says why and what to do.
    """
    name = settings.interface
    if not may_capture():
        raise CaptureError(capability_help(name))
    if wrong := missing_interface(name):
        raise CaptureError(wrong)
    # The kernel would take the last page for a ring, and then kill processes.
    wanted, free = settings.rings * settings.blocks * settings.block_bytes, available_memory()
    if free is not None and 2 * wanted > free:
        raise CaptureError(
            f"{name}: rings of {wanted >> 20} MiB are more than half of the {free >> 20} MiB of memory left: "
            "lower blocks, block_bytes or rings"
        )
    try:
        program = pack(build_filter(settings.frames))
    except FilterTooLong as error:
        raise CaptureError(f"{name}: too many hosts, ports or vlans for a filter: {error}") from error
    with ExitStack() as opened:
        try:
            kind = _hardware(name)
            if kind not in (_ARPHRD_ETHER, _ARPHRD_LOOPBACK):
                raise CaptureError(f"{name}: hardware type {kind} is not Ethernet, which is all that is read")
            rings: list[TpacketRing] = []
            group: int | None = None
            for _ in range(settings.rings):
                deaf = kind == _ARPHRD_LOOPBACK or settings.ignore_outgoing
                ring = TpacketRing(settings, tap, skip_outgoing=deaf)
                opened.callback(ring.close)
                rings.append(ring)
                if settings.rings > 1:
                    group = ring.join(group)
            for ring in rings:
                ring.attach(program)
        except OSError as error:
            raise CaptureError(f"cannot capture from {name}: {error.strerror}") from error
        opened.pop_all()
    return rings


class _BlockHead(ctypes.Structure):
    """The parts of struct tpacket_block_desc that are read here."""

    _fields_ = (
        ("_version", ctypes.c_uint32 * 2),
        ("status", ctypes.c_uint32),
        ("_counts", ctypes.c_uint32 * 5),
        ("first_seconds", ctypes.c_uint32),
        ("first_nanoseconds", ctypes.c_uint32),
    )


class TpacketRing:
    """One ring; bound when made, deaf until a filter is attached."""

    def __init__(self, settings: RingSettings, tap: RingTap | None, *, skip_outgoing: bool) -> None:
        self._name = settings.interface
        self._tap = tap
        self._deaf_to_outgoing = self._skip_outgoing = False
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
            self.attach(reject_all())  # between binding and joining its group a ring would see every frame
            self._map(settings)
            if skip_outgoing:
                self._ignore_outgoing()
            self._index = socket.if_nametoindex(settings.interface)
            self._socket.bind((settings.interface, _ETH_P_ALL))
            if settings.promiscuous:
                request = struct.pack("=iHH8s", self._index, _MR_PROMISC, 0, b"")
                self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, request)
        except BaseException:
            self._socket.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)

    def _map(self, settings: RingSettings) -> None:
        size = settings.block_bytes * settings.blocks
        frames = settings.block_bytes // _FRAME_BYTES * settings.blocks
        request = struct.pack("=7I", settings.block_bytes, settings.blocks, _FRAME_BYTES, frames, _RETIRE_MS, 0, 0)
        try:
            self._socket.setsockopt(_SOL_PACKET, _RX_RING, request)
            flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
            self._memory: mmap.mmap | None = mmap.mmap(
                self._socket.fileno(), size, flags, mmap.PROT_READ | mmap.PROT_WRITE
            )
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise CaptureError(
                f"{self._name}: no ring of {size >> 20} MiB ({error.strerror}): lower blocks, block_bytes or rings"
            ) from error
        # The array must go before the map can: what stays is its address.
        self._address = np.frombuffer(self._memory, np.uint8).ctypes.data
        self._block_bytes = settings.block_bytes
        self._copies = np.empty(2 * settings.block_bytes, np.uint8)
        self._state = np.zeros(1, RING)
        self._state["base"], self._state["block_bytes"] = self._address, settings.block_bytes
        self._state["blocks"] = settings.blocks
        self._state["at_once"] = _BLOCKS_AT_ONCE if self._tap is None else 1
        self._state["copies"], self._state["copies_bytes"] = self._copies.ctypes.data, len(self._copies)

    def _ignore_outgoing(self) -> None:
        try:
            self._socket.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
            self._deaf_to_outgoing = True
        except OSError as error:
            if error.errno != errno.ENOPROTOOPT:
                raise
            self._skip_outgoing = True  # before Linux 4.20: left out as they are read

    def join(self, group: int | None) -> int:
        """Join the rings that share the interface's flows, or found a group; return its number."""
        flags = _FANOUT_HASH | (_FANOUT_UNIQUE_ID if group is None else 0)
        if self._deaf_to_outgoing:
            flags |= _FANOUT_IGNORE_OUTGOING  # the group listens in place of its sockets
        self._socket.setsockopt(_SOL_PACKET, _FANOUT, (group or 0) | flags << 16)
        return self._socket.getsockopt(_SOL_PACKET, _FANOUT) & 0xFFFF

    def attach(self, program: bytes) -> None:
        """Set the filter."""
        held = ctypes.create_string_buffer(program, len(program))
        request = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, request)

    def take(self, reader: RingReader, now_ns: int) -> tuple[npt.NDArray[np.uint8], FramesTaken]:
        """Let `reader` take what is ready (`collectors.capture.base.PacketRing`)."""
        if self._skip_outgoing:
            reader.skip_outgoing()
        if self._tap is not None and not self._show_block(self._tap):
            return self._copies, FramesTaken(0, 0, np.zeros(0, FRAME), False)
        return self._copies, reader.take_ring(self._state, now_ns)

    def _show_block(self, tap: RingTap) -> bool:
        """Show the next block where that was not begun; return whether there is one to read."""
        if self._state["left"][0]:
            return True
        address = self._address + int(self._state["number"][0]) * self._block_bytes
        head = _BlockHead.from_address(address)
        if not head.status & _TO_USER:
            return False
        tap(address, self._block_bytes, head.first_seconds * 1_000_000_000 + head.first_nanoseconds)
        return True

    def wait(self, timeout_seconds: float) -> RingState:
        """Wait until a block is ready, at most so long."""
        if not self._poll.poll(timeout_seconds * 1000):
            return RingState.IDLE
        if not self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):  # clears it
            return RingState.READY
        # An interface that only went down comes back to this socket; one that was taken away never does.
        with suppress(OSError):
            if socket.if_nametoindex(self._name) == self._index:
                return RingState.IDLE
        return RingState.GONE

    def drops(self) -> RingDrops:
        """Return what was lost since the last call."""
        _, frames, freezes = struct.unpack("=3I", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12))
        return RingDrops(frames, freezes)

    def close(self) -> None:
        """Give the memory back; idempotent."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None
            self._socket.close()
