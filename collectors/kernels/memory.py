"""Loads, stores and hashing on raw addresses for numba kernels.

Array arguments make numba count references inside hot loops, which halves their speed; kernels here
take addresses (`ndarray.ctypes.data`) instead. Nothing checks a bound: the caller of every function
must have proved that the bytes are there. All values are `uint64`: numba turns a mix of `uint64` and
`int64` into `float64`, so kernels use `U(…)` constants throughout.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic as numba_intrinsic

U = np.uint64
OPTIONS: dict[str, Any] = {"nogil": True, "cache": True, "boundscheck": False}
"""Options of every kernel: they hold no lock, and compile once per installation."""

u64 = types.uint64
intrinsic: Any = numba_intrinsic  # its stub keeps the typing context among the arguments of a call

_FOLD_A = U(0xA0761D6478BD642F)
_FOLD_B = U(0xE7037ED1A0B428DB)
_FOLD_C = U(0x8EBC6AF09C88C6E3)


def _load(bits, swap):
    @intrinsic
    def load(typing_context, address):
        def generate(context, builder, signature, arguments):
            kind = ir.IntType(bits)
            value = builder.load(builder.inttoptr(arguments[0], kind.as_pointer()))
            value.align = 1
            if swap:
                value = builder.bswap(value)
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


# Names say width and byte order: `be` is network order, the others that of the machine (little-endian).
load_u8 = _load(8, swap=False)
load_u16 = _load(16, swap=False)
load_u32 = _load(32, swap=False)
load_u64 = _load(64, swap=False)
load_be16 = _load(16, swap=True)
load_be32 = _load(32, swap=True)
load_be64 = _load(64, swap=True)
store_u8 = _store(8)
store_u16 = _store(16)
store_u32 = _store(32)
store_u64 = _store(64)


def _load_float(kind):
    @intrinsic
    def load(typing_context, address):
        def generate(context, builder, signature, arguments):
            value = builder.load(builder.inttoptr(arguments[0], kind.as_pointer()))
            value.align = 1
            return builder.fpext(value, ir.DoubleType()) if isinstance(kind, ir.FloatType) else value

        return types.float64(types.uint64), generate

    return load


def _store_float(kind):
    @intrinsic
    def store(typing_context, address, value):
        def generate(context, builder, signature, arguments):
            value = arguments[1]
            if isinstance(kind, ir.FloatType):
                value = builder.fptrunc(value, kind)
            instruction = builder.store(value, builder.inttoptr(arguments[0], kind.as_pointer()))
            instruction.align = 1
            return context.get_dummy_value()

        return types.void(types.uint64, types.float64), generate

    return store


# Numbers in kernels are `float64`; the narrow form only saves memory and rounds to nearest.
load_f32 = _load_float(ir.FloatType())
load_f64 = _load_float(ir.DoubleType())
store_f32 = _store_float(ir.FloatType())
store_f64 = _store_float(ir.DoubleType())


@intrinsic
def likely(typing_context, condition):
    """Return `condition`, telling the compiler that it holds nearly always."""

    def generate(context, builder, signature, arguments):
        flag = ir.IntType(1)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(flag, [flag, flag]), "llvm.expect.i1"
        )
        return builder.call(function, [arguments[0], flag(1)])

    return types.boolean(types.boolean), generate


@intrinsic
def prefetch(typing_context, address):
    """Ask for the cache line of `address`; never faults."""

    def generate(context, builder, signature, arguments):
        byte = ir.IntType(8).as_pointer()
        word = ir.IntType(32)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, word, word, word]), "llvm.prefetch.p0"
        )
        builder.call(function, [builder.inttoptr(arguments[0], byte), word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(types.uint64), generate


@intrinsic
def trailing_zeros(typing_context, value):
    """Return the number of zero bits below the lowest one bit of `value`, which must not be 0."""

    def generate(context, builder, signature, arguments):
        kind, flag = ir.IntType(64), ir.IntType(1)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(kind, [kind, flag]), "llvm.cttz.i64"
        )
        return builder.call(function, [arguments[0], flag(1)])

    return types.uint64(types.uint64), generate


@intrinsic
def copy_bytes(typing_context, target, source, length):
    """Copy `length` bytes; the regions must not overlap."""

    def generate(context, builder, signature, arguments):
        byte = ir.IntType(8).as_pointer()
        to = builder.inttoptr(arguments[0], byte)
        at = builder.inttoptr(arguments[1], byte)
        cgutils.raw_memcpy(builder, to, at, arguments[2], 1)
        return context.get_dummy_value()

    return types.void(types.uint64, types.uint64, types.uint64), generate


@intrinsic
def fold_multiply(typing_context, left, right):
    """Return the 128-bit product's halves, xored."""

    def generate(context, builder, signature, arguments):
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        high = builder.trunc(builder.lshr(product, wide(64)), ir.IntType(64))
        return builder.xor(high, builder.trunc(product, ir.IntType(64)))

    return types.uint64(types.uint64, types.uint64), generate


@njit(**OPTIONS)
def hash_bytes(address, length, seed):
    """Return a 64-bit hash of `length` bytes, keyed by `seed` (multiply-and-fold, after wyhash).

    With a secret seed an outsider cannot aim for collisions; it is no cryptographic digest.
    """
    one = seed ^ _FOLD_A
    two = seed
    at = address
    left = length
    while left > U(32):
        one = fold_multiply(load_u64(at) ^ _FOLD_B, load_u64(at + U(8)) ^ one)
        two = fold_multiply(load_u64(at + U(16)) ^ _FOLD_C, load_u64(at + U(24)) ^ two)
        at += U(32)
        left -= U(32)
    one = fold_multiply(one, two ^ _FOLD_C)
    if left > U(16):
        one = fold_multiply(load_u64(at) ^ _FOLD_B, load_u64(at + U(8)) ^ one)
    if length >= U(16):
        low = load_u64(at + left - U(16))
        high = load_u64(at + left - U(8))
    elif length >= U(8):
        low = load_u64(at)
        high = load_u64(at + left - U(8))
    elif length >= U(4):
        low = load_u32(at)
        high = load_u32(at + left - U(4))
    elif length > U(0):
        low = (load_u8(at) << U(16)) | (load_u8(at + (left >> U(1))) << U(8)) | load_u8(at + left - U(1))
        high = U(0)
    else:
        low = U(0)
        high = U(0)
    return fold_multiply(_FOLD_C ^ length, fold_multiply(low ^ _FOLD_B, high ^ one))


@njit(**OPTIONS)
def equal_bytes(one, other, length):
    """Return whether two regions of `length` bytes are equal."""
    at = U(0)
    while at + U(8) <= length:
        if load_u64(one + at) != load_u64(other + at):
            return False
        at += U(8)
    while at < length:
        if load_u8(one + at) != load_u8(other + at):
            return False
        at += U(1)
    return True
