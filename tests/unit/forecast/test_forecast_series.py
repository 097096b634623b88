from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.localtime import local_grid
from forecast.points import from_rows, read_csv
from forecast.series import BadSeries, Series, State

LONDON = ZoneInfo("Europe/London")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")


def stamps(start: str, step_min: int, count: int) -> list[str]:
    first = datetime.fromisoformat(start)
    return [(first + timedelta(minutes=step_min * i)).isoformat() for i in range(count)]


def rows(start: str, step_min: int, values: list[object]) -> list[tuple[str, str]]:
    return [(stamp, str(value)) for stamp, value in zip(stamps(start, step_min, len(values)), values)]


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (LONDON, "2024-03-31", 23),
        (LONDON, "2024-10-27", 25),
        (LONDON, "2024-06-01", 24),
        (LORD_HOWE, "2024-04-07", 24.5),
    ],
)
def test_local_day_has_the_hours_the_clock_gave_it(zone: ZoneInfo, day: str, hours: float) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=zone)
    grid = local_grid(int(midnight.timestamp()) - 86_400, 1800, 48 * 4, zone)
    days_from_epoch = (datetime.fromisoformat(day).date() - datetime(1970, 1, 1, tzinfo=UTC).date()).days
    assert hours == (grid.day == days_from_epoch).sum() / 2


def test_finer_points_are_summed() -> None:
    series = from_rows(rows("2024-01-01 00:00", 5, [1, 2, 3, 4, 5, 6]), 900)
    assert [6.0, 15.0] == series.y.tolist()


def test_points_that_do_not_divide_the_slot_go_by_their_stamp() -> None:
    series = from_rows(rows("2024-01-01 00:00", 6, [1] * 10), 900)
    assert [3.0, 2.0, 3.0, 2.0] == series.y.tolist()


def test_default_slot_is_the_files_step_where_coarser() -> None:
    assert 3600 == from_rows(rows("2024-01-01 00:00", 60, [1, 2, 3])).slot_s


def test_a_slot_that_lacks_a_point_is_missing() -> None:
    points = rows("2024-01-01 00:00", 5, [1] * 9)
    series = from_rows([p for i, p in enumerate(points) if i != 4], 900)
    assert [State.OPEN, State.MISSING, State.OPEN] == series.state.tolist()


def test_the_last_slot_of_the_day_may_have_fewer_points_every_day() -> None:
    days = [rows(f"2024-01-0{d} 08:00", 5, [1] * 10) for d in range(1, 6)]
    series = from_rows([row for day in days for row in day], 900)
    assert 5 == (series.y == 1).sum()


def test_order_of_rows_does_not_matter() -> None:
    points = rows("2024-01-01 00:00", 15, list(range(20)))
    assert from_rows(points).y.tolist() == from_rows(points[::-1]).y.tolist()


@pytest.mark.parametrize(
    ("bad", "note"),
    [
        (("soon", "1"), "1 rows without a readable time"),
        (("2024-01-01 01:00", "nan"), "1 values that are no number"),
        (("2024-01-01 01:00", "inf"), "1 values that are no number"),
        (("2024-01-01 01:00", ""), "1 values that are no number"),
        (("2024-01-01 01:00", "-4"), "1 negative values"),
        (("9999-01-01 01:00", "4"), "1 times not between the years 1900 and 2200"),
    ],
)
def test_bad_rows_are_counted_and_missing(bad: tuple[str, str], note: str) -> None:
    points = [*rows("2024-01-01 00:00", 15, [1, 1, 1, 1]), bad, *rows("2024-01-01 01:15", 15, [1, 1])]
    series = from_rows(points)
    assert ((note,), True) == (series.notes, bool(np.isnan(series.y[4])))


def test_the_last_of_equal_stamps_counts() -> None:
    points = [*rows("2024-01-01 00:00", 15, [1, 2, 3]), ("2024-01-01 00:15", "9")]
    series = from_rows(points)
    assert ([1.0, 9.0, 3.0], ("1 points with the stamp of a later row",)) == (series.y.tolist(), series.notes)


def test_stamps_with_offsets_and_without_meet_on_one_grid() -> None:
    points = [("2024-06-01T11:00:00+00:00", "1"), ("2024-06-01 12:15", "2"), ("2024-06-01T13:30+01:00", "3")]
    series = from_rows(points, 900, LONDON)
    assert [1.0, 2.0] == series.y[:2].tolist()


