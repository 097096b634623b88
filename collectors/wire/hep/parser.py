"""HEP datagrams to batches of rows: parse, inflate, authenticate, count what is refused.

One path for every source: UDP rings, TCP frames, files. It does no I/O, reads no clock and never
raises on what a peer sent. Duplicates are recognised in `duplicates`, across all sources.
"""

import ipaddress
import secrets
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from collectors.facts import DATAGRAM, DatagramBatch
from collectors.kernels.hep import FLAG_COMPRESSED, gather, parse_datagrams
from collectors.kernels.screen import KEY_MISSING, KEY_SLOT_BYTES, check_keys, hash_key


class HepError(IntEnum):
    """Why a HEP datagram was refused; the lower-case name labels the counter. Below 32 they are the kernel's."""

    TRUNCATED = 1
    """Shorter than its header or its chunks say."""
    BAD_MAGIC = 2
    BAD_LENGTH = 3
    """The header's own length is impossible."""
    CHUNK_LENGTH = 4
    """A chunk is shorter than its header, runs over the end, or has the wrong size for its type."""
    NO_PAYLOAD = 5
    NO_ADDRESSES = 6
    BAD_TIMESTAMP = 7
    BAD_FAMILY = 8
    INFLATE_FAILED = 32
    INFLATE_TOO_LARGE = 33
    AUTH_MISSING = 34
    AUTH_REFUSED = 35
    OVERSIZED = 36
    """Longer than the receiver's slot: the kernel cut it."""

    @property
    def label(self) -> str:
        """Name of the reason as counters and metrics show it."""
        return self.name.lower()


def inflate(data: bytes, max_bytes: int) -> bytes | HepError:
    """Inflate a zlib (RFC 1950), gzip (RFC 1952) or raw deflate (RFC 1951) stream of at most `max_bytes`."""
    candidates = [-zlib.MAX_WBITS]
    if data[:2] == b"\x1f\x8b":
        candidates = [zlib.MAX_WBITS | 16]
    elif len(data) >= 2 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0:
        candidates.insert(0, zlib.MAX_WBITS)
    for window_bits in candidates:
        stream = zlib.decompressobj(window_bits)
        try:
            out = stream.decompress(data, max_bytes + 1)
        except zlib.error:
            continue
        if len(out) > max_bytes:
            return HepError.INFLATE_TOO_LARGE
        if stream.eof and out:
            return out
    return HepError.INFLATE_FAILED


class KeyTable:
    """The accepted HEP authentication keys, laid out for the kernel that compares them."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        unique = sorted({key for key in keys if key})
        size = 8
        while size < 2 * len(unique) + 1:
            size *= 2
        self._mask = size - 1
        self._seed = secrets.randbits(64)
        self._slots = np.zeros((size, KEY_SLOT_BYTES // 4), np.uint32)
        self._bytes = np.frombuffer(b"".join(unique) or b"\0", np.uint8)
        at = 0
        for key in unique:
            place = hash_key(self._bytes.ctypes.data + at, len(key), self._seed) & self._mask
            while self._slots[place, 0]:
                place = (place + 1) & self._mask
            self._slots[place] = at + 1, len(key)
            at += len(key)

    def check(self, rows: npt.NDArray[np.void], buffer: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8] | None:
        """Return one `KEY_*` value a row, or None where every row holds an accepted key."""
        verdicts = np.empty(len(rows), np.uint8)
        bad = check_keys(
            buffer.ctypes.data,
            rows.ctypes.data,
            len(rows),
            self._slots.ctypes.data,
            self._mask,
            self._bytes.ctypes.data,
            self._seed,
            verdicts.ctypes.data,
        )
        return verdicts if bad else None


class SenderNetworks:
    """A set of address blocks, tested against many 16-byte sender addresses at once."""

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] = []
        for text in networks:
            network = ipaddress.ip_network(text, strict=False)
            prefix = network.prefixlen
            address = network.network_address.packed
            if network.version == 4:
                prefix += 96
                address = bytes(10) + b"\xff\xff" + address
            mask = ((1 << prefix) - 1) << (128 - prefix)
            self._networks.append(
                (np.frombuffer(mask.to_bytes(16, "big"), np.uint8), np.frombuffer(address, np.uint8))
            )

    def __bool__(self) -> bool:
        return bool(self._networks)

    def contain(self, senders: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Return which of `senders` (shape n x 16, IPv4 as v4-mapped) lie in one of the networks."""
        inside = np.zeros(len(senders), np.bool_)
        for mask, address in self._networks:
            inside |= np.all((senders & mask) == address, axis=1)
        return inside


