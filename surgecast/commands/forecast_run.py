"""`surgecast forecast run` and `explain`: a forecast from the store as of now, and why it is what it is."""

import json
import time
from typing import Annotated, Any

import typer

from forecast.accuracy import LEVELS
from forecast.decomposition import decompose
from forecast.explain import Explanation, explain
from forecast.horizons import Horizon
from forecast.issue import Outcome, prepared
from forecast.once import Once
from forecast.pool import Workers
from forecast.series import BadSeries
from forecast.service_settings import ForecastServiceSettings
from forecast.signals import CAPTURE_POOL, SECOND_NS
from forecast.targets import KIND_SIGNALS, Kind, SeriesId, Signal
from storage.open import open_store
from storage.seam import Reader, Scope, Window
from surgecast.commands.forecast_parts import (
    decomposition_json,
    print_decomposition,
    print_regressors,
    regressor_json,
)
from surgecast.commands.output import AsJson, iso_time, print_json, print_table, stderr
from surgecast.commands.times import parse_time
from surgecast.config import ConfigFile, StoreUrl, load_settings
from surgecast.errors import CommandError, Exit
from telephony.durations import format_duration
from telephony.model import UNKNOWN

Pool = Annotated[str | None, typer.Option("--pool", help="The load of this media pool.")]
Region = Annotated[str | None, typer.Option("--region", help="The load of this region.")]
Trunk = Annotated[str | None, typer.Option("--trunk", help="The arrivals over this trunk.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="The load of this tenant.")]
OfSignal = Annotated[
    Signal | None, typer.Option("--signal", help="What of the load; the one capacity must hold where not given.")
]
At = Annotated[str, typer.Option("--at", help="Forecast as of then: now, -2h, 2026-11-20T08:00:00Z.")]
_SHOWN_LEADS_S = (900, 1800, 3600, 7200, 4 * 3600, 8 * 3600, 86_400, 2 * 86_400, 7 * 86_400, 28 * 86_400)


def run(
    pool: Pool = None,
    region: Region = None,
    trunk: Trunk = None,
    tenant: Tenant = None,
    signal: OfSignal = None,
    horizon: Annotated[Horizon, typer.Option(help="How far: an hour, four hours, 28 days.")] = Horizon.LONG,
    at: At = "now",
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Forecast a pool, region, trunk or tenant, or every pool, from what the store holds; nothing is written.

    Examples: surgecast forecast run --pool media-eu --json

    surgecast forecast run --tenant acme --signal arrivals --horizon medium
    """
    settings = load_settings(config)
    opened = open_store(store or settings.storage.url, settings.storage, existing=True)
    try:
        reader = opened.reader(Scope.everything("command line"))
        now_s = parse_time(at, time.time_ns()) // SECOND_NS
        keys = _keys(reader, settings.forecast, now_s, _asked(pool, region, trunk, tenant), signal)
        with Workers(min(settings.forecast.workers, len(keys) - 1)) as workers:
            outcomes = Once(reader, settings.forecast, now_s).outcomes(keys, horizon, workers.run)
    finally:
        opened.close()
    if as_json:
        print_json({"series": [_as_json(outcome, settings.forecast, now_s) for outcome in outcomes]})
    for outcome in outcomes:
        for name, why in _of_inputs(outcome).get("regressor_troubles", {}).items():
            stderr.print(f"{outcome.key}: regressor {name}: {why}", markup=False)
        if outcome.trouble:
            stderr.print(f"{outcome.key}: {outcome.trouble}", markup=False)
        elif not as_json:
            _print(outcome, settings.forecast)
    if all(outcome.trouble for outcome in outcomes):
        raise typer.Exit(Exit.NOT_FOUND)


def explain_command(
    pool: Pool = None,
    region: Region = None,
    trunk: Trunk = None,
    tenant: Tenant = None,
    signal: OfSignal = None,
    at: At = "now",
    decomposed: Annotated[
        bool, typer.Option("--decompose", help="Also trend, day, week and remainder by MSTL, and diagnostics.")
    ] = False,
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say why a forecast is what it is: the model and why it, the history, events and masks, the parts of a slot.

    Example: surgecast forecast explain --pool media-eu --signal arrivals
    """
    settings = load_settings(config)
    opened = open_store(store or settings.storage.url, settings.storage, existing=True)
    try:
        reader = opened.reader(Scope.everything("command line"))
        now_s = parse_time(at, time.time_ns()) // SECOND_NS
        asked = _asked(pool, region, trunk, tenant)
        if asked is None:
            raise CommandError("name what to explain: --pool, --region, --trunk or --tenant", Exit.USAGE)
        keys = _keys(reader, settings.forecast, now_s, asked, signal)
        task = Once(reader, settings.forecast, now_s).task(keys[0], Horizon.LONG)
        found = explain(task)
        parts = None
        if decomposed:
            series = prepared(task.key, task.series, task.known)
            parts = decompose(series, is_count=task.key.signal.is_count)
    except BadSeries as error:
        raise CommandError(str(error), Exit.NOT_FOUND) from error
    finally:
        opened.close()
    if as_json:
        print_json(_explained(found) | ({} if parts is None else {"decomposition": decomposition_json(parts)}))
    else:
        _print_explained(found)
        if parts is not None:
            print_decomposition(parts)


def _asked(pool: str | None, region: str | None, trunk: str | None, tenant: str | None) -> tuple[Kind, str] | None:
    given = [
        (kind, name)
        for kind, name in ((Kind.POOL, pool), (Kind.REGION, region), (Kind.TRUNK, trunk), (Kind.TENANT, tenant))
        if name is not None
    ]
    if len(given) > 1:
        raise CommandError("give one of --pool, --region, --trunk and --tenant", Exit.USAGE)
    return given[0] if given else None


def _keys(
    reader: Reader,
    settings: ForecastServiceSettings,
    now_s: int,
    asked: tuple[Kind, str] | None,
    signal: Signal | None,
) -> list[SeriesId]:
    kind = asked[0] if asked else Kind.POOL
    signals = KIND_SIGNALS[kind]
    if signal is not None and signal not in signals:
        known = ", ".join(s.value for s in signals)
        raise CommandError(f"--signal {signal.value} is not kept by {kind.value}; there is {known}", Exit.USAGE)
    chosen = signal or (Signal.CONCURRENT_MAX if Signal.CONCURRENT_MAX in signals else signals[0])
    window = Window((now_s - round(settings.history)) * SECOND_NS, now_s * SECOND_NS)
    measurement = "session_minute" if kind is Kind.TRUNK else "load_minute"
    names = [n for n in reader.tag_values(measurement, kind.value, window) if n not in (CAPTURE_POOL, UNKNOWN, "")]
    if asked is None:
        if not names:
            raise CommandError("the store holds no load of any pool", Exit.NOT_FOUND)
        return [SeriesId(kind, name, chosen) for name in names]
    if asked[1] not in names:
        there = ", ".join(names[:20]) or "none"
        raise CommandError(
            f"no load of {kind.value} {asked[1][:60]!r} is stored; there is {there}", Exit.NOT_FOUND
        )
    return [SeriesId(kind, asked[1], chosen)]


def _iso(at_s: int) -> str | None:
    return iso_time(at_s * SECOND_NS)


def _model(outcome: Outcome) -> str:
    return next((issue.model for issue in outcome.issues if issue.model), outcome.model)


def _live(outcome: Outcome) -> str:
    """Return how many live calls it stands on, or why on none; empty where they do not matter."""
    return str(_of_inputs(outcome).get("live", ""))


def _of_inputs(outcome: Outcome) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(outcome.inputs or "{}")
    return found


def _as_json(outcome: Outcome, settings: ForecastServiceSettings, now_s: int) -> dict[str, Any]:
    slot_s = settings.slot_of(outcome.key.kind)
    names = [f"q{round(100 * level)}" for level in LEVELS]
    return {
        "target_kind": outcome.key.kind.value,
        "target": outcome.key.name,
        "signal": outcome.key.signal.value,
        "unit": outcome.key.signal.unit,
        "model": _model(outcome) or None,
        "live": _live(outcome) or None,
        "trouble": outcome.trouble or None,
        "issued_at": _iso(now_s),
        "watermark": _iso(outcome.watermark_s) if outcome.watermark_s else None,
        "slot_seconds": slot_s,
        "fit_seconds": outcome.fit_seconds,
        "slots": [
            {
                "slot": _iso(issue.first_s + place * slot_s),
                "lead_seconds": issue.first_s + place * slot_s - outcome.watermark_s,
                **dict(zip(names, row, strict=True)),
            }
            for issue in outcome.issues
            for place, row in enumerate(issue.quantiles.tolist())
        ],
    }


def _print(outcome: Outcome, settings: ForecastServiceSettings) -> None:
    slot_s, (issue,) = settings.slot_of(outcome.key.kind), outcome.issues
    slots = (max(lead // slot_s, 1) for lead in _SHOWN_LEADS_S)
    places = sorted({slot - 1 for slot in slots if slot <= len(issue.quantiles)})
    rows = [
        [
            _iso(issue.first_s + place * slot_s),
            format_duration((place + 1) * slot_s),
            *issue.quantiles[place].tolist(),
        ]
        for place in places
    ]
    columns = ["slot", "ahead", *(f"q{round(100 * level)}" for level in LEVELS)]
    title = (
        f"{outcome.key} ({outcome.key.signal.unit}) by {_model(outcome)}; known until {_iso(outcome.watermark_s)}"
    )
    print_table(columns, rows, title)
    if live := _live(outcome):
        typer.echo(f"calls in progress: {live}")


def _explained(found: Explanation) -> dict[str, Any]:
    return {
        "target_kind": found.key.kind.value,
        "target": found.key.name,
        "signal": found.key.signal.value,
        "unit": found.key.signal.unit,
        "model": found.model,
        "why": found.why,
        "ladder": [
            {"model": rung.model, "needs_days": rung.needs_days, "reached": rung.reached} for rung in found.rungs
        ],
        "history": {
            "since": _iso(found.since_s),
            "watermark": _iso(found.watermark_s),
            "measured_days": found.measured_days,
            "slot_seconds": found.slot_s,
            "states": found.states,
            "country": found.country or None,
            "notes": found.notes,
        },
        "components": [
            {
                "slot": _iso(part.slot_s),
                "lead_seconds": part.lead_s,
                "profile": part.profile,
                "correction": part.correction,
                "offset": part.offset,
                "events": part.events,
                "regressors": part.regressors,
                "regressor_effects": part.moved,
                "q50": part.median,
                "q95": part.high,
                "benched": part.benched,
            }
            for part in found.parts
        ],
        "events": [
            {
                "name": effect.event.name,
                "start": _iso(effect.event.start_s),
                "end": _iso(effect.event.end_s),
                "uplift": effect.uplift,
                "learned_from": effect.learned_from,
                "declared": effect.event.uplift is not None,
            }
            for effect in found.events
        ],
        "regressors": [regressor_json(effect) for effect in found.regressors],
        "masks": [
            {"start": _iso(mask.start_s), "end": _iso(mask.end_s), "reason": mask.reason} for mask in found.masks
        ],
    }


def _print_explained(found: Explanation) -> None:
    typer.echo(f"{found.key} ({found.key.signal.unit})")
    typer.echo(f"model    {found.model}: {found.why}")
    typer.echo(
        f"history  {_iso(found.since_s)} to {_iso(found.watermark_s)}, slots of {format_duration(found.slot_s)}"
    )
    typer.echo("states   " + ", ".join(f"{count} {name}" for name, count in found.states.items()))
    typer.echo(f"holidays {found.country or 'none: no country is configured for it'}")
    for note in found.notes:
        typer.echo(f"note     {note}")
    columns = ["slot", "profile", "correction", "offset", "events", "regressors", "q50", "q95", ""]
    rows = [
        [
            _iso(p.slot_s), p.profile, p.correction, p.offset, p.events, p.regressors, p.median, p.high,
            "profile stands in" if p.benched else "",
        ]
        for p in found.parts
    ]  # fmt: skip
    print_table(columns, rows, "profile + correction + offset + events + regressors = q50")
    if found.events:
        rows = [
            [effect.event.name, _iso(effect.event.start_s), _iso(effect.event.end_s), f"{effect.uplift:+.0%}",
             "declared" if effect.event.uplift is not None else f"learned from {effect.learned_from}"]
            for effect in found.events
        ]  # fmt: skip
        print_table(["event", "start", "end", "uplift", "how known"], rows)
    if found.regressors:
        print_regressors(found.regressors)
    if found.masks:
        rows = [[_iso(mask.start_s), _iso(mask.end_s), mask.reason] for mask in found.masks]
        print_table(["masked from", "to", "reason"], rows)
