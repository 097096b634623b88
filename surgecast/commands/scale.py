"""`surgecast scale`: how many pods a pool needs, why, and how well its policy would have done."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from pydantic import ValidationError

from forecast.calendar import UnknownCountry
from forecast.events import BadEvents, event_of
from forecast.masks import mask_of, masked_by
from forecast.points import read_csv
from forecast.series import BadSeries
from forecast.settings import ForecastSettings
from scaler.backtest import MOST_LEAD_S, POLICIES, Report, backtest
from scaler.walk import Setup
from surgecast.commands import scale_control, scale_run
from surgecast.commands.forecast import declared_in
from surgecast.commands.output import AsJson, print_json, print_table, stderr
from surgecast.commands.times import seconds_of, zone_of
from surgecast.errors import CommandError, Exit
from telephony.durations import format_duration

app = typer.Typer(
    help="Scale pools ahead of their load.", no_args_is_help=True, rich_markup_mode=None, add_completion=False
)
_FINEST_S = 300


@app.callback()
def _scale() -> None:
    """Scale pools ahead of their load."""


app.command()(scale_run.plan)
app.command()(scale_run.run)
app.command()(scale_run.explain)
app.command()(scale_control.freeze)
app.command()(scale_control.override)
app.command()(scale_control.mode)
app.command()(scale_control.controls)
app.command()(scale_control.release)


@app.command("backtest")
def backtest_command(
    series: Annotated[Path, typer.Option(help="CSV file with the columns ds,y: calls that arrived per slot.")],
    lead: Annotated[str, typer.Option(help="From a new pod to a ready one.")] = "10m",
    hold: Annotated[str, typer.Option(help="Mean holding time of a call.")] = "4m",
    pod_calls: Annotated[float, typer.Option(help="Concurrent calls that one pod carries.")] = 100.0,
    policy: Annotated[
        list[str] | None, typer.Option(help=f"Only these policies: {', '.join(POLICIES)}; may be repeated.")
    ] = None,
    slot: Annotated[str | None, typer.Option(help="Slot length; 5m, or the file's own step if coarser.")] = None,
    history: Annotated[int | None, typer.Option(help="Days before the judged ones; 56, or half.")] = None,
    quantile: Annotated[float | None, typer.Option(help="Quantile of the forecast; the pools' default.")] = None,
    utilisation: Annotated[
        float | None, typer.Option(help="How full pods may be at that quantile; the pools' default.")
    ] = None,
    country: Annotated[str | None, typer.Option(help="Public holidays: US, GB, DE-BY, ...")] = None,
    events: Annotated[Path | None, typer.Option(help="YAML file with the keys events and masks.")] = None,
    tz: Annotated[str, typer.Option(help="Local zone, and that of stamps without an offset.")] = "UTC",
    plot: Annotated[Path | None, typer.Option(help="HTML file to draw pods over time into.")] = None,
    as_json: AsJson = False,
) -> None:
    """Scale a pool over the past as if it were to come, and compare policies at the same lead time.

    static keeps the peak of the history; reactive is a HorizontalPodAutoscaler at 80 %; naive_hybrid is the larger
    of the q0.9 of the same slot over eight weeks and of the load now, at 85 %, and once more at the utilisation at
    which it costs what surgecast does; oracle knows the future. theta_u and theta_o are percent of the pods
    needed, the other figures are ratios, minutes and counts.

    Example: surgecast scale backtest --series calls.csv --lead 20m --hold 4m --pod-calls 100 --plot pods.html
    """
    asked = set(policy or POLICIES)
    if unknown := asked - set(POLICIES):
        raise CommandError(
            f"--policy: no {', '.join(sorted(unknown))}; there are {', '.join(POLICIES)}", Exit.USAGE
        )
    if not 0 < pod_calls < 1e9:
        raise CommandError("--pod-calls must be a positive number, for example 100", Exit.USAGE)
    lead_s = seconds_of("--lead", lead)
    if lead_s > MOST_LEAD_S:
        raise CommandError(f"--lead {lead} is over {format_duration(round(MOST_LEAD_S))}", Exit.USAGE)
    zone = zone_of(tz)
    declared = ForecastSettings() if events is None else declared_in(events)
    try:
        setup = Setup(
            lead_s=lead_s,
            hold_s=seconds_of("--hold", hold),
            pod_calls=pod_calls,
            history_days=history,
            country=country,
            events=tuple(event_of(event, zone) for event in declared.events),
            quantile=quantile,
            utilisation=utilisation,
        )
        points = read_csv(series, None if slot is None else seconds_of("--slot", slot), zone, _FINEST_S)
        points = masked_by(points, (mask_of(mask, zone) for mask in declared.masks))
        report = backtest(points, setup, asked)
    except OSError as error:
        raise CommandError(f"--series {series}: {error.strerror}", Exit.NOT_FOUND) from error
    except (BadSeries, UnknownCountry, BadEvents) as error:
        raise CommandError(f"--series {series.name}: {error}", Exit.USAGE) from error
    except ValidationError as error:
        faults = "; ".join(fault["msg"] for fault in error.errors(include_url=False))
        raise CommandError(f"--quantile or --utilisation: {faults}", Exit.USAGE) from error
    for note in points.notes:
        stderr.print(f"{series.name}: {note}", markup=False)
    if plot is not None:
        _draw(report, setup, series.name, zone, plot)
    if as_json:
        print_json(_as_json(report, setup))
    else:
        _print(report, setup)


def _as_json(report: Report, setup: Setup) -> dict[str, Any]:
    return {
        "policies": {name: asdict(figures) for name, figures in report.policies.items()},
        "slot_s": report.slot_s,
        "days": report.days,
        "mean_pods": report.mean_pods,
        "lead_s": setup.lead_s,
        "hold_s": setup.hold_s,
        "pod_calls": setup.pod_calls,
    }


_COLUMNS = (
    "policy",
    "time under",
    "calls under",
    "minutes under",
    "cost",
    "theta U",
    "theta O",
    "tau O",
    "scalings",
)


def _print(report: Report, setup: Setup) -> None:
    print_table(_COLUMNS, _rows(report), _title(report, setup))


def _title(report: Report, setup: Setup) -> str:
    title = f"{report.days} days, slots of {format_duration(report.slot_s)}, lead {format_duration(setup.lead_s)}"
    return f"{title}, {report.mean_pods:.1f} pods of {setup.pod_calls:g} calls on average"


def _rows(report: Report) -> list[tuple[str, ...]]:
    return [
        (
            name,
            f"{e.under_time_ratio:.2%}",
            f"{e.under_calls_ratio:.3%}",
            f"{e.violation_minutes:.0f}",
            f"{e.cost_vs_oracle:.1%}",
            f"{e.theta_u:.2f}",
            f"{e.theta_o:.1f}",
            f"{e.tau_o:.1%}",
            str(e.scalings),
        )
        for name, e in report.policies.items()
    ]


def _draw(report: Report, setup: Setup, name: str, zone: ZoneInfo, path: Path) -> None:
    # Here and not above: Plotly takes a while, and few want a picture.
    from dashboards.backtest_page import SupplyRun, backtest_page

    run = report.run
    ready = {policy: run.supplies[policy].ready for policy in report.policies if policy != "oracle"}
    shown = SupplyRun(run.times_s, report.slot_s, run.needed, run.judged, ready)
    page = backtest_page(f"{name}: {_title(report, setup)}", shown, zone, _COLUMNS, _rows(report))
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--plot {path}: {error.strerror}", Exit.FAILURE) from error
    stderr.print(f"drawn: {path}", markup=False)
