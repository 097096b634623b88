"""Gives memory back to the system after heavy work that comes seldom.

Sealing and merging segments take some times what their rows take, for a second. Allocators keep what was freed for
the next time, and a process that collects for months would look as if it grew.
"""

import ctypes
import sys
from functools import cache

import pyarrow as pa


def give_back() -> None:
    """Return freed memory of Arrow and of the C library, where it can (glibc)."""
    pa.default_memory_pool().release_unused()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> "ctypes._NamedFuncPointer | None":
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
