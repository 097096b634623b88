"""The stream kernel: blocks of captured frames into rows of RTP streams.

Frames come from an array of `FRAME` over memory (a capture file), or in the blocks of a TPACKET_V3 ring; either
way they go through the same code, 64 at a time: parse and fetch slots, fetch rows, update. By the time a row is
touched its cache lines have arrived, which is worth a factor of two once streams do not fit the cache.
The kernel holds no lock, allocates nothing, and knows one table: threads have one each.
"""

from numba import njit

from collectors.kernels import frames
from collectors.kernels.frames import FRAME, HANDED, LINK_ETHERNET, PACKET, RTP, positions, read_frame
from collectors.kernels.memory import (
    OPTIONS,
    U,
    likely,
    load_u8,
    load_u16,
    load_u32,
    load_u64,
    prefetch,
    store_u32,
    store_u64,
    u64,
)
from collectors.kernels.rtp_layout import ROW_BYTES, control
from collectors.kernels.rtp_table import find_row, is_row_of, on_probation
from collectors.kernels.rtp_update import update

BATCH = 64
_BATCH = U(BATCH)
_ONE = U(1)
_LOW = U(0xFFFFFFFF)
_LINE = U(64)
_PACKET_BYTES = U(PACKET.itemsize)
_FRAME_BYTES = U(FRAME.itemsize)
_frame = positions(FRAME)
_PROMPT_NS = U(5_000_000)
_AHEAD = U(8)
"""Frames that are fetched ahead of the one being parsed."""

# struct tpacket_block_desc and tpacket3_hdr of <linux/if_packet.h>
BLOCK_STATUS, BLOCK_COUNT, BLOCK_FIRST = U(8), U(12), U(16)
_NEXT, _SECONDS, _NANOSECONDS, _CAPTURED, _WIRE, _MAC = U(0), U(4), U(8), U(12), U(16), U(24)
_PACKET_TYPE = U(48 + 10)  # struct sockaddr_ll behind the header, which is aligned to 16
_OUTGOING = U(4)
_ETHERNET = U(LINK_ETHERNET)


@njit(**OPTIONS)
def captured_at(header):
    """Return the time of the frame of a ring whose tpacket3_hdr is at an address."""
    return load_u32(header + _SECONDS) * U(1_000_000_000) + load_u32(header + _NANOSECONDS)


@njit(**OPTIONS)
def _hand_back(block, offset, captured_ns, captured, wire, link, number):
    """Return whether there was room to name a frame for the slow path."""
    count = load_u64(block + control.handed_count)
    if count >= load_u64(block + control.handed_capacity):
        return False
    entry = load_u64(block + control.handed) + count * _FRAME_BYTES
    store_u64(entry + _frame.offset, offset)
    store_u64(entry + _frame.captured_ns, captured_ns)
    store_u32(entry + _frame.captured, captured)
    store_u32(entry + _frame.wire, wire)
    store_u32(entry + _frame.link_type, link)
    store_u32(entry + _frame.number, number)
    store_u64(block + control.handed_count, count + _ONE)
    store_u64(block + control.handed_total, load_u64(block + control.handed_total) + _ONE)
    return True


@njit(**OPTIONS)
def _finish_batch(block, batch, count):
    slots = load_u64(block + control.slots)
    mask = load_u64(block + control.slot_mask)
    rows = load_u64(block + control.rows)
    profiles = load_u64(block + control.profiles)
    end = batch + count * _PACKET_BYTES
    packet = batch
    while packet < end:
        mixed = load_u64(packet + frames.HASH)
        i = mixed & mask
        slot = load_u64(slots + i * U(8))
        while slot != U(0) and (slot ^ mixed) >> U(32) != U(0):
            i = (i + _ONE) & mask
            slot = load_u64(slots + i * U(8))
        row = U(0)
        if likely(slot != U(0)):
            row = rows + ((slot & _LOW) - _ONE) * ROW_BYTES
            prefetch(row)
            prefetch(row + _LINE)
        store_u64(packet + frames.ROW_AT, row)
        packet += _PACKET_BYTES
    packet = batch
    while packet < end:
        row = load_u64(packet + frames.ROW_AT)
        if not likely(row != U(0) and is_row_of(row, packet)):
            row = find_row(block, packet)  # another stream's, or one admitted since
        if likely(row != U(0)):
            update(row, packet, profiles)
        else:
            on_probation(block, packet)
        packet += _PACKET_BYTES


