"""Compiles every kernel before traffic comes: those of HEP when they are imported, that of SIP by one empty call.

The first run on a machine takes some ten seconds for it; later ones load the cached machine code.
"""

from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np

from collectors.facts import DATAGRAM, DatagramBatch
from collectors.kernels import hep, recv, screen, sip

__all__ = ["hep", "prepare", "recv", "screen"]


def prepare(say: Callable[[str], object]) -> None:
    """Return once every kernel is machine code; `say` is told where that will take a while."""
    if not any(Path(numba.config.CACHE_DIR).rglob("sip.scan-*.nbi")):  # type: ignore[attr-defined]
        say("compiling kernels: once on this machine, about 15 seconds")
    nothing = DatagramBatch(np.zeros(0, DATAGRAM), np.zeros(1, np.uint8))
    sip.scan_messages(nothing, np.zeros(0, np.intp))
