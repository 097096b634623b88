"""Line protocol from columns, beside the two writers of influxdb-client, in one run.

Each contestant turns the same interval rows into lines of the same meaning; processor time, best of its rounds.
"""

import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from influxdb_client.client.write.dataframe_serializer import data_frame_to_list_of_points
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import PointSettings

from storage.influx.lineproto import encode
from storage.schema import STREAM_INTERVAL
from surgecast.bench.store_traffic import interval_rows

_ROWS = 60_000
_POINT_ROWS = 3_000
_ROUNDS = 7
_NAME, _TAGS = STREAM_INTERVAL.name, STREAM_INTERVAL.tags


def run() -> dict[str, Any]:
    """Return rows a second of each contestant, and how many times faster ours is; takes some seconds."""
    rows = interval_rows(_ROWS)
    few = rows.slice(0, _POINT_ROWS)
    encoded = encode(rows, _NAME, _TAGS)  # compiled before it is measured
    ours = _ROWS / _best(lambda: encode(rows, _NAME, _TAGS))
    tick = _ROWS // 10
    small = tick / _best(lambda: encode(rows.slice(0, tick), _NAME, _TAGS))
    dicts = few.set_column(0, "time", few["time"].cast(pa.int64())).to_pylist()
    point = _POINT_ROWS / _best(lambda: _points(dicts), 3)
    frame = few.to_pandas().set_index("time")
    settings = PointSettings()
    frames = _POINT_ROWS / _best(
        lambda: data_frame_to_list_of_points(
            frame, settings, data_frame_measurement_name=_NAME, data_frame_tag_columns=list(_TAGS)
        ),
        3,
    )
    return {
        "rows": _ROWS,
        "bytes_per_row": round(len(encoded.lines) / _ROWS, 1),
        "rows_per_second": round(ours),
        "megabytes_per_second": round(ours * len(encoded.lines) / _ROWS / 1e6),
        "rows_per_second_in_batches_of_6000": round(small),
        "influxdb_client_point_rows_per_second": round(point),
        "influxdb_client_dataframe_rows_per_second": round(frames),
        "times_point": round(ours / point, 1),
        "times_dataframe": round(ours / frames, 1),
    }


def _best(work: Callable[[], object], rounds: int = _ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        at = time.process_time()
        work()
        times.append(time.process_time() - at)
    return min(times)


def _points(rows: list[dict[str, Any]]) -> list[str]:
    fields = list(STREAM_INTERVAL.fields)
    lines = []
    for row in rows:
        point = Point(_NAME).time(row["time"])
        for tag in _TAGS:
            point.tag(tag, row[tag])
        for name in fields:
            if row[name] is not None:
                point.field(name, row[name])
        lines.append(point.to_line_protocol())
    return lines
