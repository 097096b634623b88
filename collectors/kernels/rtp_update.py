"""One RTP packet into the row of its stream: sequence, loss, jitter, jitter buffers.

RFC 3550 appendices A.1, A.3 and A.8, RFC 3611 appendix A.2. Differences to the letter of RFC 3550, each so that
figures are exact: loss is counted when a packet leaves the reordering window and not as a difference of totals
(which duplicates falsify); packets seen before a source is valid count once it is; both packets that prove a
restart count; leaps of the media clock itself do not become jitter.
"""

import numpy as np
from numba import njit

from collectors.kernels import frames
from collectors.kernels.memory import (
    OPTIONS,
    U,
    likely,
    load_f32,
    load_f64,
    load_u8,
    load_u16,
    load_u32,
    load_u64,
    store_f32,
    store_f64,
    store_u8,
    store_u16,
    store_u32,
    store_u64,
)
from collectors.kernels.rtp_layout import (
    ANCHORED,
    CLOCK_ESTIMATED,
    CLOCK_UNKNOWN,
    COMFORT_NOISE,
    DTMF,
    GMIN,
    HELD,
    MAX_DROPOUT,
    MAX_MISORDER,
    NO_PAYLOAD_TYPE,
    NOTHING_PENDING,
    PROFILE_BYTES,
    ROW_BYTES,
    RUN_LIMITS,
    WINDOW,
    at,
)

_ONE = U(1)
_ALL = U(0xFFFFFFFFFFFFFFFF)
_FIRST_CYCLE = U(0x10000)
"""Extended numbers start a cycle up, so that packets from before the first do not go below zero."""

_WINDOW = U(WINDOW)
_MAX_DROPOUT = U(MAX_DROPOUT)
_BEHIND_WINDOW = U(0x10000 - WINDOW)
_BEHIND_MISORDER = U(0x10000 - MAX_MISORDER)
_GMIN = U(GMIN)
_NOTHING_PENDING = U(NOTHING_PENDING)
_NO_PAYLOAD_TYPE = U(NO_PAYLOAD_TYPE)
_ANCHORED, _HELD, _CLOCK_ESTIMATED, _CLOCK_UNKNOWN = U(ANCHORED), U(HELD), U(CLOCK_ESTIMATED), U(CLOCK_UNKNOWN)
_COMFORT_NOISE, _DTMF = U(COMFORT_NOISE), U(DTMF)
_LIMITS = tuple(U(limit) for limit in RUN_LIMITS)

_LEAP_US = 200_000.0
"""A packet this much later than its timestamp says (or earlier than any) needs an explanation."""
_FIXED_50_US, _FIXED_200_US = 50_000.0, 200_000.0
_ADAPTIVE_START_US, _ADAPTIVE_LEAST_US, _ADAPTIVE_MOST_US = 60_000.0, 20_000.0, 500_000.0
_EVENT_BYTES = U(16)
"""An RTP header and one telephone event (RFC 4733 section 2.3)."""
_CLOCKS_HZ = (8000.0, 16000.0, 24000.0, 32000.0, 44100.0, 48000.0, 90000.0)
_ESTIMATE_AFTER_NS = 400_000_000


@njit(**OPTIONS)
def _bump(field):
    store_u32(field, load_u32(field) + _ONE)


@njit(**OPTIONS)
def _bump16(field):
    store_u16(field, load_u16(field) + _ONE)


@njit(**OPTIONS)
def start_row(row, packet, profile):
    """Make an empty row whose first packet is the one about to be given to `update`."""
    clear = U(0)
    while clear < ROW_BYTES:
        store_u64(row + clear, U(0))
        clear += U(8)
    first = _FIRST_CYCLE + load_u16(packet + frames.SEQ)
    store_u64(row + at.key_a, load_u64(packet + frames.KEY_A))
    store_u64(row + at.key_b, load_u64(packet + frames.KEY_B))
    store_u32(row + at.highest, first - _ONE)
    store_u32(row + at.baseline, first - _ONE)
    store_u32(row + at.last_lost, first - _ONE)
    store_f32(row + at.depth_us, _ADAPTIVE_START_US)
    store_u8(row + at.payload_type, _NO_PAYLOAD_TYPE)
    store_u8(row + at.dscp, load_u8(packet + frames.PAYLOAD_TYPE + _ONE))
    store_u32(row + at.spacing_min_us, U(0xFFFFFFFF))
    store_u64(row + at.first_ns, load_u64(packet + frames.CAPTURED_NS))
    store_u32(row + at.profile, profile)
    store_u32(row + at.pending_seq, _NOTHING_PENDING)


@njit(**OPTIONS)
def _run_bin(length):
    i = U(0)
    for limit in _LIMITS:
        if length <= limit:
            return i
        i += _ONE
    return i


