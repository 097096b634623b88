"""Pages for client success and executives: figures of the scope alone, sorted, priced, printable, escaped."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import sample_hour
from dash import no_update
from plotly.utils import PlotlyJSONEncoder

from dashboards.access.areas import LOCAL_ENGINEER
from dashboards.app import build_app, route
from dashboards.components.tenants import SORTS, tenants_body
from dashboards.pages.body_state import subject_of
from dashboards.pages.tenant_pages import tick
from dashboards.queries.executive import executive_view
from dashboards.queries.tenants import tenants_view
from dashboards.reports.rates import BadRates, Rates, load_rates
from dashboards.reports.settings import ReportSettings, Targets
from dashboards.services import Services
from dashboards.settings import DashboardSettings
from storage.seam import Scope, Store, Window

NOW_NS = sample_hour.NOW_NS
ENGINEER = Scope.everything("engineer")
VIEWER = Scope.of("viewer", "globex")
TENANTS = {"acme", "globex", "initech"}


def shown(services: Services, page: str, tenant: str = "", search: str = "", scope: Scope = ENGINEER) -> str:
    """Return what a page shows, as JSON text, once the background has read."""
    of = {"page": page, "tenant": tenant}
    tick(services, scope, of, search, {"view": f"{page}?{subject_of(page, tenant, search)}", "version": 0})
    services.bodies.refresh(NOW_NS)
    return json.dumps(tick(services, scope, of, search, None)["body"], cls=PlotlyJSONEncoder, ensure_ascii=False)


def minutes_of(store: Store, scope: Scope, by: str) -> dict[str, float]:
    table = store.reader(scope).sums("session_minute", Window(0, NOW_NS + 1), step_seconds=0, by=(by,))
    return dict(zip(table[by].to_pylist(), table["minutes"].to_pylist(), strict=True))


def test_the_overview_has_every_tenant_of_the_scope(sample_store: Store) -> None:
    everyone = tenants_view(sample_store, ENGINEER, NOW_NS)
    assert ({row.name for row in everyone.rows}, ["globex"]) == (
        TENANTS,
        [row.name for row in tenants_view(sample_store, VIEWER, NOW_NS).rows],
    )


def test_a_row_has_the_tenants_own_figures(sample_store: Store) -> None:
    mine = next(row for row in tenants_view(sample_store, ENGINEER, NOW_NS).rows if row.name == "globex")
    (alone,) = tenants_view(sample_store, VIEWER, NOW_NS).rows
    assert mine == alone
    assert mine.figures["attempts"].value == sum(n or 0 for n in mine.trend)


@pytest.mark.parametrize("sort", [f"{sign}{key}" for key in SORTS for sign in ("", "-")])
def test_the_overview_sorts_by_every_column(sample_store: Store, sort: str) -> None:
    body = tenants_body(tenants_view(sample_store, ENGINEER, NOW_NS), sort, DashboardSettings().time_zone)
    text = json.dumps(body, cls=PlotlyJSONEncoder)
    assert {text.index(f'"/tenant/{name}"') > 0 for name in TENANTS} == {True}
    assert ("descending" if sort.startswith("-") else "ascending") in text


def test_an_empty_store_says_why(empty_services: Services) -> None:
    assert "No tenant had a session attempt" in shown(empty_services, "tenants")
    assert "Nothing was stored in the last 28 days" in shown(empty_services, "executive")


def test_the_tenant_page_is_the_report(services: Services) -> None:
    text = shown(services, "tenant", "acme", "?period=2026-09-21..2026-09-21")
    assert "provisional" in text.lower()
    assert "format=pdf" in text
    assert "Worst calls" in text


@pytest.mark.parametrize("tenant", ["acme", "initech", "nobody", "unassigned", "", "globex/../acme"])
def test_another_tenant_is_not_found(services: Services, tenant: str) -> None:
    assert "There is no tenant" in shown(services, "tenant", tenant, scope=VIEWER)


def test_a_period_that_is_none_is_explained(services: Services) -> None:
    assert "is not understood" in shown(services, "tenant", "acme", "?period=<b>soon")


@pytest.mark.parametrize("of", [None, {}, {"page": "live"}, {"page": ["x"]}])
def test_a_forged_page_is_not_there(services: Services, of: Any) -> None:
    assert "There is no such page" in json.dumps(
        tick(services, ENGINEER, of, "", None)["body"], cls=PlotlyJSONEncoder
    )


def test_a_tick_without_news_changes_nothing(services: Services) -> None:
    shown(services, "tenants")
    of = {"page": "tenants", "tenant": ""}
    heard = tick(services, ENGINEER, of, "", None)["heard"]
    assert no_update is tick(services, ENGINEER, of, "", heard)["body"]


@pytest.mark.parametrize("path", ["/tenants", "/tenants/", "/tenant/a%2Fb", "/executive"])
def test_addresses_lead_to_their_pages(path: str) -> None:
    assert "body-page" == route(path, 2.0, LOCAL_ENGINEER).id


def test_the_executive_page_has_eight_numbers(sample_store: Store) -> None:
    view = executive_view(sample_store, ENGINEER, ReportSettings(), NOW_NS)
    assert ["attempts", "minutes", "ner", "good_time", "peak", "incidents", "cost", "revenue"] == [
        headline.figure.key for headline in view.headlines
    ]


def test_cost_and_revenue_are_minutes_times_rates(sample_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rates.yaml"
    path.write_text(
        "currency: CHF\ntrunks: {carrier-red: 0.5, carrier-blue: 2}\nrevenue_per_minute: 1\ntenants: {acme: 3}\n"
    )
    view = executive_view(sample_store, ENGINEER, ReportSettings(rates_file=path), NOW_NS)
    cost, revenue = view.headlines[-2:]
    trunks, tenants = (minutes_of(sample_store, ENGINEER, by) for by in ("trunk", "tenant"))
    assert pytest.approx(trunks["carrier-red"] * 0.5 + trunks["carrier-blue"] * 2) == cost.figure.value
    assert pytest.approx(tenants["acme"] * 3 + tenants["globex"] + tenants["initech"]) == revenue.figure.value
    assert pytest.approx(trunks["carrier-red"] + trunks["carrier-blue"]) == cost.figure.n


def test_an_executive_of_one_tenant_sees_its_numbers(sample_store: Store) -> None:
    view = executive_view(sample_store, VIEWER, ReportSettings(), NOW_NS)
    assert pytest.approx(minutes_of(sample_store, VIEWER, "tenant")["globex"]) == view.headlines[1].figure.value


def test_targets_are_met_or_missed(sample_store: Store) -> None:
    settings = ReportSettings(targets=Targets(ner=0.5, good_time=1, peak_calls=1))
    met = {h.figure.key: h.met for h in executive_view(sample_store, ENGINEER, settings, NOW_NS).headlines}
    assert (True, False, False, None) == (met["ner"], met["good_time"], met["peak"], met["cost"])


def test_without_rates_it_says_so(sample_store: Store) -> None:
    cost = executive_view(sample_store, ENGINEER, ReportSettings(), NOW_NS).headlines[-2]
    assert (None, "No rates are configured: set web.reports.rates_file.") == (
        cost.figure.value,
        cost.figure.reason,
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [("a: [", "not YAML"), ("trunks: {x: -1}", "trunks.x"), ("price: 1", "price"), ("- 1", "rates.yaml")],
)
def test_a_wrong_rates_file_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "rates.yaml"
    path.write_text(text)
    with pytest.raises(BadRates, match=says):
        load_rates(path)


def test_an_empty_rates_file_prices_nothing(tmp_path: Path) -> None:
    (tmp_path / "rates.yaml").write_text("")
    assert Rates() == load_rates(tmp_path / "rates.yaml")


@pytest.fixture
def viewer_client(services: Services, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a client that is signed in as a viewer of globex."""
    monkeypatch.setattr("dashboards.reports.exports.scope_of", lambda request: VIEWER)
    return build_app(services).server.test_client()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("tenant=globex&period=2026-09&format=csv", 200),
        ("tenant=globex&period=2026-09", 200),
        ("tenant=acme&period=2026-09&format=csv", 404),
        ("tenant=nobody&period=2026-09&format=csv", 404),
        ("tenant=globex&period=soon", 400),
        ("tenant=globex&period=2026-09&format=docx", 400),
        ("", 400),
    ],
)
def test_exports_keep_to_the_scope(viewer_client: Any, query: str, status: int) -> None:
    answer = viewer_client.get(f"/export/report?{query}")
    assert status == answer.status_code
    assert "acme" not in answer.get_data(as_text=True).replace("tenant 'acme' not found", "")


def test_an_export_is_a_file_with_the_tenants_rows_alone(viewer_client: Any) -> None:
    answer = viewer_client.get("/export/report?tenant=globex&period=2026-09&format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))
    assert ({"globex"}, True) == (
        {row["tenant"] for row in rows},
        answer.headers["Content-Disposition"].startswith('attachment; filename="report-globex-2026-09-'),
    )
