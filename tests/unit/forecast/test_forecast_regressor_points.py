from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.regressor_points import BadRegressors, RegressorFile, read_regressors

BERLIN = ZoneInfo("Europe/Berlin")
UTC = ZoneInfo("UTC")
MONDAY_S = 1_704_067_200


@pytest.fixture
def read(tmp_path: Path):
    def reading(text: str, zone: ZoneInfo = UTC) -> RegressorFile:
        path = tmp_path / "outside.csv"
        path.write_text(text)
        return read_regressors(path, zone)

    return reading


def test_each_column_beside_ds_is_a_regressor(read) -> None:
    found = read("mails,ds,price\n1,2024-01-01,2\n3,2024-01-02,\n")
    got = [(each.name, each.step_s, each.values.tolist()) for each in found.regressors]
    assert repr([("mails", 86_400, [1.0, 3.0]), ("price", 86_400, [2.0, np.nan])]) == repr(got)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "needs the columns ds"),
        ("time,x\n2024-01-01,1\n", "needs the columns ds"),
        ("ds\n2024-01-01\n", "a column beside ds"),
        ("ds,x\n", "no row with a readable time"),
        ("ds,x\nyesterday,1\n", "no row with a readable time"),
        ("ds,x\n2024-01-01,1\n", "at least two times"),
        ("ds,y\n2024-01-01,1\n2024-01-02,1\n", "the load itself"),
        ("ds,x,x\n2024-01-01,1,2\n", "comes twice"),
        ("ds,x,\n2024-01-01,1,2\n", "needs a name"),
        ("ds," + ",".join(f"x{n}" for n in range(17)) + "\n", "at most 16"),
        ("ds,x\n2024-01-01," + "1" * 200_000 + "\n", "no CSV file"),
    ],
)
def test_what_cannot_be_read_says_why(read, text: str, why: str) -> None:
    with pytest.raises(BadRegressors, match=why):
        read(text)


def test_what_is_odd_is_counted(read) -> None:
    found = read("ds,x\n2024-01-01,1\n2024-01-02,inf\n2024-01-02,abc\nnever,1\n2024-01-03\n9999-01-01,2\n")
    assert (
        "1 rows with the stamp of a later one",
        "1 rows without a readable time",
        "1 times not between the years 1900 and 2200",
        "2 values that are no number",
    ) == found.notes


def test_stamps_without_an_offset_are_of_the_zone(read) -> None:
    (found,) = read("ds,x\n2024-01-01T01:00,1\n2024-01-01T01:00:00Z,2\n", BERLIN).regressors
    assert [MONDAY_S, MONDAY_S + 3600] == found.times_s.tolist()


def test_the_hour_that_happens_twice_is_told_apart_by_its_order(read) -> None:
    rows = "".join(f"2024-10-27T0{hour}:00,{value}\n" for value, hour in enumerate((1, 2, 2, 3)))
    (found,) = read("ds,x\n" + rows, BERLIN).regressors
    assert ([3600, 3600, 3600], [0, 1, 2, 3]) == (np.diff(found.times_s).tolist(), found.values.tolist())


def test_a_day_of_25_hours_is_filled_by_its_row(read) -> None:
    (found,) = read("ds,x\n" + "".join(f"2024-10-{day},{day}\n" for day in (25, 26, 27, 28)), BERLIN).regressors
    first_s = int(found.times_s[2])
    assert [27.0] * 25 + [28.0] == found.on(first_s, 3600, 26).tolist()


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text("ds,x\n2024-01-01,1\n" + text, encoding="utf-8", errors="replace")
    try:
        found = read_regressors(path, BERLIN)
    except BadRegressors:
        return
    assert bool((np.diff(found.regressors[0].times_s) > 0).all())
