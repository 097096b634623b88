"""A period with known truth, counted on paper from what was stored: the right figures in every form of the report.

Nothing here is computed by the product: what is expected are the sums of tests/sample_report.py, written out.
"""

import csv
import io
import re
import subprocess
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import pytest
import structlog
from flask.testing import FlaskClient
from sample_report import NOW_NS, OCTOBER_S, fill

from dashboards.access.areas import Actor, Via
from dashboards.access.roles import Role
from dashboards.app import build_app
from dashboards.queries.executive import executive_view
from dashboards.reports.settings import ReportSettings
from dashboards.services import Services
from dashboards.settings import DashboardSettings
from dashboards.tenant_views import Headline
from storage.open import open_store
from storage.seam import Scope, Store

REPORT = "/export/report?tenant=acme&period=2026-10&format="
FIGURES = {
    "Session attempts": ("1,000", "1,000", 1000),
    "Answered calls": ("550", "1,000", 550),
    "ASR, answer-seizure ratio": ("55.0 %", "550 / 1,000", 550 / 1000),
    "NER, network effectiveness ratio": ("90.0 %", "900 / 1,000", 900 / 1000),
    "SER, session establishment ratio": ("55.6 %", "550 / 990", 550 / 990),
    "SEER, session establishment effectiveness": ("87.9 %", "870 / 990", 870 / 990),
    "ISA, ineffective session attempts": ("3.50 %", "35 / 1,000", 35 / 1000),
    "SCR, session completion ratio": ("54.0 %", "540 / 1,000", 540 / 1000),
    "One-way audio": ("0.545 %", "3 / 550", 3 / 550),
    "No media seen": ("0.727 %", "4 / 550", 4 / 550),
    "Short calls": ("1.09 %", "6 / 550", 6 / 550),
    "Conversation minutes": ("1,375 min", "550", 1375),
    "ACD, average call duration": ("2 min 30 s", "550", 150),
    "Peak calls in progress": ("36", "3", 36),
    "Carried traffic": ("20.0 E", "3", 20),
    "Degraded stream time": ("9.09 %", "100 / 1,100", 100 / 1100),
    "Packet loss": ("1.23 %", "246 / 20,000", 246 / 20_000),
    "REGISTER attempts": ("80", "80", 80),
    "IRA, ineffective registrations": ("5.00 %", "4 / 80", 4 / 80),
}
"""Value and n as they are written, and the value, of every figure that is no percentile."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(str(tmp_path_factory.mktemp("truth")))
    fill(opened)
    yield opened
    opened.close()


@pytest.fixture
def viewer(store: Store, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """Somebody of the tenant."""
    actor = Actor("tom", Role.TENANT_VIEWER, frozenset({"acme"}), Via.PASSWORD)
    monkeypatch.setattr("dashboards.access.identity.Identity.of", lambda *_: actor)
    settings = DashboardSettings(zone="Europe/Berlin")
    return build_app(Services.of(store, settings, lambda: NOW_NS)).server.test_client()


def text_of(client: FlaskClient, address: str) -> str:
    answer = client.get(address)
    assert 200 == answer.status_code
    return answer.get_data(as_text=True)


def test_the_page_has_the_figures(viewer: FlaskClient) -> None:
    rows = re.findall(r"<tr>(.*?)</tr>", text_of(viewer, f"{REPORT}html"), re.DOTALL)
    cells = [[unescape(re.sub(r"<[^>]+>", "", c)).split("\n") for c in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)]
             for row in rows]  # fmt: skip
    written = [[" ".join(" ".join(cell).split()) for cell in row] for row in cells]
    found = {row[0]: (row[1], row[2]) for row in written if row and row[0] in FIGURES}
    expected = {name: (value, n) for name, (value, n, _) in FIGURES.items()}
    assert expected == {
        name: (value, n.rstrip("abcdefghijklmnopqrstuvwxyzREGIST- ")) for name, (value, n) in found.items()
    }


def test_the_table_has_the_figures(viewer: FlaskClient) -> None:
    rows = csv.DictReader(io.StringIO(text_of(viewer, f"{REPORT}csv").removeprefix("\ufeff")))
    found = {
        row["name"]: float(row["value"]) for row in rows if row["section"] == "figure" and row["name"] in FIGURES
    }
    assert pytest.approx({name: value for name, (_, _, value) in FIGURES.items()}, rel=1e-12) == found


@pytest.mark.browser
def test_the_print_has_the_figures(
    viewer: FlaskClient, require_program: Callable[[str], str], tmp_path: Path
) -> None:
    require_program("chromium")
    path = tmp_path / "report.pdf"
    path.write_bytes(viewer.get(f"{REPORT}pdf").get_data())
    program = require_program("pdftotext")
    shown = subprocess.run([program, "-layout", str(path), "-"], capture_output=True, text=True, check=True).stdout
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    # Long names go on below, beside nothing.
    begins = {name: re.compile(rf"{re.escape(name.split()[0])}.* {re.escape(f'{value} {n}')}\b")
              for name, (value, n, _) in FIGURES.items()}  # fmt: skip
    missing = [name for name, begin in begins.items() if not any(map(begin.match, lines))]
    assert [] == missing


def test_who_took_the_report_is_recorded(viewer: FlaskClient) -> None:
    with structlog.testing.capture_logs() as lines:
        text_of(viewer, f"{REPORT}csv")
        viewer.get(f"{REPORT.replace('acme', 'globex')}csv")
    assert [("export", "report", "tom", "tenant_viewer", "acme", "2026-10", "csv", "127.0.0.1")] == [
        tuple(line[key] for key in ("event", "what", "actor", "role", "tenant", "period", "format", "address"))
        for line in lines
        if line["event"] == "export"
    ]


# --- the executive page -----------------------------------------------------------------------------

TEN_DAYS_NS = (OCTOBER_S + 10 * 86_400) * 10**9
RATES = "currency: CHF\ntrunks: {t1: 2}\ntenants: {acme: 3}\n"


def headlines(store: Store, folder: Path, scope: Scope) -> dict[str, Headline]:
    rates = folder / "rates.yaml"
    rates.write_text(RATES)
    view = executive_view(store, scope, ReportSettings(rates_file=rates), TEN_DAYS_NS)
    return {headline.figure.key: headline for headline in view.headlines}


def test_the_eight_numbers_are_exact(store: Store, tmp_path: Path) -> None:
    """Of all tenants: acme's 600 and 200 attempts, 999 of globex, and 40 of one with an odd name."""
    found = headlines(store, tmp_path, Scope.everything("edith"))
    assert pytest.approx(
        {
            "attempts": 600 + 200 + 999 + 40,
            "minutes": 750 + 10,
            "ner": (500 + 150 + 1 + 40) / 1839,
            "good_time": (900 + 100 + 0) / 1600,
            "peak": 36,
            "incidents": 2,
            "cost": 760 * 2 + 170 * 0.2,
            "revenue": 760 * 3,
        },
        rel=1e-12,
    ) == {key: headline.figure.value for key, headline in found.items()}
    assert "34 CHF of it are 170 pod-hours." in found["cost"].sentence


def test_a_tenant_pays_no_pods(store: Store, tmp_path: Path) -> None:
    found = headlines(store, tmp_path, Scope.of("eve", "acme"))["cost"]
    assert (1520, True) == (
        found.figure.value,
        found.sentence.endswith("Pods serve every tenant and are not in it."),
    )


def test_without_decisions_it_says_so(sample_store: Store, tmp_path: Path) -> None:
    rates = tmp_path / "rates.yaml"
    rates.write_text("cost_per_minute: 1\n")
    now_ns = 1_790_000_000 * 10**9
    view = executive_view(sample_store, Scope.everything("edith"), ReportSettings(rates_file=rates), now_ns)
    assert "No pods are in it: no pool has a decision in these days." in view.headlines[-2].sentence


def test_weeks_before_anything_was_stored_are_unknown(store: Store, tmp_path: Path) -> None:
    trend = headlines(store, tmp_path, Scope.everything("edith"))["cost"].trend
    assert (13, [None] * 11) == (len(trend), list(trend[:11]))
    assert pytest.approx(1520 + 34) == sum(value or 0 for value in trend)
