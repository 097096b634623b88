"""RTP traffic in memory for `bench rtp`: blocks of a TPACKET_V3 ring as the kernel would fill them.

Every round sends one packet of each stream, in an order that is drawn anew: rows are then touched at random, as
they are once calls have come and gone. 1 % of packets is missing, 0.3 % late, 0.1 % double; one stream in
twenty has a VLAN tag, one in twenty IPv6.
"""

import numpy as np
import numpy.typing as npt

from collectors.kernels.frames import FRAME

_S_NS = 1_000_000_000
_ROUND_NS = 20_000_000
_START_S = 1_700_000_000
SLOT_BYTES = 192
_MAC = 82
_SNAP = 96
BLOCK_BYTES = 1 << 20
_BLOCK_HEADER = 48
_SLOTS = (BLOCK_BYTES - _BLOCK_HEADER) // SLOT_BYTES


class Traffic:
    """Blocks with `rounds` packets of each of `streams` streams; `advance` makes them the next rounds."""

    def __init__(self, streams: int, rounds: int, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        self.streams, self.rounds = streams, rounds
        order = np.concatenate([random.permutation(streams) for _ in range(rounds)])
        turn = np.repeat(np.arange(rounds), streams)
        keep = random.random(len(order)) >= 0.01
        order, turn = order[keep], turn[keep]
        copies = 1 + (random.random(len(order)) < 0.001)
        order, turn = np.repeat(order, copies), np.repeat(turn, copies)
        late = 2 * (random.random(len(order)) < 0.003)
        self.packets = len(order)
        self.blocks = -(-self.packets // _SLOTS)
        self.memory = np.zeros(self.blocks * BLOCK_BYTES, np.uint8)
        self._seq = (order * 7919 + turn - late).astype(np.int64)
        self._timestamp = (order * 104_729 + turn * 160).astype(np.int64)
        within = (np.arange(self.packets) % streams) * (_ROUND_NS // streams)
        self._ns = turn * _ROUND_NS + within + random.integers(0, 2_000_000, self.packets)
        slots = np.concatenate(
            [block[_BLOCK_HEADER : _BLOCK_HEADER + _SLOTS * SLOT_BYTES] for block in self._split()]
        )
        self._fill(slots.reshape(-1, SLOT_BYTES)[: self.packets], order)
        for i, block in enumerate(self._split()):
            count = min(self.packets - i * _SLOTS, _SLOTS)
            head = block[:_BLOCK_HEADER].view(np.uint32)
            head[2], head[3], head[4] = 1, count, _BLOCK_HEADER
            block[_BLOCK_HEADER : _BLOCK_HEADER + _SLOTS * SLOT_BYTES] = slots[
                i * _SLOTS * SLOT_BYTES : (i + 1) * _SLOTS * SLOT_BYTES
            ]
        self._elapsed_rounds = 0
        self._at = np.array([self._offset(i) for i in range(0, self.packets, _SLOTS)])
        self._stamp()

    def _split(self) -> npt.NDArray[np.uint8]:
        return self.memory.reshape(self.blocks, BLOCK_BYTES)

    @staticmethod
    def _offset(packet: int) -> int:
        return packet // _SLOTS * BLOCK_BYTES + _BLOCK_HEADER + packet % _SLOTS * SLOT_BYTES

    def _fill(self, slots: npt.NDArray[np.uint8], order: npt.NDArray[np.int64]) -> None:
        call, way = order >> 1, order & 1
        tagged, is_ipv6 = call % 20 == 3, call % 20 == 7
        words = slots.view(np.uint32)
        words[:, 0] = SLOT_BYTES
        words[:, 4] = 214
        slots.view(np.uint16)[:, 12] = _MAC
        near, far = 0x0A000000 + (call & 0xFFFF), 0x0A640000 + (call >> 6)
        near_port, far_port = 10_000 + call % 20_000 * 2, 20_000 + call * 7 % 20_000 * 2
        src, dst = np.where(way, far, near), np.where(way, near, far)
        ports = np.where(way, far_port, near_port), np.where(way, near_port, far_port)
        for select, ether_type, header, addresses in (
            (~tagged & ~is_ipv6, b"\x08\x00", 20, (12, 16)),
            (tagged, b"\x81\x00\x00\x64\x08\x00", 20, (12, 16)),
            (is_ipv6, b"\x86\xdd", 40, (20, 36)),
        ):
            frames = slots[select][:, _MAC:]
            frames[:, 12 : 12 + len(ether_type)] = np.frombuffer(ether_type, np.uint8)
            at = 12 + len(ether_type)
            ip = frames[:, at:]
            if header == 20:
                ip[:, 0], ip[:, 1], ip[:, 3], ip[:, 9] = 0x45, 184, 200, 17
            else:
                ip[:, 0], ip[:, 1], ip[:, 5], ip[:, 6] = 0x6B, 0x80, 180, 17
            _put(ip, addresses[0], src[select], 4)
            _put(ip, addresses[1], dst[select], 4)
            udp = ip[:, header:]
            _put(udp, 0, ports[0][select], 2)
            _put(udp, 2, ports[1][select], 2)
            _put(udp, 4, np.full(len(udp), 180), 2)
            udp[:, 8] = 0x80
            udp[:, 9] = np.where(call[select] & 1, 0, 8)
            _put(udp, 16, order[select] * 2_654_435_761 & 0xFFFFFFFF, 4)
            slots[select, _MAC:] = frames
            words[select, 3] = min(_SNAP, at + header + 20)
        self._rtp_at = np.where(tagged, 46, np.where(is_ipv6, 62, 42)) + _MAC
        self._length = words[:, 3].copy()

    def _stamp(self) -> None:
        """Write sequence numbers, timestamps and capture times of the rounds at hand."""
        base = np.array([self._offset(0)]) if self.packets == 1 else self._slot_offsets()
        seq = self._seq + self._elapsed_rounds
        timestamp = self._timestamp + self._elapsed_rounds * 160
        at_ns = self._ns + self._elapsed_rounds * _ROUND_NS
        for i in range(2):
            self.memory[base + self._rtp_at + 2 + i] = (seq >> (8 - 8 * i)) & 0xFF
        for i in range(4):
            self.memory[base + self._rtp_at + 4 + i] = (timestamp >> (24 - 8 * i)) & 0xFF
        words = self.memory.view(np.uint32)
        words[base // 4 + 1] = _START_S + at_ns // _S_NS
        words[base // 4 + 2] = at_ns % _S_NS

    def _slot_offsets(self) -> npt.NDArray[np.int64]:
        number = np.arange(self.packets)
        return number // _SLOTS * BLOCK_BYTES + _BLOCK_HEADER + number % _SLOTS * SLOT_BYTES

    def advance(self) -> None:
        """Turn the blocks into the rounds that follow."""
        self._elapsed_rounds += self.rounds
        self._stamp()

    def frames(self) -> npt.NDArray[np.void]:
        """Return the frames as an array of `FRAME` over `memory`."""
        frames = np.zeros(self.packets, FRAME)
        frames["offset"] = self._slot_offsets() + _MAC
        frames["captured_ns"] = _START_S * _S_NS + self._ns + self._elapsed_rounds * _ROUND_NS
        frames["captured"], frames["wire"], frames["link_type"] = self._length, 214, 1
        frames["number"] = np.arange(self.packets)
        return frames


def _put(rows: npt.NDArray[np.uint8], at: int, values: npt.NDArray[np.int64], size: int) -> None:
    for i in range(size):
        rows[:, at + i] = (values >> (8 * (size - 1 - i))) & 0xFF
