"""What belongs together, how bad it is, and what operators can say about it."""

from dataclasses import replace

import pytest

from alerts.incidents import Incident, Scope, Severity, grouped, incident_id, severity, silenced
from storage.actions import Action
from storage.schema import ActionKind

MINUTE = 60 * 10**9
PLATFORM, ACME = Scope("platform", "platform"), Scope("tenant", "acme", "acme")
CARRIER = Scope("trunk", "carrier-a")


def incident(
    scope: Scope, excess: float, *, rule: str = "answer_ratio", at_ns: int = 0, score: float = 10
) -> Incident:
    return Incident(
        rule, scope, "below", at_ns, 0.4, 0.6, 0.55, 0.65, score, 0.1, 500, excess,
        id=incident_id(rule, scope, at_ns),
    )  # fmt: skip


def parents(*incidents: Incident) -> dict[str, str]:
    names = {i.id: str(i.scope) for i in incidents} | {"": ""}
    return {str(i.scope): names[i.parent_id] for i in grouped(incidents)}


def test_trunk_that_explains_most_is_the_cause() -> None:
    found = parents(incident(PLATFORM, -100), incident(CARRIER, -90), incident(ACME, -40))
    assert found == {"platform": "trunk carrier-a", "trunk carrier-a": "", "tenant acme": "trunk carrier-a"}


def test_whole_inhibits_its_parts_where_none_explains_it() -> None:
    other = Scope("tenant", "globex", "globex")
    found = parents(incident(PLATFORM, -100), incident(ACME, -50), incident(other, -50))
    assert found == {"platform": "", "tenant acme": "platform", "tenant globex": "platform"}


def test_rules_of_one_scope_are_one_incident() -> None:
    ratio, beats = incident(CARRIER, -50, score=9), incident(CARRIER, -5, rule="heartbeats", score=30)
    assert [i.parent_id for i in grouped([ratio, beats])] == [beats.id, ""]


def test_what_began_hours_apart_stays_apart() -> None:
    found = parents(incident(PLATFORM, -100), incident(CARRIER, -90, at_ns=180 * MINUTE))
    assert found == {"platform": "", "trunk carrier-a": ""}


@pytest.mark.parametrize(
    ("excess", "minutes", "expected"),
    [
        (-10, 10, Severity.INFO),
        (-30, 10, Severity.WARNING),
        (-30, 90, Severity.CRITICAL),
        (300, 10, Severity.CRITICAL),
        (5, 600, Severity.INFO),
    ],
)
def test_severity_is_calls_and_minutes(excess: float, minutes: float, expected: Severity) -> None:
    assert severity(excess, minutes, warning=25, critical=250) is expected


def silence(target_kind: str, target: str, **changes: object) -> Action:
    action = Action(ActionKind.SILENCE, target_kind, target, "kim", "maintenance", 0, 60 * MINUTE)
    return replace(action, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("action", "quiet"),
    [
        (silence("trunk", "carrier-a"), True),
        (silence("trunk", "*"), True),
        (silence("trunk", "carrier-b"), False),
        (silence("rule", "answer_ratio"), True),
        (silence("trunk", "carrier-a", until_ns=5 * MINUTE), False),
        (silence("trunk", "carrier-a", withdrawn=True), False),
        (silence("trunk", "carrier-a", tenant="acme"), False),
    ],
)
def test_silence_covers_what_it_names_while_it_holds(action: Action, quiet: bool) -> None:
    assert (silenced(incident(CARRIER, -50), [action], 10 * MINUTE) is not None) is quiet


def test_incident_has_the_same_id_after_a_restart() -> None:
    assert incident(CARRIER, -1).id == incident(CARRIER, -99).id != incident(ACME, -1).id


def test_what_led_goes_on_to_lead() -> None:
    ratio, beats = incident(CARRIER, -50, score=9), incident(CARRIER, -5, rule="heartbeats", score=30)
    assert [i.parent_id for i in grouped([ratio, beats], {ratio.id})] == ["", ratio.id]


def test_the_worst_of_several_rules_leads() -> None:
    ratio = replace(incident(CARRIER, -50, score=9), severity=Severity.CRITICAL)
    media = incident(CARRIER, 5, rule="degraded_media", score=90)
    assert [i.parent_id for i in grouped([ratio, media])] == ["", ratio.id]


def test_who_suffers_from_a_cause_suffers_from_it_by_every_rule() -> None:
    found = [incident(CARRIER, -90), incident(ACME, -80), incident(ACME, -30, rule="call_duration")]
    assert [i.cause for i in grouped(found)] == ["trunk carrier-a"] * 3
    assert [i.scope for i in grouped(found) if not i.parent_id] == [CARRIER]


def test_two_causes_at_once_are_two_incidents() -> None:
    other = Scope("trunk", "carrier-b")
    found = [
        incident(CARRIER, -90), incident(CARRIER, -9, rule="heartbeats"),
        incident(other, 70, rule="media_loss"), incident(other, 20, rule="quality_rating"),
    ]  # fmt: skip
    assert sorted(str(i.scope) for i in grouped(found) if not i.parent_id) == [
        "trunk carrier-a",
        "trunk carrier-b",
    ]


def test_a_codec_is_no_cause_while_a_place_fails_as_badly() -> None:
    codec = Scope("codec", "PCMA")
    found = grouped([incident(CARRIER, -90), incident(codec, 40, rule="degraded_media", score=90)])
    assert [(i.cause, bool(i.parent_id)) for i in found] == [("trunk carrier-a", False), ("trunk carrier-a", True)]


def test_excesses_are_compared_over_the_same_slots() -> None:
    """The trunk was raised by its last slot alone, its tenant by three."""
    found = [incident(CARRIER, -50), incident(ACME, -100)]
    whole = {CARRIER: -95.0, ACME: -100.0}
    grouping = grouped(found, (), lambda one, _: whole[one.scope])
    assert [str(i.scope) for i in grouping if not i.parent_id] == ["trunk carrier-a"]


def test_scores_of_what_was_never_seen_before_are_alike() -> None:
    early = incident(CARRIER, -50, score=40)
    late = incident(CARRIER, 5, rule="media_loss", at_ns=MINUTE, score=100)
    assert [bool(i.parent_id) for i in grouped([early, late])] == [False, True]