@njit(u64(u64, u64, u64, u64, u64, u64), **OPTIONS)
def take_frames(block, base, listed, start, count, until_ns):
    """Take frames in order, and return how many of `count` were taken.

    It stops before a frame of `until_ns` or later, so that intervals can be read, where `handed` is full, and
    where it admitted a stream that the SDP in a datagram not yet looked at may explain.

    Args:
        block: Address of the table's `CONTROL`.
        base: Address that offsets of frames count from; of a ring, the block.
        listed: Address of an array of `FRAME`; 0 to walk the TPACKET_V3 block at `base` from `cursor`.
        start: First frame of the array to take; of a ring only counted.
        count: Frames to take at most.
        until_ns: Time of the next interval.
    """
    seed = load_u64(block + control.seed)
    slots = load_u64(block + control.slots)
    mask = load_u64(block + control.slot_mask)
    batch = load_u64(block + control.batch)
    fragments = load_u64(block + control.fragments)
    skip_outgoing = load_u64(block + control.skip_outgoing) != U(0)
    cursor = load_u64(block + control.cursor)
    newest_ns = load_u64(block + control.newest_ns)
    taken = U(0)
    rtp = U(0)
    open_ = True
    while open_ and taken < count:
        packet = batch
        filled = U(0)
        before_ns = until_ns
        while taken < count and filled < _BATCH:
            if listed != U(0):
                entry = listed + (start + taken) * _FRAME_BYTES
                offset = load_u64(entry + _frame.offset)
                captured_ns = load_u64(entry + _frame.captured_ns)
                captured = load_u32(entry + _frame.captured)
                wire = load_u32(entry + _frame.wire)
                link = load_u32(entry + _frame.link_type)
                number = load_u32(entry + _frame.number)
                if taken + _AHEAD < count:
                    ahead = base + load_u64(entry + _AHEAD * _FRAME_BYTES + _frame.offset)
                    prefetch(ahead)
                    prefetch(ahead + _LINE)
            else:
                offset = cursor - base + load_u16(cursor + _MAC)
                captured_ns = captured_at(cursor)
                captured = load_u32(cursor + _CAPTURED)
                wire = load_u32(cursor + _WIRE)
                link = _ETHERNET
                number = start + taken
            if captured_ns >= before_ns:
                open_ = captured_ns < until_ns
                break
            if filled == U(0) and captured_ns + _PROMPT_NS < before_ns:
                # SDP may wait among what is handed back: where packets are few, a batch must not hold many
                before_ns = captured_ns + _PROMPT_NS
            if listed == U(0) and skip_outgoing and load_u8(cursor + _PACKET_TYPE) == _OUTGOING:
                store_u64(block + control.outgoing, load_u64(block + control.outgoing) + _ONE)
            else:
                kind = read_frame(base + offset, captured, link, captured_ns, seed, fragments, packet)
                if likely(kind == RTP):
                    prefetch(slots + (load_u64(packet + frames.HASH) & mask) * U(8))
                    packet += _PACKET_BYTES
                    filled += _ONE
                elif kind == HANDED:
                    if not _hand_back(block, offset, captured_ns, captured, wire, link, number):
                        open_ = False
                        break
                else:
                    counted = block + control.stun + (kind - U(2)) * U(8)
                    store_u64(counted, load_u64(counted) + _ONE)
            if captured_ns > newest_ns:
                newest_ns = captured_ns
            taken += _ONE
            if listed == U(0):
                cursor += load_u32(cursor + _NEXT)
                prefetch(cursor + U(1024))
                prefetch(cursor + U(1088))
                prefetch(cursor + U(1152))
        _finish_batch(block, batch, filled)
        rtp += filled
        if load_u64(block + control.paused) != U(0) and (
            load_u64(block + control.waiting) != U(0) or load_u64(block + control.handed_count) != U(0)
        ):
            open_ = False
    store_u64(block + control.cursor, cursor)
    store_u64(block + control.newest_ns, newest_ns)
    store_u64(block + control.packets, load_u64(block + control.packets) + taken)
    store_u64(block + control.rtp, load_u64(block + control.rtp) + rtp)
    return taken
