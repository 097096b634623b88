"""Periods are compared only where both were measured: stores of which it is known on which days anything came."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import sample_hour
from plotly.utils import PlotlyJSONEncoder
from sample_report import BERLIN, OCTOBER_S, session

from dashboards.components.executive import executive_body
from dashboards.components.tenants import tenants_body
from dashboards.queries.executive import executive_view
from dashboards.queries.tenants import tenants_view
from dashboards.reports.as_csv import report_csv
from dashboards.reports.as_html import report_html
from dashboards.reports.build import build_report
from dashboards.reports.comparison import Measured, why_not_compared
from dashboards.reports.model import Report
from dashboards.reports.period import parse_period
from dashboards.reports.settings import ReportSettings
from dashboards.reports.words import change_text
from storage.open import open_store
from storage.seam import Scope, Store

DAY_S = 86_400
ENGINEER = Scope.everything("engineer")
Filled = Callable[[Iterable[int]], Store]


@pytest.fixture
def store_of(tmp_path: Path) -> Iterable[Filled]:
    """Return what opens a store with 100 attempts at noon of each of these days since 1 October 2026 in Berlin."""
    opened: list[Store] = []

    def fill(days: Iterable[int]) -> Store:
        store = open_store(str(tmp_path))
        opened.append(store)
        at = [OCTOBER_S + day * DAY_S + DAY_S // 2 for day in days]
        sample_hour.write(store, "session_minute", [session(s, attempts=100, answered=60, busy=40) for s in at])
        return store

    yield fill
    for store in opened:
        store.close()


def test_parts_are_counted_once_and_only_within() -> None:
    assert Measured(2, 3) == Measured.of(np.array([5, 10, 11, 12, 35, 40]), [10, 20, 30, 40])


@pytest.mark.parametrize(
    ("now", "before", "compared"),
    [
        (Measured(28, 28), Measured(28, 28), True),
        (Measured(20, 28), Measured(20, 28), True),  # a tenant that works on weekdays
        (Measured(31, 31), Measured(28, 28), True),  # a month of 31 days after one of 28
        (Measured(28, 28), Measured(25, 28), True),
        (Measured(28, 28), Measured(24, 28), False),
        (Measured(7, 7), Measured(6, 7), False),
        (Measured(1, 28), Measured(28, 28), False),
        (Measured(0, 0), Measured(0, 0), False),
    ],
)
def test_a_comparison_needs_both_measured_alike(now: Measured, before: Measured, compared: bool) -> None:
    assert compared == (not why_not_compared(now, before))


def test_it_says_what_is_missing() -> None:
    assert [
        "nothing is stored of the period before",
        "only 1 of 28 days of the period before has data, of the other 20 of 28",
        "only 3 of 11 hours of this period have data",
    ] == [
        why_not_compared(Measured(28, 28), Measured(0, 28)),
        why_not_compared(Measured(20, 28), Measured(1, 28)),
        why_not_compared(Measured(3, 11, "hour"), Measured(11, 11, "hour")),
    ]


def report_of(store: Store, period: str) -> Report:
    now_ns = (OCTOBER_S + 60 * DAY_S) * 10**9
    reader = store.reader(Scope.of("viewer", "acme"))
    return build_report(reader, "acme", parse_period(period, BERLIN, now_ns), now_ns=now_ns)


@pytest.mark.parametrize(
    ("days", "change", "why"),
    [
        (range(14), "+0.0 %", ""),
        (range(5, 14), "—", "only 2 of 7 days of the period before have data"),
        (range(6), "—", "nothing is stored of this period"),
    ],
)
def test_a_report_tells_no_change_to_what_was_not_measured(
    store_of: Filled, days: Iterable[int], change: str, why: str
) -> None:
    report = report_of(store_of(days), "2026-10-08..2026-10-14")
    assert (change, why) == (change_text(report.figure("attempts")), report.incomparable)
    assert {why} == {figure.incomparable for figure in report.figures}


def test_every_form_of_a_report_says_it(store_of: Filled) -> None:
    report = report_of(store_of(range(5, 14)), "2026-10-08..2026-10-14")
    page, table = report_html(report), report_csv(report)
    assert "Not compared with 2026-10-01 00:00:00 CEST to 2026-10-08 00:00:00 CEST: only 2 of 7 days" in page
    assert "no comparison: only 2 of 7 days of the period before have data" in table
    assert 200 == report.figure("attempts").before


NOW_NS = (OCTOBER_S + 60 * DAY_S + 1800) * 10**9
"""Half past midnight after 60 days: a month and a day of data began on day 31."""


def test_a_month_of_history_is_held_against_nothing(store_of: Filled) -> None:
    view = executive_view(store_of(range(31, 60)), ENGINEER, ReportSettings(), NOW_NS)
    why = "only 1 of 28 days of the period before has data"
    assert {why} == {headline.figure.incomparable for headline in view.headlines}
    assert {None} == {headline.figure.change for headline in view.headlines}
    assert f"no comparison: {why}" in json.dumps(executive_body(view, BERLIN), cls=PlotlyJSONEncoder)


def test_a_week_of_which_little_was_measured_is_a_gap(store_of: Filled) -> None:
    view = executive_view(store_of(range(31, 60)), ENGINEER, ReportSettings(), NOW_NS)
    assert (*[None] * 9, *[700.0] * 4) == view.headlines[0].trend


def test_two_measured_months_are_compared(store_of: Filled) -> None:
    view = executive_view(store_of(range(4, 60)), ENGINEER, ReportSettings(), NOW_NS)
    assert (2800, 2800, 0.0) == tuple(getattr(view.headlines[0].figure, n) for n in ("value", "before", "change"))


def test_the_overview_compares_and_draws_what_was_measured(store_of: Filled) -> None:
    view = tenants_view(store_of(range(50, 60)), ENGINEER, NOW_NS)
    assert "no comparison: only 3 of 7 days of the period before have data" in json.dumps(
        tenants_body(view, "-attempts", BERLIN), cls=PlotlyJSONEncoder
    )
    assert None not in view.rows[0].trend


def test_before_the_first_data_of_a_tenant_its_line_is_a_gap(store_of: Filled) -> None:
    (row,) = tenants_view(store_of(range(57, 60)), ENGINEER, NOW_NS).rows
    known = [value for value in row.trend if value is not None]
    assert (100.0, 300.0) == (known[0], sum(known))
    assert len(row.trend) - len(known) == row.trend.index(100.0) > 0
