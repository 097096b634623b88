"""Findings say what could not be joined once a minute, with how often, and never without bound."""

from collectors.tracking.findings import Findings
from collectors.tracking.rollups import MAX_OPEN_MINUTES
from storage.rows import batch
from telephony.model import MINUTE_NS


def note(
    findings: Findings, at_ns: int = 0, kind: str = "rtcp_unmatched", subject: str = "10.0.0.5:30000"
) -> None:
    findings.note(at_ns, kind, subject, f"RTCP seen for {subject}, in no SDP", tenant="t", node="n")


def test_the_same_finding_is_counted_within_its_minute() -> None:
    findings = Findings()
    for at_ns in (5, 6, MINUTE_NS):
        note(findings, at_ns)
    rows = findings.take(MINUTE_NS)
    assert [(5, 2), (MINUTE_NS, 1)] == [(row["time"], row["count"]) for row in rows]
    assert {"rtcp_unmatched": 3} == findings.totals


def test_a_finding_is_given_again_only_when_it_changed() -> None:
    findings = Findings()
    note(findings)
    findings.take(0)
    assert [] == findings.take(0)
    note(findings)
    assert [2] == [row["count"] for row in findings.take(0)]


def test_kinds_and_subjects_are_apart() -> None:
    findings = Findings()
    note(findings)
    note(findings, kind="rtcp_without_call")
    note(findings, subject="10.0.0.6:30000")
    assert 3 == len(findings.take(0))


def test_a_minute_holds_so_many_and_counts_the_rest() -> None:
    findings = Findings(max_per_minute=3)
    for port in range(10):
        note(findings, subject=f"10.0.0.5:{port}")
    assert (3, 7, 10) == (len(findings.take(0)), findings.shed, findings.totals["rtcp_unmatched"])


def test_minutes_that_are_over_are_dropped() -> None:
    findings = Findings(keep_minutes=5)
    note(findings)
    findings.take(6 * MINUTE_NS)
    note(findings)
    assert [1] == [row["count"] for row in findings.take(6 * MINUTE_NS)]


def test_clocks_that_jump_about_open_a_bounded_number_of_minutes() -> None:
    findings = Findings()
    for minute in range(MAX_OPEN_MINUTES + 5):
        note(findings, minute * MINUTE_NS)
    assert (MAX_OPEN_MINUTES, 5) == (len(findings.take(0)), findings.shed)


def test_rows_fit_the_store_whatever_their_text() -> None:
    findings = Findings()
    note(findings, subject="\ud800 \0 ünïcode")
    assert 1 == batch("finding", findings.take(0)).num_rows
