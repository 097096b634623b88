"""Loads, stores and a wide product on raw addresses for the kernels of this package.

As in the collectors' kernels: array arguments cost reference counts in hot loops, so kernels take addresses.
Nothing checks a bound; the caller has made the room. All values are `uint64`.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic

U = np.uint64
OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "boundscheck": False, "error_model": "numpy"}
"""Options of every kernel: they hold no lock, and compile once per installation."""
INLINED: dict[str, Any] = OPTIONS | {"forceinline": True}

intrinsic: Any = numba_intrinsic  # its stub keeps the typing context among the arguments of a call

ROOM = 16
"""Bytes that copying may write beyond what it was told to copy."""


def _load(bits):
    @intrinsic
    def load(typing_context, address):
        def generate(context, builder, signature, arguments):
            value = builder.load(builder.inttoptr(arguments[0], ir.IntType(bits).as_pointer()))
            value.align = 1
            return builder.zext(value, ir.IntType(64)) if bits < 64 else value

        return types.uint64(types.uint64), generate

    return load


def _store(bits):
    @intrinsic
    def store(typing_context, address, value):
        def generate(context, builder, signature, arguments):
            kind = ir.IntType(bits)
            value = builder.trunc(arguments[1], kind) if bits < 64 else arguments[1]
            instruction = builder.store(value, builder.inttoptr(arguments[0], kind.as_pointer()))
            instruction.align = 1
            return context.get_dummy_value()

        return types.void(types.uint64, types.uint64), generate

    return store


load_u8, load_u16, load_u32, load_u64 = _load(8), _load(16), _load(32), _load(64)
store_u8, store_u16, store_u64 = _store(8), _store(16), _store(64)


@intrinsic
def as_float(typing_context, bits):
    """Return the double of these 64 bits."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.uint64), generate


@intrinsic
def as_unsigned(typing_context, value):
    """Return a small non-negative double without its fraction."""

    def generate(context, builder, signature, arguments):
        return builder.fptosi(arguments[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@intrinsic
def high_product(typing_context, left, right):
    """Return the upper half of the 128-bit product."""

    def generate(context, builder, signature, arguments):
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, wide(64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def copy_exact(typing_context, target, source, length):
    """Copy `length` bytes and touch no other; the regions must not overlap."""

    def generate(context, builder, signature, arguments):
        byte = ir.IntType(8).as_pointer()
        to = builder.inttoptr(arguments[0], byte)
        at = builder.inttoptr(arguments[1], byte)
        cgutils.raw_memcpy(builder, to, at, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64), generate


@njit(**INLINED)
def copy_text(target, source, length):
    """Copy short text in words of 16 bytes: reads and writes up to `ROOM` bytes beyond it."""
    done = U(0)
    while done < length:
        store_u64(target + done, load_u64(source + done))
        store_u64(target + done + U(8), load_u64(source + done + U(8)))
        done += U(16)
