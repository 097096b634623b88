"""The digest of a segment of intervals: one row per call, beside it, so that ranking calls, or finding one, need
not read intervals.

`<segment>.calls.arrow` lies beside `<segment>.parquet` and goes with it. It is made when the segment is
written, and by upkeep where it is missing; a query reads the intervals themselves where there is none. A digest
holds every interval of its segment, so it stands for the segment only where a query wants all of them: wholly
inside the window, and none of them overwritten elsewhere.

It is an Arrow file that is mapped into memory, worst calls first: the worst are its head, a call is found by the
CRC-32 of its Call-ID, and of a row only the pages it is on are read. Decoding Parquet would cost more than asking.
"""

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from storage.embedded.layout import DIGEST_SUFFIX, OLD_DIGEST_SUFFIX, digest_name
from storage.embedded.points import STORED_TIME, Int64s
from storage.embedded.whole import written_whole
from storage.schema import STREAM_INTERVAL
from telephony.bands import R_DIVISOR, Band
from telephony.model import Scale

TAGS = ("tenant", "trunk", "region", "node", "codec")
"""The tags that a digest keeps; a question about others needs the intervals."""
_MOST_WORDS = 62
_FEW = (*TAGS, "observers", "verdicts")
"""Columns of few different values."""
SCHEMA = pa.schema(
    [
        ("call_id", pa.string()),
        *((tag, pa.string()) for tag in TAGS),
        ("r_min", pa.float64()),  # on the narrowband scale
        ("mos_min", pa.float64()),
        ("mos_sum", pa.float64()),
        ("mos_count", pa.int64()),
        ("lost", pa.int64()),
        ("expected", pa.int64()),
        ("jitter_ms_max", pa.float64()),
        ("rtt_ms_max", pa.float64()),
        ("intervals", pa.int64()),
        ("degraded_intervals", pa.int64()),
        ("last_seen", STORED_TIME),
        ("observers", pa.string()),
        ("verdicts", pa.string()),
    ]
)
UInt32s = npt.NDArray[np.uint32]
CRC = "call_crc"
HEAD_CALLS = 1_024
"""Worst calls that lie together at a digest's beginning."""
_NARROW: dict[str, pa.DataType] = {
    **{name: pa.dictionary(pa.int16(), pa.string()) for name in _FEW},
    **{name: pa.int32() for name in ("mos_count", "intervals", "degraded_intervals")},
}
_MOST_DIFFERENT = 1 << 15
STORED = pa.schema([*(pa.field(f.name, _NARROW.get(f.name, f.type)) for f in SCHEMA), pa.field(CRC, pa.uint32())])


def digest_path(segment: Path) -> Path:
    """Return where the digest of a segment lies."""
    return segment.with_name(digest_name(segment.name))


def old_digest_path(segment: Path) -> Path:
    """Return where the digest of a segment lay in format 2."""
    return segment.with_name(segment.name.removesuffix(".parquet") + OLD_DIGEST_SUFFIX)


def is_digest(path: Path) -> bool:
    """Tell whether a file is a digest, not a segment."""
    return path.name.endswith(DIGEST_SUFFIX)


def is_digested(measurement_name: str) -> bool:
    """Tell whether segments of a measurement have digests."""
    return measurement_name == STREAM_INTERVAL.name


def write_digest(segment: Path, rows: pa.Table) -> None:
    """Write the digest of a segment's rows; raises OSError and leaves nothing half written under its name."""
    path, table = digest_path(segment), digest(rows)
    if table is None:
        return
    few = {name: table[name].combine_chunks().dictionary_encode() for name in _FEW}
    if any(len(column.dictionary) > _MOST_DIFFERENT for column in few.values()):
        return
    crcs = pa.array(crcs_of(table["call_id"].to_pylist()))
    columns = [few.get(name, table[name]).cast(STORED.field(name).type) for name in SCHEMA.names]
    stored = pa.table([*columns, crcs], schema=STORED).combine_chunks()
    with written_whole(path) as file, pa.ipc.new_file(file, STORED) as writer:
        writer.write_table(stored.slice(0, HEAD_CALLS))  # together: ranking calls reads these alone
        writer.write_table(stored.slice(HEAD_CALLS))
    old_digest_path(segment).unlink(missing_ok=True)


def crcs_of(call_ids: Sequence[str]) -> UInt32s:
    """Return the checksums by which calls are found: CRC-32 of their Call-IDs."""
    return np.array([crc32(call_id.encode("utf-8", "surrogatepass")) for call_id in call_ids], dtype=np.uint32)


