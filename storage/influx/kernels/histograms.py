"""Histograms as text and back: `bucket:count` of the buckets that are not empty, in order, one space between.

The histogram `[0, 3, 0, 12]` is the text `1:3 3:12`.
"""

import numpy as np
from numba import njit

from storage.influx.kernels.decimals import put_unsigned
from storage.influx.kernels.memory import OPTIONS, U, store_u8

CELL_BYTES = 26
"""Most bytes of one bucket: a space, five digits, a colon, nineteen digits (2^63 - 1)."""
_COLON, _SPACE = U(ord(":")), U(ord(" "))


@njit(**OPTIONS)
def write_histograms(counts, offsets, out, tables):
    """Write the text of each row of `counts` at `out` and its int32 offsets; return where it ends."""
    at = out
    offsets[0] = 0
    for row in range(counts.shape[0]):
        start = at
        for bucket in range(counts.shape[1]):
            count = counts[row, bucket]
            if count:
                if at != start:
                    store_u8(at, _SPACE)
                    at += U(1)
                at = put_unsigned(at, U(bucket), tables)
                store_u8(at, _COLON)
                at = put_unsigned(at + U(1), U(count), tables)
        offsets[row + 1] = np.int32(at - out)
    return at


@njit(**OPTIONS)
def read_histograms(data, offsets, counts):
    """Read texts into rows of zeroed `counts`; return how many buckets there are no places for, or are no text."""
    refused = 0
    for row in range(counts.shape[0]):
        number, bucket = 0, -1
        for i in range(offsets[row], offsets[row + 1] + 1):
            c = data[i] if i < offsets[row + 1] else 32
            if 48 <= c <= 57:
                number = number * 10 + (c - 48)
            elif c == 58:
                bucket, number = number, 0
            else:
                if 0 <= bucket < counts.shape[1]:
                    counts[row, bucket] = number
                elif offsets[row + 1] > offsets[row]:
                    refused += 1
                number, bucket = 0, -1
    return refused
