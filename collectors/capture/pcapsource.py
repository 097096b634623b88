"""A packet capture as a source: SIP, RTCP and HEP found in its packets, RTP handed to its reader."""

import struct
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

from collectors.capture.base import FrameReader, Sink, SourceStats
from collectors.capture.pcapmap import read_blocks
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


class PcapSource:
    """Feeds what the packets of a pcap or pcapng file carry, in their order; `node_id` is 0.

    Payloads of HEP go through `parser`; SIP (over UDP or TCP) and RTCP become rows of their own. RTP
    is measured by `reader`, which sees every frame first; without one it is counted only.
    """

    def __init__(self, path: Path, parser: HepParser, reader: FrameReader | None = None) -> None:
        self.name = str(path)
        self._path = path
        self._parser = parser
        self._reader = reader
        self._stats = SourceStats()
        self._decoder = PacketDecoder(self._stats.errors)
        self._streams = TcpStreams(self._stats.errors)
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
        for memory, frames in read_blocks(self._path, self._stats.errors):
            done = 0
            while done < len(frames):
                if stop.is_set():
                    return
                done += self._take_frames(memory, frames[done:], sink)
        self._flush(sink)

    def _take_frames(self, memory: npt.NDArray[np.uint8], frames: npt.NDArray[np.void], sink: Sink) -> int:
        handed, count, wants_datagrams = frames, len(frames), False
        if self._reader is not None:
            waiting = bool(self._rows or self._hep)
            count, rtp, handed, wants_datagrams = self._reader.take(memory, frames, waiting=waiting)
            self._stats.payloads[Content.RTP] += rtp
            self._stats.payloads[Content.OTHER] += count - rtp - len(handed)
        self._stats.frames += count
        self._stats.bytes += int(frames["captured"][:count].sum())
        for offset, captured_ns, captured, link_type in zip(*(handed[name].tolist() for name in _COLUMNS)):
            self._take_frame(link_type, memory[offset : offset + captured].tobytes(), captured_ns, sink)
        if wants_datagrams:
            self._flush(sink)
        return count

    def _take_frame(self, link_type: int, frame: bytes, captured_ns: int, sink: Sink) -> None:
        segment = self._decoder.decode(link_type, frame, captured_ns)
        if segment is None:
            self._stats.payloads[Content.OTHER] += 1
        elif segment.ip_proto == UDP:
            self._take_datagram(segment, captured_ns, sink)
        else:
            for content, message in self._streams.feed(segment):
                self._stats.payloads[content] += 1
                self._take(content, segment, message, captured_ns, sink)

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
