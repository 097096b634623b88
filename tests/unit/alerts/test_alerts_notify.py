"""Messages and routes."""

from dataclasses import replace

import httpx
import pytest
from apprise.decorators import notify
from pydantic import SecretStr

from alerts.incidents import Incident, Scope, Severity, State
from alerts.notify import Alertmanager, AppriseRoute, NotSent, message_of
from alerts.settings import RouteSettings

ONE = Incident(
    "answer_ratio", Scope("trunk", "carrier-a"), "below", 1_700_000_000 * 10**9, 0.4, 0.6, 0.55, 0.65, 12.0, 0.1,
    500, -100, severity=Severity.WARNING, cause="node edge-1", id="i-1",
)  # fmt: skip
TAKEN: list[tuple[str, str]] = []
ANSWER: list[bool] = [True]


@notify(on="alertstest")
def _take(body: str, title: str, notify_type: str, *args: object, **kwargs: object) -> bool:
    TAKEN.append((title, str(notify_type)))
    return ANSWER[0]


@pytest.fixture(autouse=True)
def _fresh() -> None:
    TAKEN.clear()
    ANSWER[0] = True


def route(**changes: object) -> AppriseRoute:
    return AppriseRoute(RouteSettings(name="desk", urls=(SecretStr("alertstest://"),), **changes))  # type: ignore[arg-type]


def test_message_says_what_people_need() -> None:
    message = message_of(ONE, "Answer-seizure ratio", {"page": "https://pages.example.com/incidents/i-1"})
    assert message.title == "[WARNING] Answer-seizure ratio: trunk carrier-a below normal"
    assert message.body == (
        "Answer-seizure ratio of trunk carrier-a is 0.4, expected 0.6 (0.55 to 0.65 would be normal), "
        "n = 500 calls.\n"
        "Since 2023-11-14 22:13 UTC.\n"
        "Impact so far: about 100 calls fewer than expected.\n"
        "Likely cause: node edge-1.\n"
        "Page: https://pages.example.com/incidents/i-1\n"
        "Reference: i-1/warning"
    )


def test_message_tells_the_onset_and_when_it_was_raised() -> None:
    told = replace(ONE, onset_ns=ONE.started_ns - 600 * 10**9, state=State.RESOLVED, ended_ns=ONE.started_ns)
    line = message_of(told, "ASR", {}, slot_s=300).body.splitlines()[1]
    assert "Since 2023-11-14 22:03 UTC (raised 2023-11-14 22:18 UTC) until 2023-11-14 22:13 UTC." == line


def test_message_of_a_limit_names_the_limit() -> None:
    message = message_of(ONE, "Answers", {}, limit=True)
    assert message.title == "[WARNING] Answers: trunk carrier-a below its limit"
    assert message.body.startswith("Answers of trunk carrier-a is 0.4, limit 0.6, n = 500 calls.")


def test_apprise_route_sends_with_the_severity() -> None:
    route().send(message_of(ONE, "ASR", {}))
    assert [kind for _, kind in TAKEN] == ["warning"]


def test_end_of_an_incident_is_a_success() -> None:
    route().send(message_of(replace(ONE, state=State.RESOLVED, ended_ns=ONE.started_ns), "ASR", {}))
    assert [kind for _, kind in TAKEN] == ["success"]


def test_refusal_is_an_error() -> None:
    ANSWER[0] = False
    with pytest.raises(NotSent, match="desk"):
        route().send(message_of(ONE, "ASR", {}))


def test_url_that_apprise_does_not_know_is_not_shown() -> None:
    with pytest.raises(ValueError, match="URL 1 is none") as error:
        AppriseRoute(RouteSettings(name="desk", urls=(SecretStr("nothing://secret"),)))
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, True),
        ({"least_severity": "critical"}, False),
        ({"tenants": ("acme",)}, False),
        ({"rules": ("answer_ratio",)}, True),
        ({"rules": ("heartbeats",)}, False),
    ],
)
def test_routes_choose(changes: dict[str, object], wanted: bool) -> None:
    assert route(**changes).wants(ONE) is wanted


def test_alertmanager_gets_labels_and_start() -> None:
    posted: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        posted.append(request)
        return httpx.Response(200)

    sink = Alertmanager("http://alertmanager.test", httpx.MockTransport(answer))
    sink.send(message_of(ONE, "ASR", {}))
    sink.close()
    assert posted[0].url.path == "/api/v2/alerts"
    assert b'"alertname":"answer_ratio"' in posted[0].content
    assert b'"startsAt":"2023-11-14T22:13:20Z"' in posted[0].content


def test_alertmanager_that_refuses_is_an_error() -> None:
    sink = Alertmanager("http://alertmanager.test", httpx.MockTransport(lambda r: httpx.Response(400, text="no")))
    with pytest.raises(NotSent, match="HTTP 400"):
        sink.send(message_of(ONE, "ASR", {}))
    sink.close()
