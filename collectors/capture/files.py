"""Recorded files of any known kind as sources."""

from pathlib import Path

from collectors.capture.base import CaptureError, FrameReader, Source
from collectors.capture.hepfile import MAX_DATAGRAM_BYTES, HepFileSource
from collectors.capture.pcapfile import PCAP_MAGICS, PCAPNG_MAGIC
from collectors.capture.pcapsource import PcapSource
from collectors.capture.reading import open_binary, read_some
from collectors.wire.hep import HepParser


def open_capture(path: Path, parser: HepParser, reader: FrameReader | None = None) -> Source:
    """Return the source for a recorded file, chosen by its first bytes; gzip is seen through.

    Args:
        path: The file.
        parser: Of HEP.
        reader: Gets the frames of packet captures, and measures what is RTP in them; without one, RTP is counted.

    Raises:
        CaptureError: The file cannot be read, or is of no known kind.
    """
    with open_binary(path) as file:
        start = read_some(file, path, 8)
    if start[:4] == PCAPNG_MAGIC or start[:4] in PCAP_MAGICS:
        return PcapSource(path, parser, reader)
    if 0 < int.from_bytes(start[:4], "big") <= MAX_DATAGRAM_BYTES and len(start) == 8:
        return HepFileSource(path, parser)
    raise CaptureError(
        f"{path}: neither pcap, pcapng nor HEP datagrams (it starts with {start.hex() or 'nothing'})"
    )
