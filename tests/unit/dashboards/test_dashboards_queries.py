"""From a real store (and a broken one) to the view of the live page."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass

import pyarrow as pa
import pytest
import sample_hour

from dashboards.filters import Filters
from dashboards.queries.live import LiveQuestions, live_view
from dashboards.views import LiveView, PanelState, Stage, Status
from storage.schema import MEASUREMENTS
from storage.seam import (
    EVERY_CALL,
    CallMatch,
    CallPage,
    CallTrace,
    Reader,
    Scope,
    Store,
    StoreUnavailable,
    Top,
    Window,
    Writer,
)
from telephony.kpis import Ratio
from telephony.model import Direction, Outcome

NOW_NS = sample_hour.NOW_NS
ENGINEER = Scope.everything("engineer")


def view_of(store: Store, search: str = "", scope: Scope = ENGINEER, now_ns: int = NOW_NS) -> LiveView:
    filters = Filters.from_search(search)
    answers = LiveQuestions(store, worst_calls=20).ask(scope, filters, None, now_ns)
    return live_view(answers, scope, filters, now_ns)


def statuses(view: LiveView) -> dict[str, Status]:
    """Return the state of each panel; of incidents there is a line, not a panel."""
    panels = {f.name: getattr(view, f.name) for f in fields(view)}
    return {
        name: panel.status
        for name, panel in panels.items()
        if is_dataclass(panel) and hasattr(panel, "status") and name != "incidents"
    }


class BrokenStore:
    """Answers some measurements and fails on the rest."""

    def __init__(self, good: Store, broken: Sequence[str]) -> None:
        self.good, self.broken = good, set(broken)

    def reader(self, scope: Scope) -> Reader:
        return BrokenReader(self.good.reader(scope), self.broken)

    def writer(self, name: str) -> Writer:
        raise NotImplementedError

    def close(self) -> None:
        pass


class BrokenReader:
    """The fake of the seam: passes on, or says that the store is away."""

    def __init__(self, good: Reader, broken: set[str]) -> None:
        self.good, self.broken, self.scope = good, broken, good.scope

    def _check(self, name: str) -> None:
        if name in self.broken:
            raise StoreUnavailable(f"{name} is away")

    def select(
        self,
        measurement: str,
        window: Window,
        *,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
        limit: int = 10_000,
        newest_first: bool = False,
    ) -> pa.Table:
        self._check(measurement)
        return self.good.select(
            measurement, window, columns=columns, where=where, limit=limit, newest_first=newest_first
        )

    def sums(
        self,
        measurement: str,
        window: Window,
        *,
        step_seconds: int,
        by: Sequence[str] = (),
        where: Mapping[str, Sequence[str]] | None = None,
        fields: Sequence[str] | None = None,
        top: Top | None = None,
    ) -> pa.Table:
        self._check(measurement)
        return self.good.sums(
            measurement, window, step_seconds=step_seconds, by=by, where=where, fields=fields, top=top
        )

    def load(
        self,
        window: Window,
        *,
        step_seconds: int,
        by: Sequence[str] = (),
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> pa.Table:
        self._check("load_minute")
        return self.good.load(window, step_seconds=step_seconds, by=by, where=where)

    def latest(
        self,
        measurement: str,
        window: Window,
        *,
        by: Sequence[str],
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> pa.Table:
        self._check(measurement)
        return self.good.latest(measurement, window, by=by, where=where)

    def forecasts(
        self,
        slots: Window,
        *,
        where: Mapping[str, Sequence[str]] | None = None,
        issued_until_ns: int | None = None,
    ) -> pa.Table:
        self._check("forecast")
        return self.good.forecasts(slots, where=where, issued_until_ns=issued_until_ns)

    def worst_calls(
        self, window: Window, *, limit: int = 50, where: Mapping[str, Sequence[str]] | None = None
    ) -> pa.Table:
        self._check("worst_calls")
        return self.good.worst_calls(window, limit=limit, where=where)

    def calls(
        self,
        window: Window,
        *,
        where: Mapping[str, Sequence[str]] | None = None,
        match: CallMatch = EVERY_CALL,
        limit: int = 100,
        offset: int = 0,
    ) -> CallPage:
        return self.good.calls(window, where=where, match=match, limit=limit, offset=offset)

    def call(self, call_id: str) -> CallTrace:
        self._check("call")
        return self.good.call(call_id)

    def tag_values(
        self,
        measurement: str,
        tag: str,
        window: Window,
        *,
        where: Mapping[str, Sequence[str]] | None = None,
    ) -> list[str]:
        return self.good.tag_values(measurement, tag, window, where=where)


@pytest.fixture(scope="module")
def hour(sample_store: Store) -> LiveView:
    return view_of(sample_store)


def test_every_panel_of_a_busy_hour_is_ready(hour: LiveView) -> None:
    """Nothing is missing that was written."""
    assert set(statuses(hour).values()) == {Status()}


@pytest.mark.parametrize("search", ["?range=5m", "?range=15m", "?range=6h", "?range=24h"])
def test_every_range_is_drawn(sample_store: Store, search: str) -> None:
    """Fine rows for short ranges, minutes for long ones."""
    assert set(statuses(view_of(sample_store, search)).values()) == {Status()}


def test_outcomes_add_up(hour: LiveView, sample_store: Store) -> None:
    """Over time and over outcomes, to what is stored."""
    stored = sample_store.reader(ENGINEER).sums("session_minute", Filters().window(NOW_NS), step_seconds=0)
    assert hour.outcomes.attempts == sum(stored[outcome.value][0].as_py() for outcome in Outcome)
    counts = hour.outcomes.counts or {}
    assert hour.outcomes.attempts == sum(n or 0 for series in counts.values() for n in series)


def test_band_shares_of_a_step_are_a_whole(hour: LiveView) -> None:
    """Where anything was rated."""
    wholes = [sum(s or 0 for s in shares) for shares in zip(*hour.bands.shares, strict=True)]
    assert [pytest.approx(1.0) if n else 0 for n in hour.bands.seconds] == wholes


def test_p5_is_not_above_p50(hour: LiveView) -> None:
    """Quantiles of the same histogram."""
    pairs = zip(hour.bands.r_p5, hour.bands.r_p50, strict=True)
    assert all(low <= middle for low, middle in pairs if low is not None and middle is not None)


def test_both_directions_have_percentiles(hour: LiveView) -> None:
    """The sample's callers hear worse than its callees."""
    overall = hour.loss.overall or {}
    assert (overall[Direction.TO_CALLER][1] or 0) > (overall[Direction.TO_CALLEE][1] or 0)


