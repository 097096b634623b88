"""A report of a period whose truth is known: every figure exactly as on paper, within one tenant and its days."""

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sample_hour
from sample_report import BERLIN, EVIL, NOW_NS, PDD_TRUTH, R_TRUTH, fill

from dashboards.reports.as_csv import report_csv
from dashboards.reports.as_html import report_html
from dashboards.reports.build import build_report, masked
from dashboards.reports.files import Format, file_name
from dashboards.reports.measures import Totals, figures_of
from dashboards.reports.model import Report
from dashboards.reports.period import parse_period
from dashboards.reports.words import change_text, interval_text, value_text
from storage.open import open_store
from storage.seam import OutOfScope, Scope, Store
from telephony.kpis import SessionCounts


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = open_store(str(tmp_path_factory.mktemp("reports")))
    fill(opened)
    yield opened
    opened.close()


def report_of(store: Store, tenant: str = "acme", period: str = "2026-10", scope: Scope | None = None) -> Report:
    reader = store.reader(scope or Scope.of("viewer", tenant))
    return build_report(reader, tenant, parse_period(period, BERLIN, NOW_NS), now_ns=NOW_NS)


@pytest.fixture(scope="module")
def report(store: Store) -> Report:
    return report_of(store)


@pytest.mark.parametrize(
    ("key", "value", "n"),
    [
        ("attempts", 1000, 1000),
        ("answered", 550, 1000),
        ("asr", 0.55, 1000),
        ("ner", 900 / 1000, 1000),
        ("ser", 550 / 990, 990),
        ("seer", 870 / 990, 990),
        ("isa", 35 / 1000, 1000),
        ("scr", 540 / 1000, 1000),
        ("one_way", 3 / 550, 550),
        ("no_media", 4 / 550, 550),
        ("short_calls", 6 / 550, 550),
        ("minutes", 1375.0, 550),
        ("acd", 150.0, 550),
        ("peak", 36, 3),
        ("erlangs", 20.0, 3),
        ("degraded", 100 / 1100, 1100),
        ("loss", 246 / 20_000, 20_000),
        ("registers", 80, 80),
        ("ira", 4 / 80, 80),
    ],
)
def test_a_figure_is_exactly_what_was_stored(report: Report, key: str, value: float, n: float) -> None:
    figure = report.figure(key)
    assert (pytest.approx(value, rel=1e-12), n) == (figure.value, figure.n)


def rank(values: list[float], q: float) -> float:
    return sorted(values)[math.ceil(q * len(values)) - 1]


@pytest.mark.parametrize(
    ("key", "truth"),
    [
        ("pdd_p50", rank(PDD_TRUTH, 0.5)),
        ("pdd_p95", rank(PDD_TRUTH, 0.95)),
        ("r_p5", rank(R_TRUTH + [75.0 / 1.0] * 10, 0.05)),
        ("r_p50", rank(R_TRUTH + [75.0] * 10, 0.5)),
        ("mos_nb_p5", rank([r / 20 for r in R_TRUTH], 0.05)),
        ("mos_nb_p50", rank([r / 20 for r in R_TRUTH], 0.5)),
        ("mos_wb_p50", 75.0 / 20),
    ],
)
def test_a_percentile_is_within_its_stated_bound(report: Report, key: str, truth: float) -> None:
    figure = report.figure(key)
    assert figure.value is not None
    assert figure.bound is not None
    assert abs(figure.value - truth) <= figure.bound


def test_scales_of_mos_are_never_mixed(report: Report) -> None:
    assert (1000, 100) == (report.figure("mos_nb_p50").n, report.figure("mos_wb_p50").n)


def test_a_figure_stands_beside_the_period_before(report: Report) -> None:
    attempts, asr = report.figure("attempts"), report.figure("asr")
    assert (200, "+400.0 %") == (attempts.before, change_text(attempts))
    assert (0.75, "-20.00 pp") == (asr.before, change_text(asr))


def test_what_was_not_stored_before_is_not_zero(store: Store) -> None:
    assert [None, "—"] == [
        report_of(store, EVIL).figure("attempts").before,
        change_text(report_of(store, EVIL).figure("attempts")),
    ]


def test_days_are_local_and_add_up(report: Report) -> None:
    assert (31, 600, 400) == (
        len(report.days),
        report.days[0].counts.attempts,
        report.days[-1].counts.attempts,
    )
    assert 1000 == sum(day.counts.attempts for day in report.days)
    assert [0, 30] == [i for i, day in enumerate(report.days) if day.stored]


def test_incidents_are_those_of_the_tenant_and_period(report: Report) -> None:
    (found,) = report.incidents
    assert ("resolved", "trunk t1", 42.0, 99.0, 3600) == (
        found.state,
        found.cause,
        found.impact_calls,
        found.impact_minutes,
        ((found.ended_ns or 0) - found.started_ns) // 10**9,
    )


