"""The incident pages: what is listed to whom, the evidence, and what people may tell."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sample_incidents as sample
from flask import Flask, request
from plotly.utils import PlotlyJSONEncoder
from sample_hour import NOW_NS

from dashboards.components.incidents import incident_head, incidents_table
from dashboards.incident_views import IncidentRow, Quantity, Sought
from dashboards.pages import incident, incident_controls, incidents
from dashboards.queries.incidents import incident_view, incidents_view, newest_rows, open_incidents
from dashboards.services import Services
from dashboards.settings import DashboardSettings
from dashboards.views import PanelState
from dashboards.writes import Refused
from storage.actions import Action, actions, record
from storage.open import open_store
from storage.schema import ActionKind
from storage.seam import OutOfScope, Scope, Store, StoreUnavailable

ENGINEER = Scope.everything("kim")
ACME = Scope.of("viewer", sample.TENANT)
GLOBEX = Scope.of("viewer", "globex")
NOBODY = Scope.of("viewer")
MINUTE_NS = 60 * 10**9


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(str(tmp_path_factory.mktemp("incidents")))
    sample.fill(opened)
    yield opened
    opened.close()


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Return services over a store of its own, to be written to."""
    opened = open_store(str(tmp_path))
    sample.write(opened, "alert_event", sample._rows(NOW_NS), writer="alert")
    yield Services.of(opened, DashboardSettings(), lambda: NOW_NS)
    opened.close()


def listed(store: Store, search: str = "", scope: Scope = ENGINEER) -> list[str]:
    return [one.id for one in incidents_view(store, scope, Sought.from_search(search), NOW_NS).rows]


def one(store: Store, id_: str, scope: Scope = ENGINEER) -> IncidentRow:
    return incident_view(store, scope, id_, NOW_NS).one


# --- the list --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("", [sample.CAUSE, sample.MEDIA, sample.ODD]),
        ("?state=all", [sample.CAUSE, sample.MEDIA, sample.ODD, sample.OVER]),
        ("?state=resolved", [sample.OVER]),
        ("?state=acknowledged", []),
        ("?severity=critical", [sample.CAUSE]),
        ("?scope=node+sbc-3", [sample.MEDIA]),
        ("?scope=platform", [sample.PART]),
        ("?state=nonsense&severity=nonsense", [sample.CAUSE, sample.MEDIA, sample.ODD]),
    ],
)
def test_open_ones_come_first_worst_first_and_grouped_ones_with_their_cause(
    store: Store, search: str, expected: list[str]
) -> None:
    assert expected == listed(store, search)


@pytest.mark.parametrize(
    ("scope", "expected"), [(ACME, [sample.OF_TENANT]), (GLOBEX, [sample.OVER]), (NOBODY, [])]
)
def test_a_tenant_sees_its_own_alone(store: Store, scope: Scope, expected: list[str]) -> None:
    assert expected == listed(store, "?state=all", scope)


def test_a_tenant_is_not_told_of_what_others_share(store: Store) -> None:
    seen = one(store, sample.OF_TENANT, ACME)
    assert ("", "something that is shared with others", "") == (seen.parent_id, seen.cause, seen.notified)


@pytest.mark.parametrize("id_", [sample.CAUSE, sample.OVER, "i-none"])
def test_incidents_of_others_are_not_found(store: Store, id_: str) -> None:
    with pytest.raises(OutOfScope):
        incident_view(store, ACME, id_, NOW_NS)


def test_an_empty_list_says_why(store: Store, empty_store: Store) -> None:
    view = incidents_view(empty_store, ENGINEER, Sought(), NOW_NS)
    narrowed = incidents_view(store, ENGINEER, Sought.from_search("?state=acknowledged"), NOW_NS)
    assert (PanelState.EMPTY, True) == (view.status.state, "no alert role has written" in view.status.reason)
    assert "None of the 6 incidents on record is acknowledged here." == narrowed.status.reason


