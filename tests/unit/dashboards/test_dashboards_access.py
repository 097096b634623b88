"""Who gets in: settings, sessions, throttle, proxy headers and the sign-in form."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import sample_hour
from flask.testing import FlaskClient
from pydantic import SecretStr, ValidationError

from dashboards.access.areas import Actor, Area, Via
from dashboards.access.identity import COOKIE
from dashboards.access.passwords import hash_password, matches
from dashboards.access.roles import Role
from dashboards.access.sessions import Sessions
from dashboards.access.settings import GrantSettings, ProxySettings, UserSettings
from dashboards.access.throttle import PER_ADDRESS, PER_USER, WINDOW_SECONDS, Throttle
from dashboards.app import build_app
from dashboards.services import Services
from dashboards.settings import DashboardSettings
from storage.seam import Store

S_NS = 1_000_000_000
NOW_NS = sample_hour.NOW_NS
PASSWORD = "correct horse battery"
HASH = hash_password(PASSWORD)
ADA = UserSettings(name="ada", password_hash=SecretStr(HASH), role=Role.ENGINEER)
TOM = UserSettings(name="tom", password_hash=SecretStr(HASH), role=Role.TENANT_VIEWER, tenants=("acme",))
WITH_USERS = DashboardSettings(users=(ADA, TOM))
PROXY = ProxySettings(
    networks=(ip_network("10.0.0.0/24"),),
    user_header="X-Forwarded-User",
    grants=(
        GrantSettings(group="noc", role=Role.ENGINEER),
        GrantSettings(group="acme", role=Role.TENANT_VIEWER, tenants=("acme",)),
    ),
)
FROM_PROXY = {"REMOTE_ADDR": "10.0.0.7"}


def client_of(store: Store, settings: DashboardSettings, **options: Any) -> FlaskClient:
    return build_app(Services.of(store, settings, lambda: NOW_NS), **options).server.test_client()


@pytest.fixture
def client(empty_store: Store) -> FlaskClient:
    return client_of(empty_store, WITH_USERS)


def form_of(client: FlaskClient, **fields: str) -> dict[str, str]:
    page = client.get("/sign-in").get_data(as_text=True)
    found = re.search(r'name="token" value="([^"]+)"', page)
    assert found is not None
    return {"token": found[1], **fields}


def sign_in(client: FlaskClient, name: str = "ada", password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/sign-in", data=form_of(client, name=name, password=password, next="/live"), **more)


@pytest.mark.parametrize("path", ["/", "/live", "/call/x", "/nothing"])
def test_the_unknown_are_led_to_the_sign_in(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert 303 == answer.status_code
    assert answer.headers["Location"].startswith("/sign-in")


@pytest.mark.parametrize(
    "path",
    ["/_dash-layout", "/_dash-dependencies", "/export/call/x/ladder.csv", "/api/v1/events", "/_reload-hash"],
)
def test_the_unknown_get_nothing_else(client: FlaskClient, path: str) -> None:
    assert (401, {"error": "sign in first"}) == ((answer := client.get(path)).status_code, answer.get_json())


def test_a_public_path_in_the_body_opens_nothing(client: FlaskClient) -> None:
    """What a request says of itself is no permission."""
    body = {
        "output": "page.children",
        "outputs": {"id": "page", "property": "children"},
        "inputs": [{"id": "url", "property": "pathname", "value": "/healthz"}],
        "changedPropIds": ["url.pathname"],
    }
    assert 401 == client.post("/_dash-update-component", json=body).status_code


@pytest.mark.parametrize("path", ["/healthz", "/sign-in", "/tokens.css", "/assets/1-base.css"])
def test_what_the_sign_in_needs_is_open(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        assert 200 == answer.status_code


def test_the_right_password_signs_in(client: FlaskClient) -> None:
    answer = sign_in(client)
    assert (303, "/live") == (answer.status_code, answer.headers["Location"])
    assert 200 == client.get("/_dash-layout").status_code


def test_the_cookie_is_for_the_server_alone(client: FlaskClient) -> None:
    cookie = next(c for c in sign_in(client).headers.getlist("Set-Cookie") if c.startswith(COOKIE))
    assert ("HttpOnly" in cookie, "SameSite=Lax" in cookie, "Max-Age=43200" in cookie, "Secure" in cookie) == (
        True, True, True, False,
    )  # fmt: skip


def test_behind_tls_the_cookie_is_secure(empty_store: Store) -> None:
    settings = DashboardSettings(users=(ADA,), proxy=ProxySettings(networks=(ip_network("127.0.0.1/32"),)))
    client = client_of(empty_store, settings)
    data = form_of(client, name="ada", password=PASSWORD)
    cookies = client.post("/sign-in", data=data, headers={"X-Forwarded-Proto": "https"}).headers.getlist(
        "Set-Cookie"
    )
    assert "Secure" in next(c for c in cookies if c.startswith(COOKIE))


@pytest.mark.parametrize(
    ("name", "password"), [("ada", "wrong wrong"), ("nobody", PASSWORD), ("", ""), ("ada", "")]
)
def test_the_wrong_ones_learn_nothing(client: FlaskClient, name: str, password: str) -> None:
    answer = sign_in(client, name, password)
    assert 401 == answer.status_code
    assert "do not go together" in answer.get_data(as_text=True)


def test_guessing_is_slowed_down_for_that_name_alone(client: FlaskClient) -> None:
    statuses = [sign_in(client, "tom", "guess guess").status_code for _ in range(PER_USER)]
    right = sign_in(client, "TOM")
    assert ([401] * PER_USER, 429, True) == (statuses, right.status_code, int(right.headers["Retry-After"]) > 0)
    assert 303 == sign_in(client, "ada").status_code


def test_a_form_without_our_token_is_refused(client: FlaskClient) -> None:
    client.get("/sign-in")
    answers = [client.post("/sign-in", data={"name": "ada", "password": PASSWORD, "token": t}) for t in ("", "x")]
    assert [400, 400] == [answer.status_code for answer in answers]


def test_a_token_of_another_browser_is_refused(empty_store: Store) -> None:
    app = build_app(Services.of(empty_store, WITH_USERS, lambda: NOW_NS)).server
    theirs, ours = app.test_client(), app.test_client()
    ours.get("/sign-in")
    assert 400 == ours.post("/sign-in", data=form_of(theirs, name="ada", password=PASSWORD)).status_code


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_forms_of_another_site_are_refused(client: FlaskClient, headers: dict[str, str]) -> None:
    assert 403 == sign_in(client, headers=headers).status_code


@pytest.mark.parametrize(
    "after", ["//evil.example", "https://evil.example", "/\\evil.example", "/x\r\nSet-Cookie: a"]
)
def test_the_way_on_stays_here(client: FlaskClient, after: str) -> None:
    data = form_of(client, name="ada", password=PASSWORD, next=after)
    assert "/" == client.post("/sign-in", data=data).headers["Location"]


def test_signing_out_ends_the_session_for_every_copy(client: FlaskClient) -> None:
    sign_in(client)
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None
    assert "/sign-in" == client.post("/sign-out").headers["Location"]
    client.set_cookie(COOKIE, cookie.value)
    assert 401 == client.get("/_dash-layout").status_code


@pytest.mark.parametrize("cookie", ["", "x", "eyJ.x", "W10.aaaa", "\u2603"])
def test_a_forged_session_is_none(client: FlaskClient, cookie: str) -> None:
    client.set_cookie(COOKIE, cookie)
    assert 401 == client.get("/_dash-layout").status_code


@pytest.mark.parametrize(
    "after",
    [
        {"password_hash": SecretStr(hash_password("another password"))},
        {"role": Role.CLIENT_SUCCESS},
        {"tenants": ("globex",)},
        {"name": "thomas"},
    ],
)
def test_a_session_ends_when_its_grant_changes(empty_store: Store, after: dict[str, Any]) -> None:
    secret = SecretStr("s" * 32)
    before = client_of(empty_store, DashboardSettings(users=(TOM,), session_secret=secret))
    sign_in(before, "tom")
    cookie = before.get_cookie(COOKIE)
    assert cookie is not None
    statuses = []
    for user in (TOM, TOM.model_copy(update=after)):
        restarted = client_of(empty_store, DashboardSettings(users=(user,), session_secret=secret))
        restarted.set_cookie(COOKIE, cookie.value)
        statuses.append(restarted.get("/_dash-layout").status_code)
    assert [200, 401] == statuses


def test_a_session_ends_in_time() -> None:
    sessions = Sessions("s" * 32, 60)
    cookie = sessions.begin("ada", Via.PASSWORD, "", NOW_NS)
    ends = NOW_NS + 60 * S_NS
    assert [True, False] == [sessions.read(cookie, at) is not None for at in (ends - S_NS, ends)]


def test_tries_are_forgotten_after_the_window() -> None:
    throttle = Throttle()
    waits = [throttle.wait_seconds("ada", "a", NOW_NS) for _ in range(PER_USER + 1)]
    assert [0] * PER_USER + [WINDOW_SECONDS] == waits
    assert 0 == throttle.wait_seconds("ada", "a", NOW_NS + WINDOW_SECONDS * S_NS)


def test_many_names_from_one_address_are_slowed_down_too() -> None:
    throttle = Throttle()
    assert PER_ADDRESS == sum(not throttle.wait_seconds(f"u{i}", "a", NOW_NS) for i in range(PER_ADDRESS + 5))


def test_a_password_may_be_long_but_not_endless() -> None:
    assert [True, False] == [matches(PASSWORD, HASH), matches("x" * 100_000, HASH)]


# --- a proxy that signs people in ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "peer", "status"),
    [
        ({"X-Forwarded-User": "ada", "X-Forwarded-Groups": "staff, noc"}, FROM_PROXY, 200),
        ({"X-Forwarded-User": "ada", "X-Forwarded-Groups": "staff"}, FROM_PROXY, 401),
        ({"X-Forwarded-User": "ada"}, FROM_PROXY, 401),
        ({"X-Forwarded-Groups": "noc"}, FROM_PROXY, 401),
        ({"X-Forwarded-User": "eve, ada", "X-Forwarded-Groups": "noc"}, FROM_PROXY, 401),
        ({"X-Forwarded-User": "a" * 200, "X-Forwarded-Groups": "noc"}, FROM_PROXY, 401),
        ({"X-Forwarded-User": "ada", "X-Forwarded-Groups": "noc"}, {"REMOTE_ADDR": "10.0.1.7"}, 401),
        ({"X-Forwarded-User": "ada", "X-Forwarded-Groups": "noc"}, {"REMOTE_ADDR": "127.0.0.1"}, 401),
        ({"X-Forwarded-User": "ada", "X-Forwarded-Groups": "noc"}, {"REMOTE_ADDR": "::ffff:10.0.0.7"}, 200),
        ({"X-Forwarded-User": "ada", "X-Forwarded-Groups": "noc", "X-Forwarded-For": "10.0.0.7"},
         {"REMOTE_ADDR": "192.0.2.1"}, 401),
    ],
)  # fmt: skip
def test_headers_are_believed_of_the_proxy_alone(
    empty_store: Store, headers: dict[str, str], peer: dict[str, str], status: int
) -> None:
    client = client_of(empty_store, DashboardSettings(host="0.0.0.0", proxy=PROXY))
    assert status == client.get("/_dash-layout", headers=headers, environ_base=peer).status_code


def test_tries_are_counted_by_the_clients_address_behind_a_proxy(empty_store: Store) -> None:
    client = client_of(empty_store, DashboardSettings(users=(ADA,), proxy=PROXY))

    def attempt(address: str) -> int:
        told = {"X-Forwarded-For": f"1.2.3.4, {address}, 10.0.0.9"}
        data = form_of(client, name="ada", password="guess guess")
        return client.post("/sign-in", data=data, headers=told, environ_base=FROM_PROXY).status_code

    statuses = [attempt("192.0.2.1") for _ in range(PER_USER + 1)] + [attempt("192.0.2.2")]
    assert [401] * PER_USER + [429, 401] == statuses


# --- without sign-in ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "host", "status"),
    [
        ("127.0.0.1", "localhost:8050", 200),
        ("::1", "[::1]:8050", 200),
        ("192.0.2.1", "localhost", 401),
        ("127.0.0.1", "rebound.evil.example", 401),
    ],
)
def test_without_sign_in_only_this_machine_is_served(
    empty_store: Store, peer: str, host: str, status: int
) -> None:
    client = client_of(empty_store, DashboardSettings())
    asked = client.get("/_dash-layout", environ_base={"REMOTE_ADDR": peer}, headers={"Host": host})
    assert status == asked.status_code


def test_it_says_that_nobody_signs_in(empty_store: Store) -> None:
    assert "no sign-in" in client_of(empty_store, DashboardSettings()).get("/_dash-layout").get_data(as_text=True)


def test_it_may_be_opened_to_the_network(empty_store: Store) -> None:
    client = client_of(empty_store, DashboardSettings(host="0.0.0.0", open_to_network=True))
    assert 200 == client.get("/_dash-layout", environ_base={"REMOTE_ADDR": "192.0.2.1"}).status_code


# --- personas -------------------------------------------------------------------------------------------

PERSONAS = {"viewer": Actor("Tomoko", Role.TENANT_VIEWER, frozenset({"acme"}), Via.PERSONA)}


def test_a_persona_is_one_click(empty_store: Store) -> None:
    client = client_of(empty_store, DashboardSettings(), personas=PERSONAS)
    client.post("/sign-in", data=form_of(client, persona="viewer"))
    assert "Tomoko" in client.get("/_dash-layout").get_data(as_text=True)


@pytest.mark.parametrize("settings", [WITH_USERS, DashboardSettings(host="0.0.0.0", open_to_network=True)])
def test_personas_are_for_a_demo_on_loopback(empty_store: Store, settings: DashboardSettings) -> None:
    with pytest.raises(ValueError, match="personas"):
        client_of(empty_store, settings, personas=PERSONAS)


def test_there_are_no_personas_elsewhere(client: FlaskClient) -> None:
    assert 401 == client.post("/sign-in", data=form_of(client, persona="viewer")).status_code


A = {"name": "a", "password_hash": HASH}

# --- settings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"host": "0.0.0.0"}, "nobody needs to sign in"),
        ({"host": "::"}, "open_to_network: true lets everybody in"),
        ({"host": "0.0.0.0", "proxy": {"networks": ["10.0.0.0/8"]}}, "nobody needs to sign in"),
        ({"users": [{"name": "a", "password_hash": "secret", "role": "engineer"}]}, "surgecast web password"),
        ({"users": [{"name": "a", "password_hash": HASH, "role": "tenant_viewer"}]}, "needs tenants"),
        ({"users": [{"name": "a", "password_hash": HASH, "role": "client_success"}]}, "needs tenants"),
        (
            {"users": [{"name": "a", "password_hash": HASH, "role": "engineer", "tenants": ["unassigned"]}]},
            "no tenant",
        ),
        (
            {"users": [{"name": "a", "password_hash": HASH, "role": "engineer"}] * 2},
            "more than one user is named a",
        ),
        ({"proxy": {"user_header": "X-User"}}, "needs networks"),
        ({"proxy": {"user_header": "X-User", "networks": ["10.0.0.0/8"]}}, "needs grants"),
        ({"session_secret": "short"}, "shorter than 32"),
    ],
)
def test_settings_that_would_let_in_are_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DashboardSettings(**values)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_sign_in(host: str) -> None:
    assert not DashboardSettings(host=host).sign_in


def test_no_hash_is_shown() -> None:
    assert HASH not in repr(WITH_USERS)


def test_the_documentation_says_who_sees_which_page() -> None:
    text = (Path(__file__).parents[3] / "docs" / "access.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    written = {row[0]: [cell == "yes" for cell in row[1:]] for row in rows if len(row) == 1 + len(Role)}
    expected = {area.value.title: [role in area.value.roles for role in Role] for area in Area if area.value.title}
    assert {"page": [False] * len(Role), "---": [False] * len(Role)} | expected == written
