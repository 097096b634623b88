"""The capacity page: what is stored becomes outlook, accuracy, peaks and events; what is not says why."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dash import no_update

sys.path.append(str(Path(__file__).parents[1] / "forecast"))

from zoneinfo import ZoneInfo

from load_support import DAY_S, MONDAY_S, load_batch, watched_batch, write

from dashboards.capacity_views import Span, Subject
from dashboards.figures.capacity import outlook_chart
from dashboards.figures.chart import Frame
from dashboards.pages.capacity import tick
from dashboards.queries.capacity import capacity_view
from dashboards.services import Services
from dashboards.settings import DashboardSettings
from dashboards.views import PanelState
from forecast.announce import announce, settings_of
from forecast.issue import perform
from forecast.service import Service
from forecast.service_settings import ForecastServiceSettings
from forecast.targets import Kind, Signal
from storage.open import open_store
from storage.seam import Scope, Store, StoreUnavailable

NOW_S = MONDAY_S + 9 * DAY_S + 10 * 3600 + 61
NOW_NS = NOW_S * 10**9
ENGINEER = Scope.everything("engineer")
ACME = "?of=tenant:acme&signal=arrivals"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Return a store with nine days of load, a gap of an hour, a sale to come, and two issues of forecasts."""
    opened = open_store(str(tmp_path_factory.mktemp("capacity")))
    gap_s = MONDAY_S + 9 * DAY_S
    writer = opened.writer("collect")
    for since_s, until_s in ((MONDAY_S, gap_s), (gap_s + 3600, NOW_S)):
        write(writer, load_batch(since_s, until_s), watched_batch(since_s, until_s))
    sale = {
        "name": "sale",
        "start": "2024-01-10T14:00Z",
        "end": "2024-01-10T16:00Z",
        "tenants": ["acme"],
        "uplift": 1,
    }
    operator = opened.writer("operator")
    announce(
        opened.reader(ENGINEER), operator, settings_of(sale), zone=ZoneInfo("UTC"), author="me",
        now_ns=(NOW_S - 30 * 3600) * 10**9,
    )  # fmt: skip
    settings = ForecastServiceSettings.model_validate(
        {"workers": 0, "signals": {"pool": ["arrivals", "concurrent_max"], "tenant": ["arrivals"]}}
    )
    service = Service(
        opened.reader(ENGINEER), opened.writer("forecast"), settings, lambda tasks: map(perform, tasks)
    )
    for ago_s in (25 * 3600, 2 * 3600, 3600, 0):
        service.step(NOW_S - ago_s)
    yield opened
    opened.close()


def view(store: Store, search: str = ACME, scope: Scope = ENGINEER):
    return capacity_view(store, scope, Subject.from_search(search), NOW_NS)


def test_the_outlook_goes_from_what_came_to_what_is_expected(store: Store) -> None:
    outlook = view(store).outlook
    assert (PanelState.READY, "universal", "attempts per slot") == (
        outlook.status.state, outlook.model, outlook.unit,
    )  # fmt: skip
    slot_ns = 900 * 10**9
    assert outlook.actual_ns[-1] + slot_ns == outlook.ahead_ns[0]
    assert 97 == len(outlook.ahead_ns)


def test_quantiles_rise(store: Store) -> None:
    quantiles = view(store).outlook.quantiles
    rows = list(zip(*quantiles.values(), strict=True))
    assert ["q50", "q80", "q90", "q95", "q99"] == list(quantiles)
    assert all(list(row) == sorted(row) for row in rows)


def test_what_was_believed_then_is_shown(store: Store) -> None:
    believed = {belief.words: len(belief.starts_ns) for belief in view(store).outlook.beliefs}
    assert {"just before", "a day before"} <= set(believed)