def test_a_store_that_does_not_answer_is_an_error(empty_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise StoreUnavailable("gone")

    monkeypatch.setattr(type(empty_store.reader(ENGINEER)), "latest", refuse)
    view = incidents_view(empty_store, ENGINEER, Sought(), NOW_NS)
    assert (PanelState.ERROR, PanelState.ERROR) == (view.status.state, view.silences_status.state)


def test_silences_are_for_engineers(store: Store) -> None:
    mine = incidents_view(store, ENGINEER, Sought(), NOW_NS)
    theirs = incidents_view(store, ACME, Sought(), NOW_NS)
    assert ["node sbc-3"] == [told.target for told in mine.silences]
    assert ((), PanelState.NOT_ALLOWED) == (theirs.silences, theirs.silences_status.state)


# --- one incident ----------------------------------------------------------------------------------


def test_an_incident_has_what_it_explains_and_its_history(store: Store) -> None:
    view = incident_view(store, ENGINEER, sample.CAUSE, NOW_NS)
    assert {sample.PART, sample.OF_TENANT} == {child.id for child in view.children}
    assert ["warning", "critical"] == [change.severity for change in view.history]
    assert sample.RUNBOOK == view.one.runbook


def test_an_incident_tells_since_when_and_when_it_was_raised(store: Store) -> None:
    """It broke at 15:30 and was raised at the end of the slot that began at 15:35."""
    view, zone = incident_view(store, ENGINEER, sample.CAUSE, NOW_NS), ZoneInfo("Europe/Berlin")
    head = json.dumps(incident_head(view, zone), cls=PlotlyJSONEncoder)
    listed = json.dumps(incidents_table([view.one], zone, "Incidents"), cls=PlotlyJSONEncoder)
    assert [True] * 4 == [
        text in shown
        for text, shown in (
            ("2026-09-21 15:30:00 CEST", head),
            ("2026-09-21 15:40:00 CEST", head),
            ('"21 Sep 15:30"', listed),
            ('"raised 15:40"', listed),
        )
    ]


def test_one_that_is_grouped_leads_to_its_cause(store: Store) -> None:
    parent = incident_view(store, ENGINEER, sample.OF_TENANT, NOW_NS).parent
    assert parent is not None
    assert sample.CAUSE == parent.id


def test_the_silence_that_covers_an_incident_is_shown_with_it(store: Store) -> None:
    told = {
        id_: [each.reason for each in incident_view(store, ENGINEER, id_, NOW_NS).told]
        for id_ in (sample.MEDIA, sample.CAUSE)
    }
    assert {sample.MEDIA: ["kernel upgrade of sbc-3"], sample.CAUSE: []} == told


def test_evidence_falls_at_the_onset_and_has_the_bands_of_the_rows(store: Store) -> None:
    seen = incident_view(store, ENGINEER, sample.CAUSE, NOW_NS).evidence
    at = seen.starts_ns.index(sample.BROKEN_NS)
    before, after = seen.observed[:at], seen.observed[at:]
    assert min(v for v in before if v is not None) > 0.5 > 0.2 > max(v for v in after if v is not None)
    assert [(sample.BROKEN_NS, 0.548), (sample.BROKEN_NS + 6 * sample.SLOT_NS, 0.551)] == [
        (step.since_ns, step.low) for step in seen.band
    ]
    assert len(seen.n) == len(seen.observed)


def test_the_open_slot_is_left_out(store: Store) -> None:
    seen = incident_view(store, ENGINEER, sample.CAUSE, NOW_NS).evidence
    assert seen.starts_ns[-1] + sample.SLOT_NS <= NOW_NS


def test_a_tenant_sees_the_slots_of_its_own_calls(store: Store) -> None:
    mine = incident_view(store, ACME, sample.OF_TENANT, NOW_NS).evidence
    theirs = incident_view(store, ENGINEER, sample.PART, NOW_NS).evidence
    assert 0 < max(n or 0 for n in mine.n) < 0.6 * max(n or 0 for n in theirs.n)


def test_a_rule_that_is_not_known_says_so(store: Store) -> None:
    status = incident_view(store, ENGINEER, sample.ODD, NOW_NS).evidence.status
    assert (PanelState.EMPTY, True) == (status.state, "Sbc cpu are not in the minutes" in status.reason)


def test_minutes_that_are_gone_say_so(services: Services) -> None:
    status = incident_view(services.store, ENGINEER, sample.CAUSE, NOW_NS).evidence.status
    assert (PanelState.EMPTY, True) == (status.state, "no longer in the store" in status.reason)


def test_a_limit_is_drawn_by_what_it_measures(services: Services) -> None:
    limit = sample.event(NOW_NS, "i-limit", rule="trunk_unreachable", signal="heartbeats", state="no_data")
    sample.write(services.store, "alert_event", [limit], writer="alert")
    found = one(services.store, "i-limit")
    assert ("Trunk unreachable", Quantity.RATIO, True) == (found.title, found.quantity, found.is_open)


# --- the line of the live page ----------------------------------------------------------------------


def test_the_line_counts_open_ones_without_their_parts(store: Store) -> None:
    line = open_incidents(newest_rows(store.reader(ENGINEER), NOW_NS), None, ENGINEER, NOW_NS)
    assert (("critical", 1), ("warning", 1), ("info", 1)) == line.by_severity


def test_the_line_knows_quiet_from_never_written(store: Store, empty_store: Store) -> None:
    quiet = open_incidents(newest_rows(store.reader(GLOBEX), NOW_NS), None, GLOBEX, NOW_NS)
    never = open_incidents(newest_rows(empty_store.reader(ENGINEER), NOW_NS), None, ENGINEER, NOW_NS)
    assert ((), NOW_NS - 100 * MINUTE_NS, True) == (quiet.by_severity, quiet.last_end_ns, quiet.status.drawn)
    assert PanelState.EMPTY is never.status.state


# --- what people tell -------------------------------------------------------------------------------

_WEB = Flask("test")


def asking(**more: Any) -> Any:
    return _WEB.test_request_context("/_dash-update-component", method="POST", **({"json": {}} | more))


def test_an_acknowledgement_shows_at_once_and_can_be_released(services: Services) -> None:
    with asking():
        done = incident_controls.acknowledge(
            services, ENGINEER, request, sample.CAUSE, reason=" carrier called ", span="4h"
        )
    assert ("kim", "carrier called", NOW_NS + 240 * MINUTE_NS) == (done.author, done.reason, done.until_ns)
    assert "acknowledged" == one(services.store, sample.CAUSE).state
    with asking():
        incident_controls.release(services, ENGINEER, request, done.id)
    assert "firing" == one(services.store, sample.CAUSE).state


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("incident", ("incident", sample.CAUSE)),
        ("scope", ("trunk", "carrier-blue")),
        ("rule", ("rule", "answer_ratio")),
    ],
)
def test_a_silence_covers_what_was_chosen(services: Services, target: str, expected: tuple[str, str]) -> None:
    with asking():
        done = incident_controls.silence(
            services, ENGINEER, request, sample.CAUSE, target=target, reason="known", span="1h"
        )
    assert expected == (done.target_kind, done.target)
    assert [done.id] == [each.id for each in incident_view(services.store, ENGINEER, sample.CAUSE, NOW_NS).told]


