"""Gives memory back to the system after heavy work that comes seldom.

Sealing and merging segments take some times what their rows take, for a second. Allocators keep what was freed for
the next time, and a process that collects for months would look as if it grew.
"""

import ctypes
import sys
from functools import cache

import pyarrow as pa

_M_ARENA_MAX = -8
"""Of malloc.h."""


def give_back() -> None:
    """Return freed memory of Arrow and of the C library, where it can (glibc)."""
    pa.default_memory_pool().release_unused()
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)


def share_one_arena() -> None:
    """Let all threads of this process allocate in one place (glibc); call it before there are others.

    Each thread would get an arena of its own, and each arena keeps holes of its own. Python's small objects and
    Arrow's buffers live elsewhere, so threads hardly ever wait for one another.
    """
    mallopt = _of_libc("mallopt")
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


@cache
def _of_libc(name: str) -> "ctypes._NamedFuncPointer | None":
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), name, None)  # musl has neither
