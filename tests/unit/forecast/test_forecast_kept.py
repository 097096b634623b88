"""What a night keeps for the next: it comes to what learning anew does, and no changed past is gone on from."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast import kept
from forecast.events import Event
from forecast.horizons import Horizon
from forecast.issue import Known, Learning, Task, perform
from forecast.kept import Shelf, first_day, load, phase_of
from forecast.masks import Mask
from forecast.rolling import Rolling
from forecast.series import Series, State
from forecast.states import mark_closed
from forecast.targets import Kind, SeriesId, Signal

MONDAY_S = 1_704_067_200
DAY_S, SLOTS = 86_400, 24
DAYS = 62
KEY = SeriesId(Kind.TENANT, "acme", Signal.ARRIVALS)
BERLIN = ZoneInfo("Europe/Berlin")


def load_of(days: float, *, first: int = 0, closed: bool = False, seed: int = 3) -> Series:
    """Return hours of calls with a gap, from the day `first` on."""
    hours = np.arange(int(80 * SLOTS))
    shape = 40 * (1.2 + np.sin((hours % 24 - 8) / 24 * 6.28)) * np.where(hours // 24 % 7 < 5, 1.0, 0.4)
    y = np.random.default_rng(seed).poisson(shape).astype(float)
    if closed:
        y[(hours % 24 < 7) | (hours // 24 % 7 > 4)] = 0.0
    y[50 * SLOTS + 3 : 50 * SLOTS + 9] = np.nan
    y = y[first * SLOTS : int(days * SLOTS)]
    state = np.where(np.isfinite(y), State.OPEN, State.MISSING).astype(np.uint8)
    return mark_closed(Series(MONDAY_S + first * DAY_S, 3600, BERLIN, y, state), watched=True)


@pytest.fixture
def walked(monkeypatch) -> list[int]:
    """Return the days that were rehearsed since the last look."""
    days: list[int] = []
    rehearse = Rolling.rehearse

    def counted(self: Rolling) -> None:
        days.append(self._day)
        rehearse(self)

    monkeypatch.setattr(Rolling, "rehearse", counted)
    return days


def fit(series: Series, path: Path | None, known: Known = Known(), rehearsal_days: int = 0) -> np.ndarray:  # noqa: B008
    """Return all quantiles of the longest horizon."""
    outcome = perform(Task(KEY, series, known, (Horizon.LONG,), None, rehearsal_days, kept=path))
    assert "" == outcome.trouble
    return outcome.issues[0].quantiles


@pytest.mark.parametrize("closed", [False, True], ids=["always open", "business hours"])
def test_a_night_gone_on_is_bit_for_bit_one_learned_anew(tmp_path, walked, closed) -> None:
    path = tmp_path / "kept" / "one.learned"
    for days in (DAYS - 4.5, DAYS - 3.5, DAYS - 1, DAYS):
        gone_on = fit(load_of(days, closed=closed), path)
    anew = fit(load_of(DAYS, closed=closed), None)
    np.testing.assert_array_equal(anew, gone_on)


@pytest.mark.parametrize("days", [0.5, 1.5, 2.5, 4, 9])
def test_a_young_series_goes_on_too(tmp_path, days) -> None:
    path = tmp_path / "one.learned"
    fit(load_of(days), path)
    gone_on = [fit(load_of(days + later), path) for later in (0, 1)]
    np.testing.assert_array_equal([fit(load_of(days + later), None) for later in (0, 1)], gone_on)


def test_only_the_day_that_ended_is_rehearsed(tmp_path, walked) -> None:
    path = tmp_path / "one.learned"
    fit(load_of(DAYS), path)
    walked.clear()
    fit(load_of(DAYS + 1), path)
    assert [DAYS] == walked


def test_the_same_night_again_rehearses_nothing(tmp_path, walked) -> None:
    path = tmp_path / "one.learned"
    fit(load_of(DAYS), path)
    walked.clear()
    fit(load_of(DAYS + 0.25), path)
    assert [] == walked


def test_the_first_fit_that_tells_of_its_rehearsals_keeps_them(tmp_path, walked) -> None:
    path = tmp_path / "one.learned"
    fit(load_of(DAYS), path, rehearsal_days=28)
    walked.clear()
    fit(load_of(DAYS + 1), path)
    assert [DAYS] == walked


def late(series: Series, days: int = 10) -> Series:
    """Return it with rows that came late, some days ago."""
    y = series.y.copy()
    y[-days * SLOTS] += 7
    return replace(series, y=y)


SALE = Event("sale", MONDAY_S + 40 * DAY_S, MONDAY_S + 41 * DAY_S)
MASK = Mask(MONDAY_S + 45 * DAY_S, MONDAY_S + 45 * DAY_S + 7200)


@pytest.mark.parametrize(
    ("change", "known"),
    [
        (late, Known()),
        (lambda series: series, Known(masks=(MASK,))),
        (lambda series: series, Known(automatic=(MASK,))),
        (lambda series: series, Known(events=(SALE,))),
        (lambda series: series, Known(country="DE")),
        (lambda series: replace(series, zone=ZoneInfo("Asia/Tokyo")), Known()),
    ],
    ids=["late rows", "a mask", "a mask by itself", "an event that was", "a country", "a clock"],
)
def test_a_changed_past_is_learned_anew(tmp_path, walked, change, known) -> None:
    path = tmp_path / "one.learned"
    fit(load_of(DAYS), path)
    walked.clear()
    gone_on, days = fit(change(load_of(DAYS + 1)), path, known), len(walked)
    assert days > 50
    np.testing.assert_array_equal(fit(change(load_of(DAYS + 1)), None, known), gone_on)


def test_what_is_still_to_come_changes_nothing_that_was_learned(tmp_path, walked) -> None:
    path = tmp_path / "one.learned"
    known = Known(events=(replace(SALE, start_s=MONDAY_S + 70 * DAY_S, end_s=MONDAY_S + 71 * DAY_S, uplift=0.5),))
    fit(load_of(DAYS), path)
    walked.clear()
    gone_on = fit(load_of(DAYS + 1), path, known)
    assert [DAYS] == walked
    np.testing.assert_array_equal(fit(load_of(DAYS + 1), None, known), gone_on)


def test_a_history_whose_beginning_is_forgotten_goes_on(tmp_path, walked) -> None:
    path = tmp_path / "one.learned"
    fit(load_of(DAYS), path)
    walked.clear()
    fit(load_of(DAYS + 1, first=1), path)
    assert 1 == len(walked)


def test_older_history_that_is_found_is_learned_from(tmp_path, walked) -> None:
    path = tmp_path / "one.learned"
    fit(load_of(DAYS, first=1), path)
    walked.clear()
    fit(load_of(DAYS + 1), path)
    assert len(walked) > 50


@pytest.mark.parametrize("damage", [b"", b"\0" * 20, None], ids=["empty", "no list", "cut short"])
def test_a_file_that_cannot_be_read_is_made_anew(tmp_path, walked, damage) -> None:
    path = tmp_path / "one.learned"
    expected = fit(load_of(DAYS), path)
    path.write_bytes(path.read_bytes()[:50_000] if damage is None else damage)
    np.testing.assert_array_equal(expected, fit(load_of(DAYS), path))
    assert load(path) is not None


def test_where_nothing_can_be_written_all_is_learned_anew(tmp_path) -> None:
    (tmp_path / "file").touch()
    np.testing.assert_array_equal(fit(load_of(DAYS), None), fit(load_of(DAYS), tmp_path / "file" / "one.learned"))


def test_every_day_is_learned_from_for_eight_weeks_at_least() -> None:
    phase = phase_of(KEY)
    lengths = {today - first_day(today, phase) for today in range(19_000, 19_200)}
    assert set(range(56, 112)) == lengths


def test_a_series_keeps_its_place_and_none_is_given_beyond_the_room(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 7_000_000)
    shelf = Shelf(tmp_path)
    names = [KEY._replace(name=str(number)) for number in range(3)]
    places = [shelf.place(name, 96, 56) for name in (*names, names[0])]
    assert (places[0], None, 3) == (places[3], places[2], len(set(places)))


def test_what_nothing_used_for_weeks_is_deleted(tmp_path) -> None:
    for name in ("old.learned", "other.txt"):
        (tmp_path / name).touch()
    written_s = int((tmp_path / "old.learned").stat().st_mtime)
    Shelf(tmp_path).tidy(written_s + 13 * DAY_S)
    kept_meanwhile = len(list(tmp_path.iterdir()))
    Shelf(tmp_path).tidy(written_s + 15 * DAY_S)
    assert (2, ["other.txt"]) == (kept_meanwhile, [path.name for path in tmp_path.iterdir()])


def test_a_file_is_no_larger_than_what_is_set_aside(tmp_path) -> None:
    fit(load_of(DAYS), tmp_path / "one.learned")
    most = kept._BYTES_PER_ORIGIN * SLOTS + kept._BYTES_PER_WEEK * (DAYS // 7 + 2)
    assert (tmp_path / "one.learned").stat().st_size < most


@pytest.mark.parametrize(
    ("change", "rehearsal_days", "expected"),
    [
        (lambda series: series, 0, Learning.WENT_ON),
        (partial(late, days=3), 0, Learning.PAST_CHANGED),
        (lambda series: series, 28, Learning.FIRST),
    ],
    ids=["went on", "past changed", "first"],
)
def test_a_fit_tells_how_it_learned(tmp_path, change, rehearsal_days: int, expected: Learning) -> None:
    path = tmp_path / "one.learned"
    fit(load_of(9), path)
    task = Task(KEY, change(load_of(10)), Known(), (Horizon.SHORT,), None, rehearsal_days, kept=path)
    assert expected is perform(task).learned


@pytest.mark.parametrize(
    ("path", "expected"),
    [("one.learned", Learning.NOTHING_KEPT), (None, Learning.NO_ROOM)],
    ids=["no file", "no room"],
)
def test_a_fit_without_a_file_says_so(tmp_path, path: str | None, expected: Learning) -> None:
    task = Task(KEY, load_of(9), Known(), (Horizon.SHORT,), None, kept=path and tmp_path / path)
    assert expected is perform(task).learned
