"""Quantiles of many histograms at once are those of one, and err by less than a bucket."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.quantiles import quantiles, width_at
from telephony.histogram import HOLDING_S, JITTER_MS, LOSS_RATIO, MOS, PDD_MS, R_FACTOR, RRD_MS, Buckets

_ALL = (R_FACTOR, MOS, JITTER_MS, LOSS_RATIO, PDD_MS, RRD_MS, HOLDING_S)


def _column(buckets: Buckets, rows: list[list[int] | None]) -> pa.Array:
    return pa.array(rows, pa.list_(pa.int64(), buckets.count))


@given(data=st.data(), buckets=st.sampled_from(_ALL), q=st.floats(0, 1))
def test_they_are_those_of_single_histograms(data: st.DataObject, buckets: Buckets, q: float) -> None:
    counts = data.draw(st.lists(st.integers(0, 5), min_size=buckets.count, max_size=buckets.count))
    found = quantiles(_column(buckets, [counts, None, buckets.zeros()]), buckets, [q])
    one = buckets.quantile(counts, q)
    assert (one if one is not None else np.nan) == pytest.approx(found[0, 0], nan_ok=True)
    assert np.isnan(found[1:]).all()


@given(data=st.data(), buckets=st.sampled_from(_ALL), q=st.sampled_from([0.05, 0.5, 0.95, 0.99]))
def test_the_error_is_below_the_width_of_the_bucket(data: st.DataObject, buckets: Buckets, q: float) -> None:
    inside = st.floats(buckets.edges[0], buckets.edges[-1], exclude_max=True)
    values = sorted(data.draw(st.lists(inside, min_size=1, max_size=60)))
    exact = values[max(int(np.ceil(q * len(values))), 1) - 1]
    found = quantiles(_column(buckets, [buckets.of(values)]), buckets, [q])
    width = width_at(buckets, np.array([exact]))[0]
    assert abs(found[0, 0] - exact) <= width + 1e-9


@pytest.mark.parametrize(
    ("buckets", "ratio"), [(JITTER_MS, 0.12), (LOSS_RATIO, 0.15), (PDD_MS, 0.15), (RRD_MS, 0.2), (HOLDING_S, 0.12)]
)
def test_growing_buckets_are_as_wide_as_is_said(buckets: Buckets, ratio: float) -> None:
    values = np.array(buckets.edges[1:-1])
    assert (width_at(buckets, values) <= values * (ratio + 0.003)).all()