def digest(rows: pa.Table) -> pa.Table | None:
    """Return the calls of `stream_interval` rows that are in the order of a segment, worst first.

    A call has a row for each run of equal tags. Streams of no call are left out. None where the rows have more
    different verdicts or observers than a digest can hold, which no collector of ours writes.
    """
    rows = rows.filter(pc.not_equal(rows["call_id"].fill_null(""), "")).combine_chunks()
    if not rows.num_rows:
        return SCHEMA.empty_table()
    r = narrowband_r(rows)
    starts = _runs(rows)
    observers, verdicts = _words(rows["observer"], starts), _words(rows["verdict"].fill_null(""), starts)
    if observers is None or verdicts is None:
        return None
    jitter = pc.coalesce(rows["jitter_max_ms"], rows["jitter_ms"])
    degraded = pc.less(r, Band.SOME_DISSATISFIED.r_min).fill_null(False).cast(pa.int64())
    firsts = rows.take(pa.array(starts))
    columns = [
        *(firsts[name] for name in ("call_id", *TAGS)),
        _reduced(np.fmin, r, starts),
        _reduced(np.fmin, rows["mos"], starts),
        _reduced(np.add, rows["mos"].fill_null(0.0), starts),
        _reduced(np.add, rows["mos"].is_valid().cast(pa.int64()), starts),
        _counted(rows["lost"], starts),
        _counted(rows["expected"], starts),
        _reduced(np.fmax, jitter, starts),
        _reduced(np.fmax, rows["rtt_ms"], starts),
        pa.array(np.diff(np.append(starts, rows.num_rows))),
        _reduced(np.add, degraded, starts),
        _reduced(np.maximum, rows["time"].cast(pa.int64()), starts),
        observers,
        verdicts,
    ]
    table = pa.table([c.cast(f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)
    return table.take(pa.array(np.argsort(table["r_min"].fill_null(np.inf).to_numpy(), kind="stable")))


def narrowband_r(rows: pa.Table) -> pa.ChunkedArray:
    """Return R of each row on the narrowband scale (`telephony.bands`): so E-models rank together."""
    divisor = pa.scalar(1.0)
    for scale, value in R_DIVISOR.items():
        if scale is not Scale.NARROWBAND and pc.any(own := pc.equal(rows["mos_scale"], scale.value)).as_py():
            divisor = pc.if_else(own.fill_null(False), value, divisor)
    return pc.divide(rows["r_factor"], divisor)


def _runs(rows: pa.Table) -> Int64s:
    """Return where rows of another call or of other tags begin."""
    change = np.ones(rows.num_rows, dtype=np.bool_)
    if rows.num_rows > 1:
        change[1:] = False
        for name in ("call_id", *TAGS):
            column = rows[name]
            change[1:] |= pc.not_equal(column.slice(1), column.slice(0, rows.num_rows - 1)).to_numpy()
    return np.flatnonzero(change)


def _reduced(reduce: np.ufunc, column: pa.ChunkedArray, starts: Int64s) -> pa.Array:
    """Reduce each run; a run of nothing but null is null."""
    floating = pa.types.is_floating(column.type)
    values = (column.fill_null(np.nan) if floating else column).to_numpy()
    reduced = reduce.reduceat(values, starts)
    return pa.array(reduced, mask=np.isnan(reduced) if floating else None)


def _counted(column: pa.ChunkedArray, starts: Int64s) -> pa.Array:
    """Sum a column of counts per run; a run of nothing but null is null."""
    sums = np.add.reduceat(column.fill_null(0).to_numpy(), starts)
    return pa.array(sums, mask=~np.logical_or.reduceat(column.is_valid().to_numpy(), starts))


def _words(column: pa.ChunkedArray, starts: Int64s) -> pa.Array | None:
    """Return the distinct words of each run's texts, sorted; None where there are more than bits in a mask."""
    encoded = column.combine_chunks().dictionary_encode()
    texts = encoded.dictionary.to_pylist()
    vocabulary = sorted({word for text in texts for word in text.split()})
    if len(vocabulary) > _MOST_WORDS:
        return None
    bits = {word: 1 << i for i, word in enumerate(vocabulary)}
    masks = np.array([sum(bits[word] for word in set(text.split())) for text in texts], dtype=np.int64)
    of_runs = np.bitwise_or.reduceat(masks[encoded.indices.to_numpy()], starts)
    distinct, at = np.unique(of_runs, return_inverse=True)
    words = [" ".join(word for word in vocabulary if bits[word] & mask) for mask in distinct.tolist()]
    return pa.array(words, pa.string()).take(pa.array(at))
