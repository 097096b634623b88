"""The table of RTP streams: finding a row, admitting a stream, giving rows back.

Slots of 8 bytes (32 bits of hash and the row's number) lie apart from the rows and are probed linearly; at most
half of them are ever taken, so a search ends. A stream earns a row by consecutive packets: until then it is on
probation in a small set-associative pool where candidates displace one another, never a row. A flood of
spoofed sources therefore costs that pool and nothing else.
"""

from numba import njit

from collectors.kernels import frames
from collectors.kernels.frames import hash_key, hash_target
from collectors.kernels.memory import (
    OPTIONS,
    U,
    copy_bytes,
    likely,
    load_u8,
    load_u16,
    load_u32,
    load_u64,
    store_u8,
    store_u32,
    store_u64,
    u64,
)
from collectors.kernels.rtp_layout import (
    ANCHORED,
    CLOCK_UNKNOWN,
    FREE,
    LIVE,
    NO_PAYLOAD_TYPE,
    PROBATION,
    ROW_BYTES,
    WAYS,
    at,
    control,
)
from collectors.kernels.rtp_update import finish_row, start_row, update

_NONE = U(0)
_ONE = U(1)
_LOW = U(0xFFFFFFFF)
_FREE, _LIVE, _PROBATION, _WAYS = U(FREE), U(LIVE), U(PROBATION), U(WAYS)
_ADDRESS_BYTES = U(32)
_LEAP_TICKS = U(900_000)
"""Ten seconds of the fastest clock, video's; its timestamps may step back a little."""
_STALE_NS = U(1_000_000_000)
_DISPLACE_ONE_IN = U(8)
"""Where a set is full of fresh candidates, one newcomer in so many takes a place: a rush of new calls gets
through by and by, and a flood does not wash everybody out between two packets."""


@njit(**OPTIONS)
def is_row_of(row, packet):
    """Tell whether a row is that of a packet's stream."""
    return load_u64(row + at.key_a) == load_u64(packet + frames.KEY_A) and load_u64(row + at.key_b) == load_u64(
        packet + frames.KEY_B
    )


@njit(**OPTIONS)
def find_row(block, packet):
    """Return the address of a packet's row, 0 where its stream has none."""
    slots = load_u64(block + control.slots)
    mask = load_u64(block + control.slot_mask)
    rows = load_u64(block + control.rows)
    mixed = load_u64(packet + frames.HASH)
    tag = mixed >> U(32)
    i = mixed & mask
    while True:
        slot = load_u64(slots + i * U(8))
        if slot == U(0):
            return _NONE
        if slot >> U(32) == tag:
            row = rows + ((slot & _LOW) - _ONE) * ROW_BYTES
            if likely(is_row_of(row, packet)):
                return row
        i = (i + _ONE) & mask


@njit(**OPTIONS)
def _insert(slots, mask, mixed, number):
    i = mixed & mask
    while load_u64(slots + i * U(8)) != U(0):
        i = (i + _ONE) & mask
    store_u64(slots + i * U(8), (mixed >> U(32) << U(32)) | (number + _ONE))


@njit(**OPTIONS)
def announced_profile(block, packet):
    """Return the profile announced for the address that a packet goes to; 0 where none is."""
    mixed = hash_target(packet, load_u64(block + control.seed))
    announced = load_u64(block + control.announced)
    mask = load_u64(block + control.announced_mask)
    i = mixed & mask
    while True:
        entry = announced + i * U(16)
        known = load_u64(entry)
        if known == U(0):
            return U(0)
        if known == mixed:
            return load_u64(entry + U(8))
        i = (i + _ONE) & mask


@njit(**OPTIONS)
def _store_addresses(target, packet):
    source = load_u64(packet + frames.IP_AT)
    if load_u8(packet + frames.IS_IPV6) != U(0):
        copy_bytes(target, source, U(32))
        return
    for half in range(2):
        store_u64(target + U(half) * U(16), U(0))
        store_u64(target + U(half) * U(16) + U(8), U(0xFFFF0000) | (load_u32(source + U(half) * U(4)) << U(32)))


