"""How the parts of a report are written for people; CSV has the numbers themselves."""

from collections.abc import Callable
from zoneinfo import ZoneInfo

from dashboards.numbers import (
    SECOND_NS,
    UNKNOWN_TEXT,
    count,
    date_time,
    duration,
    milliseconds,
    percent,
    short_time,
    significant,
)

from .model import Day, Figure, Incident, Report, Unit

TOO_FEW = "too few"


def _counted(value: float | None) -> str:
    return UNKNOWN_TEXT if value is None else count(round(value))


def _fixed(value: float | None, digits: int) -> str:
    return UNKNOWN_TEXT if value is None else f"{value:.{digits}f}"


_WRITERS: dict[Unit, Callable[[float | None], str]] = {
    Unit.COUNT: _counted,
    Unit.RATIO: percent,
    Unit.SECONDS: duration,
    Unit.MILLISECONDS: milliseconds,
    Unit.MINUTES: lambda value: UNKNOWN_TEXT if value is None else f"{_counted(value)} min",
    Unit.ERLANGS: lambda value: significant(value, "erl"),
    Unit.R: lambda value: _fixed(value, 1),
    Unit.MOS: lambda value: _fixed(value, 2),
}


def value_text(figure: Figure) -> str:
    """Return the value with its unit, `too few` below thirty observations, `—` where nothing is known."""
    return TOO_FEW if figure.few else _WRITERS[figure.unit](figure.value)


def before_text(figure: Figure) -> str:
    """Return the value of the period before."""
    return _WRITERS[figure.unit](figure.before)


def before_n_text(figure: Figure) -> str:
    """Return the n of the period before, nothing where nothing is known of that."""
    return "" if figure.before is None else f"n = {_counted(figure.before_n)}"


def n_text(figure: Figure) -> str:
    """Return n, for a ratio its parts.

    >>> from telephony.kpis import Ratio
    >>> n_text(Figure("asr", "ASR", 0.5, Unit.RATIO, 60, "attempts", "", ratio=Ratio(30, 60)))
    '30 / 60'
    """
    if figure.ratio is not None:
        return f"{_counted(figure.ratio.numerator)} / {_counted(figure.ratio.denominator)}"
    return _counted(figure.n)


def interval_text(figure: Figure) -> str:
    """Return how sure the value is: the Wilson interval of a ratio, the greatest error of a percentile."""
    if figure.few:
        return ""
    if figure.ratio is not None and figure.ratio.interval is not None:
        low, high = figure.ratio.interval
        return f"{percent(low).removesuffix(' %')}–{percent(high)}"
    return f"± {_WRITERS[figure.unit](figure.bound)}" if figure.bound else ""


def change_text(figure: Figure) -> str:
    """Return the change since the period before: per cent, percentage points, or the difference.

    >>> change_text(Figure("a", "A", 110, Unit.COUNT, 110, "", "", before=100, before_n=100))
    '+10.0 %'
    """
    change = figure.change
    if change is None:
        return UNKNOWN_TEXT
    if figure.relative:
        return f"{change * 100:+.1f} %"
    return f"{change * 100:+.2f} pp" if figure.unit is Unit.RATIO else f"{change:+.2f}"


def compared_figure_text(figure: Figure) -> str:
    """Return how a figure changed, or why that is not told; empty where either side has too few.

    >>> compared_figure_text(Figure("a", "A", 110, Unit.COUNT, 110, "", "", before=100, before_n=100))
    '+10.0 % to before'
    """
    if figure.change is not None:
        return f"{change_text(figure)} to before"
    if figure.before is None:
        return "nothing to compare with"
    return f"no comparison: {figure.incomparable}" if figure.incomparable else ""


def so_far_text(report: Report) -> str:
    """Return until when a period that runs is told; nothing of one that has ended."""
    if not report.runs:
        return ""
    clock = date_time(report.until_ns, ZoneInfo(report.zone)).split(" ")
    return f"so far, until {clock[1][:5]} {clock[2]}"


def compared_text(report: Report) -> str:
    """Return what the figures are compared with."""
    zone = ZoneInfo(report.zone)
    ends = f"{date_time(report.before_since_ns, zone)} to {date_time(report.before_until_ns, zone)}"
    return f"Not compared with {ends}: {report.incomparable}" if report.incomparable else f"Compared with {ends}"


def part_text(report: Report) -> str:
    """Return what the parts of the period are called."""
    return "hour" if report.by_hour else "day"


def part_name(report: Report, part: Day) -> str:
    """Return the name of a part of the period: its day, or the hour it begins with."""
    day, _, hour = short_time(part.start_ns, ZoneInfo(report.zone)).rpartition(" ")
    return hour if report.by_hour else day


def period_text(report: Report) -> str:
    """Return the period with its ends and zone, and that it is told so far while it runs."""
    zone = ZoneInfo(report.zone)
    ends = f"{date_time(report.since_ns, zone)} to {date_time(report.until_ns, zone)}"
    so_far = f" {so_far_text(report)}" if report.runs else ""
    name = report.period.partition("..")[0] if report.by_hour else report.period
    return f"{name}{so_far} ({ends}, {report.zone})"


def incident_length(incident: Incident) -> str:
    """Return how long an incident lasted, or that it lasts."""
    if incident.ended_ns is None:
        return "open"
    return duration((incident.ended_ns - incident.started_ns) // SECOND_NS)


def impact(incident: Incident) -> str:
    """Return how much an incident touched: calls, or what else it is counted in."""
    return f"{_counted(incident.impact_calls)} {incident.counts}"


def summary(report: Report) -> str:
    """Return the report in one sentence or two."""
    if report.empty:
        return report.empty
    attempts, ner, degraded = (report.figure(key) for key in ("attempts", "ner", "degraded"))
    text = f"{_counted(attempts.value)} session attempts, network effectiveness {value_text(ner)}"
    text += f", {_counted(report.figure('minutes').value)} conversation minutes"
    if degraded.value is not None:
        text += f", {value_text(degraded)} of rated stream time degraded"
    n = len(report.incidents)
    return f"{text}; {n or 'no'} incident{'' if n == 1 else 's'}."
