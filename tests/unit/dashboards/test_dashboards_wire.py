"""What our own interfaces saw, from a store to the panel: figures, and the reason where there are none."""

import json
from typing import Any

import pytest
import sample_hour
from plotly.utils import PlotlyJSONEncoder

from dashboards.components.wire import quality_table, wire_strip
from dashboards.filters import Filters
from dashboards.pages.live_state import LiveState, render
from dashboards.queries.live import LiveAnswers, LiveQuestions, live_view
from dashboards.settings import DashboardSettings
from dashboards.views import LiveView, PanelState, Stage, Wire
from storage.seam import Scope, Store
from telephony.histogram import JITTER_MS, LOSS_RATIO, MOS
from telephony.model import Observer

NOW_NS = sample_hour.NOW_NS
S_NS = sample_hour.S_NS
ENGINEER = Scope.everything("engineer")


def view_of(store: Store, search: str = "", scope: Scope = ENGINEER, now_ns: int = NOW_NS) -> LiveView:
    filters = Filters.from_search(search)
    answers = LiveQuestions(store, worst_calls=20).ask(scope, filters, None, now_ns)
    return live_view(answers, scope, filters, now_ns)


def rendered(view: LiveView, search: str = "") -> LiveState:
    return render(view, Filters.from_search(search), DashboardSettings(), LiveAnswers())


def text(component: Any) -> str:
    return json.dumps(component, cls=PlotlyJSONEncoder, ensure_ascii=False)


def write_rows(store: Store, *, seconds: int = 60, **figures: object) -> None:
    """Write what a collector says of itself every 2 s, the last time 1 s ago."""
    row = {"tenant": "unassigned", "pool": "capture", "region": "unknown", "node": "collector"}
    nothing = {"datagrams": 0, "rtp_packets": 0, "rtp_streams": 0, "drops_ring": 0, "drops_softnet": 0}
    setup = {"interfaces": "lo", "interfaces_down": 0, "may_capture": True, "frames_refused": 0}
    times = range(NOW_NS - S_NS, NOW_NS - (seconds + 1) * S_NS, -2 * S_NS)
    sample_hour.write(store, "load_now", [row | nothing | setup | figures | {"time": at} for at in times])


@pytest.fixture(scope="module")
def hour(sample_store: Store) -> LiveView:
    return view_of(sample_store)


def test_rates_are_of_the_last_seconds_and_drops_of_the_range(hour: LiveView) -> None:
    wire = hour.wire
    assert wire.packets_hz_now == pytest.approx(4500, rel=0.35)
    assert ("eth1", 12, 5) == (wire.interfaces, wire.ring_drops, wire.softnet_drops)


def test_the_series_show_when_something_was_dropped(hour: LiveView) -> None:
    found = [(sum(v or 0 for v in series)) for series in (hour.wire.ring_drops_by_step, hour.wire.packets_hz)]
    assert (12, True) == (found[0], found[1] > 0)


def test_a_step_without_rows_is_unknown_and_one_without_packets_zero(empty_store: Store) -> None:
    write_rows(empty_store, seconds=60)
    write_rows(empty_store, seconds=2, rtp_packets=100, rtp_streams=2)
    wire = view_of(empty_store, "?range=5m").wire
    assert (None, 0.0) == (wire.packets_hz[0], wire.packets_hz[-5])
    assert (None, 0.0) == (wire.streams[0], wire.streams[-5])


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ({"interfaces": ""}, "No interface is configured (collect.interfaces): RTP is not measured"),
        (
            {"interfaces": "", "may_capture": False},
            "No interface is configured (collect.interfaces), and the collector has no CAP_NET_RAW",
        ),
        ({"may_capture": False}, "Interface lo is configured, but the collector has no CAP_NET_RAW"),
        ({"interfaces_down": 1}, "Interface lo is configured, but 1 of these cannot be captured from"),
        ({}, "Interface lo is configured, no RTP seen for at least 59 s."),
    ],
)
def test_an_empty_wire_says_why(empty_store: Store, setup: dict[str, object], said: str) -> None:
    write_rows(empty_store, **setup)
    status = view_of(empty_store).wire.status
    assert PanelState.EMPTY is status.state
    assert status.reason.startswith(said)


def test_rtp_that_stopped_is_told_with_its_age(empty_store: Store) -> None:
    write_rows(empty_store, seconds=60, rtp_packets=100)
    write_rows(empty_store, seconds=30)
    status = view_of(empty_store).wire.status
    assert (PanelState.PARTIAL, "Interface lo is configured, no RTP seen for 31 s.") == (
        status.state,
        status.reason,
    )


