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
import sample_hour
import structlog
from flask.testing import FlaskClient
from sample_report import BERLIN, NOW_NS, OCTOBER_S, alert, fill, session

from dashboards.access.areas import Actor, Via
from dashboards.access.roles import Role
from dashboards.app import build_app
from dashboards.queries.executive import executive_view
from dashboards.reports.as_csv import report_csv
from dashboards.reports.as_html import report_html
from dashboards.reports.build import build_report
from dashboards.reports.model import Report
from dashboards.reports.period import parse_period
from dashboards.reports.settings import ReportSettings
from dashboards.reports.words import incident_length, part_name
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
    "Carried traffic": ("20.0 erl", "3", 20),
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


# --- a day that runs --------------------------------------------------------------------------------

TODAY_S = OCTOBER_S + 10 * 86_400
"""Sunday, 11 October 2026, 00:00 in Berlin."""
WEEK_S, HOUR_S = 7 * 86_400, 3_600
HALF_PAST_TEN_S = TODAY_S + 10 * HOUR_S + 1800


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A day until half past ten, the same one of the week before, and what must not be in either."""
    opened = open_store(str(tmp_path_factory.mktemp("running")))
    before_s = HALF_PAST_TEN_S - WEEK_S
    rows = [
        session(TODAY_S, attempts=60, answered=30, busy=30),
        session(HALF_PAST_TEN_S - 60, attempts=40, answered=20, no_facility=20),
        session(HALF_PAST_TEN_S, attempts=5, answered=5),  # the minute that runs
        session(TODAY_S - 60, attempts=900, answered=900),  # yesterday
        session(TODAY_S - WEEK_S, attempts=30, answered=30),
        session(before_s - 60, attempts=20, answered=10, busy=10),
        session(before_s, attempts=700, answered=700),  # the rest of that day
    ]
    sample_hour.write(opened, "session_minute", rows)

    def times(raised_s: int) -> dict[str, int]:
        return {"onset_at": (raised_s - 300) * 10**9, "started_at": raised_s * 10**9}

    raised_s, late_s, ended_s = HALF_PAST_TEN_S - 1800, HALF_PAST_TEN_S + 30, TODAY_S + HOUR_S
    shared = {"scope_kind": "tenant", "scope": "acme", "cause": "trunk t1", "parent_id": "of-a-trunk"}
    over = {"ended_at": ended_s * 10**9, "impact_calls": 3.0, "impact_minutes": 60.0}
    sample_hour.write(
        opened,
        "alert_event",
        [
            alert(raised_s, "firing", "open", impact_calls=12.0, impact_minutes=0.0, **times(raised_s)) | shared,
            alert(late_s, "firing", "just-now", impact_calls=4.0, **times(late_s)),
            alert(ended_s, "resolved", "over", **times(TODAY_S), **over),
            alert(TODAY_S - HOUR_S, "resolved", "yesterday", **times(TODAY_S - 2 * HOUR_S),
                  ended_at=(TODAY_S - HOUR_S) * 10**9),
        ],
    )  # fmt: skip
    yield opened
    opened.close()


@pytest.fixture
def today(running: Store) -> Report:
    now_ns = (HALF_PAST_TEN_S + 45) * 10**9
    period = parse_period("today", BERLIN, now_ns)
    return build_report(running.reader(Scope.of("tom", "acme")), "acme", period, now_ns=now_ns)


def test_a_day_that_runs_is_held_against_the_same_part_of_the_week_before(today: Report) -> None:
    found = {key: today.figure(key) for key in ("attempts", "asr", "ner")}
    assert {
        "attempts": (100, 50, 1.0, 100, 50),
        "asr": (50 / 100, 40 / 50, pytest.approx(-0.3), 100, 50),
        "ner": (80 / 100, 1.0, pytest.approx(-0.2), 100, 50),
    } == {key: (each.value, each.before, each.change, each.n, each.before_n) for key, each in found.items()}


def test_a_day_that_runs_says_until_when(today: Report) -> None:
    says = "2026-10-11 so far, until 10:30 CEST (2026-10-11 00:00:00 CEST to 2026-10-11 10:30:00 CEST"
    assert says in report_html(today)
    assert "Compared with 2026-10-04 00:00:00 CEST to 2026-10-04 10:30:00 CEST" in report_html(today)
    assert "so far, until 10:30 CEST" in report_csv(today)


def test_a_day_is_told_by_the_hour(today: Report) -> None:
    hours = {part_name(today, hour): hour.counts.attempts for hour in today.days if hour.stored}
    assert ({"00:00": 60, "10:00": 40}, 11) == (hours, len(today.days))


def test_incidents_of_a_day_that_runs_are_told_also_while_open(today: Report) -> None:
    shared = "something that is shared with others"
    onset = {"over": TODAY_S - 300, "open": HALF_PAST_TEN_S - 2100, "just-now": HALF_PAST_TEN_S - 270}
    assert [
        ("over", onset["over"], "resolved", "", 3.0, 60.0, "1 h 5 min"),
        ("open", onset["open"], "firing", shared, 12.0, 30.0, "open"),
        ("just-now", onset["just-now"], "firing", "", 4.0, 0.0, "open"),
    ] == [
        (each.id, each.started_ns // 10**9, each.state, each.cause, each.impact_calls, each.impact_minutes,
         incident_length(each))
        for each in today.incidents
    ]  # fmt: skip


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
