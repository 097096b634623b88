"""Rows of any store to Parquet files and back: to move between backends, to keep, to hand on.

    <directory>/<measurement>/<day>.parquet     rows with the declared schema, in order of time
    <directory>/manifest.json                   each file with its rows, window and SHA-256

The manifest is written last: a directory without one is an export that did not end. Rows go in again under
their own time and tags, so importing twice changes nothing.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from storage.checks import measurement_named
from storage.schema import MEASUREMENTS, SIP_MESSAGE, STREAM_INTERVAL, Measurement
from storage.seam import Reader, StoreError, Window, Writer

MANIFEST = "manifest.json"
_FORMAT = 1
_NANOS = 1_000_000_000
_DAY_NS = 86_400 * _NANOS
_HOUR_NS = 3_600 * _NANOS
_BUSY_STEP_NS = 300 * _NANOS
"""Of busy measurements so much is in memory at once: two million rows at 30,000 calls."""
_ALL_ROWS = 1 << 31
_WRITE_ROWS = 50_000

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """One file of an export."""

    measurement: str
    file: str
    rows: int
    since_ns: int
    until_ns: int
    sha256: str


def export_store(
    reader: Reader, directory: Path, measurements: Sequence[str], window: Window, progress: Progress
) -> list[ExportedFile]:
    """Write what the reader sees in a window to an empty or new directory.

    Raises BadQuery for an unknown measurement, StoreError where the directory is not empty or cannot be written.
    """
    known = [measurement_named(name) for name in measurements or MEASUREMENTS]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise StoreError(f"{directory} is not empty; name a new directory")
        files = [file for m in known for file in _export(reader, directory, m, window, progress)]
        manifest = {"format": _FORMAT, "files": [asdict(file) for file in files]}
        (directory / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{directory}: {error}") from error
    return files


def import_store(
    reader: Reader, writer: Writer, directory: Path, measurements: Sequence[str], progress: Progress
) -> list[ExportedFile]:
    """Write the files of an export to a store, each checked before and counted after it.

    Raises BadQuery for an unknown measurement, StoreError where a file is missing, changed or damaged, or rows do
    not arrive; what came before stays.
    """
    wanted = {measurement_named(name).name for name in measurements}
    files = [file for file in _manifest(directory) if not wanted or file.measurement in wanted]
    for file in files:
        rows = _checked(directory, file)
        for at in range(0, rows.num_rows, _WRITE_ROWS):
            for batch in rows.slice(at, _WRITE_ROWS).combine_chunks().to_batches():
                writer.write(file.measurement, batch)
            writer.flush()
        found = sum(part.num_rows for part in _parts(reader, measurement_named(file.measurement), file, ["time"]))
        if found < file.rows:
            raise StoreError(f"{file.file}: {file.rows} rows were written and {found} are found in the store")
        progress(f"{file.file}: {file.rows} rows")
    return files


def _export(
    reader: Reader, directory: Path, measurement: Measurement, window: Window, progress: Progress
) -> Iterator[ExportedFile]:
    for day in _days(reader, measurement, window):
        name = f"{datetime.fromtimestamp(day.since_ns // _DAY_NS * 86_400, UTC):%Y-%m-%d}.parquet"
        path = directory / measurement.name / name
        path.parent.mkdir(exist_ok=True)
        rows = 0
        with pq.ParquetWriter(path, measurement.schema, compression="zstd", write_page_checksum=True) as parquet:
            for part in _parts(reader, measurement, day):
                parquet.write_table(part)
                rows += part.num_rows
        if not rows:
            path.unlink()
            continue
        progress(f"{measurement.name}/{name}: {rows} rows")
        relative = f"{measurement.name}/{name}"
        yield ExportedFile(measurement.name, relative, rows, day.since_ns, day.until_ns, _sha256(path))


def _days(reader: Reader, measurement: Measurement, window: Window) -> Iterator[Window]:
    """Yield the days of a window from the oldest row to the newest."""
    ends = [
        reader.select(measurement.name, window, columns=["time"], limit=1, newest_first=newest)["time"]
        for newest in (False, True)
    ]
    if not ends[0].length():
        return
    first, last = (column.cast(pa.int64())[0].as_py() for column in ends)
    for start in range(first // _DAY_NS * _DAY_NS, last + 1, _DAY_NS):
        yield Window(max(start, window.since_ns), min(start + _DAY_NS, window.until_ns))


def _parts(
    reader: Reader,
    measurement: Measurement,
    span: Window | ExportedFile,
    columns: Sequence[str] | None = None,
) -> Iterator[pa.Table]:
    step = _BUSY_STEP_NS if measurement in (STREAM_INTERVAL, SIP_MESSAGE) else _HOUR_NS
    for at in range(span.since_ns, span.until_ns, step):
        part = Window(at, min(at + step, span.until_ns))
        table = reader.select(measurement.name, part, columns=columns, limit=_ALL_ROWS)
        if table.num_rows:
            yield table


def _manifest(directory: Path) -> list[ExportedFile]:
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != _FORMAT:
            raise StoreError(f"{path} has format {manifest['format']}; this version reads format {_FORMAT}")
        files = [ExportedFile(**file) for file in manifest["files"]]
    except FileNotFoundError as error:
        raise StoreError(f"no {MANIFEST} in {directory}: no export, or one that did not end") from error
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path} is no manifest of an export: {error}") from error
    for file in files:
        inside = (directory / file.file).resolve().is_relative_to(directory.resolve())
        if file.measurement not in MEASUREMENTS or not inside:
            raise StoreError(f"{path} names {file.file[:80]!r} of {file.measurement[:60]!r}: not of this version")
    return files


def _checked(directory: Path, file: ExportedFile) -> pa.Table:
    """Return the rows of a file with the columns of this version's schema."""
    path = directory / file.file
    schema = MEASUREMENTS[file.measurement].schema
    try:
        if _sha256(path) != file.sha256:
            raise StoreError(f"{path} is not the file that was exported: its SHA-256 differs")
        rows = pq.read_table(path)
        columns = [
            rows[f.name].cast(f.type) if f.name in rows.column_names else pa.nulls(rows.num_rows, f.type)
            for f in schema
        ]
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path}: {str(error)[:200]}") from error
    if rows.num_rows != file.rows:
        raise StoreError(f"{path} has {rows.num_rows} rows, {file.rows} were exported")
    return pa.table(columns, schema=schema)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return file_digest(content, "sha256").hexdigest()
