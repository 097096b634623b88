import numpy as np
import pytest

from forecast.calendar import (
    OWN,
    DayKind,
    UnknownCountry,
    day_kinds,
    holiday_days,
    resembled_weekday,
    years_before,
)

VOLUMES = np.array([10.0, 10, 10, 10, 10, 6, 4])


def test_kinds_of_days_around_holidays() -> None:
    kinds = day_kinds(np.arange(6), frozenset({2, 3}))
    assert [DayKind.PLAIN, DayKind.EVE, DayKind.HOLIDAY, DayKind.HOLIDAY, DayKind.AFTER, DayKind.PLAIN] == list(
        kinds
    )


def test_an_unknown_country_says_what_to_write() -> None:
    with pytest.raises(UnknownCountry, match="DE-BY"):
        holiday_days("XX", 0, 10)


def test_a_region_has_its_own_holidays() -> None:
    assert len(holiday_days("DE-BY", 19723, 20088)) > len(holiday_days("DE", 19723, 20088))


def errors_like(weekday: int, holidays: int = 3) -> np.ndarray:
    errors = np.ones((holidays, 8))
    errors[:, weekday] = 0.1
    return errors


@pytest.mark.parametrize("weekday", [5, 6, OWN])
def test_the_weekday_that_past_holidays_were_like_is_learned(weekday: int) -> None:
    assert weekday == resembled_weekday(errors_like(weekday), np.ones(3, np.bool_), VOLUMES)


def test_before_any_holiday_the_quietest_weekday_stands_in() -> None:
    assert 6 == resembled_weekday(errors_like(5), np.zeros(3, np.bool_), VOLUMES)


def test_without_a_quiet_weekday_a_holiday_is_its_own() -> None:
    assert OWN == resembled_weekday(errors_like(5), np.zeros(3, np.bool_), np.full(7, 10.0))


def test_future_holidays_do_not_count() -> None:
    errors = np.concatenate([errors_like(6, 2), errors_like(0, 5)])
    assert 6 == resembled_weekday(errors, np.arange(7) < 2, VOLUMES)


@pytest.mark.parametrize(
    ("date", "found"),
    [
        ("2016-12-25", ["2015-12-25", "2014-12-25"]),
        ("2016-11-24", ["2015-11-26", "2014-11-27"]),
        ("2016-12-24", ["2015-12-24", "2014-12-24"]),
        ("2014-07-04", []),
    ],
    ids=["the same date", "the same Thursday", "an eve", "the first"],
)
def test_a_holiday_is_found_again_in_earlier_years(date: str, found: list[str]) -> None:
    first = int(np.datetime64("2014-06-01").astype(int))
    days = np.arange(first, first + 1000)
    kinds = day_kinds(days, holiday_days("US", first, first + 1000))
    place = int(np.datetime64(date).astype(int)) - first
    assert found == [str(np.datetime64(first + other, "D")) for other in years_before(kinds, place)]