@njit(**OPTIONS)
def _lose(row, seq):
    """Count one packet, by its extended number, that is lost for good."""
    if seq <= load_u32(row + at.baseline):
        return
    received_since = seq - load_u32(row + at.last_lost) - _ONE
    _bump(row + at.lost)
    if received_since >= _GMIN:
        if load_u32(row + at.burst_lost) == _ONE:
            _bump(row + at.c14)
        else:
            _bump(row + at.c13)
        store_u32(row + at.burst_lost, _ONE)
        store_u32(row + at.c11, load_u32(row + at.c11) + received_since)
    else:
        _bump(row + at.burst_lost)
        if received_since == U(0):
            _bump(row + at.c33)
        else:
            _bump(row + at.c23)
            store_u32(row + at.c22, load_u32(row + at.c22) + received_since - _ONE)
    runs = row + at.runs
    if received_since == U(0):
        run = load_u32(row + at.run)
        shorter = runs + _run_bin(run) * U(2)
        store_u16(shorter, load_u16(shorter) - _ONE)
        run += _ONE
    else:
        run = _ONE
    _bump16(runs + _run_bin(run) * U(2))
    store_u32(row + at.run, run)
    store_u32(row + at.last_lost, seq)


@njit(**OPTIONS)
def _pass(row, highest, window, ahead):
    """Count what is lost when the window moves `ahead` of `highest`."""
    leaving = ahead if ahead < _WINDOW else _WINDOW
    missing = ~window >> (_WINDOW - leaving)  # bit b: `highest` - 64 + `leaving` - b
    bit = leaving
    while bit > U(0):
        bit -= _ONE
        if (missing >> bit) & _ONE:
            _lose(row, highest - _WINDOW + leaving - bit)
    skipped = highest + _ONE
    while skipped + _WINDOW <= highest + ahead:
        _lose(row, skipped)
        skipped += _ONE


@njit(**OPTIONS)
def finish_row(row):
    """Count what is still missing inside the window: the stream is over, or starts anew."""
    highest = load_u32(row + at.highest)
    _pass(row, highest, load_u64(row + at.window), _WINDOW - _ONE)
    store_u64(row + at.window, _ALL)


@njit(**OPTIONS)
def _restart(row, seq):
    """Begin anew behind the pending packet, which with this one proves that the sender did (appendix A.1)."""
    finish_row(row)
    highest = _FIRST_CYCLE + seq
    store_u32(row + at.highest, highest)
    store_u32(row + at.baseline, highest - U(2))
    store_u32(row + at.last_lost, highest - U(2))
    store_u32(row + at.burst_lost, U(0))
    store_u64(row + at.window, U(3))
    _bump(row + at.unique)
    _bump16(row + at.restarts)
    store_u16(row + at.strays, load_u16(row + at.strays) - _ONE)
    flags = load_u8(row + at.flags) & ~_HELD
    store_u8(row + at.flags, flags)
    store_f32(row + at.excess_us, 0.0)
    store_u64(row + at.arrival_ns, load_u64(row + at.pending_ns))
    store_u32(row + at.timestamp, load_u32(row + at.pending_timestamp))


@njit(**OPTIONS)
def _out_of_order(row, packet, seq, highest, ahead):
    """Take a packet that does not advance the sequence; return whether it is a new packet of the stream."""
    window = load_u64(row + at.window)
    if ahead == U(0) or ahead > _BEHIND_WINDOW:
        behind = (U(0x10000) - ahead) & U(0xFFFF)
        bit = _ONE << behind
        early = highest - behind <= load_u32(row + at.baseline)
        if not early and window & bit:
            _bump(row + at.duplicates)
            return False
        if early:
            if load_u32(row + at.last_lost) == load_u32(row + at.baseline):
                store_u32(row + at.last_lost, highest - behind - _ONE)
            store_u32(row + at.baseline, highest - behind - _ONE)
        store_u64(row + at.window, window | bit)
        _bump(row + at.reordered)
        return True
    if ahead > _BEHIND_MISORDER:
        _bump16(row + at.too_late)
        return False
    if load_u32(row + at.pending_seq) == seq:
        store_u32(row + at.pending_seq, _NOTHING_PENDING)
        _restart(row, seq)
        return True
    store_u32(row + at.pending_seq, (seq + _ONE) & U(0xFFFF))
    store_u64(row + at.pending_ns, load_u64(packet + frames.CAPTURED_NS))
    store_u32(row + at.pending_timestamp, load_u32(packet + frames.TIMESTAMP))
    _bump16(row + at.strays)
    return False