class HepParser:
    """Parses HEP 1, 2 and 3 for one source; not shared between threads.

    Args:
        auth_keys: Accepted keys to the tenant each stands for; what matters here is which exist.
        require_auth: Refuse datagrams without one of `auth_keys`.
        auth_exempt_networks: Senders that need no key all the same (rtpengine cannot send one).
        max_inflated_bytes: Bound of a compressed payload's size.
    """

    def __init__(
        self,
        auth_keys: Mapping[bytes, str] | None = None,
        *,
        require_auth: bool = False,
        auth_exempt_networks: Sequence[str] = (),
        max_inflated_bytes: int = 65_536,
    ) -> None:
        self.accepted = 0
        """Rows handed on."""
        self.errors: Counter[str] = Counter()
        """Datagrams refused, by `HepError.label`."""
        self._keys = KeyTable(auth_keys or {}) if require_auth else None
        self._exempt = SenderNetworks(auth_exempt_networks)
        self._max_inflated_bytes = max_inflated_bytes

    def count(self, error: HepError, n: int = 1) -> None:
        """Count `n` datagrams as refused."""
        self.errors[error.label] += n

    def parse(
        self,
        buffer: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.uint32],
        lengths: npt.NDArray[np.uint32],
        received_ns: npt.NDArray[np.int64] | int,
        senders: npt.NDArray[np.uint8] | None = None,
    ) -> DatagramBatch:
        """Parse the datagrams at `offsets` of `buffer`; rows are in their order, refused ones left out.

        Args:
            buffer: Contiguous bytes; kept by the returned batch unless a payload had to be inflated.
            offsets: One a datagram; each offset + length must lie inside `buffer`.
            lengths: One a datagram.
            received_ns: When each (or all) came, for datagrams that state no time.
            senders: Shape n x 16, transport address of each sender, IPv4 as v4-mapped; None where unknown.
        """
        count = len(offsets)
        offsets = np.ascontiguousarray(offsets, np.uint32)
        lengths = np.ascontiguousarray(lengths, np.uint32)
        times = received_ns if isinstance(received_ns, np.ndarray) else np.full(count, received_ns, np.int64)
        rows = np.empty(count, DATAGRAM)
        origins = np.empty(count, np.uint32)
        reasons = np.empty(count, np.uint8)
        accepted = parse_datagrams(
            buffer.ctypes.data,
            offsets.ctypes.data,
            lengths.ctypes.data,
            count,
            times.ctypes.data,
            rows.ctypes.data,
            origins.ctypes.data,
            reasons.ctypes.data,
        )
        if accepted < count:
            for reason, n in enumerate(np.bincount(reasons).tolist()):
                if reason and n:
                    self.count(HepError(reason), n)
            rows = rows[:accepted]
            origins = origins[:accepted]
        if self._keys is not None:
            rows, origins = self._authenticate(rows, origins, buffer, senders)
        if (rows["flags"] & FLAG_COMPRESSED).any():
            rows, buffer = self._inflate(rows, origins, buffer, offsets, lengths)
        self.accepted += len(rows)
        return DatagramBatch(rows, buffer)

    def _authenticate(
        self,
        rows: npt.NDArray[np.void],
        origins: npt.NDArray[np.uint32],
        buffer: npt.NDArray[np.uint8],
        senders: npt.NDArray[np.uint8] | None,
    ) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint32]]:
        assert self._keys is not None
        verdicts = self._keys.check(rows, buffer)
        if verdicts is None:
            return rows, origins
        refused = verdicts != 0
        if senders is not None and self._exempt:
            refused &= ~self._exempt.contain(senders[origins])
        missing = int(np.count_nonzero(refused & (verdicts == KEY_MISSING)))
        wrong = int(np.count_nonzero(refused)) - missing
        if missing:
            self.count(HepError.AUTH_MISSING, missing)
        if wrong:
            self.count(HepError.AUTH_REFUSED, wrong)
        return rows[~refused], origins[~refused]

    def _inflate(
        self,
        rows: npt.NDArray[np.void],
        origins: npt.NDArray[np.uint32],
        buffer: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.uint32],
        lengths: npt.NDArray[np.uint32],
    ) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint8]]:
        """Move the batch into a buffer of its own, with the inflated payloads behind the datagrams."""
        keep = np.ones(len(rows), np.bool_)
        inflated: list[bytes] = []
        places: list[tuple[int, int]] = []
        end = int(lengths.sum(dtype=np.int64))
        for i in np.flatnonzero(rows["flags"] & FLAG_COMPRESSED).tolist():
            at = int(rows["payload_at"][i])
            result = inflate(buffer[at : at + int(rows["payload_len"][i])].tobytes(), self._max_inflated_bytes)
            if isinstance(result, HepError):
                self.count(result)
                keep[i] = False
                continue
            places.append((i, end))
            inflated.append(result)
            end += len(result)
        moved = np.empty(end, np.uint8)
        moved_offsets = np.empty(len(offsets), np.uint32)
        used = gather(
            buffer.ctypes.data,
            offsets.ctypes.data,
            lengths.ctypes.data,
            len(offsets),
            moved.ctypes.data,
            moved_offsets.ctypes.data,
        )
        moved[used:] = np.frombuffer(b"".join(inflated), np.uint8)
        shift = moved_offsets[origins] - offsets[origins]  # wraps modulo 2^32, as the sums below do
        for name in ("payload", "correlation", "node_name", "auth_key"):
            present = rows[f"{name}_len"] > 0
            rows[f"{name}_at"][present] += shift[present]
        for (i, place), data in zip(places, inflated):
            rows["payload_at"][i] = place
            rows["payload_len"][i] = len(data)
        rows["flags"] &= 0xFF ^ FLAG_COMPRESSED
        return rows[keep], moved
