"""The application over HTTP, without a browser."""

import re
import threading
import urllib.request

import pytest
import sample_hour
from flask.testing import FlaskClient

from dashboards.app import build_app, create_app
from dashboards.server import WebServer
from dashboards.services import Services
from dashboards.settings import DashboardSettings
from storage.seam import Store

TRACED = "7f3a91c2-long-way%4010.20.0.11"


@pytest.fixture
def client(services: Services) -> FlaskClient:
    return build_app(services).server.test_client()


def test_health(client: FlaskClient) -> None:
    """For probes; says nothing else."""
    assert {"status": "ok"} == client.get("/healthz").get_json()


@pytest.mark.parametrize(
    "path", ["/", "/live", "/call/x", "/healthz", "/tokens.css", "/_dash-layout", "/assets/boot.js"]
)
def test_every_answer_carries_the_headers(client: FlaskClient, path: str) -> None:
    """Also the ones that are not pages."""
    with client.get(path) as answer:
        headers = answer.headers
    assert ("nosniff", "DENY") == (headers["X-Content-Type-Options"], headers["X-Frame-Options"])
    assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_scripts_run_only_from_here(client: FlaskClient) -> None:
    """No inline script but Dash's own by hash, nothing evaluated."""
    policy = client.get("/").headers["Content-Security-Policy"]
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts is not None
    assert re.fullmatch(r"'self'( 'sha256-[A-Za-z0-9+/=]+')+", scripts[1])


def test_nothing_comes_from_another_host(client: FlaskClient) -> None:
    """The product works without a network."""
    page = client.get("/").get_data(as_text=True)
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    assert [] == [source for source in sources if "//" in source]


def test_the_development_tools_are_off(client: FlaskClient) -> None:
    """And so is Dash's model context server."""
    config = client.get("/").get_data(as_text=True)
    assert '"ui":false' in config
    assert 404 == client.post("/_mcp", json={}).status_code or "html" in (client.get("/_mcp").content_type or "")


def test_the_font_is_local(client: FlaskClient) -> None:
    """Inter, under the Open Font License."""
    for name in ("inter-latin.woff2", "LICENSE-Inter.txt"):
        with client.get(f"/assets/fonts/{name}") as answer:
            assert 200 == answer.status_code


def test_the_ladder_can_be_saved_as_svg(client: FlaskClient) -> None:
    """With its own colours."""
    answer = client.get(f"/export/call/{TRACED}/ladder.svg")
    assert ("image/svg+xml", True) == (answer.mimetype, "<style>" in answer.get_data(as_text=True))


def test_the_ladder_can_be_saved_as_csv(client: FlaskClient) -> None:
    """A header and all messages."""
    assert 25 == len(client.get(f"/export/call/{TRACED}/ladder.csv").get_data(as_text=True).splitlines())


@pytest.mark.parametrize("kind", ["svg", "csv"])
def test_unknown_calls_have_no_export(client: FlaskClient, kind: str) -> None:
    """The same answer as for calls out of scope."""
    assert 404 == client.get(f"/export/call/never-was/ladder.{kind}").status_code


def test_it_serves_until_it_is_closed(sample_store: Store) -> None:
    """On a port of the system's choice."""
    settings = DashboardSettings(port=0, threads=2)
    server = WebServer(create_app(sample_store, settings, lambda: sample_hour.NOW_NS), settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with urllib.request.urlopen(f"{server.url}healthz", timeout=60) as answer:
            assert 200 == answer.status
    finally:
        server.close()
        thread.join(timeout=60)
    assert not thread.is_alive()
