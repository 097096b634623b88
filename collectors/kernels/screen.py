"""Checks over parsed rows: is the HEP key known, was the same message seen already.

Both are hash tables of fixed size in memory that the caller owns; `collectors.wire.hep` says what they mean.
"""

from numba import njit

from collectors.facts import DATAGRAM_DUPLICATE, Payload
from collectors.kernels.hep import (
    AUTH_KEY_AT,
    AUTH_KEY_LEN,
    CAPTURED_NS,
    CORRELATION_AT,
    CORRELATION_LEN,
    DST_IP,
    DST_PORT,
    FLAGS,
    NODE_ID,
    PAYLOAD_AT,
    PAYLOAD_LEN,
    PAYLOAD_TYPE,
    ROW_BYTES,
    SRC_IP,
    SRC_PORT,
)
from collectors.kernels.memory import (
    OPTIONS,
    U,
    equal_bytes,
    fold_multiply,
    hash_bytes,
    load_u8,
    load_u16,
    load_u32,
    load_u64,
    prefetch,
    store_u8,
    store_u64,
    u64,
)

KEY_OK = 0
KEY_MISSING = 1
KEY_REFUSED = 2
_OK = U(KEY_OK)
_MISSING = U(KEY_MISSING)
_REFUSED = U(KEY_REFUSED)

KEY_SLOT_BYTES = 8
"""A slot of the key table: u32 offset + 1 into the key bytes (0 = empty), u32 length."""
_KEY_SLOT = U(KEY_SLOT_BYTES)

SEEN_SLOT_BYTES = 32
"""A slot of the duplicate table: hash (0 = empty), captured_ns, node id, spare; two fill a cache line."""
_SEEN_SLOT = U(SEEN_SLOT_BYTES)

_DUPLICATE = U(DATAGRAM_DUPLICATE)
_SIP = U(int(Payload.SIP))
_SIGN = U(1 << 63)


@njit(u64(u64, u64, u64), **OPTIONS)
def hash_key(address, length, seed):
    """Return the hash that places a key in the table of `check_keys`."""
    return hash_bytes(address, length, seed)


@njit(u64(u64, u64, u64, u64, u64, u64, u64, u64), **OPTIONS)
def check_keys(base, rows, count, slots, mask, keys, seed, verdicts):
    """Write one `KEY_*` byte a row to `verdicts` and return how many rows hold no known key.

    Args:
        base: Address of the buffer that the rows point into.
        rows: Address of `count` `DATAGRAM` rows.
        count: Number of rows.
        slots: Address of an open-addressing table of `mask + 1` key slots, never full.
        mask: Number of slots - 1; the number is a power of two.
        keys: Address of the bytes of all keys.
        seed: Seed of `hash_key`.
        verdicts: Address of room for `count` bytes.
    """
    bad = U(0)
    i = U(0)
    row = rows
    while i < count:
        length = load_u32(row + AUTH_KEY_LEN)
        verdict = _MISSING
        if length != U(0):
            verdict = _REFUSED
            key = base + load_u32(row + AUTH_KEY_AT)
            place = hash_bytes(key, length, seed) & mask
            while True:
                slot = slots + place * _KEY_SLOT
                at = load_u32(slot)
                if at == U(0):
                    break
                if load_u32(slot + U(4)) == length and equal_bytes(key, keys + at - U(1), length):
                    verdict = _OK
                    break
                place = (place + U(1)) & mask
        if verdict != _OK:
            bad += U(1)
        store_u8(verdicts + i, verdict)
        row += ROW_BYTES
        i += U(1)
    return bad


@njit(u64(u64, u64, u64, u64, u64, u64, u64, u64), **OPTIONS)
def hash_rows(base, rows, count, seed, hashes, current, previous, mask):
    """Hash what makes a message the same one (addresses, ports, type, payload) and prefetch its slots.

    The correlation id counts too, except for SIP, which carries its own Call-ID: a log line may be the
    same text for two calls.
    """
    i = U(0)
    row = rows
    while i < count:
        kind = load_u16(row + PAYLOAD_TYPE)
        ports = (load_u16(row + SRC_PORT) << U(16)) | load_u16(row + DST_PORT) | (kind << U(32))
        digest = hash_bytes(base + load_u32(row + PAYLOAD_AT), load_u32(row + PAYLOAD_LEN), seed ^ ports)
        if kind != _SIP:
            digest ^= hash_bytes(base + load_u32(row + CORRELATION_AT), load_u32(row + CORRELATION_LEN), digest)
        digest = fold_multiply(
            digest ^ load_u64(row + SRC_IP), seed ^ load_u64(row + SRC_IP + U(8))
        ) ^ fold_multiply(seed ^ load_u64(row + DST_IP), digest ^ load_u64(row + DST_IP + U(8)))
        digest |= U(1)
        store_u64(hashes + i * U(8), digest)
        place = ((digest >> U(1)) & mask) * _SEEN_SLOT
        prefetch(current + place)
        prefetch(previous + place)
        row += ROW_BYTES
        i += U(1)
    return count


@njit(**OPTIONS)
def _find(table, mask, digest):
    """Return the slot that holds `digest`, or the empty one where it belongs."""
    place = (digest >> U(1)) & mask
    while True:
        slot = table + place * _SEEN_SLOT
        held = load_u64(slot)
        if held == digest or held == U(0):
            return slot
        place = (place + U(1)) & mask


@njit(**OPTIONS)
def _is_duplicate(slot, captured_ns, node, same_node_ns, other_node_ns):
    apart = captured_ns - load_u64(slot + U(8))
    if apart & _SIGN:
        apart = U(0) - apart
    return apart < (same_node_ns if load_u64(slot + U(16)) == node else other_node_ns)


@njit(u64(u64, u64, u64, u64, u64, u64, u64, u64, u64, u64, u64), **OPTIONS)
def mark_duplicates(
    rows, start, count, hashes, current, previous, mask, entries, limit, same_node_ns, other_node_ns
):
    """Flag duplicates among rows `start`..`count` and return where it stopped.

    It stops before `count` when `current` holds `limit` entries: the caller then rotates the tables
    and goes on. `entries` is the address of the number of entries in `current`.
    """
    held = load_u64(entries)
    i = start
    while i < count:
        if held >= limit:
            break
        row = rows + i * ROW_BYTES
        digest = load_u64(hashes + i * U(8))
        captured_ns = load_u64(row + CAPTURED_NS)
        node = load_u32(row + NODE_ID)
        slot = _find(current, mask, digest)
        known = slot
        if load_u64(slot) == U(0):
            known = _find(previous, mask, digest)
            held += U(1)
        if load_u64(known) != U(0) and _is_duplicate(known, captured_ns, node, same_node_ns, other_node_ns):
            store_u8(row + FLAGS, load_u8(row + FLAGS) | _DUPLICATE)
            # later copies are compared with the first one, so a chain of them cannot stretch the window
            captured_ns = load_u64(known + U(8))
            node = load_u64(known + U(16))
        store_u64(slot, digest)
        store_u64(slot + U(8), captured_ns)
        store_u64(slot + U(16), node)
        i += U(1)
    store_u64(entries, held)
    return i