def test_events_and_gaps_are_spans(store: Store) -> None:
    outlook = view(store).outlook
    assert [("sale", "+100%")] == [(span.name, span.detail) for span in outlook.events]
    assert [3600] == [(span.end_ns - span.start_ns) // 10**9 for span in outlook.gaps]


@pytest.mark.parametrize(("hours", "words"), [(1, []), (6, ["not measured"])])
def test_a_gap_with_room_for_words_says_what_it_is(store: Store, hours: int, words: list[str]) -> None:
    outlook = view(store).outlook
    start_ns = outlook.actual_ns[0]
    drawn = replace(outlook, gaps=(Span(start_ns, start_ns + hours * 3600 * 10**9, "not measured"),))
    notes = outlook_chart(drawn, Frame(ZoneInfo("UTC"), "")).figure["layout"]["annotations"]
    assert words == [note["text"] for note in notes if note["y"] == 0.5]


def test_an_event_is_shown_on_the_pools_of_its_tenant(store: Store) -> None:
    shown = {pool: len(view(store, f"?of=pool:{pool}").outlook.events) for pool in ("media-eu", "media-us")}
    assert {"media-eu": 1, "media-us": 0} == shown


def test_without_a_choice_the_highest_peak_ahead_of_what_capacity_must_hold(store: Store) -> None:
    found = view(store, "")
    highest = found.peaks.rows[0]
    assert (Kind.POOL, highest.name, Signal.CONCURRENT_MAX) == (
        found.subject.kind, found.subject.name, found.subject.shown_signal,
    )  # fmt: skip
    assert highest.q95 == max(row.q95 for row in found.peaks.rows)


@pytest.mark.parametrize(
    ("search", "signal", "state"),
    [
        ("?of=tenant:acme", Signal.ARRIVALS, PanelState.READY),
        ("?of=tenant:acme&signal=concurrent_max", Signal.CONCURRENT_MAX, PanelState.PARTIAL),
        ("?of=pool:media-eu", Signal.CONCURRENT_MAX, PanelState.READY),
    ],
)
def test_of_a_load_what_is_forecast_of_it_unless_another_signal_is_asked_for(
    store: Store, search: str, signal: Signal, state: PanelState
) -> None:
    found = view(store, search)
    assert (signal, state) == (found.subject.shown_signal, found.outlook.status.state)


def test_without_a_choice_or_a_forecast_the_first_load_there_is(tmp_path: Path) -> None:
    opened = open_store(str(tmp_path))
    write(opened.writer("collect"), load_batch(NOW_S - 3600, NOW_S))
    found = view(opened, "")
    opened.close()
    assert found.subject.target == found.choices[0][0]


def test_accuracy_says_that_it_was_rehearsed(store: Store) -> None:
    accuracy = view(store).accuracy
    assert (PanelState.PARTIAL, True) == (accuracy.status.state, "rehearsed on history" in accuracy.status.reason)
    assert ["15m", "1h", "4h", "24h", "7d"] == [row.lead for row in accuracy.rows][:5]


def test_peaks_are_the_busiest_slots_of_every_load(store: Store) -> None:
    rows = view(store).peaks.rows
    assert {"media-eu", "media-us", "acme", "beta"} == {row.name for row in rows}
    assert all(NOW_NS <= row.peak_ns < NOW_NS + 86_400 * 10**9 for row in rows)


def test_a_tenant_sees_itself_alone(store: Store) -> None:
    found = view(store, "?signal=arrivals", Scope.of("viewer", "beta"))
    assert (("tenant:beta", "tenant beta"),) == found.choices
    assert {"beta"} == {row.name for row in found.peaks.rows}
    assert not found.events.rows


@pytest.mark.parametrize("search", ["?of=tenant:acme", "?of=pool:media-eu"])
def test_another_tenants_load_is_not_there(store: Store, search: str) -> None:
    found = view(store, search, Scope.of("viewer", "beta"))
    assert not any(found.outlook.actual)
    assert not found.outlook.ahead_ns


def test_an_empty_store_says_why(empty_store: Store) -> None:
    found = view(empty_store, "")
    states = [panel.status.state for panel in (found.outlook, found.accuracy, found.peaks, found.events)]
    assert [PanelState.EMPTY] * 4 == states


def test_an_old_forecast_is_stale(store: Store) -> None:
    later = capacity_view(store, ENGINEER, Subject.from_search(ACME), NOW_NS + 4 * 3600 * 10**9)
    assert (PanelState.STALE, "the newest forecast is 4 h old") == (
        later.outlook.status.state, later.outlook.status.reason,
    )  # fmt: skip


def test_a_question_that_fails_leaves_the_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise StoreUnavailable("gone")

    reader = type(store.reader(ENGINEER))
    monkeypatch.setattr(reader, "sums", refuse)
    found = view(store)
    assert (PanelState.ERROR, PanelState.READY) == (found.accuracy.status.state, found.outlook.status.state)


def ticked(services: Services, search: str = ACME, heard: dict | None = None):
    services.capacity.read  # noqa: B018 (the cache is filled by the refresher)
    tick(services, ENGINEER, search, {"view": Subject.from_search(search).to_search()})
    services.capacity.refresh(NOW_NS)
    return tick(services, ENGINEER, search, heard)


@pytest.fixture
def services(store: Store) -> Services:
    return Services.of(store, DashboardSettings(), lambda: NOW_NS)


def test_a_tick_brings_every_panel(services: Services) -> None:
    answer = ticked(services)
    assert {"outlook", "accuracy", "coverage"} == set(answer["charts"])
    assert ["tenant:acme", "arrivals"] == answer["chosen"]
    assert "peaks at" in answer["panels"]["outlook"]["summary"]


def test_every_chart_is_a_table_too(services: Services) -> None:
    for chart in ticked(services)["charts"].values():
        table = chart["table"]
        assert table["rows"]
        assert {len(table["columns"])} == {len(row) for row in table["rows"]}


def test_charts_that_did_not_change_are_not_sent_again(services: Services) -> None:
    first = ticked(services)
    heard = first["heard"] | {"version": -1}
    assert no_update is tick(services, ENGINEER, ACME, heard)["charts"]
