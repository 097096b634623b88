"""Marks of the worst intervals: a point for some thousand intervals says which calls had the worst of them.

Ranking the calls of a window by their lowest R has a server open every series of intervals, and these are many
thousands. So whoever writes intervals writes before them one point of `stream_interval_worst` per tenant and
`INTERVAL_NS` of the batch: the calls of the lowest R in it (`calls`), and what no R of the other rows is below
(`beyond`). Its one tag makes it few series.

Answers are exact, whatever is written late or again, because a mark is not believed about the calls that it names:
their intervals are read. It is believed about the other rows of its batch, and only that they are not below
`beyond`, which stays true for good; and every row came with some batch. So the calls that prove to be below the
least `beyond` of a window are its worst. Where too few prove to be, or where there are rows without marks (of
older versions, of other makes), readers ask as if there were no marks.
"""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from storage.embedded.digests import narrowband_r
from storage.embedded.points import times_of
from storage.influx.targets import policy_of
from storage.schema import STREAM_INTERVAL, TIME, Measurement
from telephony.model import INTERVAL_NS

WORST = Measurement(
    "stream_interval_worst",
    ("tenant",),
    {"lowest": pa.int64(), "beyond": pa.int64(), "calls": pa.string()},
)
"""Ratings are hundredths of R on the narrowband scale, rounded down. `calls` is a JSON object of the rating of
each call; `beyond` is null where it names all calls of the batch that have an R."""
POLICY = policy_of(STREAM_INTERVAL.name)
HUNDREDTHS = 100
_LEAST_MARKED = 12
_ROWS_A_MARKED = 64
"""Of so many rows one more is marked: so the worst calls of a few seconds are found too."""
_MOST_BYTES = 16_384
"""Of the text of one point: servers take none of more than 64 KiB."""
_RANGE = (-20_000, 45_535)
"""What R, in hundredths, is cut to, to sort quickly: nothing is ever told to be below the least of it."""
_ENCODER = msgspec.json.Encoder()


def worst_marks(rows: pa.RecordBatch) -> pa.RecordBatch | None:
    """Return the marks of `stream_interval` rows; None where no call of them has an R."""
    ratings = narrowband_r(pa.Table.from_batches([rows])).to_numpy()
    named = pc.binary_length(rows["call_id"]).fill_null(0).to_numpy() > 0
    places = np.flatnonzero(np.isfinite(ratings) & named)
    if not places.size:
        return None
    # Products are rounded up at times: what is marked must never be above what it stands for.
    values = np.floor(ratings[places].clip(*_RANGE) * HUNDREDTHS - 1e-6).clip(*_RANGE).astype(np.int64)
    tenants = rows["tenant"].dictionary_encode()
    spans = times_of(rows["time"])[places] // INTERVAL_NS
    first, width = int(spans.min()), int(np.ptp(spans)) + 1
    groups = tenants.indices.to_numpy()[places] * np.int64(width) + (spans - first)
    order = np.argsort((values - _RANGE[0]).astype(np.uint16), kind="stable")  # of 16 bits: several times as fast
    order = order[np.argsort(groups[order].astype(np.min_scalar_type(groups.max())), kind="stable")]
    groups, values = groups[order], values[order]
    starts = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
    ends = np.append(starts[1:], len(groups))
    counts = np.minimum(ends - starts, _LEAST_MARKED + (ends - starts) // _ROWS_A_MARKED)
    marked = np.repeat(starts, counts) + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    call_ids = iter(rows["call_id"].take(pa.array(places[order[marked]])).to_pylist())
    marks = [
        _mark(
            list(islice(call_ids, count)),
            values[start : start + count].tolist(),
            int(values[start + count]) if start + count < end else None,
        )
        for start, count, end in zip(starts.tolist(), counts.tolist(), ends.tolist(), strict=True)
    ]
    tenant, span = np.divmod(groups[starts], width)
    return _batch(tenants.dictionary.take(pa.array(tenant)), (first + span).tolist(), marks)


class _Mark(NamedTuple):
    lowest: int
    beyond: int | None
    calls: str


def _mark(call_ids: Sequence[str], values: Sequence[int], beyond: int | None) -> _Mark:
    """Return the mark of rows in order of their ratings."""
    calls = dict(zip(reversed(call_ids), reversed(values), strict=True))  # of a call the lowest, which comes last
    while len(text := _ENCODER.encode(calls)) > _MOST_BYTES:
        ranked = sorted(calls.items(), key=lambda call: call[1])
        calls, beyond = dict(ranked[: len(ranked) // 2]), ranked[len(ranked) // 2][1]
    return _Mark(values[0], beyond, text.decode())


def _batch(tenants: pa.Array, spans: Sequence[int], marks: Sequence[_Mark]) -> pa.RecordBatch:
    # The same mark is the same point, another is another point of the same span: none takes away what one says.
    times = [
        span * INTERVAL_NS + _hash(f"{mark.beyond} {mark.calls}") % INTERVAL_NS
        for span, mark in zip(spans, marks, strict=True)
    ]
    lowest, beyond, calls = zip(*marks, strict=True)
    columns = [
        pa.array(times).cast(TIME),
        tenants,
        pa.array(lowest),
        pa.array(beyond, pa.int64()),
        pa.array(calls),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=WORST.schema)


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