def test_old_rows_are_stale(sample_store: Store) -> None:
    status = view_of(sample_store, now_ns=NOW_NS + 60 * S_NS).wire.status
    assert (PanelState.STALE, True) == (status.state, "old" in status.reason)


def test_rows_of_a_collector_that_knows_no_interfaces_are_no_zeros(empty_store: Store) -> None:
    write_rows(empty_store, rtp_packets=None)
    assert PanelState.EMPTY is view_of(empty_store).wire.status.state


def test_the_wire_is_not_for_tenants(sample_store: Store) -> None:
    assert PanelState.NOT_ALLOWED is view_of(sample_store, scope=Scope.of("viewer", "acme")).wire.status.state


def test_a_narrowed_view_says_that_the_wire_is_not(sample_store: Store) -> None:
    assert PanelState.PARTIAL is view_of(sample_store, f"?trunk={sample_hour.BAD_TRUNK}").wire.status.state


def test_rtp_alone_is_traffic(empty_store: Store) -> None:
    """An installation that captures media and no SIP needs no guide."""
    write_rows(empty_store, rtp_packets=100)
    assert Stage.RUNNING is view_of(empty_store).stage


def quality_row(observer: Observer, intervals: int, jitter_ms: float) -> dict[str, object]:
    return {
        "time": NOW_NS - NOW_NS % (60 * S_NS),
        **sample_hour.PLACES[0].tags,
        "codec": "PCMA",
        "direction": "to_callee",
        "observer": observer.value,
        "stream_seconds": intervals * 10.0,
        "intervals": intervals,
        "expected": intervals * 500,
        "lost": intervals * 5,
        "mos_histogram": [10 * n for n in MOS.of([4.2] * intervals)],
        "jitter_histogram": [10 * n for n in JITTER_MS.of([jitter_ms] * intervals)],
        "loss_histogram": [10 * n for n in LOSS_RATIO.of([0.01] * intervals)],
    }


@pytest.fixture
def two_observers(empty_store: Store) -> Wire:
    write_rows(empty_store, rtp_packets=100)
    rows = [quality_row(Observer.RTCP_RR, 12, 9.0), quality_row(Observer.RTP, 40, 3.0)]
    sample_hour.write(empty_store, "quality_minute", rows)
    return view_of(empty_store).wire


def test_quality_is_by_observer_with_n_of_each_figure(two_observers: Wire) -> None:
    assert [("rtp", 40, 40, 40, 0.01), ("rtcp_rr", 12, 12, 12, 0.01)] == [
        (q.observer, q.intervals, q.jitter_intervals, q.mos_intervals, q.loss.value) for q in two_observers.quality
    ]
    assert two_observers.quality[0].jitter_p50_ms == pytest.approx(3.0, rel=0.12)


def test_percentiles_of_too_few_intervals_are_not_shown(two_observers: Wire) -> None:
    measured, reported = (text(quality_table((row,))) for row in two_observers.quality)
    assert (0, 5) == (measured.count("too few"), reported.count("too few"))


def test_nothing_measured_yet_is_said(empty_store: Store) -> None:
    write_rows(empty_store, rtp_packets=100)
    assert "No interval was measured" in text(rendered(view_of(empty_store)).areas["wire-quality"])


def test_drops_are_marked_bad_and_called_ours(hour: LiveView) -> None:
    strip = text(wire_strip(hour.wire, "last hour"))
    assert (2, True) == (strip.count("tone-bad"), "Ours, not the network's" in strip)


def test_an_interface_that_is_down_is_marked(empty_store: Store) -> None:
    write_rows(empty_store, rtp_packets=100, interfaces_down=1)
    assert "1 down or gone" in text(rendered(view_of(empty_store)).areas["wire"])


def test_the_chart_says_itself_in_a_sentence(hour: LiveView) -> None:
    chart = rendered(hour).charts["wire"]
    assert "12 frames dropped by full rings, 5 by the backlogs of this machine's CPUs." in chart["summary"]


def test_an_empty_wire_draws_nothing(empty_store: Store) -> None:
    write_rows(empty_store)
    shown = rendered(view_of(empty_store))
    assert ("wire" in shown.charts, shown.areas["wire"]) == (False, None)
    assert "no RTP seen" in shown.panels["wire"]["summary"]
