"""KPIs: formulas, the honesty of ratios, and a definition on paper for each."""

import inspect
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony import kpis
from telephony.kpis import Ratio, RegistrationCounts, SessionCounts
from telephony.model import Outcome, RegistrationOutcome

DAY = SessionCounts(
    attempts=1000,
    answered=550,
    busy=100,
    no_answer=150,
    rejected=20,
    abandoned=60,
    redirected=10,
    challenged=5,
    no_facility=45,
    timeout=15,
    client_error=45,
    seer_effective=790,
    ineffective=50,
    completed=540,
    one_way=3,
    no_media=4,
    short_calls=11,
    minutes=1375.0,
)


@pytest.mark.parametrize(
    ("ratio", "numerator", "denominator"),
    [
        (kpis.asr(DAY), 550, 1000),
        (kpis.ner(DAY), 820, 1000),
        (kpis.ser(DAY), 550, 990),
        (kpis.ser(DAY, exclude_challenge=True), 550, 985),
        (kpis.seer(DAY), 790, 990),
        (kpis.isa(DAY), 50, 1000),
        (kpis.scr(DAY), 540, 1000),
        (kpis.one_way_ratio(DAY), 3, 550),
        (kpis.no_media_ratio(DAY), 4, 550),
        (kpis.short_call_ratio(DAY), 11, 550),
        (kpis.ira(RegistrationCounts(attempts=80, rejected=3, timeout=1, challenged=9)), 4, 80),
    ],
    ids=lambda value: value.formula if isinstance(value, Ratio) else "",
)
def test_kpis_ratio(ratio, numerator, denominator):
    assert (numerator, denominator) == (ratio.numerator, ratio.denominator)


def test_kpis_acd_is_the_mean_conversation():
    assert (150.0, None) == (kpis.acd(DAY), kpis.acd(SessionCounts(attempts=5)))


def test_kpis_of_nothing_have_no_value():
    nothing = SessionCounts()
    ratios = [kpis.asr(nothing), kpis.ner(nothing), kpis.ser(nothing), kpis.seer(nothing), kpis.isa(nothing)]
    assert [None] * 5 == [ratio.value for ratio in ratios]
    assert [None] * 5 == [ratio.interval for ratio in ratios]


def test_kpis_only_redirected_attempts_have_no_ser():
    assert kpis.ser(SessionCounts(attempts=3, redirected=3)).value is None


@pytest.mark.parametrize(("n", "enough"), [(0, False), (29, False), (30, True), (1000, True)])
def test_kpis_thirty_observations_are_enough(n, enough):
    assert enough == Ratio(0, n).enough


@pytest.mark.parametrize(
    ("numerator", "denominator", "low", "high"),
    # Wilson 1927; the values of Newcombe 1998, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_kpis_interval_is_wilsons(numerator, denominator, low, high):
    assert (low, high) == pytest.approx(Ratio(numerator, denominator).interval, abs=5e-5)


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_kpis_interval_holds_the_value_within_0_and_1(parts):
    ratio = Ratio(*parts)
    low, high = ratio.interval
    assert 0.0 <= low <= ratio.value + 1e-12
    assert ratio.value - 1e-12 <= high <= 1.0


def test_kpis_counts_add_field_by_field():
    both = DAY + DAY
    assert [2 * getattr(DAY, f.name) for f in fields(DAY)] == [getattr(both, f.name) for f in fields(both)]


def test_kpis_counts_have_every_outcome():
    names = {f.name for f in fields(SessionCounts)}
    assert {outcome.value for outcome in Outcome} <= names
    assert {outcome.value for outcome in RegistrationOutcome} <= {f.name for f in fields(RegistrationCounts)}


def test_kpis_are_each_defined_in_the_documentation():
    text = (Path(__file__).parents[3] / "docs" / "kpis.md").read_text("utf-8")
    public = [
        name
        for name, value in inspect.getmembers(kpis, inspect.isfunction)
        if value.__module__ == kpis.__name__ and not name.startswith("_")
    ]
    assert [] == [name for name in public if f"`{name}`" not in text]