def test_the_bad_trunk_is_ranked_first(hour: LiveView) -> None:
    """The one panel that tells where to look."""
    assert sample_hour.BAD_TRUNK == (hour.ranking.by_place or {})["trunk"][0].name


def test_kpis_carry_their_parts(hour: LiveView) -> None:
    """A ratio without n is a rumour."""
    asr = next(kpi for kpi in hour.outcomes.kpis if kpi.name == "ASR")
    assert asr.ratio is not None
    assert (asr.ratio.denominator, True) == (hour.outcomes.attempts, asr.ratio.enough)


def test_worst_calls_come_worst_first(hour: LiveView) -> None:
    """By the lowest R of an interval."""
    lowest = [call.r_min for call in hour.worst.rows if call.r_min is not None]
    assert lowest == sorted(lowest)
    assert len(lowest) == 20


def test_calls_in_progress_include_unrated_ones(hour: LiveView) -> None:
    """A call shows before its first report, and says why it has no R."""
    young = [call for call in hour.in_progress.rows if call.r_last is None]
    assert {"setup", "ringing", "answered"} == {call.state for call in young}
    assert all(call.quality_reason for call in young)


def test_capture_health_counts_agents(hour: LiveView) -> None:
    """Three agents, all alive."""
    assert (3, 3) == (hour.capture.agents_alive, len(hour.capture.agents))
    assert isinstance(hour.capture.measured, Ratio)


def test_capture_health_is_not_for_tenants(sample_store: Store) -> None:
    """It tells of other tenants' traffic."""
    view = view_of(sample_store, scope=Scope.of("viewer", "acme"))
    assert PanelState.NOT_ALLOWED is view.capture.status.state


def test_a_tenant_sees_only_its_own(sample_store: Store) -> None:
    """In the ranking, the grid and the choices of the filters."""
    view = view_of(sample_store, scope=Scope.of("viewer", "acme"))
    names = {row.name for row in (view.ranking.by_place or {})["tenant"]}
    assert ({"acme"}, {"acme"}, ("acme",)) == (names, {c.tenant for c in view.worst.rows}, view.choices.tenant)


def test_narrowing_changes_every_panel(sample_store: Store, hour: LiveView) -> None:
    """A filter that is only half obeyed misleads."""
    view = view_of(sample_store, f"?trunk={sample_hour.BAD_TRUNK}")
    assert 0 < view.outcomes.attempts < hour.outcomes.attempts
    assert 0 < view.bands.intervals < hour.bands.intervals
    assert {sample_hour.BAD_TRUNK} == {call.trunk for call in view.worst.rows}


def test_load_says_that_it_is_not_kept_by_trunk(sample_store: Store) -> None:
    """Partial, not silently too much."""
    status = view_of(sample_store, f"?trunk={sample_hour.BAD_TRUNK}").load.status
    assert PanelState.PARTIAL is status.state