def test_few_observations_are_said_to_be_few() -> None:
    figures = {f.key: f for f in figures_of(Totals(counts=SessionCounts(attempts=4, answered=3)), Totals())}
    assert ("too few", "", "4") == (
        value_text(figures["asr"]),
        interval_text(figures["asr"]),
        value_text(figures["attempts"]),
    )


def test_without_observations_a_figure_says_why() -> None:
    without = [f for f in figures_of(Totals(), Totals()) if f.value is None]
    assert without
    assert all(figure.reason for figure in without)


def test_equal_reports_have_equal_ids(store: Store, report: Report) -> None:
    assert report.id == report_of(store, scope=Scope.everything("engineer")).id
    assert report.id != report_of(store, period="2026-10-01..2026-10-30").id


@pytest.mark.parametrize(
    ("tenant", "scope"),
    [
        ("globex", Scope.of("viewer", "acme")),
        ("acme", Scope.of("viewer")),
        ("nobody", Scope.of("viewer", "nobody")),
        ("unassigned", Scope.of("viewer", "unassigned")),
    ],
)
def test_a_tenant_outside_the_scope_is_not_found(store: Store, tenant: str, scope: Scope) -> None:
    with pytest.raises(OutOfScope):
        report_of(store, tenant, scope=scope)


def test_an_empty_period_says_why(store: Store) -> None:
    assert "Its newest data is of 2026-11-01 00:00:00 CET" in report_of(store, period="2026-08").empty
    assert "Nothing of tenant acme is stored" in report_html(report_of(store, period="2026-08"))


def test_a_tenant_that_is_configured_exists_without_data(store: Store) -> None:
    reader = store.reader(Scope.of("viewer", "new"))
    found = build_report(reader, "new", parse_period("2026-10", BERLIN, NOW_NS), now_ns=NOW_NS, known={"new"})
    assert "Nothing was ever stored of tenant new" in found.empty


def test_a_running_period_is_provisional(store: Store, report: Report) -> None:
    assert ("", True) == (report.provisional, bool(report_of(store, period="2026-11").provisional))


def table_of(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report_csv(report).removeprefix("\ufeff"))))


def test_csv_has_a_row_per_figure_with_n_and_unit(report: Report) -> None:
    rows = {row["key"]: row for row in table_of(report) if row["section"] == "figure"}
    assert [figure.key for figure in report.figures] == list(rows)
    assert ("0.55", "ratio", "1000", "550", "1000", "-0.19999999999999996") == tuple(
        rows["asr"][name] for name in ("value", "unit", "n", "numerator", "denominator", "change")
    )


def test_no_cell_of_csv_is_a_formula(store: Store) -> None:
    rows = table_of(report_of(store, EVIL))
    assert {"'" + EVIL} == {row["tenant"] for row in rows}
    number = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")
    risky = [
        cell
        for row in rows
        for cell in row.values()
        if cell[:1] in "=+-@\t\r" and cell and not number.fullmatch(cell)
    ]
    assert [] == risky


def test_no_text_becomes_markup(store: Store) -> None:
    page = report_html(report_of(store, EVIL))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_html_is_one_file_that_asks_for_nothing(report: Report) -> None:
    page = report_html(report)
    assert [] == re.findall(r"(?:src|href)=|url\(|@import", page)
    assert "default-src 'none'" in page


def test_worst_calls_are_masked(store: Store, tmp_path: Path) -> None:
    opened = open_store(str(tmp_path))
    sample_hour.fill(opened)
    period = parse_period("2026-09-21..2026-09-21", BERLIN, NOW_NS)
    found = build_report(opened.reader(Scope.of("v", "acme")), "acme", period, now_ns=NOW_NS)
    opened.close()
    assert found.worst
    assert sample_hour.TRACED_CALL.partition("@")[0] in {call.reference for call in found.worst}
    assert not re.search(r"\d{6,}\b|@", " ".join(f"{call.caller} {call.callee}" for call in found.worst))


@pytest.mark.parametrize(
    ("stored", "shown"),
    [("+493012345678", "+4930******78"), ("sip:1234567@x", "sip:123**67@x"), ("+49**78", "+49**78"), ("", "")],
)
def test_numbers_are_masked_also_where_the_store_keeps_them(stored: str, shown: str) -> None:
    assert shown == masked(stored)


def test_a_file_name_leads_nowhere(store: Store) -> None:
    name = file_name(report_of(store, EVIL), Format.CSV)
    assert re.fullmatch(r"report-[\w-]+-2026-10-[0-9a-f]{12}\.csv", name)