@njit(**OPTIONS)
def _describe(row, packet, profiles):
    """Take a payload type or DSCP that differs from the last; return whether the packet is voice."""
    dscp = load_u8(packet + frames.PAYLOAD_TYPE + _ONE)
    if dscp != load_u8(row + at.dscp):
        _bump16(row + at.dscp_changes)
        store_u8(row + at.dscp, dscp)
    payload_type = load_u8(packet + frames.PAYLOAD_TYPE)
    previous = load_u8(row + at.payload_type)
    if payload_type == previous:
        return True
    seen = row + at.payload_types + (payload_type >> U(6)) * U(8)
    store_u64(seen, load_u64(seen) | (_ONE << (payload_type & U(63))))
    profile = profiles + load_u32(row + at.profile) * PROFILE_BYTES
    kind = load_u8(profile + payload_type)
    tick_us = load_f32(profile + U(128) + payload_type * U(4))
    if tick_us == 0.0 and load_u16(packet + frames.BYTES) == _EVENT_BYTES:
        kind = _DTMF  # nobody said what it is; voice of four bytes does not exist
    if kind in (_DTMF, _COMFORT_NOISE):
        _bump(row + (at.dtmf if kind == _DTMF else at.comfort_noise))
        store_u64(row + at.event_ns, load_u64(packet + frames.CAPTURED_NS))
        return False
    if previous != _NO_PAYLOAD_TYPE:
        _bump16(row + at.type_changes)
    store_u8(row + at.payload_type, payload_type)
    set_clock(row, tick_us)
    return True


@njit(**OPTIONS)
def set_clock(row, tick_us):
    """Set the media clock; timing starts afresh where it changes, not where it becomes known."""
    flags = load_u8(row + at.flags)
    if tick_us == 0.0:
        flags = (flags | _CLOCK_UNKNOWN) & ~(_ANCHORED | _HELD)
    elif flags & _CLOCK_UNKNOWN:
        flags = flags & ~_CLOCK_UNKNOWN
    elif tick_us != load_f32(row + at.tick_us):
        flags = flags & ~(_ANCHORED | _HELD | _CLOCK_UNKNOWN | _CLOCK_ESTIMATED)
    store_f32(row + at.tick_us, tick_us)
    store_u8(row + at.flags, flags)


@njit(**OPTIONS)
def _play(row, late_us, jitter):
    """Put a packet through the three jitter buffers.

    Each plays a packet so long after the least transit time of late (which is forgotten at 1/1024 a packet, so
    that clocks may drift): 50 ms, 200 ms, or what the adaptive one holds. A packet later than that is discarded.
    The adaptive one grows to what it missed, 500 ms at most, and shrinks by 1/512 a packet to twice the jitter.
    """
    excess = load_f32(row + at.excess_us) + late_us
    if excess < 0.0:
        excess = 0.0
    else:
        excess -= excess * 0.0009765625
    store_f32(row + at.excess_us, excess)
    if not likely(excess <= _FIXED_50_US):
        _bump(row + at.late_fixed_50)
        if excess > _FIXED_200_US:
            _bump(row + at.late_fixed_200)
    depth = load_f32(row + at.depth_us)
    if not likely(excess <= depth):
        _bump(row + at.late_adaptive)
        depth = excess if excess < _ADAPTIVE_MOST_US else _ADAPTIVE_MOST_US
    else:
        wanted = 2.0 * jitter
        if wanted < _ADAPTIVE_LEAST_US:
            wanted = _ADAPTIVE_LEAST_US
        depth += (wanted - depth) * 0.001953125
    store_f32(row + at.depth_us, depth)


@njit(**OPTIONS)
def _vary(row, late_us):
    """Take the difference D of two transit times (RFC 3550 section 6.4.1) into J and the jitter buffers."""
    size = late_us if late_us >= 0.0 else -late_us
    jitter = load_f32(row + at.jitter_us)
    jitter += (size - jitter) * 0.0625
    store_f32(row + at.jitter_us, jitter)
    store_f64(row + at.jitter_sum_us, load_f64(row + at.jitter_sum_us) + jitter)
    _bump(row + at.jitter_count)
    if jitter > load_f32(row + at.jitter_max_us):
        store_f32(row + at.jitter_max_us, jitter)
    _play(row, late_us, jitter)


@njit(**OPTIONS)
def _explain(row, late_us, step_us):
    """Take a D that leaps, or that follows one which did.

    A packet much too late is either held up by the network, and those behind it then come at once, or the
    sender fell silent without advancing its timestamps, and the next ones come at their pace: only the next
    packet tells. A packet much too early can only be a leap of the timestamps (a splice, another source).
    """
    flags = load_u8(row + at.flags)
    if flags & _HELD:
        flags = flags & ~_HELD
        store_u8(row + at.flags, flags)
        if late_us <= -0.5 * step_us:
            _vary(row, load_f32(row + at.held_us))
        else:
            _bump16(row + at.retimed)
    if late_us > _LEAP_US:
        store_f32(row + at.held_us, late_us)
        store_u8(row + at.flags, flags | _HELD)
    elif load_f32(row + at.excess_us) + late_us < -_LEAP_US:
        _bump16(row + at.retimed)
        store_f32(row + at.excess_us, 0.0)
    else:
        _vary(row, late_us)


