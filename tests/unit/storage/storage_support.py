"""Rows and stores for the tests of the embedded store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from storage.embedded.store import EmbeddedStore
from storage.rows import batch, stream_interval_batch
from storage.schema import SESSION_MINUTE
from storage.seam import Scope, Window, Writer
from storage.settings import StorageSettings
from telephony.model import Direction, Endpoint, Labels, Observer, StreamInterval

NOW = 1_790_000_040_000_000_000
DAY_NS = 86_400 * 10**9
EVER = Window(0, 1 << 62)
ENGINEER = Scope.everything("engineer")


def interval(ssrc: int = 1, *, time_ns: int = NOW, lost: int = 0, call_id: str = "a-call") -> StreamInterval:
    return StreamInterval(
        time_ns,
        Labels("acme", "carrier", "eu", "edge-1"),
        call_id,
        ssrc,
        Endpoint("192.0.2.1", 4000),
        Endpoint("192.0.2.2", 5000),
        Direction.TO_CALLEE,
        Observer.RTCP_RR,
        "PCMA",
        8000,
        500,
        500 - lost,
        lost,
    )


def write_intervals(writer: Writer, facts: Sequence[StreamInterval]) -> None:
    writer.write("stream_interval", stream_interval_batch(facts))
    writer.flush()


def write_minutes(writer: Writer, times: Sequence[int], *, attempts: int = 1, **tags: str) -> None:
    rows: list[dict[str, Any]] = [
        {"time": t, "attempts": attempts} | {tag: tags.get(tag, "one") for tag in SESSION_MINUTE.tags}
        for t in times
    ]
    writer.write("session_minute", batch("session_minute", rows))
    writer.flush()


def ssrcs(store: EmbeddedStore) -> list[int]:
    """Return the SSRC of every interval, sorted."""
    table = store.reader(ENGINEER).select("stream_interval", EVER, columns=["ssrc"], limit=10**7)
    found: list[int] = table["ssrc"].to_pylist()
    return sorted(found)


def attempts(store: EmbeddedStore) -> list[tuple[int, int]]:
    """Return time and attempts of every session minute, in order."""
    table = store.reader(ENGINEER).select("session_minute", EVER, columns=["time", "attempts"])
    return list(zip(table["time"].cast(pa.int64()).to_pylist(), table["attempts"].to_pylist(), strict=True))


def segments(root: Path, measurement: str) -> list[Path]:
    return sorted((root / "data" / measurement).rglob("*.parquet"))


def logs(root: Path, measurement: str) -> list[Path]:
    return sorted((root / "log" / measurement).glob("*.frames"))


def sealing(rows: int) -> StorageSettings:
    """Return settings that seal each log of so many rows."""
    return StorageSettings(seal_rows=rows)
