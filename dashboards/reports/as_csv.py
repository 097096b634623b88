"""A report as CSV: a row per figure with its n and unit, then days (of one day its hours), incidents and worst
calls in the same columns.

Numbers are written as they are (ratios 0 to 1, no thousands separators); texts that a spreadsheet would run are
quoted off. It begins with a byte order mark, without which spreadsheets misread names.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from dashboards.csv_text import csv_lines
from telephony.kpis import Ratio, asr, ner

from .model import Day, Figure, Report
from .words import part_text, so_far_text

COLUMNS = (
    "tenant",
    "period",
    "section",
    "start",
    "key",
    "name",
    "value",
    "unit",
    "n",
    "n_of",
    "numerator",
    "denominator",
    "low",
    "high",
    "error_bound",
    "before",
    "before_n",
    "change",
    "note",
)
_BOM = "\ufeff"


def report_csv(report: Report) -> str:
    """Return the report as CSV text."""
    zone = ZoneInfo(report.zone)
    lines = [
        _line(section="report", key="id", name="Report", value=report.id, note=report.provisional or "final"),
        _line(section="report", key="since", name="Start", start=_time(report.since_ns, zone), note=report.empty),
        _line(
            section="report", key="until", name="End", start=_time(report.until_ns, zone), note=so_far_text(report)
        ),
        _line(
            section="report", key="before_since", name="Compared from", start=_time(report.before_since_ns, zone)
        ),
        _line(
            section="report",
            key="before_until",
            name="Compared to",
            start=_time(report.before_until_ns, zone),
            note=f"no comparison: {report.incomparable}" if report.incomparable else "",
        ),
        *(_figure(figure) for figure in report.figures),
    ]
    for day in (day for day in report.days if day.stored):
        lines += _day(part_text(report), day, _time(day.start_ns, zone))
    for incident in report.incidents:
        note = "; ".join(filter(None, (incident.state, incident.message, incident.cause)))
        length = None if incident.ended_ns is None else (incident.ended_ns - incident.started_ns) / 1e9
        lines.append(
            _line(
                section="incident",
                start=_time(incident.started_ns, zone),
                key=incident.rule,
                name=f"{incident.severity}: {incident.scope}",
                value=_number(length),
                unit="s",
                n=_number(incident.n),
                n_of=incident.counts,
                note=note,
            )
        )
        for what, value, unit in (
            (incident.counts, incident.impact_calls, "1"),
            ("minutes", incident.impact_minutes, "min"),
        ):
            lines.append(
                _line(
                    section="incident",
                    start=_time(incident.started_ns, zone),
                    key=f"{incident.rule}.impact_{what}",
                    name=f"Affected {what}",
                    value=_number(value),
                    unit=unit,
                )
            )
    for call in report.worst:
        lines.append(
            _line(
                section="worst call",
                start=_time(call.last_seen_ns, zone),
                key=call.reference,
                name=f"{call.caller} to {call.callee}",
                value=_number(call.r_min),
                unit="R",
                n=_number(call.intervals),
                n_of="intervals",
                numerator=_number(call.degraded),
                denominator=_number(call.intervals),
                note="; ".join(filter(None, (call.trunk, call.codec, call.verdicts))),
            )
        )
    whose = {"tenant": report.tenant, "period": report.period}
    rows = [tuple((line | whose)[name] for name in COLUMNS) for line in lines]
    return _BOM + csv_lines(COLUMNS, rows)


def _figure(figure: Figure) -> dict[str, str]:
    ratio = figure.ratio
    low, high = (ratio.interval if ratio else None) or (None, None)
    return _line(
        section="figure",
        key=figure.key,
        name=figure.name,
        value=_number(figure.value),
        unit=figure.unit.value,
        n=_number(figure.n),
        n_of=figure.n_of,
        numerator=_number(ratio.numerator if ratio else None),
        denominator=_number(ratio.denominator if ratio else None),
        low=_number(low),
        high=_number(high),
        error_bound=_number(figure.bound if figure.value is not None else None),
        before=_number(figure.before),
        before_n=_number(figure.before_n),
        change=_number(figure.change),
        note=figure.reason or figure.definition,
    )


def _day(section: str, day: Day, start: str) -> list[dict[str, str]]:
    counts = day.counts

    def ratio(key: str, found: Ratio, of: str) -> dict[str, str]:
        return _line(
            section=section,
            start=start,
            key=key,
            value=_number(found.value),
            unit="ratio",
            n=_number(found.denominator),
            n_of=of,
            numerator=_number(found.numerator),
            denominator=_number(found.denominator),
        )

    return [
        _line(
            section=section,
            start=start,
            key="attempts",
            value=_number(counts.attempts),
            unit="1",
            n=_number(counts.attempts),
            n_of="session attempts",
        ),
        _line(
            section=section,
            start=start,
            key="minutes",
            value=_number(counts.minutes),
            unit="min",
            n=_number(counts.answered),
            n_of="answered calls",
        ),
        ratio("asr", asr(counts), "session attempts"),
        ratio("ner", ner(counts), "session attempts"),
        ratio("degraded", day.degraded, "stream-seconds rated"),
        _line(
            section=section,
            start=start,
            key="r_p50",
            value=_number(day.r_p50),
            unit="R",
            n=_number(day.degraded.denominator),
            n_of="stream-seconds rated",
        ),
    ]


def _line(**cells: str) -> dict[str, str]:
    return dict.fromkeys(COLUMNS, "") | cells


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _time(at_ns: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).astimezone(zone).isoformat()
