"""The row of an RTP stream, and the control block of a stream table: what kernels and Python agree on.

A row is 256 bytes, four cache lines. An ordinary packet touches the first two alone (128 bytes, fetched ahead);
the other two hold what only events touch: losses (RFC 3611), payload-type changes, restarts, gaps. The
jitter-buffer simulation and the spacing are what a single 128-byte row had no room for.

Counters only ever grow, modulo their width; an interval is the difference of two readings. The maxima and
minima are those since the table was last read.
"""

import numpy as np

from collectors.kernels.frames import COUNTED, positions
from collectors.kernels.memory import U

WINDOW = 64
"""Packets within which reordering is tolerated; a packet is lost once the window has passed it."""
MAX_DROPOUT = 3000
"""A jump ahead by less is loss (RFC 3550 appendix A.1)."""
MAX_MISORDER = 100
"""A packet behind by less (and beyond the window) is only too late (RFC 3550 appendix A.1)."""
GMIN = 16
"""Packets received in a row that end a burst (RFC 3611 section 4.7.2)."""
RUN_LIMITS = (1, 2, 3, 4, 9, 19, 49)
"""Upper bounds of the bins of the histogram of consecutive losses; the eighth bin is open."""

STREAM = np.dtype(
    [
        # touched by every packet
        ("key_a", "<u8"),
        ("key_b", "<u8"),
        ("window", "<u8"),  # bit i: `highest` - i came
        ("arrival_ns", "<i8"),  # of the last packet of a voice payload type
        ("highest", "<u4"),  # extended sequence number
        ("timestamp", "<u4"),  # of the last packet of a voice payload type
        ("tick_us", "<f4"),  # microseconds a timestamp unit; 0 while the clock is unknown
        ("jitter_us", "<f4"),  # running J (RFC 3550 section 6.4.1)
        ("excess_us", "<f4"),  # transit time over the least of late: see rtp_update._play
        ("depth_us", "<f4"),  # of the adaptive jitter buffer
        ("unique", "<u4"),  # packets without duplicates
        ("payload_type", "u1"),  # of voice; NO_PAYLOAD_TYPE before the first
        ("dscp", "u1"),
        ("flags", "u1"),
        ("state", "u1"),  # FREE, LIVE, or PROBATION + consecutive packets
        ("bytes", "<u8"),
        ("jitter_sum_us", "<f8"),  # of J after each packet that updated it
        ("jitter_count", "<u4"),
        ("jitter_max_us", "<f4"),
        ("spacing_max_us", "<u4"),
        ("spacing_min_us", "<u4"),
        ("markers", "<u4"),
        ("baseline", "<u4"),  # extended sequence number before the first that counts
        ("duplicates", "<u4"),
        ("reordered", "<u4"),
        ("lost", "<u4"),
        ("late_fixed_50", "<u4"),  # packets that missed their playout, per simulated jitter buffer
        ("late_fixed_200", "<u4"),
        ("late_adaptive", "<u4"),
        # touched by events
        ("last_lost", "<u4"),  # extended sequence number
        ("run", "<u4"),  # consecutive losses up to it
        ("c11", "<u4"),  # transition counts of RFC 3611 appendix A.2
        ("c13", "<u4"),
        ("c14", "<u4"),
        ("c22", "<u4"),
        ("c23", "<u4"),
        ("c33", "<u4"),
        ("burst_lost", "<u4"),  # losses in the burst at hand
        ("runs", "<u2", 8),  # histogram of consecutive losses, by RUN_LIMITS
        ("held_us", "<f4"),  # a leap in transit that waits for the next packet to explain it
        ("first_ns", "<i8"),
        ("event_ns", "<i8"),  # last packet that was no voice
        ("payload_types", "<u8", 2),  # bit per payload type seen
        ("profile", "<u4"),
        ("dtmf", "<u4"),
        ("comfort_noise", "<u4"),
        ("pending_seq", "<u4"),  # what follows a packet far away; NOTHING_PENDING
        ("pending_ns", "<i8"),
        ("pending_timestamp", "<u4"),
        ("type_changes", "<u2"),
        ("restarts", "<u2"),
        ("retimed", "<u2"),  # timestamp jumps and silences during which timestamps stood still
        ("strays", "<u2"),  # packets far away that no second one confirmed
        ("too_late", "<u2"),  # beyond the window
        ("dscp_changes", "<u2"),
    ]
)
assert STREAM.itemsize == 256
ROW_BYTES = U(STREAM.itemsize)

ADDRESSES = np.dtype([("src", "u1", 16), ("dst", "u1", 16)])
"""Both addresses of a stream, IPv4 as v4-mapped; written once."""

ANCHORED, HELD, CLOCK_ESTIMATED, CLOCK_UNKNOWN = 1, 2, 4, 8
"""Flags of a row: it has a last voice packet; `held_us` counts; the clock was measured, or is not known yet."""

FREE, LIVE, PROBATION = 0, 1, 2
NO_PAYLOAD_TYPE = 255
NOTHING_PENDING = 0x1_0000

VOICE, COMFORT_NOISE, DTMF = 0, 1, 2
"""Kinds of a payload type: only voice is timed."""
PROFILE = np.dtype([("kind", "u1", 128), ("tick_us", "<f4", 128)])
"""What each payload type of an announcement is; `tick_us` 0 where its clock is unknown."""
PROFILE_BYTES = U(PROFILE.itemsize)

ANNOUNCEMENT = np.dtype([("hash", "<u8"), ("profile", "<u8")])
"""A slot of the table of announced addresses; hash 0 is empty, profile 0 is an address taken back."""

CONTROL = np.dtype(
    [
        (name, "<u8")
        for name in (
            "seed",
            "slots",  # address of u64: tag of 32 bits | row + 1
            "slot_mask",
            "rows",
            "addresses",
            "capacity",
            "used",  # rows ever used: those behind are untouched
            "free",  # address of the u32 stack of rows given back
            "free_count",
            "probation",  # address of rows on probation, WAYS to a set
            "probation_addresses",
            "set_mask",
            "announced",
            "announced_mask",
            "profiles",
            "need_announced",  # consecutive packets that make a stream of an announced address
            "need_unknown",
            "born",  # address of u32: rows made in this call
            "born_capacity",
            "born_count",
            "batch",  # address of room for a batch of PACKET
            "fragments",  # address of FRAGMENTS u64: first fragments of RTP packets
            "skip_outgoing",  # of a ring: what this host sends over loopback is seen twice
            "cursor",  # of a ring: address of the next frame header
            "handed",  # address of FRAME rows for what the kernel does not read
            "handed_capacity",
            "handed_count",
            "waiting",  # earlier datagrams, perhaps with SDP, have not been taken yet
            "paused",  # a source appeared that no announcement explains
            "newest_ns",
            "dice",
            # what happened
            "packets",
            "rtp",
            "handed_total",
            *COUNTED,
            "outgoing",
            "refused",  # packets that found no room for their stream
            "unadmitted",  # packets that found no room on probation
            "displaced",  # candidates thrown off probation by others
            "promoted",
        )
    ]
)
"""Addresses, bounds and counters of one table; a single record."""

WAYS = 4
at = positions(STREAM)
control = positions(CONTROL)