@njit(**OPTIONS)
def _promote(block, row, mixed, addresses):
    """Copy a row from probation into the table; return whether there was room."""
    free_count = load_u64(block + control.free_count)
    used = load_u64(block + control.used)
    born = load_u64(block + control.born_count)
    if born >= load_u64(block + control.born_capacity):
        return False
    if free_count > U(0):
        number = load_u32(load_u64(block + control.free) + (free_count - _ONE) * U(4))
        store_u64(block + control.free_count, free_count - _ONE)
    elif used < load_u64(block + control.capacity):
        number = used
        store_u64(block + control.used, used + _ONE)
    else:
        return False
    store_u8(row + at.state, _LIVE)
    copy_bytes(load_u64(block + control.rows) + number * ROW_BYTES, row, ROW_BYTES)
    copy_bytes(load_u64(block + control.addresses) + number * _ADDRESS_BYTES, addresses, _ADDRESS_BYTES)
    _insert(load_u64(block + control.slots), load_u64(block + control.slot_mask), mixed, number)
    store_u32(load_u64(block + control.born) + born * U(4), number)
    store_u64(block + control.born_count, born + _ONE)
    store_u8(row + at.state, _FREE)
    return True


@njit(**OPTIONS)
def _count(block, name_at):
    store_u64(block + name_at, load_u64(block + name_at) + _ONE)


@njit(**OPTIONS)
def _last_seen(row):
    voice = load_u64(row + at.arrival_ns)
    event = load_u64(row + at.event_ns)
    last = voice if voice > event else event
    first = load_u64(row + at.first_ns)
    return last if last > first else first


@njit(**OPTIONS)
def _candidate(block, packet, mixed):
    """Return the place on probation for a packet's stream: its own, an idle one, at times another's; or -1."""
    rows = load_u64(block + control.probation)
    first = (mixed & load_u64(block + control.set_mask)) * _WAYS
    now_ns = load_u64(packet + frames.CAPTURED_NS)
    idle = _NONE
    way = U(0)
    while way < _WAYS:
        row = rows + (first + way) * ROW_BYTES
        way += _ONE
        if load_u8(row + at.state) == _FREE:
            idle = way
        elif load_u64(row + at.key_a) == load_u64(packet + frames.KEY_A) and load_u64(row + at.key_b) == load_u64(
            packet + frames.KEY_B
        ):
            return first + way
        elif now_ns > _last_seen(row) + _STALE_NS and idle == _NONE:
            idle = way
    if idle == _NONE:
        dice = load_u64(block + control.dice) * U(6364136223846793005) + U(1442695040888963407)
        store_u64(block + control.dice, dice)
        if (dice >> U(40)) % _DISPLACE_ONE_IN != U(0):
            _count(block, control.unadmitted)
            return _NONE
        idle = ((dice >> U(50)) % _WAYS) + _ONE
        _count(block, control.displaced)
    store_u8(rows + (first + idle - _ONE) * ROW_BYTES + at.state, _FREE)
    return first + idle


@njit(**OPTIONS)
def _is_unexplained(row):
    """Tell whether SDP not yet seen may say more of a stream: its target or its payload type is unknown."""
    return load_u32(row + at.profile) == U(0) or load_u8(row + at.flags) & U(CLOCK_UNKNOWN) != U(0)


@njit(**OPTIONS)
def _is_plausible(row, packet):
    """Tell whether the timestamp of a source that nobody announced moves as one of media does.

    Protocols that count their datagrams where RTP has its sequence number have something else behind it.
    """
    if load_u32(row + at.profile) != U(0) or load_u8(row + at.flags) & U(ANCHORED) == U(0):
        return True
    ticks = (load_u32(packet + frames.TIMESTAMP) - load_u32(row + at.timestamp) + _LEAP_TICKS) & _LOW
    return ticks <= _LEAP_TICKS + _LEAP_TICKS


