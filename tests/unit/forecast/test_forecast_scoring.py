"""What was issued beside what came: hour by hour for all series at once, it comes to what slot by slot does."""

from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from forecast import scoring as scoring_module
from forecast.accuracy import LEVELS, Score
from forecast.horizons import Horizon, lead_class
from forecast.issue import Issue, Outcome
from forecast.rehearsal import score_slots
from forecast.scoring import LATE_S, Scoring
from forecast.series import BadSeries
from forecast.service_settings import ForecastServiceSettings
from forecast.signals import Book
from forecast.stored import Unwritten, forecast_batch
from forecast.targets import Kind, SeriesId, Signal
from storage.seam import StoreUnavailable, Window

HOUR_S, DAY_S = 3600, 86_400
MONDAY_S = 1_704_067_200
BERLIN = ZoneInfo("Europe/Berlin")
DAYS, TODAY = 32, 30
MIDNIGHT_S = MONDAY_S + TODAY * DAY_S - HOUR_S
KEYS = tuple(SeriesId(Kind.TENANT, name, Signal.ARRIVALS) for name in ("acme", "beta", "idle"))
SETTINGS = ForecastServiceSettings.model_validate(
    {"slot": "1h", "zone": "Europe/Berlin", "signals": {"tenant": ["arrivals"]}}
)


@pytest.fixture(scope="module")
def book() -> Book:
    """Return hours of two tenants, one closed at night and one that came late, with a gap on the day in hand."""
    found = Book.of(MONDAY_S, HOUR_S, MONDAY_S + DAYS * DAY_S)
    found.alive[:] = 1.0
    found.alive[TODAY * 24 + 5 : TODAY * 24 + 7] = 0.5
    hours = np.arange(found.alive.size)
    acme = np.where((hours + 1) % 24 < 7, 0.0, np.random.default_rng(1).poisson(20.0, hours.size))
    beta = np.where(hours < 25 * 24, 0.0, np.random.default_rng(2).poisson(9.0, hours.size))
    for key, values in zip(KEYS, (acme, beta), strict=False):
        found.put(key, hours, values)
    return found


@pytest.fixture(scope="module")
def issued() -> pa.Table:
    """Return what two models issued of all three over the weeks before and the day in hand."""
    random, unwritten = np.random.default_rng(3), []
    for key in KEYS:
        for at_s, horizon, count in (
            *((MIDNIGHT_S - back * DAY_S, Horizon.LONG, (back + 1) * 24) for back in (0, 1, 8, 22)),
            *((MIDNIGHT_S + hour * HOUR_S, Horizon.SHORT, 1) for hour in range(24)),
        ):
            quantiles = np.sort(random.uniform(5, 30, (count, len(LEVELS))), axis=1)
            model = "stack" if horizon is Horizon.LONG else "universal"
            outcome = Outcome(key, None, (Issue(horizon, at_s, quantiles),), model, watermark_s=at_s)
            unwritten.append(Unwritten(outcome, HOUR_S, at_s + 61))
    return pa.Table.from_batches([forecast_batch(unwritten)])


@dataclass
class Store:
    """Holds what was issued, keeps the last write of each row, and can be away."""

    issued: pa.Table
    written: dict[tuple[object, ...], dict[str, object]] = field(default_factory=dict)
    questions: int = 0
    away: bool = False

    def select(self, measurement, window: Window, *, columns, where, limit) -> pa.Table:
        self.questions += 1
        times = self.issued["time"].cast(pa.int64())
        held = pc.and_(pc.greater_equal(times, window.since_ns), pc.less(times, window.until_ns))
        if "target" in where:
            held = pc.and_(held, pc.is_in(self.issued["target"], pa.array(where["target"])))
        return self.issued.filter(held).select(columns)

    def latest(self, *_, **__) -> pa.Table:
        return self.issued.schema.empty_table()

    def write(self, measurement: str, rows: pa.RecordBatch) -> None:
        if self.away:
            raise StoreUnavailable("away")
        for row in rows.to_pylist():
            self.written[row["time"], row["target"], row["horizon"], row["lead"], row["model"]] = row

    def sums(self) -> dict[tuple[object, ...], tuple[float, ...]]:
        """Return the sums of the day in hand by target, horizon, lead and model."""
        names = ("n", "actual", "absolute_error", "floor_error", "naive_error", "pinball_q90", "covered_q95")
        return {
            key[1:]: tuple(float(row[name]) for name in names)
            for key, row in self.written.items()
            if key[0].timestamp() == MIDNIGHT_S
        }