def test_an_hour_given_once_that_happened_twice_is_missing() -> None:
    series = from_rows(rows("2024-10-27 00:00", 60, [5] * 6), 3600, LONDON)
    assert [5.0, "missing", "missing", 5.0, 5.0, 5.0, 5.0] == ["missing" if np.isnan(v) else v for v in series.y]


def test_an_hour_given_twice_fills_both() -> None:
    points = [
        ("2024-10-27 00:00", "1"),
        ("2024-10-27 01:00", "2"),
        ("2024-10-27 01:00", "3"),
        ("2024-10-27 02:00", "4"),
    ]
    assert [1.0, 2.0, 3.0, 4.0] == from_rows(points, 3600, LONDON).y.tolist()


def test_load_in_a_skipped_hour_means_the_stamps_are_utc() -> None:
    series = from_rows(rows("2024-03-31 00:00", 60, [5] * 6), 3600, LONDON)
    assert ([5.0] * 6, [0, 2, 3, 4, 5, 6]) == (series.y.tolist(), series.grid.slot.tolist())


def test_zeros_in_a_skipped_hour_are_filling() -> None:
    series = from_rows(rows("2024-03-31 00:00", 60, [5, 0, 5, 5]), 3600, LONDON)
    assert [5.0, 5.0, 5.0] == series.y.tolist()


@pytest.mark.parametrize(
    ("points", "slot_s", "says"),
    [
        ([], 900, "no points"),
        ([("31.12.2024 10:00", "1")], 900, r"write times as .*, not as '31.12.2024 10:00'"),
        ([(f"2024-0{m}-01", "1") for m in range(1, 10)], 86_400, "31 days apart; slots are a day long at most"),
        (rows("2024-01-01 00:00", 30, [1, 2, 3]), 900, "coarser"),
        (rows("2024-01-01 00:00", 5, [1, 2, 3]), 700, "does not divide a day"),
        ([("1950-01-01", "1"), ("2150-01-01", "1")], 60, "stray dates"),
    ],
)
def test_what_makes_no_series_says_why(points: list[tuple[str, str]], slot_s: int, says: str) -> None:
    with pytest.raises(BadSeries, match=says):
        from_rows(points, slot_s)


def test_one_point_is_a_series() -> None:
    assert [4.0] == from_rows([("2024-01-01", "4")]).y.tolist()


def test_a_csv_without_the_columns_says_what_it_has(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("time,value\n")
    with pytest.raises(BadSeries, match="has time,value"):
        read_csv(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [("ds;y\n2024-01-01;4\n", "not ';'"), ("ds\ty\n", "comma"), ("ds,y\n2024-01-01," + "9" * 200_000, "no CSV")],
    ids=["semicolons", "tabs", "a field without an end"],
)
def test_what_is_no_csv_file_of_ours_says_why(text: str, says: str, tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(BadSeries, match=says):
        read_csv(path)


def test_names_of_columns_may_have_spaces_and_rows_may_be_short(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('ds, y\n2024-01-01 00:00,4\n\n2024-01-01 00:15\n2024-01-01 00:30,"1,234.5"\n')
    assert [4.0, None, 1234.5] == [None if np.isnan(value) else value for value in read_csv(path).y]


@pytest.mark.parametrize("stray", ["1970-01-01", "2099-01-01"])
def test_a_point_years_from_all_others_is_left_out(stray: str) -> None:
    series = from_rows([*rows("2024-01-01 00:00", 15, list(range(200))), (stray, "3")])
    assert (200, ("1 points over a year away from all others: left out",)) == (len(series), series.notes)


def test_masking_by_hand_leaves_missing_missing() -> None:
    series = from_rows(rows("2024-01-01 00:00", 15, [1, "nan", 1, 1])).masked(0, 3)
    assert [State.MASKED, State.MISSING, State.MASKED, State.OPEN] == series.state.tolist()


def test_masked_slots_are_not_learned() -> None:
    series = from_rows(rows("2024-01-01 00:00", 15, [1, 2, 3])).masked(1, 2)
    assert [1.0, -1.0, 3.0] == np.nan_to_num(series.learned, nan=-1).tolist()


def test_a_series_checks_its_shape() -> None:
    with pytest.raises(BadSeries, match="differ in length"):
        Series(0, 900, LONDON, np.zeros(3), np.zeros(2, np.uint8))
