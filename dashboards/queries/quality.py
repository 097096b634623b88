"""Views of media quality from the quality minutes: bands, loss and jitter percentiles."""

import numpy as np
import pyarrow as pa

from dashboards.views import READY, Impairment, QualityBands, Quantiles, Series, Status
from telephony.bands import Band
from telephony.histogram import JITTER_MS, LOSS_RATIO, R_FACTOR, Buckets
from telephony.model import Direction

from .context import LOADING, Context, Seen, no_media_hint
from .tables import Ints, histograms, names, strings, summed, times_ns, total

BANDS = tuple(Band)
DRAWN_DIRECTIONS = (Direction.TO_CALLEE, Direction.TO_CALLER)


def _band_of_bucket() -> Ints:
    return np.array(
        [next(i for i, band in enumerate(BANDS) if edge >= band.r_min) for edge in R_FACTOR.edges[:-1]], np.int64
    )


_BAND_OF_BUCKET = _band_of_bucket()


def bands(context: Context, quality: pa.Table | None, seen: Seen, status: Status | None) -> QualityBands:
    """Return the share of stream-seconds per band and step with R's p5 and p50, from merged histograms."""
    if quality is None:
        return QualityBands(status or LOADING)
    size = len(context.grid)
    per_step = np.zeros((size, R_FACTOR.count), np.int64)
    if quality.num_rows:
        counts = histograms(quality, "r_histogram", R_FACTOR.count)
        per_step = summed(counts, context.grid.index(times_ns(quality)), size)
    n = per_step.sum(axis=1)
    if not n.any():
        return QualityBands(status or context.empty("No stream was rated", no_media_hint(seen)))
    in_band = np.zeros((size, len(BANDS)), np.int64)
    np.add.at(in_band.T, _BAND_OF_BUCKET, per_step.T)
    return QualityBands(
        status or READY,
        starts_ns=context.grid.starts_ns,
        step_seconds=context.grid.step_seconds,
        shares=tuple(
            tuple(float(k) / all_ if all_ else None for k, all_ in zip(in_band[:, b], n.tolist()))
            for b in range(len(BANDS))
        ),
        seconds=tuple(n.tolist()),
        r_p5=_quantile_series(R_FACTOR, per_step, 0.05),
        r_p50=_quantile_series(R_FACTOR, per_step, 0.5),
        intervals=total(quality, "intervals"),
        band_totals=tuple(in_band.sum(axis=0).tolist()),
    )


def _quantile_series(buckets: Buckets, per_step: Ints, q: float) -> Series:
    return tuple(buckets.quantile(counts, q) for counts in per_step.tolist())


def loss(context: Context, quality: pa.Table | None, seen: Seen, status: Status | None) -> Impairment:
    """Return percentiles of the loss ratio of intervals, by direction."""
    return _impairment(context, quality, seen, status, "loss_histogram", LOSS_RATIO)


def jitter(context: Context, quality: pa.Table | None, seen: Seen, status: Status | None) -> Impairment:
    """Return percentiles of interarrival jitter (ms) of intervals, by direction."""
    return _impairment(context, quality, seen, status, "jitter_histogram", JITTER_MS)


def _impairment(
    context: Context, quality: pa.Table | None, seen: Seen, status: Status | None, column: str, buckets: Buckets
) -> Impairment:
    if quality is None:
        return Impairment(status or LOADING)
    size = len(context.grid)
    by_direction, overall = {}, {}
    directions = np.array(strings(quality, "direction"), dtype=object)
    counts = histograms(quality, column, buckets.count)
    step = context.grid.index(times_ns(quality)) if quality.num_rows else np.zeros(0, np.int64)
    for direction in (*DRAWN_DIRECTIONS, Direction.UNKNOWN):
        mine = directions == direction.value
        per_step = summed(counts[mine], step[mine], size)
        if not per_step.any():
            continue
        by_direction[direction] = Quantiles(
            *(_quantile_series(buckets, per_step, q) for q in (0.5, 0.95, 0.99)),
        )
        merged = per_step.sum(axis=0).tolist()
        overall[direction] = (
            buckets.quantile(merged, 0.5),
            buckets.quantile(merged, 0.95),
            buckets.quantile(merged, 0.99),
        )
    if not by_direction:
        return Impairment(status or context.empty("Nothing was reported", no_media_hint(seen)))
    return Impairment(
        status or READY,
        starts_ns=context.grid.starts_ns,
        step_seconds=context.grid.step_seconds,
        by_direction=by_direction,
        overall=overall,
        intervals=total(quality, "intervals"),
        observers=names(strings(quality, "observer")),
    )
