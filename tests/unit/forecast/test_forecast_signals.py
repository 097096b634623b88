"""Slots from stored minutes: gaps are missing, quiet is zero, every signal keeps its kind of sum."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from load_support import DAY_S, ENGINEER, MONDAY_S, load_batch, store_at, watched_batch, write

from forecast.series import BadSeries, State
from forecast.signals import Book, read_into
from forecast.targets import Kind, SeriesId, Signal
from storage.rows import batch
from storage.seam import Window

UTC = ZoneInfo("UTC")
SLOT_S = 900
WANTED = {kind: tuple(Signal) for kind in (Kind.POOL, Kind.REGION, Kind.TENANT)} | {Kind.TRUNK: (Signal.ARRIVALS,)}
ACME = SeriesId(Kind.TENANT, "acme", Signal.ARRIVALS)


def book_of(path, *batches, until_s=MONDAY_S + DAY_S, rows=()):
    store = store_at(path)
    writer = store.writer("test")
    write(writer, *batches)
    for measurement, values in rows:
        writer.write(measurement, batch(measurement, values))
    writer.flush()
    book = Book.of(MONDAY_S, SLOT_S, until_s)
    read_into(book, store.reader(ENGINEER), Window(MONDAY_S * 10**9, until_s * 10**9), WANTED)
    store.close()
    return book


def minute(at_s, tenant="acme", pool="media-eu", **figures):
    row = {"time": at_s * 10**9, "tenant": tenant, "pool": pool, "region": "eu", "node": "sbc"}
    return row | {"arrivals": 1, "concurrent_mean": 2.0, "concurrent_max": 3, "cps_max": 1.0} | figures


def test_a_minute_without_any_row_makes_its_slot_missing(tmp_path) -> None:
    book = book_of(tmp_path, load_batch(MONDAY_S, MONDAY_S + 3600), load_batch(MONDAY_S + 3660, MONDAY_S + 7200))
    states = book.series(ACME, UTC).state[:8].tolist()
    assert [State.OPEN] * 4 + [State.MISSING] + [State.OPEN] * 3 == states


def test_a_watched_minute_without_calls_is_zero(tmp_path) -> None:
    quiet = watched_batch(MONDAY_S + 3600, MONDAY_S + 7200)
    book = book_of(tmp_path, load_batch(MONDAY_S, MONDAY_S + 3600), quiet)
    series = book.series(ACME, UTC)
    assert [0.0] * 4 == series.y[4:8].tolist()
    assert State.MISSING not in series.state[4:8]


def test_capture_agents_are_no_pool(tmp_path) -> None:
    book = book_of(tmp_path, watched_batch(MONDAY_S, MONDAY_S + 3600))
    assert not book.values


@pytest.mark.parametrize(
    ("signal", "expected"),
    [
        (Signal.ARRIVALS, 40.0),
        (Signal.CONCURRENT, 4.0),
        (Signal.CONCURRENT_MAX, 9.0),
        (Signal.CPS_MAX, 3.0),
        (Signal.PACKETS, 200.0),
        (Signal.TRANSCODES, 2.0),
    ],
)
def test_signals_of_a_slot(tmp_path, signal, expected) -> None:
    # A tenant is up in 10 of 15 minutes; what is not up counts as nothing where something else was watched.
    figures = {"arrivals": 4, "concurrent_mean": 6.0, "packets_per_second": 300.0, "transcodes": 3.0}
    rows = [minute(MONDAY_S + 60 * i, **figures) for i in range(10)]
    rows[4] |= {"concurrent_max": 9, "cps_max": 3.0}
    other = watched_batch(MONDAY_S, MONDAY_S + SLOT_S)
    book = book_of(tmp_path, other, until_s=MONDAY_S + SLOT_S, rows=[("load_minute", rows)])
    found = book.series(SeriesId(Kind.TENANT, "acme", signal), UTC)
    np.testing.assert_allclose(found.y, [expected])


def test_tenants_sum_to_their_pool(tmp_path) -> None:
    book = book_of(tmp_path, load_batch(MONDAY_S, MONDAY_S + 7200))
    pools = sum(book.values[SeriesId(Kind.POOL, name, Signal.ARRIVALS)] for name in ("media-eu", "media-us"))
    tenants = sum(book.values[SeriesId(Kind.TENANT, name, Signal.ARRIVALS)] for name in ("acme", "beta"))
    np.testing.assert_array_equal(pools, tenants)


def test_trunks_have_the_attempts_of_their_sessions(tmp_path) -> None:
    at = {"time": MONDAY_S * 10**9, "tenant": "acme", "region": "eu", "node": "sbc"}
    sessions = [{"trunk": trunk, "attempts": n, **at} for trunk, n in (("a", 7), ("unknown", 9))]
    book = book_of(
        tmp_path, watched_batch(MONDAY_S, MONDAY_S + SLOT_S), until_s=MONDAY_S + SLOT_S,
        rows=[("session_minute", sessions)],
    )  # fmt: skip
    assert {"a": 7.0} == {
        key.name: float(values[0]) for key, values in book.values.items() if key.kind is Kind.TRUNK
    }


def test_a_series_begins_with_its_first_traffic(tmp_path) -> None:
    book = book_of(
        tmp_path, watched_batch(MONDAY_S, MONDAY_S + 3600), load_batch(MONDAY_S + 3600, MONDAY_S + 7200)
    )
    assert MONDAY_S + 3600 == book.series(ACME, UTC).start_s


def test_a_series_without_traffic_says_so(tmp_path) -> None:
    book = book_of(tmp_path, load_batch(MONDAY_S, MONDAY_S + 3600))
    with pytest.raises(BadSeries, match="nothing is stored"):
        book.series(SeriesId(Kind.TENANT, "nobody", Signal.ARRIVALS), UTC)


def test_reading_again_replaces_what_came_late(tmp_path) -> None:
    store = store_at(tmp_path)
    writer = store.writer("test")
    write(writer, watched_batch(MONDAY_S, MONDAY_S + SLOT_S))
    book = Book.of(MONDAY_S, SLOT_S, MONDAY_S + SLOT_S)
    window = Window(MONDAY_S * 10**9, (MONDAY_S + SLOT_S) * 10**9)
    for attempts in (3, 5):
        writer.write("load_minute", batch("load_minute", [minute(MONDAY_S, arrivals=attempts)]))
        writer.flush()
        read_into(book, store.reader(ENGINEER), window, WANTED)
        assert [attempts] == book.values[ACME].tolist()
    store.close()


def test_a_book_forgets_what_is_old_and_sheds_what_finds_no_room() -> None:
    book = Book.of(0, SLOT_S, 4 * SLOT_S, most=1)
    book.put(ACME, np.arange(4), np.arange(4.0))
    book.put(SeriesId(Kind.TENANT, "beta", Signal.ARRIVALS), np.arange(4), np.arange(4.0))
    book.reach(6 * SLOT_S, keep=5)
    assert (SLOT_S, [1.0, 2.0, 3.0, 0.0, 0.0], 1) == (book.start_s, book.values[ACME].tolist(), book.shed)
