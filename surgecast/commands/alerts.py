"""`surgecast alerts`: what would have been, or was, alerted on, and why."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from alerts.backtest import Report, backtest
from alerts.watch import Alert
from forecast.calendar import UnknownCountry
from forecast.points import read_csv
from forecast.series import BadSeries
from surgecast.commands.output import AsJson, print_json, print_table, stderr
from surgecast.errors import CommandError, Exit
from telephony.durations import format_duration, parse_duration

DEFAULT_SLOT_S = 300

app = typer.Typer(
    help="Alert on what is unusual for the time.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def _alerts() -> None:
    """Alert on what is unusual for the time."""


@app.command("backtest")
def backtest_command(
    series: Annotated[Path, typer.Option(help="CSV file with the columns ds,y; finer slots are summed.")],
    train_days: Annotated[int | None, typer.Option(help="Days to learn from; 56, or half if shorter.")] = None,
    budget_per_week: Annotated[
        float, typer.Option(min=0.01, max=100, help="False alerts a week that are acceptable.")
    ] = 1.0,
    slot: Annotated[str | None, typer.Option(help="Slot length; 5m, or the file's own step if coarser.")] = None,
    country: Annotated[str | None, typer.Option(help="Public holidays: US, GB, DE-BY, ...")] = None,
    tz: Annotated[str, typer.Option(help="Local zone, and that of stamps without an offset.")] = "UTC",
    as_json: AsJson = False,
) -> None:
    """Walk through a series as if it arrived now, and list the alerts it would have raised.

    Example: surgecast alerts backtest --series calls.csv --train-days 56 --budget-per-week 1 --json
    """
    try:
        slot_s = None if slot is None else round(parse_duration(slot))
        loaded = read_csv(series, slot_s, ZoneInfo(tz), finest_s=DEFAULT_SLOT_S)
        report = backtest(loaded, train_days=train_days, budget_per_week=budget_per_week, country=country)
    except OSError as error:
        raise CommandError(f"--series {series}: {error.strerror}", Exit.NOT_FOUND) from error
    except (BadSeries, UnknownCountry) as error:
        raise CommandError(f"--series {series.name}: {error}", Exit.USAGE) from error
    except ZoneInfoNotFoundError as error:
        raise CommandError(f"--tz: no zone {tz[:40]!r}; write for example Europe/Berlin", Exit.USAGE) from error
    except ValueError as error:
        raise CommandError(f"--slot: {error}", Exit.USAGE) from error
    for note in report.series.notes:
        stderr.print(f"{series.name}: {note}", markup=False)
    rows = [_row(report, alert) for alert in report.alerts]
    if as_json:
        print_json(
            {
                "alerts": rows,
                "slot_s": report.series.slot_s,
                "train_days": report.train_days,
                "test_weeks": report.test_weeks,
                "alerts_per_week": len(rows) / report.test_weeks if report.test_weeks else None,
                "threshold": report.threshold,
                "detectable_change": report.detectable_change,
                "notes": report.series.notes,
            }
        )
        return
    columns = ("start", "end", "direction", "observed", "expected", "low", "high", "score", "detectable_change")
    weeks = f"{len(rows)} alerts in {report.test_weeks:.1f} weeks after {report.train_days} days of learning"
    slots = f"amounts per slot of {format_duration(report.series.slot_s)}"
    print_table(columns, [[row[name] for name in columns] for row in rows], f"{weeks}; {slots}")


def _row(report: Report, alert: Alert) -> dict[str, Any]:
    return {
        "start": _time(report, alert.start),
        "end": None if alert.end is None else _time(report, alert.end),
        "direction": alert.direction.value,
        "observed": alert.observed,
        "expected": alert.expected,
        "low": alert.low,
        "high": alert.high,
        "score": alert.score,
        "detectable_change": alert.detectable_change,
        "n": alert.n,
        "pool_slots": alert.pool,
        "onset": _time(report, alert.onset),
        "excess": alert.excess,
    }


def _time(report: Report, slot: int) -> datetime:
    return datetime.fromtimestamp(report.series.start_s + slot * report.series.slot_s, UTC)
