"""Where the packets of a capture file in memory are: records of pcap and pcapng to `FRAME` rows.

Reads what every packet has and stops where `collectors.capture.pcapfile` must look: at the blocks of a pcapng
file that describe interfaces or sections, at damage, at the end.
"""

from numba import njit

from collectors.kernels.frames import FRAME, positions
from collectors.kernels.memory import (
    OPTIONS,
    U,
    load_be32,
    load_u32,
    load_u64,
    prefetch,
    store_u32,
    store_u64,
    u64,
)

DONE, FULL, TRUNCATED, DAMAGED, OTHER_BLOCK = range(5)
"""Why indexing stopped: the file is over, the rows are, a record is cut, nonsense, a block of another kind."""
_DONE, _FULL, _TRUNCATED, _DAMAGED, _OTHER_BLOCK = U(DONE), U(FULL), U(TRUNCATED), U(DAMAGED), U(OTHER_BLOCK)

_frame = positions(FRAME)
_FRAME_BYTES = U(FRAME.itemsize)
_MAX_RECORD = U(1 << 20)
_ENHANCED_PACKET = U(6)
_S_NS = U(1_000_000_000)


@njit(**OPTIONS)
def _read(address, swapped):
    return load_be32(address) if swapped != U(0) else load_u32(address)


@njit(**OPTIONS)
def _write(row, offset, captured_ns, captured, wire, link, number):
    store_u64(row + _frame.offset, offset)
    store_u64(row + _frame.captured_ns, captured_ns)
    store_u32(row + _frame.captured, captured)
    store_u32(row + _frame.wire, wire)
    store_u32(row + _frame.link_type, link)
    store_u32(row + _frame.number, number)


@njit(u64(u64, u64, u64, u64, u64, u64, u64, u64, u64), **OPTIONS)
def index_pcap(base, size, state, swapped, tick_ns, link, rows, capacity, number):
    """Index records of a pcap file; return how many rows were written.

    Args:
        base: Address of the file.
        size: Its length.
        state: Address of two u64: the position to go on from (updated), and why it stopped (set).
        swapped: 1 where the file is big-endian.
        tick_ns: Nanoseconds a unit of the fraction of a second.
        link: LINKTYPE_* of all packets.
        rows: Address of room for `capacity` `FRAME` rows.
        capacity: Rows there is room for.
        number: Number of the first packet.
    """
    at = load_u64(state)
    count = U(0)
    why = _FULL
    while count < capacity:
        if at + U(16) > size:
            why = _DONE if at == size else _TRUNCATED
            break
        record = base + at
        prefetch(record + U(1024))
        captured = _read(record + U(8), swapped)
        if captured > _MAX_RECORD:
            why = _DAMAGED
            break
        if at + U(16) + captured > size:
            why = _TRUNCATED
            break
        captured_ns = _read(record, swapped) * _S_NS + _read(record + U(4), swapped) * tick_ns
        wire = _read(record + U(12), swapped)
        _write(rows + count * _FRAME_BYTES, at + U(16), captured_ns, captured, wire, link, number + count)
        at += U(16) + captured
        count += U(1)
    store_u64(state, at)
    store_u64(state + U(8), why)
    return count


@njit(u64(u64, u64, u64, u64, u64, u64, u64, u64, u64), **OPTIONS)
def index_pcapng(base, size, state, swapped, interfaces, interface_count, rows, capacity, number):
    """Index enhanced packet blocks of a pcapng file; return how many rows were written.

    Args:
        base: Address of the file.
        size: Its length.
        state: Address of two u64: the position to go on from (updated), and why it stopped (set).
        swapped: 1 where the section is big-endian.
        interfaces: Address of four u64 an interface: link type, ticks a second, offset in ns, how to count (1: the
            second is ns a tick instead; 2: its clock is too fine, and its blocks are left to the caller).
        interface_count: How many there are.
        rows: Address of room for `capacity` `FRAME` rows.
        capacity: Rows there is room for.
        number: Number of the first packet.
    """
    at = load_u64(state)
    count = U(0)
    why = _FULL
    while count < capacity:
        if at + U(8) > size:
            why = _DONE if at == size else _TRUNCATED
            break
        block = base + at
        prefetch(block + U(1024))
        if _read(block, swapped) != _ENHANCED_PACKET:
            why = _OTHER_BLOCK
            break
        length = _read(block + U(4), swapped)
        if length & U(3) != U(0) or length < U(12) or length > _MAX_RECORD + U(64):
            why = _DAMAGED
            break
        if at + length > size:
            why = _TRUNCATED
            break
        if length < U(32):
            why = _DAMAGED
            break
        interface = _read(block + U(8), swapped)
        captured = _read(block + U(20), swapped)
        if interface >= interface_count or captured > length - U(32):
            why = _DAMAGED
            break
        described = interfaces + interface * U(32)
        if load_u64(described + U(24)) == U(2):
            why = _OTHER_BLOCK
            break
        ticks = (_read(block + U(12), swapped) << U(32)) | _read(block + U(16), swapped)
        rate = load_u64(described + U(8))
        if load_u64(described + U(24)) == U(1):
            captured_ns = ticks * rate
        else:
            captured_ns = ticks // rate * _S_NS + ticks % rate * _S_NS // rate
        captured_ns += load_u64(described + U(16))
        wire = _read(block + U(24), swapped)
        link = load_u64(described)
        _write(rows + count * _FRAME_BYTES, at + U(28), captured_ns, captured, wire, link, number + count)
        at += length
        count += U(1)
    store_u64(state, at)
    store_u64(state + U(8), why)
    return count
