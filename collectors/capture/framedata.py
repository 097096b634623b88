"""What captured frames carry beside RTP: SIP, RTCP and HEP, out of UDP and TCP, as batches of datagrams.

For files and for rings alike; a few microseconds a frame, which RTP never costs.
"""

import struct

import numpy as np
import numpy.typing as npt

from collectors.capture.base import Sink, SourceStats
from collectors.facts import DATAGRAM, DatagramBatch, Payload
from collectors.wire.classify import Content, classify
from collectors.wire.hep import HepParser
from collectors.wire.packet import UDP, PacketDecoder, Segment
from collectors.wire.tcpstream import TcpStreams

_COLUMNS = ("offset", "captured_ns", "captured", "link_type")
_BATCH_ROWS = 512
_BATCH_BYTES = 1 << 20
_ROW = struct.Struct("<q16s16sHHHBBI8I")  # DATAGRAM
_PAYLOADS = {Content.SIP: Payload.SIP, Content.RTCP: Payload.RTCP}


class FrameDatagrams:
    """Takes frames in their order and hands on what they carry; `node_id` is 0.

    Payloads of HEP go through `parser`, or are left alone where there is none; SIP (over UDP or TCP) and RTCP
    become rows of their own.
    """

    def __init__(self, stats: SourceStats, parser: HepParser | None) -> None:
        self._stats = stats
        self._parser = parser
        self._decoder = PacketDecoder(stats.errors)
        self._streams = TcpStreams(stats.errors)
        self._rows: list[bytes] = []
        self._payloads: list[bytes] = []
        self._bytes = 0
        self._hep: list[tuple[int, bytes]] = []
        self._hep_senders: list[bytes] = []

    @property
    def waiting(self) -> bool:
        """Datagrams were found that have not been handed on yet."""
        return bool(self._rows or self._hep)

    def take(self, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void], sink: Sink) -> None:
        """Take frames (`collectors.kernels.frames.FRAME`) of `memory`."""
        for offset, captured_ns, captured, link_type in zip(*(frames[name].tolist() for name in _COLUMNS)):
            self._take_frame(link_type, memory[offset : offset + captured].tobytes(), captured_ns, sink)

    def _take_frame(self, link_type: int, frame: bytes, captured_ns: int, sink: Sink) -> None:
        segment = self._decoder.decode(link_type, frame, captured_ns)
        if segment is None:
            self._stats.payloads[Content.OTHER] += 1
        elif segment.ip_proto == UDP:
            self._take_datagram(segment, captured_ns, sink)
        else:
            for content, message in self._streams.feed(segment):
                self._stats.payloads[content] += 1
                if content is Content.HEP and self._parser is None:
                    continue
                self._take(content, segment, message, captured_ns, sink)

    def _take_datagram(self, segment: Segment, captured_ns: int, sink: Sink) -> None:
        content = classify(segment.payload)
        self._stats.payloads[content] += 1
        if content in (Content.RTP, Content.OTHER) or (content is Content.HEP and self._parser is None):
            return
        if segment.cut:
            self._stats.errors["snapped"] += 1
            return
        self._take(content, segment, segment.payload, captured_ns, sink)

    def _take(self, content: Content, segment: Segment, data: bytes, captured_ns: int, sink: Sink) -> None:
        if content is Content.HEP:
            if self._rows:
                self.flush(sink)
            self._hep.append((captured_ns, data))
            self._hep_senders.append(segment.src_ip)
        else:
            if self._hep:
                self.flush(sink)
            self._rows.append(
                _ROW.pack(
                    captured_ns,
                    segment.src_ip,
                    segment.dst_ip,
                    segment.src_port,
                    segment.dst_port,
                    _PAYLOADS[content],
                    segment.ip_proto,
                    0,
                    0,
                    self._bytes,
                    len(data),
                    *(0,) * 6,
                )
            )
            self._payloads.append(data)
        self._bytes += len(data)
        if self._bytes >= _BATCH_BYTES or len(self._rows) + len(self._hep) >= _BATCH_ROWS:
            self.flush(sink)

    def flush(self, sink: Sink) -> None:
        """Hand on what was collected: rows of one kind, so that the order of the capture is kept."""
        if self._rows:
            buffer = np.frombuffer(b"".join(self._payloads), np.uint8)
            self._stats.accepted += len(self._rows)
            sink(DatagramBatch(np.frombuffer(bytearray(b"".join(self._rows)), DATAGRAM), buffer))
        if self._hep and self._parser is not None:
            lengths = np.array([len(data) for _, data in self._hep], np.uint32)
            batch = self._parser.parse(
                np.frombuffer(b"".join(data for _, data in self._hep), np.uint8),
                (np.cumsum(lengths, dtype=np.uint32) - lengths).astype(np.uint32),
                lengths,
                np.array([captured_ns for captured_ns, _ in self._hep], np.int64),
                np.frombuffer(b"".join(self._hep_senders), np.uint8).reshape(-1, 16),
            )
            if len(batch.rows):
                sink(batch)
        self._rows, self._payloads, self._bytes = [], [], 0
        self._hep, self._hep_senders = [], []