def test_an_empty_store_says_why_in_every_panel(empty_store: Store) -> None:
    """No panel is blank, none draws zeros."""
    view = view_of(empty_store)
    found = statuses(view)
    assert {PanelState.EMPTY} == {status.state for status in found.values()}
    assert Stage.NO_COLLECTOR is view.stage
    assert all("collector" in s.reason for name, s in found.items() if name != "in_progress")


def test_a_collector_without_traffic_is_another_stage(empty_store: Store) -> None:
    """Zero datagrams is not no collector."""
    row = {"time": NOW_NS - 10**9, "tenant": "unassigned", "pool": "capture", "region": "unknown", "node": "c1"}
    counters = {n: 0 for n, kind in MEASUREMENTS["load_now"].fields.items() if pa.types.is_integer(kind)}
    sample_hour.write(empty_store, "load_now", [row | counters | {"agents_alive": 1}])
    view = view_of(empty_store)
    assert Stage.NO_TRAFFIC is view.stage
    assert 0 == view.load.concurrent_now
    assert "no agent has sent" in view.bands.status.reason


def test_sip_without_rtcp_says_what_to_send(empty_store: Store) -> None:
    """The most asked question: why is there no MOS?"""
    sample_hour.fill(empty_store, minutes=3)
    view = view_of(empty_store, now_ns=NOW_NS)
    assert view.bands.status == Status()
    only_sip = {"time": NOW_NS, "tenant": "unassigned", "pool": "capture", "region": "u", "node": "x"}
    later = NOW_NS + 3 * 3600 * 10**9
    sample_hour.write(
        empty_store, "load_now", [only_sip | {"time": later, "datagrams": 9, "sip_messages": 9, "rtcp_reports": 0}]
    )
    assert "rtpengine" in view_of(empty_store, now_ns=later).bands.status.reason


def test_a_filter_that_matches_nothing_is_the_reason(sample_store: Store) -> None:
    """Not 'no capture'."""
    view = view_of(sample_store, "?tenant=nobody")
    assert "Narrowed to tenant nobody" in view.outcomes.status.reason
    assert Stage.RUNNING is view.stage


def test_old_data_is_stale_with_its_age(sample_store: Store) -> None:
    """The collector stopped a minute ago."""
    status = view_of(sample_store, now_ns=NOW_NS + 60 * 10**9).capture.status
    assert (PanelState.STALE, True) == (status.state, "1 min" in status.reason)


def test_zero_and_unknown_differ_in_the_load(sample_store: Store) -> None:
    """Steps in which no collector wrote are gaps."""
    view = view_of(sample_store, "?range=15m", now_ns=NOW_NS + 300 * 10**9)
    assert None in view.load.concurrent
    assert any(value for value in view.load.concurrent if value is not None)


def test_one_broken_query_breaks_one_panel(sample_store: Store) -> None:
    """And says so in words."""
    view = view_of(BrokenStore(sample_store, ["finding", "worst_calls"]))
    broken = {name for name, status in statuses(view).items() if status.state is PanelState.ERROR}
    assert {"worst", "findings"} == broken
    assert "finding is away" == view.findings.status.reason


def test_a_wire_whose_quality_cannot_be_read_is_shown_without(sample_store: Store) -> None:
    """Partial, with the reason."""
    status = view_of(BrokenStore(sample_store, ["quality_minute"])).wire.status
    assert (PanelState.PARTIAL, "no quality: quality_minute is away") == (status.state, status.reason)


def test_a_store_that_went_away_leaves_stale_panels(sample_store: Store) -> None:
    """What was read is shown with the reason that it is old."""
    filters = Filters()
    store = BrokenStore(sample_store, [])
    questions = LiveQuestions(store, worst_calls=20)
    first = questions.ask(ENGINEER, filters, None, NOW_NS)
    store.broken = {*MEASUREMENTS, "worst_calls"}
    later = NOW_NS + 60 * 10**9
    view = live_view(questions.ask(ENGINEER, filters, first, later), ENGINEER, filters, later)
    assert (PanelState.STALE, True) == (view.bands.status.state, "away" in view.bands.status.reason)
    assert view.bands.shares


def test_questions_keep_their_own_pace(sample_store: Store) -> None:
    """Minute rollups are not asked for every 2 s."""
    questions = LiveQuestions(sample_store, worst_calls=20)
    first = questions.ask(ENGINEER, Filters(), None, NOW_NS)
    second = questions.ask(ENGINEER, Filters(), first, NOW_NS + 2 * 10**9)
    assert second["now"].asked_ns > first["now"].asked_ns
    assert second["quality"] is first["quality"]


def test_a_status_that_is_not_ready_must_have_a_reason() -> None:
    """By construction, no panel can be empty without saying why."""
    with pytest.raises(ValueError, match="must say why"):
        Status(PanelState.EMPTY)