@pytest.mark.parametrize(
    ("reason", "span", "says"),
    [("", "1h", "give a reason"), (None, "1h", "give a reason"), ("x" * 501, "1h", "at most 500"),
     ("known", "99y", "how long"), ("known", None, "how long")],
)  # fmt: skip
def test_without_a_reason_and_an_end_nothing_is_recorded(
    services: Services, reason: Any, span: Any, says: str
) -> None:
    with asking(), pytest.raises(Refused, match=says):
        incident_controls.acknowledge(services, ENGINEER, request, sample.CAUSE, reason=reason, span=span)


@pytest.mark.parametrize(
    ("scope", "more", "status"),
    [
        (ACME, {}, 403),
        (NOBODY, {}, 403),
        (ENGINEER, {"headers": {"Origin": "https://evil.example"}}, 403),
        (ENGINEER, {"json": None, "data": "{}"}, 415),
    ],
)
def test_others_and_other_sites_tell_nothing(
    services: Services, scope: Scope, more: dict[str, Any], status: int
) -> None:
    tell = {"reason": "known", "span": "1h"}
    with asking(**more):
        for work in (
            lambda: incident_controls.acknowledge(services, scope, request, sample.OF_TENANT, **tell),
            lambda: incident_controls.silence(
                services, scope, request, sample.OF_TENANT, target="incident", **tell
            ),
            lambda: incident_controls.release(services, scope, request, "a-any"),
        ):
            with pytest.raises(Refused) as refused:
                work()
            assert status == refused.value.status
    assert [] == actions(services.store.reader(ENGINEER), list(ActionKind), NOW_NS)


