"""The blocks of a TPACKET_V3 ring, walked where the kernel put them: RTP is measured in place and never copied.

What the stream kernel does not read itself (SIP, RTCP, fragments: few) is copied out, so that a block goes back
to the kernel at once and one call takes as many blocks as are ready, without the interpreter lock.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types

from collectors.kernels.frames import FRAME, positions
from collectors.kernels.memory import (
    OPTIONS,
    U,
    copy_bytes,
    intrinsic,
    load_u32,
    load_u64,
    store_u64,
    u64,
)
from collectors.kernels.rtp import BLOCK_COUNT, BLOCK_FIRST, BLOCK_STATUS, captured_at, take_frames
from collectors.kernels.rtp_layout import control

RING = np.dtype(
    [
        (name, "<u8")
        for name in (
            "base",  # address of the first block
            "block_bytes",
            "blocks",
            "number",  # of the block at hand
            "left",  # frames of it not yet taken; 0: not opened
            "copies",  # address of room for the frames that are handed back
            "copies_bytes",  # of that room; at least two blocks, so that one block always fits
            "copied",  # bytes in use
            "at_once",  # blocks that one call finishes at most
            "next_ns",  # when the next frame of the block at hand was captured
        )
    ]
)
"""Where a ring is and how far it was read; a single record."""

PIECE = 4096
"""Frames taken at a time, so few that the streams they can bring find room."""
_PIECE = U(PIECE)
_ONE = U(1)
_TO_USER = U(1)
_FRAME_BYTES = U(FRAME.itemsize)
_frame = positions(FRAME)
ring = positions(RING)


@intrinsic
def _load_acquire(typing_context, address):
    """Return a 32-bit status; what its writer wrote before it is then visible."""

    def generate(context, builder, signature, arguments):
        kind = ir.IntType(32)
        value = builder.load_atomic(builder.inttoptr(arguments[0], kind.as_pointer()), "acquire", 4)
        return builder.zext(value, ir.IntType(64))

    return types.uint64(types.uint64), generate


@intrinsic
def _store_release(typing_context, address, value):
    """Store a 32-bit status after everything that was read before."""

    def generate(context, builder, signature, arguments):
        kind = ir.IntType(32)
        value = builder.trunc(arguments[1], kind)
        builder.store_atomic(value, builder.inttoptr(arguments[0], kind.as_pointer()), "release", 4)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64), generate


@njit(**OPTIONS)
def _copy_handed(table, state, block, first):
    """Copy the frames that were handed back from number `first` on, and let their offsets say where they are."""
    copies = load_u64(state + ring.copies)
    copied = load_u64(state + ring.copied)
    entry = load_u64(table + control.handed) + first * _FRAME_BYTES
    end = load_u64(table + control.handed) + load_u64(table + control.handed_count) * _FRAME_BYTES
    while entry < end:
        size = load_u32(entry + _frame.captured)
        copy_bytes(copies + copied, block + load_u64(entry + _frame.offset), size)
        store_u64(entry + _frame.offset, copied)
        copied += size
        entry += _FRAME_BYTES
    store_u64(state + ring.copied, copied)


@njit(u64(u64, u64, u64), **OPTIONS)
def take_ring(table, state, until_ns):
    """Take what is ready in a ring, and return how many frames that was.

    It stops where nothing is ready, before a frame of `until_ns` or later, and where the caller has to look after
    what was handed back or admitted; `left` is then not 0 where a block is not done.

    Args:
        table: Address of the table's `CONTROL`.
        state: Address of the ring's `RING`.
        until_ns: Time of the next interval.
    """
    base = load_u64(state + ring.base)
    block_bytes = load_u64(state + ring.block_bytes)
    blocks = load_u64(state + ring.blocks)
    room = load_u64(state + ring.copies_bytes) - block_bytes
    number = load_u64(state + ring.number)
    left = load_u64(state + ring.left)
    at_once = load_u64(state + ring.at_once)
    total = U(0)
    done = U(0)
    while done < at_once:
        block = base + number * block_bytes
        if left == U(0):
            if _load_acquire(block + BLOCK_STATUS) & _TO_USER == U(0):
                break
            left = load_u32(block + BLOCK_COUNT)
            store_u64(table + control.cursor, block + load_u32(block + BLOCK_FIRST))
        stopped = False
        while left > U(0):
            wanted = left if left < _PIECE else _PIECE
            handed = load_u64(table + control.handed_count)
            taken = take_frames(table, block, U(0), U(0), wanted, until_ns)
            _copy_handed(table, state, block, handed)
            left -= taken
            total += taken
            if (
                taken < wanted
                or load_u64(table + control.born_count) * U(2) > load_u64(table + control.born_capacity)
                or load_u64(state + ring.copied) > room
            ):
                stopped = True
                break
        if left == U(0):
            _store_release(block + BLOCK_STATUS, U(0))
            number = (number + _ONE) % blocks
            done += _ONE
        else:
            store_u64(state + ring.next_ns, captured_at(load_u64(table + control.cursor)))
        if stopped:
            break
    store_u64(state + ring.number, number)
    store_u64(state + ring.left, left)
    return total
