"""A report as one self-contained HTML file that prints on A4: no script, nothing from another place.

Every text goes through the template's autoescape, and a content security policy of its own forbids everything but
its inline style.
"""

from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dashboards.numbers import UNKNOWN_TEXT, count, date_time, duration, percent, significant
from dashboards.theme import TOKENS, Scheme
from telephony.bands import band_of
from telephony.kpis import Ratio, asr, ner

from . import words
from .model import Day, Report

_WIDTH, _HEIGHT = 680.0, 110.0
_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Bar:
    """A day in the chart: its place in the drawing and its label for screen readers."""

    x: float
    width: float
    height: float
    label: str
    tick: str


def report_html(report: Report) -> str:
    """Return the report as an HTML document."""
    zone = ZoneInfo(report.zone)
    return _environment.get_template("report.html.j2").render(
        report=report,
        words=words,
        colours=TOKENS[Scheme.LIGHT],
        width=_WIDTH,
        height=_HEIGHT,
        charts=(
            (
                f"Session attempts by {words.part_text(report)}",
                _bars(report, [float(day.counts.attempts) if day.stored else None for day in report.days], count),
            ),
            (
                f"Degraded stream time by {words.part_text(report)}, % of rated stream time",
                _bars(report, [day.degraded.value for day in report.days], percent),
            ),
        ),
        days=[_day_cells(report, day) for day in report.days],
        when=lambda at_ns: date_time(at_ns, zone),
        band=lambda r: UNKNOWN_TEXT if r is None else f"{band_of(r).letter} {r:.0f}",
        count=lambda value: UNKNOWN_TEXT if value is None else count(round(value)),
        number=significant,
        percent=percent,
        duration=duration,
    )


def _bars(report: Report, values: list[float | None], written: object) -> tuple[list[Bar], str]:
    """Return the bars of a series and its greatest value in words; a day without a value has no bar."""
    assert callable(written)
    most = max((value for value in values if value is not None), default=0.0)
    step = _WIDTH / max(len(values), 1)
    every = max(1, -(-len(values) // 12))
    bars = []
    for i, (day, value) in enumerate(zip(report.days, values, strict=True)):
        said = UNKNOWN_TEXT if value is None else written(round(value) if written is count else value)
        bars.append(
            Bar(
                x=round(i * step + step * 0.1, 2),
                width=round(step * 0.8, 2),
                height=round(_HEIGHT * value / most, 2) if value and most else 0.0,
                label=f"{words.part_name(report, day)}: {said}",
                tick=words.part_name(report, day) if i % every == 0 else "",
            )
        )
    return bars, written(round(most) if written is count else most)


def _day_cells(report: Report, day: Day) -> tuple[str, ...]:
    if not day.stored:
        return (words.part_name(report, day), *[UNKNOWN_TEXT] * 7)
    return (
        words.part_name(report, day),
        count(day.counts.attempts),
        _ratio(asr(day.counts)),
        _ratio(ner(day.counts)),
        count(round(day.counts.minutes)),
        _ratio(day.degraded),
        UNKNOWN_TEXT if day.r_p50 is None else f"{day.r_p50:.0f}",
        count(round(day.degraded.denominator)),
    )


def _ratio(found: Ratio) -> str:
    if found.value is None:
        return UNKNOWN_TEXT
    return percent(found.value) if found.enough else words.TOO_FEW
