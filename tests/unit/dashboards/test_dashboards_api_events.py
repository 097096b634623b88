"""Events over HTTP: recorded, listed and withdrawn by engineers; everybody else and what is wrong is refused."""

import pytest
from flask.testing import FlaskClient

from dashboards import api_events
from dashboards.app import build_app
from dashboards.services import Services
from storage.seam import Scope

PATH = "/api/v1/events"
SALE = {
    "name": "sale",
    "start": "2031-03-01T09:00",
    "end": "2031-03-03T18:00Z",
    "tenants": ["acme"],
    "uplift": 0.4,
}


@pytest.fixture
def client(empty_services: Services) -> FlaskClient:
    return build_app(empty_services).server.test_client()


def test_an_event_is_listed_until_it_is_removed(client: FlaskClient) -> None:
    added = client.post(PATH, json=SALE | {"kind": "sale", "decay": "12h"})
    body = added.get_json()
    assert (201, "2031-03-01T09:00:00Z", ["acme"], 0.4, 43_200, "engineer") == (
        added.status_code, body["start"], body["tenants"], body["uplift"], body["decay_seconds"], body["author"],
    )  # fmt: skip
    assert {"events": [body]} == client.get(PATH).get_json()
    assert 204 == client.delete(f"{PATH}/{body['id']}").status_code
    assert {"events": []} == client.get(PATH).get_json()


def test_a_mask_is_an_event_that_is_not_learned_from(client: FlaskClient) -> None:
    body = client.post(PATH, json={k: v for k, v in SALE.items() if k != "uplift"} | {"mask": True}).get_json()
    assert ("mask", None) == (body["kind"], body["uplift"])


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ([], 400, "must be a JSON object, for example"),
        ({}, 400, "name: "),
        (SALE | {"end": "2031-02-01"}, 400, "ends before it starts"),
        (SALE | {"start": "soon"}, 400, "write for example 2026-03-01T09:00"),
        (SALE | {"uplift": -2}, 400, "uplift: "),
        (SALE | {"colour": "red"}, 400, "unknown key colour"),
        (SALE | {"mask": True}, 400, "a mask has no uplift"),
        (SALE | {"name": "x" * 70_000}, 413, "at most"),
    ],
)
def test_wrong_events_say_what_is_wrong(client: FlaskClient, body: object, status: int, says: str) -> None:
    answer = client.post(PATH, json=body)
    assert (status, True) == (answer.status_code, says in answer.get_json()["error"])


def test_what_is_not_json_is_refused(client: FlaskClient) -> None:
    assert 415 == client.post(PATH, data={"name": "sale"}).status_code


def test_pages_of_another_site_are_refused(client: FlaskClient) -> None:
    answers = [
        client.post(PATH, json=SALE, headers={"Origin": origin}).status_code
        for origin in ("https://evil.example", "http://localhost")
    ]
    assert [403, 201] == answers


def test_an_unknown_event_is_not_found(client: FlaskClient) -> None:
    assert 404 == client.delete(f"{PATH}/e-none").status_code


def test_a_tenant_sees_its_own_and_announces_nothing(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for tenants in (["acme"], ["beta"], []):
        client.post(PATH, json=SALE | {"tenants": tenants})
    monkeypatch.setattr(api_events, "scope_of", lambda request: Scope.of("viewer", "beta"))
    assert [["beta"]] == [each["tenants"] for each in client.get(PATH).get_json()["events"]]
    assert 403 == client.post(PATH, json=SALE).status_code
    assert 403 == client.delete(f"{PATH}/e-any").status_code
