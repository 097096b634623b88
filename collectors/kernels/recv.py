"""`recvmmsg` into a slot group without holding the interpreter lock.

The one system call that a kernel makes: it gets a descriptor and memory that `collectors.capture`
owns, opens nothing and keeps nothing. Layouts are those of 64-bit Linux.
"""

from typing import Any

import numpy as np
from numba import njit, types

from collectors.kernels.hep import store_ip
from collectors.kernels.memory import OPTIONS, U, load_u16, load_u32, store_u32, store_u64, u64

MESSAGE_BYTES = 64
"""struct mmsghdr: msg_name 0, msg_namelen 8, msg_iov 16, msg_iovlen 24, msg_flags 48, msg_len 56."""
_MESSAGE = U(MESSAGE_BYTES)
_NAME_LENGTH = U(8)
_FLAGS = U(48)
_LENGTH = U(56)

NAME_BYTES = 28
"""struct sockaddr_in6, the longer of the two."""
_NAME = U(NAME_BYTES)

OVERSIZED = 0xFFFF_FFFF
_OVERSIZED = U(OVERSIZED)

_MSG_TRUNC = U(0x20)
_MSG_DONTWAIT = 0x40
_AF_INET = U(2)

_recvmmsg: Any = types.ExternalFunction(
    "recvmmsg", types.int32(types.int32, types.uintp, types.uint32, types.int32, types.uintp)
)
_errno_location: Any = types.ExternalFunction("__errno_location", types.uintp())


@njit(types.int64(types.int32, u64, u64, u64, u64, u64, u64, u64), **OPTIONS)
def receive(descriptor, messages, count, stride, names, offsets, lengths, senders):
    """Receive what is waiting, at most `count` datagrams, and return how many, or -errno.

    Args:
        descriptor: A datagram socket.
        messages: Address of `count` mmsghdr that point at the slots and (or not at all) at `names`.
        count: Slots of the group.
        stride: Bytes from one slot to the next.
        names: Address of `count` socket addresses; 0 leaves `senders` alone.
        offsets: Address of room for `count` u32: where in the group each datagram is.
        lengths: Address of room for `count` u32: its length; `OVERSIZED` where it did not fit its slot.
        senders: Address of room for `count` 16-byte addresses, IPv4 as v4-mapped.
    """
    received = _recvmmsg(descriptor, messages, np.uint32(count), np.int32(_MSG_DONTWAIT), np.uintp(0))
    if received < 0:
        return -np.int64(load_u32(_errno_location()))
    n = U(received)
    i = U(0)
    while i < n:
        message = messages + i * _MESSAGE
        cut = load_u32(message + _FLAGS) & _MSG_TRUNC
        store_u32(offsets + i * U(4), i * stride)
        store_u32(lengths + i * U(4), _OVERSIZED if cut != U(0) else load_u32(message + _LENGTH))
        if names != U(0):
            name = names + i * _NAME
            if load_u16(name) == _AF_INET:
                store_ip(senders + i * U(16), name + U(4), U(4))
            else:
                store_ip(senders + i * U(16), name + U(8), U(16))
            store_u32(message + _NAME_LENGTH, _NAME)
        i += U(1)
    return np.int64(received)


@njit(types.void(u64, u64, u64, u64, u64, u64), **OPTIONS)
def point_messages(messages, vectors, slots, stride, count, names):
    """Fill `count` mmsghdr and iovec so that each message lands in its slot.

    Args:
        messages: Address of `count` x `MESSAGE_BYTES` zero bytes.
        vectors: Address of room for `count` iovec (16 bytes each).
        slots: Address of the first slot.
        stride: Bytes of a slot.
        count: Slots.
        names: Address of `count` x `NAME_BYTES` for the senders, 0 for none.
    """
    i = U(0)
    while i < count:
        message = messages + i * _MESSAGE
        vector = vectors + i * U(16)
        store_u64(vector, slots + i * stride)
        store_u64(vector + U(8), stride)
        store_u64(message + U(16), vector)
        store_u64(message + U(24), U(1))
        if names != U(0):
            store_u64(message, names + i * _NAME)
            store_u32(message + _NAME_LENGTH, _NAME)
        i += U(1)
