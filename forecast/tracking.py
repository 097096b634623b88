"""What came beside what was forecast, in the store: sums per day, lead and model; and whether a series drifts.

The sums merge over any span (`storage.schema.FORECAST_ACCURACY`). Who makes them: `forecast.scoring`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from forecast.accuracy import LEVELS, Score
from forecast.localtime import DAY_S
from forecast.rehearsal import Group
from forecast.signals import SECOND_NS
from forecast.stored import QUANTILE_COLUMNS, series_id, tenant_of
from forecast.targets import SeriesId
from storage.schema import FORECAST_ACCURACY
from storage.seam import Reader, Window

_RECENT_DAYS, _BEFORE_DAYS = 7, 28
_GROWN = 1.5
"""Error over what it was from which a series drifts."""
_LEAST_SLOTS = 200
_LEAST_COVERAGE = 0.88
"""Of the 95 % quantile: under it the quantiles no longer hold."""
_DRIFT_LEADS = ("1h", "24h")
_PER_LEVEL = "loss", "covered"


def accuracy_batch(found: Mapping[SeriesId, Iterable[tuple[int, Mapping[Group, Score]]]]) -> pa.RecordBatch:
    """Return the scores of series' days (by their start, UTC second) as rows of `forecast_accuracy`."""
    rows = [
        (key, day_s * SECOND_NS, group, score)
        for key, days in found.items()
        for day_s, scores in days
        for group, score in scores.items()
    ]
    keys, times_ns, groups, scores = zip(*rows, strict=True) if rows else ((), (), (), ())
    lost, covered = (np.array([getattr(s, name) for s in scores]).reshape(-1, len(LEVELS)) for name in _PER_LEVEL)
    columns = {
        "time": times_ns,
        "tenant": [tenant_of(key) for key in keys],
        "target_kind": [key.kind.value for key in keys],
        "target": [key.name for key in keys],
        "signal": [key.signal.value for key in keys],
        "horizon": [group.horizon for group in groups],
        "lead": [group.lead for group in groups],
        "model": [group.model for group in groups],
        "n": [score.n for score in scores],
        "actual": [score.actual for score in scores],
        "forecast": [score.actual + score.bias for score in scores],
        "absolute_error": [score.error for score in scores],
        "floor_error": [score.floor for score in scores],
        "naive_error": [score.naive_error for score in scores],
        **{f"pinball_{name}": lost[:, place] for place, name in enumerate(QUANTILE_COLUMNS)},
        **{f"covered_{name}": covered[:, place].astype(np.int64) for place, name in enumerate(QUANTILE_COLUMNS)},
    }
    schema = FORECAST_ACCURACY.schema
    return pa.RecordBatch.from_arrays([pa.array(columns[f.name]).cast(f.type) for f in schema], schema=schema)


def last_scored(reader: Reader, now_s: int, days: int) -> dict[SeriesId, int]:
    """Return the start (UTC second) of the newest day that was scored of what was issued, per series."""
    window = Window((now_s - days * DAY_S) * SECOND_NS, now_s * SECOND_NS + 1)
    by = ("target_kind", "target", "signal")
    issued = {"horizon": ("short", "medium", "long")}
    table = reader.latest("forecast_accuracy", window, by=by, where=issued)
    times = table["time"].cast(pa.int64()).to_pylist()
    found = {}
    for row, time_ns in zip(table.select(list(by)).to_pylist(), times, strict=True):
        key = series_id(row["target_kind"], row["target"], row["signal"])
        if key is not None:
            found[key] = time_ns // SECOND_NS
    return found


@dataclass(frozen=True, slots=True)
class Drift:
    """A series whose forecasts have become worse than they were."""

    key: SeriesId
    lead: str
    text: str
    """What happened, in words with figures."""


def drifts(reader: Reader, now_s: int) -> list[Drift]:
    """Return the series whose error over the last week is far beyond that of the four weeks before.

    Also those whose 95 % quantile has covered too little. Each needs some hundred slots on both sides.
    """
    by = ("target_kind", "target", "signal", "lead")
    end_ns = now_s * SECOND_NS
    recent_ns = end_ns - _RECENT_DAYS * DAY_S * SECOND_NS
    before_ns = recent_ns - _BEFORE_DAYS * DAY_S * SECOND_NS
    fields = ("n", "actual", "absolute_error", "covered_q95")
    leads = {"lead": _DRIFT_LEADS}
    issued = leads | {"horizon": ("short", "medium", "long")}
    now = reader.sums(
        "forecast_accuracy", Window(recent_ns, end_ns), step_seconds=0, by=by, where=issued, fields=fields
    )
    then = reader.sums(
        "forecast_accuracy", Window(before_ns, recent_ns), step_seconds=0, by=by, where=leads, fields=fields
    )
    past = {tuple(row[tag] for tag in by): row for row in _plain(then, by, fields)}
    found = []
    for row in _plain(now, by, fields):
        key = series_id(row["target_kind"], row["target"], row["signal"])
        text = _drift(row, past.get(tuple(row[tag] for tag in by)))
        if key is not None and text:
            found.append(Drift(key, row["lead"], f"{key}, {row['lead']} ahead: {text}"))
    return found


def _plain(table: pa.Table, by: Iterable[str], fields: Iterable[str]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = table.select([*by, *fields]).to_pylist()
    return found


def _drift(recent: Mapping[str, object], past: Mapping[str, object] | None) -> str:
    count, actual = _float(recent["n"]), _float(recent["actual"])
    if count < _LEAST_SLOTS or actual <= 0:
        return ""
    covered = _float(recent["covered_q95"]) / count
    if covered < _LEAST_COVERAGE:
        return f"{100 * covered:.1f} % of slots lay under the 95 % quantile in {_RECENT_DAYS} days"
    if past is None or _float(past["n"]) < _LEAST_SLOTS or _float(past["actual"]) <= 0:
        return ""
    wape = _float(recent["absolute_error"]) / actual
    before = _float(past["absolute_error"]) / _float(past["actual"])
    if before > 0 and wape > _GROWN * before:
        return f"WAPE {100 * wape:.1f} % in {_RECENT_DAYS} days, {100 * before:.1f} % in the {_BEFORE_DAYS} before"
    return ""


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