def test_only_what_these_pages_told_is_released_here(services: Services) -> None:
    writer = services.store.writer("web")
    freeze = record(writer, Action(ActionKind.FREEZE, "pool", "media", "kim", "change", NOW_NS), NOW_NS)
    writer.close()
    with asking(), pytest.raises(OutOfScope):
        incident_controls.release(services, ENGINEER, request, freeze.id)


def test_a_press_answers_in_words_and_keeps_the_reason_of_what_failed(services: Services) -> None:
    def press(scope: Scope, id_: str, reason: str) -> tuple[Any, Any]:
        with asking():
            return incident_controls.told(
                services, scope, request, "incident-silence", id_, reason=reason, span="1h", target="incident"
            )

    well, failed, gone = press(ENGINEER, sample.CAUSE, "known"), press(ACME, sample.CAUSE, "x"), press(
        ENGINEER, "i-none", "x"
    )  # fmt: skip
    assert ("said-well", "") == (well[0].className, well[1])
    assert ("Not done: only engineers and operators silence incidents.", "x") == (failed[0].children, failed[1])
    assert "There is no such thing in what you may see." == gone[0].children


# --- ticks -----------------------------------------------------------------------------------------


def test_a_tick_brings_the_list_and_then_only_what_changed(store: Store) -> None:
    services = Services.of(store, DashboardSettings(), lambda: NOW_NS)
    view = {"view": ""}
    incidents.tick(services, ENGINEER, "", view)
    services.incidents.refresh(NOW_NS)
    first = incidents.tick(services, ENGINEER, "", view)
    again = incidents.tick(services, ENGINEER, "", first["heard"] | {"version": -1})
    assert "node sbc-3" in first["scopes"]
    assert ("Table", False) == (first["areas"]["list"].children._type, hasattr(again["areas"]["list"], "children"))


@pytest.mark.parametrize(("scope", "missing"), [(ENGINEER, False), (GLOBEX, True)])
def test_a_page_of_an_incident_out_of_scope_is_missing(store: Store, scope: Scope, missing: bool) -> None:
    services = Services.of(store, DashboardSettings(), lambda: NOW_NS)
    incident.tick(services, scope, sample.CAUSE, {"view": sample.CAUSE})
    services.incident.refresh(NOW_NS)
    answer = incident.tick(services, scope, sample.CAUSE, None)
    assert (missing, missing) == (answer["hidden"], answer["missing"] is not None)


def test_the_chart_is_a_table_too_and_marks_the_onset(store: Store) -> None:
    services = Services.of(store, DashboardSettings(), lambda: NOW_NS)
    incident.tick(services, ENGINEER, sample.CAUSE, {"view": sample.CAUSE})
    services.incident.refresh(NOW_NS)
    table = incident.tick(services, ENGINEER, sample.CAUSE, None)["charts"]["evidence"]["table"]
    assert {len(table["columns"])} == {len(row) for row in table["rows"]}
    assert ["onset", "raised"] == [row[-1] for row in table["rows"] if row[-1]]
