"""Recognises the same message reported more than once, by several agents or a mirrored capture.

A SIP retransmission is the same bytes at the same hop again, 500 ms later or more, from the agent
that saw the first (RFC 3261 section 17.1.1.2); it must be kept. So the *same* agent repeats a
message only within `same_node_ns`, another agent within `other_node_ns`, by capture time.
Agents whose clocks differ by more than that are not matched.
"""

import secrets

import numpy as np

from collectors.facts import DatagramBatch
from collectors.kernels.screen import SEEN_SLOT_BYTES, hash_rows, mark_duplicates


class DuplicateFilter:
    """Flags repeated messages over all sources: two generations of hashes of fixed size.

    When the current generation is full it becomes the previous one and the oldest is forgotten; so at
    least `capacity` messages are remembered, in 128 bytes each. Not shared between threads.
    """

    def __init__(
        self, *, capacity: int = 32_768, same_node_ns: int = 20_000_000, other_node_ns: int = 300_000_000
    ) -> None:
        slots = 64
        while slots < 2 * capacity:
            slots *= 2
        self.duplicates = 0
        """Rows flagged."""
        self.rotations = 0
        """Times that a generation was forgotten to make room."""
        self._mask = slots - 1
        self._limit = capacity
        self._seed = secrets.randbits(64)  # secret, so that nobody can aim for collisions
        self._same_node_ns = same_node_ns
        self._other_node_ns = other_node_ns
        self._current = np.zeros((slots, SEEN_SLOT_BYTES // 8), np.uint64)
        self._previous = np.zeros_like(self._current)
        self._entries = np.zeros(1, np.uint64)

    def mark(self, batch: DatagramBatch) -> int:
        """Set `DATAGRAM_DUPLICATE` on the repeated rows of `batch` and return how many there are."""
        rows = batch.rows
        count = len(rows)
        if not count:
            return 0
        hashes = np.empty(count, np.uint64)
        hash_rows(
            batch.buffer.ctypes.data,
            rows.ctypes.data,
            count,
            self._seed,
            hashes.ctypes.data,
            self._current.ctypes.data,
            self._previous.ctypes.data,
            self._mask,
        )
        at = 0
        while True:
            at = mark_duplicates(
                rows.ctypes.data,
                at,
                count,
                hashes.ctypes.data,
                self._current.ctypes.data,
                self._previous.ctypes.data,
                self._mask,
                self._entries.ctypes.data,
                self._limit,
                self._same_node_ns,
                self._other_node_ns,
            )
            if at == count:
                break
            self._current, self._previous = self._previous, self._current
            self._current.fill(0)
            self._entries[0] = 0
            self.rotations += 1
        found = int(np.count_nonzero(rows["flags"] & 1))
        self.duplicates += found
        return found
