"""Which rows are the same point, and which may have been written before."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from storage.embedded.points import SEQUENCE, conformed, last_of_each, last_writes, point_keys

_TAGS = ("tenant", "node")
_ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", ""]), st.sampled_from(["x", "y"]), st.booleans()),
    max_size=30,
)


def _table(rows: list[tuple[int, str, str, bool]]) -> pa.Table:
    return pa.table(
        {
            "time": pa.array([r[0] for r in rows], pa.timestamp("ns")),
            "tenant": pa.array([r[1] for r in rows], pa.string()),
            "node": pa.array([r[2] for r in rows], pa.string()),
            SEQUENCE: pa.array([2 * i + r[3] for i, r in enumerate(rows)], pa.int64()),
        }
    )


@given(_ROWS)
def test_keys_are_equal_for_equal_points_only(rows: list[tuple[int, str, str, bool]]) -> None:
    keys = point_keys(_table(rows), _TAGS).tolist()
    assert len({r[:3] for r in rows}) == len(set(keys))
    assert len({(r[:3], key) for r, key in zip(rows, keys, strict=True)}) == len(set(keys))


def test_tags_that_swap_their_values_are_other_points() -> None:
    keys = point_keys(_table([(0, "a", "b", False), (0, "b", "a", False)]), _TAGS)
    assert keys[0] != keys[1]


@given(_ROWS)
def test_the_last_write_of_each_point_stays_with_the_mark_of_the_first(
    rows: list[tuple[int, str, str, bool]],
) -> None:
    first: dict[tuple[int, str, str], bool] = {}
    last: dict[tuple[int, str, str], int] = {}
    for i, row in enumerate(rows):
        first.setdefault(row[:3], row[3])
        last[row[:3]] = i
    shuffled = _table(rows).take(pa.array(np.random.default_rng(0).permutation(len(rows))))
    kept = last_writes(shuffled, _TAGS)[SEQUENCE].to_pylist()
    assert sorted(2 * i + first[point] for point, i in last.items()) == kept


def test_no_mask_is_made_where_all_keys_differ() -> None:
    assert last_of_each(np.array([3, 1, 2], dtype=np.uint64)) is None


def test_the_later_of_equal_keys_stays() -> None:
    keep = last_of_each(np.array([5, 1, 5, 5], dtype=np.uint64))
    assert keep is not None
    assert [False, True, False, True] == keep.tolist()


def test_rows_of_another_version_get_the_columns_of_this_one() -> None:
    old = pa.RecordBatch.from_pydict({"time": [1], "gone": ["x"], "n": [3]})
    new = pa.schema([("time", pa.int64()), ("n", pa.int64()), ("added", pa.string())])
    assert [{"time": 1, "n": 3, "added": None}] == conformed(old, new).to_pylist()