@njit(**OPTIONS)
def _anchor(row, arrival_ns, timestamp):
    """Take the first packet of a clock, or one while the clock is unknown."""
    flags = load_u8(row + at.flags)
    if not flags & _ANCHORED:
        store_u8(row + at.flags, flags | _ANCHORED)
        store_u64(row + at.arrival_ns, arrival_ns)
        store_u32(row + at.timestamp, timestamp)
        store_f32(row + at.excess_us, 0.0)
        return
    # clock unknown: the row holds its first packet, and two far enough apart tell the rate
    elapsed_ns = np.int64(arrival_ns - load_u64(row + at.arrival_ns))
    store_u64(row + at.event_ns, arrival_ns)
    if elapsed_ns < _ESTIMATE_AFTER_NS:
        return
    ticks = np.int32(np.uint32(timestamp - load_u32(row + at.timestamp)))
    rate_hz = np.float64(ticks) * 1e9 / np.float64(elapsed_ns)
    nearest = 0.0
    for clock_hz in _CLOCKS_HZ:
        if abs(rate_hz - clock_hz) < abs(rate_hz - nearest):
            nearest = clock_hz
    if nearest > 0.0 and abs(rate_hz - nearest) < 0.15 * nearest:
        store_f32(row + at.tick_us, 1e6 / nearest)
        flags = (flags | _CLOCK_ESTIMATED) & ~_CLOCK_UNKNOWN
        store_u8(row + at.flags, flags)
    store_u64(row + at.arrival_ns, arrival_ns)
    store_u32(row + at.timestamp, timestamp)


@njit(**OPTIONS)
def _space(row, elapsed_ns):
    """Take the time since the packet before."""
    if elapsed_ns < 0:
        return
    spacing_us = U(elapsed_ns) // U(1000)
    if spacing_us > U(0xFFFFFFFF):
        spacing_us = U(0xFFFFFFFF)
    if spacing_us > load_u32(row + at.spacing_max_us):
        store_u32(row + at.spacing_max_us, spacing_us)
    if spacing_us < load_u32(row + at.spacing_min_us):
        store_u32(row + at.spacing_min_us, spacing_us)


@njit(**OPTIONS)
def update(row, packet, profiles):
    """Take a packet of the row's stream.

    Args:
        row: Address of a `STREAM`.
        packet: Address of a `PACKET`.
        profiles: Address of the array of `PROFILE`.
    """
    store_u64(row + at.bytes, load_u64(row + at.bytes) + load_u16(packet + frames.BYTES))
    seq = load_u16(packet + frames.SEQ)
    highest = load_u32(row + at.highest)
    ahead = (seq - highest) & U(0xFFFF)
    if likely(ahead - _ONE < _MAX_DROPOUT - _ONE):  # 1..2999
        window = load_u64(row + at.window)
        if likely(ahead == _ONE):
            if not likely(window >> U(63) != U(0)):
                _lose(row, highest - U(63))
            window = (window << _ONE) | _ONE
        else:
            _pass(row, highest, window, ahead)
            window = (window << ahead) | _ONE if ahead < _WINDOW else _ONE
        store_u64(row + at.window, window)
        store_u32(row + at.highest, highest + ahead)
    elif not _out_of_order(row, packet, seq, highest, ahead):
        return
    _bump(row + at.unique)
    if not likely(load_u16(row + at.payload_type) == load_u16(packet + frames.PAYLOAD_TYPE)) and not _describe(
        row, packet, profiles
    ):
        return
    store_u32(row + at.markers, load_u32(row + at.markers) + load_u8(packet + frames.MARKER))
    arrival_ns = load_u64(packet + frames.CAPTURED_NS)
    timestamp = load_u32(packet + frames.TIMESTAMP)
    flags = load_u8(row + at.flags)
    if not likely(flags & (_ANCHORED | _CLOCK_UNKNOWN) == _ANCHORED):
        _anchor(row, arrival_ns, timestamp)
        return
    elapsed_ns = np.int64(arrival_ns - load_u64(row + at.arrival_ns))
    ticks = np.int32(np.uint32(timestamp - load_u32(row + at.timestamp)))
    store_u64(row + at.arrival_ns, arrival_ns)
    store_u32(row + at.timestamp, timestamp)
    _space(row, elapsed_ns)
    step_us = np.float64(ticks) * load_f32(row + at.tick_us)
    late_us = np.float64(elapsed_ns) * 0.001 - step_us
    leaps = late_us > _LEAP_US or load_f32(row + at.excess_us) + late_us < -_LEAP_US
    if likely(flags & _HELD == U(0) and not leaps):
        _vary(row, late_us)
    else:
        _explain(row, late_us, step_us)
