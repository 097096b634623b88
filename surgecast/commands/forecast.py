"""`surgecast forecast`: what load is coming, and how far such forecasts can be trusted."""

from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from forecast.accuracy import LEVELS, Accuracy
from forecast.backtest import Report, backtest
from forecast.calendar import UnknownCountry
from forecast.events import BadEvents, event_of, parse_declared
from forecast.ladder import UnknownMember
from forecast.masks import mask_of, masked_by
from forecast.points import read_csv
from forecast.regressor_points import BadRegressors, RegressorFile, read_regressors
from forecast.series import BadSeries
from forecast.settings import ForecastSettings
from surgecast.commands.forecast_parts import print_regressors, regressor_json
from surgecast.commands.forecast_run import explain_command, run
from surgecast.commands.output import AsJson, print_json, print_table, stderr
from surgecast.commands.times import seconds_of, zone_of
from surgecast.errors import CommandError, Exit
from telephony.durations import format_duration

app = typer.Typer(
    help="Forecast load, explain a forecast, judge forecasts on the past.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.callback()
def _forecast() -> None:
    """Forecast load, explain a forecast, judge forecasts on the past."""


app.command("run")(run)
app.command("explain")(explain_command)


@app.command("backtest")
def backtest_command(
    series: Annotated[Path, typer.Option(help="CSV file with the columns ds,y; finer slots are summed.")],
    slot: Annotated[str | None, typer.Option(help="Slot length; 15m, or the file's own step if coarser.")] = None,
    horizons: Annotated[str, typer.Option(help="Comma-separated horizons.")] = "15m,1h,4h,24h,7d",
    test_days: Annotated[int | None, typer.Option(help="Last days to test on; 28, or a third if shorter.")] = None,
    country: Annotated[str | None, typer.Option(help="Public holidays: US, GB, DE-BY, ...")] = None,
    tz: Annotated[str, typer.Option(help="Local zone, and that of stamps without an offset.")] = "UTC",
    events: Annotated[Path | None, typer.Option(help="YAML file with the keys events and masks.")] = None,
    regressors: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns ds,NAME,...: numbers known ahead that may move the load. What is in "
            "it is taken as known for the whole horizon: give forecasts of the weather, not what came."
        ),
    ] = None,
    challenger: Annotated[
        list[str] | None,
        typer.Option(
            help="Model to run beside the ladder, used at leads where it wins: "
            "boosting, structural. Slow; may be given again."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forecast the last days of a series as if they were to come, from every slot, and say how well it went.

    Example: surgecast forecast backtest --series calls.csv --slot 15m --tz Europe/Berlin --country DE
    """
    asked = {seconds_of("--horizons", text): text.strip() for text in horizons.split(",") if text.strip()}
    try:
        zone = zone_of(tz)
        points = read_csv(series, None if slot is None else seconds_of("--slot", slot), zone)
        declared = ForecastSettings() if events is None else declared_in(events)
        outside = RegressorFile() if regressors is None else regressors_in(regressors, zone)
        points = masked_by(points, (mask_of(mask, zone) for mask in declared.masks))
        report = backtest(
            points,
            horizons_s=tuple(asked),
            test_days=test_days,
            country=country,
            events=tuple(event_of(event, zone) for event in declared.events),
            challengers=tuple(challenger or ()),
            regressors=outside.regressors,
        )
    except OSError as error:
        raise CommandError(f"--series {series}: {error.strerror}", Exit.NOT_FOUND) from error
    except (BadSeries, UnknownCountry, BadEvents, UnknownMember) as error:
        raise CommandError(f"--series {series.name}: {error}", Exit.USAGE) from error
    for note in report.notes:
        stderr.print(f"{series.name}: {note}", markup=False)
    for note in (*outside.notes, *(f"{r.name} left out: {r.left_out}" for r in report.regressors if r.left_out)):
        stderr.print(f"--regressors: {note}", markup=False)
    if as_json:
        print_json(_as_json(report, asked))
    else:
        _print(report, asked)


def declared_in(path: Path) -> ForecastSettings:
    """Return the events and masks of a file; raises CommandError."""
    try:
        return parse_declared(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CommandError(f"--events {path}: {error.strerror}", Exit.NOT_FOUND) from error
    except (BadEvents, UnicodeDecodeError) as error:
        raise CommandError(f"--events {path.name}: {error}", Exit.USAGE) from error


def regressors_in(path: Path, zone: ZoneInfo) -> RegressorFile:
    """Return the regressors of a file; raises CommandError."""
    try:
        return read_regressors(path, zone)
    except OSError as error:
        raise CommandError(f"--regressors {path}: {error.strerror}", Exit.NOT_FOUND) from error
    except BadRegressors as error:
        raise CommandError(f"--regressors {error}", Exit.USAGE) from error


def _as_json(report: Report, asked: dict[int, str]) -> dict[str, Any]:
    return {
        "horizons": {
            asked[horizon]: {**_figures(accuracy), "model": report.models[horizon]}
            for horizon, accuracy in report.horizons.items()
        },
        "fit_seconds": report.fit_seconds,
        "slot_s": report.slot_s,
        "test_days": report.test_days,
        "origin_step": report.origin_step,
        "states": report.states,
        "notes": report.notes,
        "regressors": [regressor_json(effect) for effect in report.regressors],
    }


def _figures(accuracy: Accuracy) -> dict[str, Any]:
    names = [f"q{round(100 * level)}" for level in LEVELS]
    return {
        "n": accuracy.n,
        "wape": accuracy.wape,
        "wape_floor": accuracy.wape_floor,
        "mase": accuracy.mase,
        "pinball": dict(zip(names, accuracy.pinball, strict=True)),
        "coverage": dict(zip(names, accuracy.coverage, strict=True)),
        "bias": accuracy.bias,
        "skill_vs_seasonal_naive": accuracy.skill_vs_seasonal_naive,
    }


def _print(report: Report, asked: dict[int, str]) -> None:
    columns = ["horizon", "model", "n", "WAPE", "floor", "WAPE/floor", "MASE", "bias", "skill"]
    columns += [f"under q{round(100 * level)}" for level in LEVELS[2:]]
    rows = [
        [
            asked[horizon],
            report.models[horizon],
            a.n,
            a.wape,
            a.wape_floor,
            a.wape / a.wape_floor if a.wape_floor > 0 else None,
            a.mase,
            a.bias,
            a.skill_vs_seasonal_naive,
            *a.coverage[2:],
        ]
        for horizon, a in report.horizons.items()
    ]
    title = f"{report.test_days} test days, slots of {format_duration(report.slot_s)}"
    print_table(columns, rows, f"{title}; a refit takes {report.fit_seconds * 1000:.1f} ms")
    if report.regressors:
        print_regressors(report.regressors)
