"""`surgecast alerts`: what would have been, or was, alerted on, and why."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from alerts.backtest import Report, backtest
from alerts.catalog import STARTER, Rule, watched
from alerts.episode import Alert
from alerts.incidents import Incident, Scope, Severity
from alerts.limits import BUILT_IN, runbook_of
from alerts.notify import NotSent, message_of
from alerts.outbox import Outbox
from alerts.past import PastAlert, try_learned, try_limit
from alerts.records import SECOND_NS, stored
from alerts.service import Service
from forecast.calendar import UnknownCountry
from forecast.points import read_csv
from forecast.series import BadSeries
from storage.open import open_store
from storage.seam import Scope as StoreScope
from surgecast.commands.output import AsJson, iso_time, print_json, print_table, shown, stderr
from surgecast.commands.stored import AsTenant
from surgecast.commands.stored import stored as opened
from surgecast.commands.times import parse_time, seconds_of, zone_of
from surgecast.config import ConfigFile, StoreUrl, load_settings
from surgecast.errors import CommandError, Exit
from surgecast.roles.alert import WRITER_NAME, events_of, sinks_of, zones_of
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
    slot_s, zone = None if slot is None else seconds_of("--slot", slot), zone_of(tz)
    try:
        loaded = read_csv(series, slot_s, zone, finest_s=DEFAULT_SLOT_S)
        report = backtest(loaded, train_days=train_days, budget_per_week=budget_per_week, country=country)
    except OSError as error:
        raise CommandError(f"--series {series}: {error.strerror}", Exit.NOT_FOUND) from error
    except (BadSeries, UnknownCountry) as error:
        raise CommandError(f"--series {series.name}: {error}", Exit.USAGE) from error
    for note in report.series.notes:
        stderr.print(f"{series.name}: {note}", markup=False)
    rows = [_row(report, alert) for alert in report.alerts]
    if as_json:
        print_json(
            {
                "alerts": rows,
                "slot_s": report.series.slot_s,
                "status": report.status.value,
                "train_days": report.train_days,
                "history_days": report.history_days,
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
        **_evidence(alert),
        "pool_slots": alert.pool,
        "onset": _time(report, alert.onset),
    }


def _evidence(alert: Alert) -> dict[str, Any]:
    return {
        "direction": alert.direction.value,
        "observed": alert.observed,
        "expected": alert.expected,
        "low": alert.low,
        "high": alert.high,
        "score": alert.score,
        "detectable_change": alert.detectable_change,
        "n": alert.n,
        "excess": alert.excess,
    }


def _time(report: Report, slot: int) -> datetime:
    return datetime.fromtimestamp(report.series.start_s + slot * report.series.slot_s, UTC)


@app.command("run")
def run_command(
    config: ConfigFile = None,
    store: StoreUrl = None,
    wait: Annotated[str, typer.Option(help="How long to wait for messages to be taken.")] = "30s",
    as_json: AsJson = False,
) -> None:
    """Judge the newest slot once, write and send what changed, and list the incidents that last.

    What is not taken in time stays owed, and goes out at the next run. `surgecast up --roles alert` judges every
    slot. Example: surgecast alerts run -c /etc/surgecast.yaml
    """
    settings = load_settings(config)
    try:
        patience_s = parse_duration(wait)
    except ValueError as error:
        raise CommandError(f"--wait: {error}", Exit.USAGE) from error
    outbox = Outbox(sinks_of(settings.alerts), settings.alerts.attempts)
    place = open_store(store or settings.storage.url, settings.storage, existing=True)
    try:
        writer = place.writer(WRITER_NAME)
        try:
            reader = place.reader(StoreScope.everything(WRITER_NAME))
            service = Service(
                reader, writer, settings.alerts, outbox, events=events_of(settings), zones=zones_of(settings)
            )
            service.step(time.time())
            _deliver(service, time.monotonic() + patience_s)
        finally:
            writer.close()
    finally:
        place.close()
    rows = [_incident_row(kept.incident, kept.notified) for kept in service.kept()]
    if outbox.last_error:
        stderr.print(outbox.last_error, markup=False)
    if as_json:
        stats = service.stats
        counts = {"signals": stats.signals, "learning": stats.learning, "no_data": stats.no_data}
        routes = outbox.stats.values()
        sent, failed = sum(r.sent for r in routes), sum(r.failed for r in routes)
        print_json({"incidents": rows, **counts, "sent": sent, "failed": failed, "owed": len(outbox)})
        return
    if len(outbox):
        stderr.print(f"{len(outbox)} messages are still owed; the next run sends them", markup=False)
    columns = ("id", "severity", "state", "rule", "scope", "direction", "started", "observed", "expected", "cause")
    print_table(columns, [[row[name] for name in columns] for row in rows], f"{len(rows)} incidents")


def _deliver(service: Service, deadline_s: float) -> None:
    """Send until everything was taken or given up, or the deadline (monotonic seconds)."""
    while service.outbox.due_s is not None:
        left = deadline_s - time.monotonic()
        ahead = service.outbox.due_s - time.time()
        if ahead > left:
            return
        time.sleep(max(ahead, 0.0))
        service.deliver(time.time())


@app.command("test")
def try_command(
    rule: Annotated[str, typer.Argument(help="A rule; without one a test message is sent.")] = "",
    since: Annotated[str, typer.Option("--from", help="Start: -1d, 2026-11-20, 2026-11-20T08:00:00Z.")] = "-1d",
    until: Annotated[str, typer.Option("--to", help="End (exclusive): now, -5m, or a time.")] = "now",
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Try a rule on the past: the alerts that it would have raised. Nothing is written or sent.

    Without a rule, send a test message over every route; exit code 6 where one is not taken.

    Examples: surgecast alerts test carrier_a_answers --from -7d -c /etc/surgecast.yaml

    surgecast alerts test -c /etc/surgecast.yaml
    """
    if rule:
        _try_rule(rule, since, until, config, store, as_json)
    else:
        _send_test(config, as_json)


