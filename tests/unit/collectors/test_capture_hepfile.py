"""Recorded HEP datagrams."""

import gzip
import struct
import threading
from pathlib import Path

import pytest
from hep_support import datagram, text

from collectors.capture import hepfile
from collectors.capture.base import CaptureError, SourceStats
from collectors.capture.hepfile import HepFileSource
from collectors.facts import DatagramBatch
from collectors.wire.hep import HepParser


def record(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data


def feed(path: Path) -> tuple[list[bytes], SourceStats]:
    payloads: list[bytes] = []

    def sink(batch: DatagramBatch) -> None:
        payloads.extend(text(batch, row, "payload") for row in range(len(batch.rows)))

    source = HepFileSource(path, HepParser())
    source.run(sink, threading.Event())
    return payloads, source.stats()


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_feeds_every_datagram_in_order(tmp_path: Path, compress) -> None:
    path = tmp_path / "calls.hepbin"
    path.write_bytes(compress(b"".join(record(datagram(f"{n}".encode())) for n in range(1000))))
    assert [f"{n}".encode() for n in range(1000)] == feed(path)[0]


def test_records_across_reads_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hepfile, "_READ_BYTES", 100)
    path = tmp_path / "calls.hepbin"
    path.write_bytes(b"".join(record(datagram(f"{n}".encode() * 50)) for n in range(50)))
    payloads, _ = feed(path)
    assert [f"{n}".encode() * 50 for n in range(50)] == payloads


@pytest.mark.parametrize(
    ("tail", "errors"),
    [
        (b"", {}),
        (b"\0\0", {"truncated_file": 1}),
        (record(datagram())[:-1], {"truncated_file": 1}),
        (b"\0\1\0\0" + bytes(70_000), {"bad_record": 1}),
        (record(b"garbage"), {"bad_magic": 1}),
        (record(b""), {"truncated": 1}),
    ],
)
def test_a_bad_tail_is_counted_and_what_came_before_is_fed(
    tmp_path: Path, tail: bytes, errors: dict[str, int]
) -> None:
    path = tmp_path / "calls.hepbin"
    path.write_bytes(record(datagram(b"good")) + tail)
    payloads, stats = feed(path)
    assert ([b"good"], errors) == (payloads, dict(stats.errors))


def test_a_missing_file_is_a_capture_error(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="nothing\\.hepbin: cannot be read: No such file"):
        feed(tmp_path / "nothing.hepbin")


def test_a_cut_gzip_stream_is_a_capture_error(tmp_path: Path) -> None:
    path = tmp_path / "calls.hepbin.gz"
    path.write_bytes(gzip.compress(record(datagram()))[:-10])
    with pytest.raises(CaptureError, match="cannot be read on"):
        feed(path)


def test_every_recorded_datagram_of_real_senders_is_accepted(captures: Path) -> None:
    for path in sorted((captures / "hep").glob("*.hepbin")):
        _, stats = feed(path)
        assert (path.name, stats.frames, {}) == (path.name, stats.accepted, dict(stats.errors))
