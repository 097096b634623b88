"""One capture file, read by us and by what else there is: plain Python, dpkt, tshark; part of `bench rtp`.

The file holds frames cut to their headers, from the page cache. Ours, plain Python and dpkt run in this process;
tshark is a program, so its start is in its time, and is measured by a run on a file of one packet as well.
"""

import resource
import shutil
import struct
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from collectors.capture.pcapmap import read_blocks
from collectors.tracking.streams import StreamSettings, StreamTable
from surgecast.bench.rtp_traffic import Traffic
from telephony.jitter import JitterEstimator
from telephony.serial import delta16

_STREAMS = 2_000
_PACKETS = 200_000
_PASSES = 3
_PCAP_NS = 0xA1B23C4D
_TSHARK_SECONDS = 300


def run(folder: Path, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Measure and return the figures; `vs_…` is that contestant's CPU time a packet over ours."""
    path = folder / "streams.pcap"
    packets = write_capture(path, _STREAMS, _PACKETS // _STREAMS)
    figures: dict[str, Any] = {"streams": _STREAMS, "packets": packets, "surgecast": _best(_ours, path)}
    figures["pure_python"] = _best(_plain, path)
    with suppress(ImportError):
        figures["dpkt_parse_only"] = _best(_dpkt, path)
    tshark = shutil.which("tshark")
    if tshark is not None:
        one = folder / "one.pcap"
        write_capture(one, 1, 1)
        start = _best(lambda given: _tshark(tshark, given), one)["cpu_seconds"]
        figures["tshark"] = _best(lambda given: _tshark(tshark, given), path) | {"start_cpu_seconds": start}
    for name, contestant in figures.items():
        if isinstance(contestant, dict):
            contestant["packets_per_second"] = round(packets / contestant["cpu_seconds"])
            contestant["ns_per_packet"] = 1e9 * contestant["cpu_seconds"] / packets
            if progress is not None:
                progress(f"{name}: {contestant['packets_per_second']:,} packets a second of CPU from a file")
    ours = figures["surgecast"]["cpu_seconds"]
    ratios = {
        f"vs_{n}": c["cpu_seconds"] / ours for n, c in figures.items() if isinstance(c, dict) and n != "surgecast"
    }
    return figures | ratios


def write_capture(path: Path, streams: int, rounds: int) -> int:
    """Write traffic as a pcap file in nanoseconds, and return its packets."""
    traffic = Traffic(streams, rounds)
    frames, memory = traffic.frames(), traffic.memory.tobytes()
    order = np.argsort(frames["captured_ns"], kind="stable")
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", _PCAP_NS, 2, 4, 0, 0, 96, 1))
        columns = (frames[order][name].tolist() for name in ("offset", "captured", "wire", "captured_ns"))
        for offset, captured, wire, at_ns in zip(*columns, strict=True):
            file.write(struct.pack("<IIII", *divmod(at_ns, 1_000_000_000), captured, wire))
            file.write(memory[offset : offset + captured])
    return traffic.packets


def _best(measure: Callable[[Path], dict[str, Any]], path: Path) -> dict[str, Any]:
    return min((measure(path) for _ in range(_PASSES)), key=lambda figures: figures["cpu_seconds"])


def _ours(path: Path) -> dict[str, Any]:
    started = time.process_time()
    table = StreamTable(StreamSettings(streams=2 * _STREAMS))
    for memory, frames in read_blocks(path, Counter()):
        done = 0
        while done < len(frames):
            done += table.take(memory, frames[done:]).frames
    elapsed = time.process_time() - started
    table.finish()
    ended = np.concatenate(table.take_ended())
    counts = {name: int(ended[name].sum()) for name in ("lost", "duplicates")}
    return {"cpu_seconds": elapsed, "streams_found": len(ended), **counts}


class _Plain:
    """What a straightforward collector keeps of a stream."""

    __slots__ = ("duplicates", "highest", "jitter", "lost", "received", "reordered")

    def __init__(self, seq: int) -> None:
        self.highest, self.received, self.lost, self.duplicates, self.reordered = seq - 1, 0, 0, 0, 0
        self.jitter = JitterEstimator(8000)


def _records(path: Path) -> Iterator[tuple[bytes, int]]:
    """Yield (frame, when) of a pcap file in nanoseconds, as a plain program reads it."""
    record = struct.Struct("<IIII")
    data = path.read_bytes()
    at = 24
    while at < len(data):
        seconds, nanoseconds, captured, _ = record.unpack_from(data, at)
        at += 16
        yield data[at : at + captured], seconds * 1_000_000_000 + nanoseconds
        at += captured


def _plain(path: Path) -> dict[str, Any]:
    started = time.process_time()
    streams: dict[bytes, _Plain] = {}
    for frame, at_ns in _records(path):
        at = 12
        while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
        ip = at + 2
        udp = ip + (40 if frame[at : at + 2] == b"\x86\xdd" else (frame[ip] & 15) * 4)
        first, _, seq, timestamp = struct.unpack_from("!BBHI", frame, udp + 8)
        if first >> 6 != 2:
            continue
        key = frame[ip + 8 : udp + 4] + frame[udp + 16 : udp + 20]
        stream = streams.get(key)
        if stream is None:
            stream = streams[key] = _Plain(seq)
        ahead = delta16(seq, stream.highest & 0xFFFF)
        if ahead > 0:
            stream.lost += ahead - 1
            stream.highest += ahead
        elif ahead == 0:
            stream.duplicates += 1
            continue
        else:
            stream.reordered += 1
        stream.received += 1
        stream.jitter.add(timestamp, at_ns)
    return {"cpu_seconds": time.process_time() - started, "streams_found": len(streams)}


def _dpkt(path: Path) -> dict[str, Any]:
    import dpkt

    started = time.process_time()
    with path.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            with suppress(dpkt.UnpackError):
                dpkt.rtp.RTP(dpkt.ethernet.Ethernet(frame).data.data.data)
    return {"cpu_seconds": time.process_time() - started}


def _tshark(tshark: str, path: Path) -> dict[str, Any]:
    """Run tshark's own RTP analysis; without SDP in the file it has to be told that these ports are RTP."""
    command = [tshark, "-n", "-q", "-r", str(path), "-d", "udp.port==10000-59999,rtp", "-z", "rtp,streams"]
    before, started = _children_cpu(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TSHARK_SECONDS)
    wall, cpu = time.perf_counter() - started, _children_cpu() - before
    found = [line.split() for line in done.stdout.splitlines() if "0x" in line]
    lost = sum(int(fields[fields.index(next(f for f in fields if f.startswith("("))) - 1]) for fields in found)
    return {"cpu_seconds": cpu, "wall_seconds": wall, "streams_found": len(found), "lost": lost}


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
