"""The scaling page: decisions become charts, log and explanation; what operators tell is checked and recorded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_scaling
from dash import no_update
from flask import Flask, request
from sample_scaling import NOW_NS, POOL, S_NS

from dashboards.access.areas import LOCAL_ENGINEER
from dashboards.auth import ACTOR
from dashboards.pages import scaling_controls
from dashboards.pages.scaling import layout, tick
from dashboards.pages.scaling_controls import Asked, release, tell
from dashboards.pages.scaling_state import PANELS
from dashboards.queries.scaling import reactive_alone, scaling_view
from dashboards.scaling_views import LOG_ROWS, Decision, ScalingSubject
from dashboards.services import Services
from dashboards.settings import DashboardSettings
from dashboards.views import PanelState, Status
from forecast.announce import declared
from forecast.settings import ForecastSettings
from storage.actions import actions
from storage.open import open_store
from storage.schema import ActionKind
from storage.seam import Scope, Store, StoreUnavailable

ENGINEER = Scope.everything("engineer")
TENANT = Scope.of("viewer", "acme")

SIGNED_IN = {ACTOR: LOCAL_ENGINEER}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(str(tmp_path_factory.mktemp("scaling")))
    sample_scaling.fill(opened)
    yield opened
    opened.close()


@pytest.fixture
def own_store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path))
    sample_scaling.fill(opened)
    yield opened
    opened.close()


def view(store: Store, search: str = "", scope: Scope = ENGINEER, now_ns: int = NOW_NS):
    return scaling_view(store, scope, ScalingSubject.from_search(search), now_ns)


def test_the_first_pool_is_shown(store: Store) -> None:
    assert ((POOL,), POOL) == (view(store).pools, view(store).subject.pool)


def test_needs_are_those_of_the_decisions(store: Store) -> None:
    pods = view(store).pods
    assert {"forecast": 24, "reactive": 23, "minimum": 2} == {
        source: pods.needs[source][-1] for source in ("forecast", "reactive", "minimum")
    }


def test_the_limit_that_bound_is_kept(store: Store) -> None:
    assert "maximum" == view(store).pods.limits[-1]


def test_reacting_alone_is_late(store: Store) -> None:
    """The forecast had the pods ready; the reactive policy waits a lead time for each step of the surge."""
    pods = view(store).pods
    assert (0.0, True) == (pods.short_pod_minutes, (pods.alone_short_pod_minutes or 0) > 10)


@pytest.mark.parametrize(
    ("wanted", "lead", "stabilisation", "expected"),
    [
        ([1, 1, 3, 3, 3], 2, 0, [1, 1, 1, 1, 3]),
        ([3, 3, 1, 1, 1], 2, 0, [3, 3, 1, 1, 1]),
        ([3, 1, 1, 1, 1], 0, 2, [3, 3, 3, 1, 1]),
        ([2, np.nan, np.nan, 4, 4], 1, 0, [2, 2, 2, 2, 4]),
        ([], 3, 3, []),
    ],
)
def test_reactive_alone(wanted: list[float], lead: float, stabilisation: float, expected: list[float]) -> None:
    assert expected == reactive_alone(np.array(wanted, np.float64), lead, stabilisation).tolist()


def test_a_short_spike_gives_no_pod_by_reacting() -> None:
    """A pod that is given up before it is ready was never ready."""
    assert {1.0} == set(reactive_alone(np.array([1.0, 1, 5, 1, 1, 1, 1]), 2, 0))


def test_demand_goes_on_as_forecast(store: Store) -> None:
    demand = view(store).demand
    assert (PanelState.READY, 200.0) == (demand.status.state, demand.measured[-2])
    assert demand.ahead_ns[0] <= NOW_NS < demand.ahead_ns[1]


def test_events_of_the_configuration_are_spans(store: Store) -> None:
    span = {"start": "2026-09-21T14:20Z", "end": "2026-09-21T15:00Z"}
    events = [{"name": "sale", "tenants": ["acme"], **span}, {"name": "other", "tenants": ["beta"], **span}]
    known = declared(ForecastSettings.model_validate({"events": events}), DashboardSettings().time_zone)
    found = scaling_view(store, ENGINEER, ScalingSubject(), NOW_NS, tuple(known))
    assert ["sale"] == [span.name for span in found.demand.events]


def test_the_log_has_pages(store: Store) -> None:
    first, last = view(store).log, view(store, "?page=12").log
    assert (LOG_ROWS, True) == (len(first.rows), first.more)
    assert (1, False) == (len(last.rows), last.more)
    assert first.rows[0].at_ns > first.rows[-1].at_ns > last.rows[0].at_ns


def test_beyond_the_last_page_says_so(store: Store) -> None:
    status = view(store, "?page=99").log.status
    assert (PanelState.EMPTY, "There is no page 100 of decisions.") == (status.state, status.reason)


def test_a_decision_is_found_by_its_id(store: Store) -> None:
    id_ = view(store, "?page=6").log.rows[3].id
    chosen = view(store, f"?decision={id_}").chosen
    assert isinstance(chosen, Decision)
    assert (id_, True) == (chosen.id, any(need.why for need in chosen.needs))


@pytest.mark.parametrize("id_", ["media-eu-17", "media-us-1790000000", "media-eu-x", "-1", "media-eu-9" * 40])
def test_a_decision_that_is_not_there_says_so(store: Store, id_: str) -> None:
    chosen = view(store, f"?decision={id_}").chosen
    assert isinstance(chosen, Status)
    assert PanelState.EMPTY is chosen.state


def test_controls_in_force_have_author_and_end(store: Store) -> None:
    (row,) = view(store).controls.rows
    assert ("freeze", sample_scaling.FROZEN_BY, NOW_NS + 3600 * S_NS) == (row.kind, row.author, row.until_ns)


def test_a_control_that_is_over_is_not_shown(store: Store) -> None:
    assert () == view(store, now_ns=NOW_NS + 3601 * S_NS).controls.rows


def test_a_tenant_sees_nothing_of_pools(store: Store) -> None:
    found = view(store, f"?pool={POOL}", TENANT)
    statuses = [found.demand.status, found.pods.status, found.log.status, found.controls.status, found.chosen]
    assert [PanelState.NOT_ALLOWED] * 5 == [s.state for s in statuses if isinstance(s, Status)]
    assert () == found.pools


def test_an_empty_store_says_why(empty_store: Store) -> None:
    found = view(empty_store)
    assert [PanelState.EMPTY] * 3 == [each.status.state for each in (found.demand, found.pods, found.log)]


def test_an_old_decision_is_stale(store: Store) -> None:
    assert PanelState.STALE is view(store, now_ns=NOW_NS + 1200 * S_NS).pods.status.state


def test_a_question_that_fails_leaves_the_others(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(type(store.reader(ENGINEER)), "load", refuse)
    found = view(store)
    assert (PanelState.ERROR, PanelState.READY) == (found.demand.status.state, found.pods.status.state)


def services_over(store: Store) -> Services:
    return Services.of(store, DashboardSettings(), lambda: NOW_NS)


def ticked(services: Services, search: str = "", scope: Scope = ENGINEER) -> dict[str, Any]:
    tick(services, scope, search, {"view": ScalingSubject.from_search(search).to_search()})
    services.scaling.refresh(NOW_NS)
    return tick(services, scope, search, None)


def test_a_tick_brings_every_panel(store: Store) -> None:
    answer = ticked(services_over(store))
    assert {"demand", "replicas", "needs"} == set(answer["charts"])
    assert [POOL, "1h"] == answer["chosen"]
    assert "reacting alone by" in answer["panels"]["replicas"]["summary"]


def test_every_chart_is_a_table_too(store: Store) -> None:
    for chart in ticked(services_over(store))["charts"].values():
        table = chart["table"]
        assert table["rows"]
        assert {len(table["columns"])} == {len(row) for row in table["rows"]}


def test_few_traces_and_points(store: Store) -> None:
    for chart in ticked(services_over(store))["charts"].values():
        traces = chart["figure"]["data"]
        assert len(traces) <= 7
        assert max(len(trace["x"]) for trace in traces) <= 2000


def test_charts_that_did_not_change_are_not_sent_again(store: Store) -> None:
    services = services_over(store)
    first = ticked(services)
    assert no_update is tick(services, ENGINEER, "", first["heard"] | {"version": -1})["charts"]


def test_a_tenants_tick_holds_no_pool(store: Store) -> None:
    answer = ticked(services_over(store), f"?pool={POOL}&decision={POOL}-{sample_scaling.NOW_S}", TENANT)
    assert (no_update, [None] * 4) == (answer["charts"], list(answer["areas"].values()))


# --- what operators tell --------------------------------------------------------------------------

GOOD = {"what": "freeze", "target": POOL, "pods": "", "period": "1h", "reason": "maintenance"}


def told(store: Store, headers: dict[str, str] | None = None, **changed: Any) -> tuple[str, bool]:
    with Flask("test").test_request_context("/", method="POST", json={}, headers=headers, environ_base=SIGNED_IN):
        return tell(services_over(store), request, Asked.of(**(GOOD | changed)))


def recorded(store: Store) -> list[tuple[str, str, str, float | None, str]]:
    found = actions(store.reader(ENGINEER), list(ActionKind), NOW_NS + S_NS)
    return [(a.kind.value, a.target, a.author, a.value, a.details) for a in found if a.author == "engineer"]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, ("freeze", POOL, "engineer", None, "")),
        ({"target": "*", "period": "ever"}, ("freeze", "*", "engineer", None, "")),
        ({"what": "override", "pods": 7}, ("override", POOL, "engineer", 7.0, "")),
        ({"what": "act"}, ("mode", POOL, "engineer", None, "act")),
    ],
)
def test_what_operators_tell_is_recorded(
    own_store: Store, changed: dict[str, Any], expected: tuple[str, str, str, float | None, str]
) -> None:
    assert told(own_store, **changed)[1]
    assert [expected] == recorded(own_store)


@pytest.mark.parametrize(
    "changed",
    [
        {"reason": "  "},
        {"target": "media-mars"},
        {"target": None},
        {"what": "event"},
        {"period": "1000y"},
        {"what": "override", "pods": ""},
        {"what": "override", "pods": -1},
        {"what": "override", "pods": 2.5},
        {"what": "override", "pods": 10**9},
        {"what": "override", "pods": float("nan")},
    ],
)
def test_what_makes_no_sense_is_refused(own_store: Store, changed: dict[str, Any]) -> None:
    said, done = told(own_store, **changed)
    assert (False, True, []) == (done, said.startswith("Not recorded"), recorded(own_store))


def test_pages_of_other_sites_are_refused(own_store: Store) -> None:
    assert not told(own_store, {"Origin": "https://evil.example"})[1]
    assert [] == recorded(own_store)


def test_a_tenant_tells_nothing(own_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling_controls, "scope_of", lambda asked: TENANT)
    assert ("Not recorded: only engineers and operators tell the scaler.", False) == told(own_store)
    assert [] == recorded(own_store)


def released(store: Store, id_: str) -> str:
    with Flask("test").test_request_context("/", method="POST", json={}, environ_base=SIGNED_IN):
        return release(services_over(store), request, id_)


def test_a_control_is_released(own_store: Store) -> None:
    (row,) = view(own_store).controls.rows
    assert f"Released: freeze of {POOL}." == released(own_store, row.id)
    assert () == view(own_store).controls.rows


def test_only_controls_are_released(own_store: Store) -> None:
    assert "Not released: no such control." == released(own_store, "a-0000000000")


def test_the_page_has_a_frame_for_every_panel() -> None:
    text = str(layout(2.0))
    assert all(f"{name}-block" in text for name in PANELS)
