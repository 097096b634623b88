"""A packet capture as a source: SIP, RTCP and HEP found in its packets, RTP counted."""

import struct
import threading
from collections import Counter
from pathlib import Path

import numpy as np

from collectors.capture.base import Sink, SourceStats
from collectors.capture.pcapfile import read_packets
from collectors.capture.reading import open_binary
from collectors.facts import DATAGRAM, DatagramBatch, Payload
from collectors.wire.classify import Content, classify
from collectors.wire.hep import HepParser
from collectors.wire.packet import UDP, PacketDecoder, Segment
from collectors.wire.tcpstream import TcpStreams

_BATCH_ROWS = 512
_BATCH_BYTES = 1 << 20
_ROW = struct.Struct("<q16s16sHHHBBI8I")  # DATAGRAM
_PAYLOADS = {Content.SIP: Payload.SIP, Content.RTCP: Payload.RTCP}


class PcapSource:
    """Feeds what the packets of a pcap or pcapng file carry, in their order; `node_id` is 0.

    Payloads of HEP go through `parser`; SIP (over UDP or TCP) and RTCP become rows of their own. RTP
    is counted only.
    """

    def __init__(self, path: Path, parser: HepParser) -> None:
        self.name = str(path)
        self._path = path
        self._parser = parser
        self._stats = SourceStats()
        self._rows: list[bytes] = []
        self._payloads: list[bytes] = []
        self._bytes = 0
        self._hep: list[tuple[int, bytes]] = []
        self._hep_senders: list[bytes] = []

    def stats(self) -> SourceStats:
        """Return the figures so far."""
        snapshot = SourceStats()
        snapshot.frames = self._stats.frames
        snapshot.bytes = self._stats.bytes
        snapshot.accepted = self._stats.accepted + self._parser.accepted
        snapshot.payloads.update(dict(self._stats.payloads))
        snapshot.errors.update(dict(self._stats.errors))
        snapshot.errors.update(dict(self._parser.errors))
        return snapshot

    def run(self, sink: Sink, stop: threading.Event) -> None:
        """Feed the whole capture, or until `stop`."""
        errors: Counter[str] = self._stats.errors
        decoder = PacketDecoder(errors)
        streams = TcpStreams(errors)
        with open_binary(self._path) as file:
            for packet in read_packets(file, self._path, errors):
                if stop.is_set():
                    break
                self._stats.frames += 1
                self._stats.bytes += len(packet.data)
                segment = decoder.decode(packet.link_type, packet.data, packet.captured_ns)
                if segment is None:
                    self._stats.payloads[Content.OTHER] += 1
                elif segment.ip_proto == UDP:
                    self._take_datagram(segment, packet.captured_ns, sink)
                else:
                    for content, message in streams.feed(segment):
                        self._stats.payloads[content] += 1
                        self._take(content, segment, message, packet.captured_ns, sink)
        self._flush(sink)

    def _take_datagram(self, segment: Segment, captured_ns: int, sink: Sink) -> None:
        content = classify(segment.payload)
        self._stats.payloads[content] += 1
        if content in (Content.RTP, Content.OTHER):
            return
        if segment.cut:
            self._stats.errors["snapped"] += 1
            return
        self._take(content, segment, segment.payload, captured_ns, sink)

    def _take(self, content: Content, segment: Segment, data: bytes, captured_ns: int, sink: Sink) -> None:
        if content is Content.HEP:
            if self._rows:
                self._flush(sink)
            self._hep.append((captured_ns, data))
            self._hep_senders.append(segment.src_ip)
        else:
            if self._hep:
                self._flush(sink)
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
            self._flush(sink)

    def _flush(self, sink: Sink) -> None:
        """Hand on what was collected: rows of one kind, so that the order of the capture is kept."""
        if self._rows:
            buffer = np.frombuffer(b"".join(self._payloads), np.uint8)
            self._stats.accepted += len(self._rows)
            sink(DatagramBatch(np.frombuffer(bytearray(b"".join(self._rows)), DATAGRAM), buffer))
        if self._hep:
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