def scoring(store: Store) -> Scoring:
    found = Scoring(store, store, SETTINGS)
    found.resume(MIDNIGHT_S)
    return found


def walk(scoring: Scoring, book: Book, hours) -> None:
    def closed(key: SeriesId) -> np.ndarray:
        return book.series(key, BERLIN).closed_times

    for hour in hours:
        at_s = MIDNIGHT_S + round(hour * HOUR_S) + LATE_S
        scoring.score(KEYS, {HOUR_S: book}, closed, at_s, lambda: False)


def slot_by_slot(book: Book, table: pa.Table) -> dict[tuple[object, ...], tuple[float, ...]]:
    found: dict[tuple[object, ...], Score] = {}
    for row in table.to_pylist():
        slot_s = round(row["slot"].timestamp())
        key = next(key for key in KEYS if key.name == row["target"])
        try:
            series = book.series(key, BERLIN)
        except BadSeries:
            continue
        place, lead_s = (slot_s - series.start_s) // HOUR_S, row["lead_seconds"] + HOUR_S
        if not MIDNIGHT_S <= slot_s < MIDNIGHT_S + DAY_S or not np.isfinite(series.learned[place]):
            continue
        quantiles = np.array([[row[f"q{round(100 * level)}"] for level in LEVELS]])
        score = score_slots(series, np.array([place]), np.array([lead_s]), quantiles, is_count=True)
        group = key.name, row["horizon"], lead_class(lead_s), row["model"]
        found[group] = found[group] + score if group in found else score
    return {
        group: (s.n, s.actual, s.error, s.floor, s.naive_error, s.loss[2], s.covered[3])
        for group, s in found.items()
    }


@pytest.mark.parametrize(
    "hours", [range(1, 25), (3, 3.5, 11, 24), (24,), (25,)], ids=["each hour", "some", "at once", "a day late"]
)
def test_it_comes_to_what_slot_by_slot_does(book: Book, issued: pa.Table, hours) -> None:
    store = Store(issued)
    walk(scoring(store), book, hours)
    found, expected = store.sums(), slot_by_slot(book, store.issued)
    assert {name: pytest.approx(sums) for name, sums in expected.items()} == found


def test_what_no_store_took_is_compared_again(book: Book, issued: pa.Table) -> None:
    store = Store(issued)
    going = scoring(store)
    walk(going, book, (4,))
    store.away = True
    with pytest.raises(StoreUnavailable):
        walk(going, book, (9,))
    store.away = False
    walk(going, book, (24,))
    assert {name: pytest.approx(sums) for name, sums in slot_by_slot(book, store.issued).items()} == store.sums()


def test_one_question_serves_all_series_and_no_hour_is_asked_for_twice(book: Book, issued: pa.Table) -> None:
    store = Store(issued)
    going = scoring(store)
    walk(going, book, (1,))
    before = store.questions
    walk(going, book, (2, 2.25, 2.5, 2.75))
    assert 1 == store.questions - before


def test_a_day_that_is_over_counts_once(book: Book, issued: pa.Table) -> None:
    store = Store(issued)
    going = scoring(store)
    walk(going, book, (12,))
    earlier = going.compared.copy()
    walk(going, book, (24, 26))
    whole = dict(going.compared - earlier)
    expected: dict[object, float] = {}
    for (_, _, lead, _), sums in slot_by_slot(book, store.issued).items():
        expected[lead] = expected.get(lead, 0.0) + sums[0]
    assert expected == whole


def test_where_there_are_too_many_for_one_question_they_come_in_turn(
    book: Book, issued: pa.Table, monkeypatch
) -> None:
    monkeypatch.setattr(scoring_module, "_ROWS_AT_ONCE", 100)
    store = Store(issued)
    walk(scoring(store), book, (1, 24))
    assert {name: pytest.approx(sums) for name, sums in slot_by_slot(book, issued).items()} == store.sums()