@njit(**OPTIONS)
def on_probation(block, packet):
    """Take a packet whose stream has no row yet."""
    mixed = load_u64(packet + frames.HASH)
    place = _candidate(block, packet, mixed)
    if place == _NONE:
        return
    row = load_u64(block + control.probation) + (place - _ONE) * ROW_BYTES
    addresses = load_u64(block + control.probation_addresses) + (place - _ONE) * _ADDRESS_BYTES
    state = load_u8(row + at.state)
    seq = load_u16(packet + frames.SEQ)
    ahead = (seq - load_u32(row + at.highest)) & U(0xFFFF)
    if state == _FREE or (ahead > U(64) and ahead < U(0xFFFF - 64)):
        start_row(row, packet, announced_profile(block, packet))
        _store_addresses(addresses, packet)
        state = _PROBATION
    elif ahead == _ONE:
        state += _ONE if state < U(255) else U(0)
        if not _is_plausible(row, packet):
            state = _PROBATION
    elif ahead != U(0):
        state = _PROBATION
    if _is_unexplained(row):
        profile = announced_profile(block, packet)
        if profile != load_u32(row + at.profile):
            store_u32(row + at.profile, profile)
            store_u8(row + at.payload_type, U(NO_PAYLOAD_TYPE))  # to be looked up again
    update(row, packet, load_u64(block + control.profiles))
    if _is_unexplained(row):
        store_u64(block + control.paused, _ONE)
    store_u8(row + at.state, state)
    store_u64(row + at.event_ns, load_u64(packet + frames.CAPTURED_NS))
    known = load_u32(row + at.profile) != U(0)
    need = load_u64(block + (control.need_announced if known else control.need_unknown))
    if state - _PROBATION + _ONE >= need:
        if _promote(block, row, mixed, addresses):
            _count(block, control.promoted)
        else:
            _count(block, control.refused)
            store_u8(row + at.state, state)


@njit(u64(u64), **OPTIONS)
def rebuild(block):
    """Fill the (zeroed) slots from the live rows, and return how many there are."""
    rows = load_u64(block + control.rows)
    used = load_u64(block + control.used)
    seed = load_u64(block + control.seed)
    slots = load_u64(block + control.slots)
    mask = load_u64(block + control.slot_mask)
    live = U(0)
    number = U(0)
    while number < used:
        row = rows + number * ROW_BYTES
        if load_u8(row + at.state) == _LIVE:
            key_a = load_u64(row + at.key_a)
            key_b = load_u64(row + at.key_b)
            _insert(slots, mask, hash_key(key_a, key_b, seed), number)
            live += _ONE
        number += _ONE
    return live


@njit(u64(u64, u64, u64, u64), **OPTIONS)
def finish_idle(block, before_ns, young_before_ns, ended):
    """End the streams that were last heard before `before_ns`; return how many, their rows in `ended` (u32).

    Streams of fewer than 50 packets end where they were last heard before `young_before_ns`. Their counts are
    final then; the rows stay to be read, and are given back by `release`.
    """
    rows = load_u64(block + control.rows)
    used = load_u64(block + control.used)
    count = U(0)
    number = U(0)
    while number < used:
        row = rows + number * ROW_BYTES
        if load_u8(row + at.state) == _LIVE:
            seen_ns = _last_seen(row)
            if seen_ns < before_ns or (seen_ns < young_before_ns and load_u32(row + at.unique) < U(50)):
                finish_row(row)
                store_u32(ended + count * U(4), number)
                count += _ONE
        number += _ONE
    return count


@njit(u64(u64, u64, u64), **OPTIONS)
def release(block, ended, count):
    """Give rows back; the caller then zeroes the slots and calls `rebuild`."""
    rows = load_u64(block + control.rows)
    free = load_u64(block + control.free)
    free_count = load_u64(block + control.free_count)
    i = U(0)
    while i < count:
        number = load_u32(ended + i * U(4))
        store_u8(rows + number * ROW_BYTES + at.state, _FREE)
        store_u32(free + free_count * U(4), number)
        free_count += _ONE
        i += _ONE
    store_u64(block + control.free_count, free_count)
    return free_count