def _try_rule(name: str, since: str, until: str, config: Path | None, store: str | None, as_json: bool) -> None:
    settings = load_settings(config).alerts
    now_ns = time.time_ns()
    since_s, until_s = parse_time(since, now_ns) // SECOND_NS, parse_time(until, now_ns) // SECOND_NS
    if until_s - since_s < settings.slot:
        raise CommandError(f"--from {since} is not a slot before --to {until}", Exit.USAGE)
    limits = {limit.name: limit for limit in (*BUILT_IN, *(one.limit for one in settings.rules))}
    learned = {w.rule: w for w in STARTER if w.learned}
    known = learned.get(Rule(name)) if name in list(Rule) else None
    if name not in limits and known is None:
        names = ", ".join((*limits, *learned))
        raise CommandError(f"no rule {name[:60]!r}; there is {names}", Exit.NOT_FOUND)
    with opened(config, store, None) as reader:
        if known is not None:
            trial = try_learned(reader, settings, known, since_s, until_s)
        else:
            trial = try_limit(reader, settings, limits[name], since_s, until_s)
    rows = [_trial_row(one) for one in trial.alerts]
    if as_json:
        print_json({"rule": name, "alerts": rows, "scopes": trial.signals, "learning": trial.learning})
        return
    columns = ("start", "end", "scope_kind", "scope", "direction", "observed", "expected", "low", "high", "n")
    short = f", {trial.learning} of them with too little history" if trial.learning else ""
    print_table(
        columns, [[row[column] for column in columns] for row in rows],
        f"{name}: {len(rows)} alerts in {trial.signals} scopes{short}",
    )  # fmt: skip


def _trial_row(one: PastAlert) -> dict[str, Any]:
    return {
        "start": iso_time(one.start_s * SECOND_NS),
        "end": None if one.end_s is None else iso_time(one.end_s * SECOND_NS),
        "scope_kind": one.scope.kind,
        "scope": one.scope.name,
        **_evidence(one.alert),
    }


def _send_test(config: Path | None, as_json: bool) -> None:
    settings = load_settings(config)
    sinks = sinks_of(settings.alerts)
    if not sinks:
        raise CommandError("no alerts.routes and no alerts.alertmanager_url: nobody would be told", Exit.USAGE)
    now_ns = time.time_ns()
    one = Incident("test", Scope("platform", "platform"), "above", now_ns, 2.0, 1.0, 0.5, 1.5, 10.0, 0.5, 100.0,
                   100.0, severity=Severity.CRITICAL, id="i-test")  # fmt: skip
    results: dict[str, str] = {}
    for sink in sinks:
        try:
            sink.send(message_of(one, "This is a test", {}))
        except NotSent as error:
            results[sink.name] = str(error)
        else:
            results[sink.name] = "ok"
    if as_json:
        print_json({"routes": results})
    else:
        for name, result in results.items():
            typer.echo(f"{name}: {result}")
    if any(result != "ok" for result in results.values()):
        raise CommandError("not every route took the test message", Exit.CHECK_FAILED)


@app.command("explain")
def explain_command(
    incident: Annotated[str, typer.Argument(help="Id of an incident: i-…")],
    tenant: AsTenant = None,
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say why an incident was raised: observed against expected, how many, what caused it, who was told.

    Example: surgecast alerts explain i-25d0f60c3a
    """
    with opened(config, store, tenant) as reader:
        found = stored(reader, int(time.time()), incident)
    if not found:
        raise CommandError(f"no incident {incident[:60]!r} in the last two weeks", Exit.NOT_FOUND)
    row = _incident_row(found[0].incident, found[0].notified)
    if as_json:
        print_json(row)
        return
    for name, value in row.items():
        typer.echo(f"{name:>18}  {shown(value)}")


def _incident_row(one: Incident, notified: str) -> dict[str, Any]:
    rule = watched(one.rule)
    return {
        "id": one.id,
        "rule": one.rule,
        "title": rule.counted.title if rule else one.rule,
        "scope_kind": one.scope.kind,
        "scope": one.scope.name,
        "tenant": one.scope.tenant,
        "state": one.state.value,
        "severity": one.severity.value,
        "direction": one.direction,
        "started": iso_time(one.started_ns),
        "ended": iso_time(one.ended_ns),
        "observed": one.observed,
        "expected": one.expected,
        "low": one.low,
        "high": one.high,
        "score": one.score,
        "n": one.n,
        "impact_calls": abs(one.excess),
        "detectable_change": one.detectable_change,
        "cause": one.cause,
        "parent": one.parent_id,
        "notified": notified,
        "runbook": f"docs/runbooks/{runbook_of(one.rule, one.signal)}.md",
    }
