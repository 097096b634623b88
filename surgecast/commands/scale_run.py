"""`surgecast scale plan|run|explain`: what the scaler decides now, doing so for good, and why it decided."""

import json
import math
import threading
import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from scaler.capacity import pods_for
from scaler.decision import Hold, Mode, PoolInputs, ReplicaDecision
from scaler.guards import Memory
from scaler.journal import decision_id, last_lead_time_s, plain
from scaler.policy import decide
from scaler.settings import PoolSettings
from scaler.view import CONTROLS, mode_of, pool_inputs
from scaler.warnings import warnings_of
from storage.actions import Action, actions
from storage.seam import OutOfScope, Reader, Window
from surgecast.commands.output import AsJson, iso_time, print_json, print_table, stderr
from surgecast.commands.stored import rows_of, stored
from surgecast.config import ConfigFile, Settings, StoreUrl, load_settings
from surgecast.errors import CommandError, Exit
from surgecast.logs import configure_logs
from surgecast.processes import stop_on_signals
from surgecast.roles import scale as role

_PLAN_S = 4 * 3600
_LOOK_BACK_NS = 400 * 86_400 * 1_000_000_000


def plan(config: ConfigFile = None, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """Say what every pool's next decision would be, and the pods that the forecast asks for over four hours.

    Nothing is written and nothing is scaled. Example: surgecast scale plan -c surgecast.yaml
    """
    settings = _settings(config)
    now_ns = time.time_ns()
    with stored(config, store, None) as reader:
        told = actions(reader, CONTROLS, now_ns)
        with role.Targets(settings.scale, elect=False) as targets:
            pools = [_planned(reader, pool, settings, told, now_ns, targets) for pool in settings.scale.pools]
    if as_json:
        print_json({"pools": pools})
        return
    for planned in pools:
        decision = planned["decision"]
        typer.echo(f"{planned['pool']} ({planned['mode']}): {decision['reason']}")
        for need in decision["needs"]:
            typer.echo(f"  {need['source']:>9} {need['pods']:>4}  {need['why']}")
        for warning in planned["warnings"]:
            typer.echo(f"  warning: {warning}")
        rows = [[slot["start"], slot["pods"], slot["term"], slot["high"]] for slot in planned["slots"]]
        if rows:
            print_table(["from", "pods", "by", "load"], rows, title=f"{planned['pool']}: forecast")


def _settings(config: ConfigFile) -> Settings:
    settings = load_settings(config)
    if not settings.scale.pools:
        raise CommandError("no pool is configured; add one under scale.pools (docs/configuration.md)", Exit.USAGE)
    return settings


def _planned(
    reader: Reader, pool: PoolSettings, settings: Settings, told: list[Action], now_ns: int, targets: role.Targets
) -> dict[str, Any]:
    lead_time_s = last_lead_time_s(reader, pool.name, now_ns) or pool.lead_time
    state = targets.of(pool).read(now_ns / 1e9)
    inputs = pool_inputs(reader, pool, state, told, max(lead_time_s, _PLAN_S), now_ns)
    mode = mode_of(pool.name, Mode(settings.scale.mode), told, now_ns)
    near = PoolInputs(**{**_fields(inputs), "lead_time_s": lead_time_s})
    decision, _ = decide(near, pool, Memory(), now_ns / 1e9, mode)
    slots = [] if inputs.forecast is None else [_slot(slot, pool) for slot in inputs.forecast.slots]
    return {
        "pool": pool.name,
        "mode": mode.value,
        "decision": _told(decision),
        "slots": slots,
        "warnings": warnings_of(pool, state),
    }


def _fields(inputs: PoolInputs) -> dict[str, Any]:
    return {name: getattr(inputs, name) for name in PoolInputs.__slots__}


def _slot(slot: Any, pool: PoolSettings) -> dict[str, Any]:
    need = pods_for(slot.high, pool.pod, pool.forecast_utilisation)
    amount = getattr(slot.high, need.term) if need.term else math.nan
    return {
        "start": iso_time(round(slot.start_s * 1e9)),
        "seconds": slot.end_s - slot.start_s,
        "pods": max(need.pods, pool.minimum),
        "term": need.term,
        "high": amount,
        "median": getattr(slot.median, need.term) if need.term else math.nan,
    }


def _told(decision: ReplicaDecision) -> dict[str, Any]:
    values: dict[str, Any] = plain(asdict(decision))
    return {"id": decision_id(decision.pool, decision.at_s), **values, "wanted": decision.wanted}


def run(
    config: ConfigFile = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="End after so many rounds; none: go on.")] = None,
) -> None:
    """Run the scaler in the foreground, as `up --roles scale` does.

    Example: surgecast scale run -c surgecast.yaml
    """
    settings = _settings(config)
    configure_logs()
    stop = threading.Event()
    stop_on_signals(stop)
    names = ", ".join(pool.name for pool in settings.scale.pools)
    stderr.print(f"scaler: mode {settings.scale.mode}, pools {names}", markup=False)
    role.run(settings, stop, rounds)


def explain(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of a decision, or a pool for its last one.")],
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Say why a decision came out as it did: every need, hold and limit, and what was seen.

    Example: surgecast scale explain rtpengine-eu
    """
    with stored(config, store, None) as reader:
        row = _row(reader, id_, time.time_ns())
    inputs, limits = json.loads(row.pop("inputs") or "{}"), json.loads(row.pop("limits") or "{}")
    if as_json:
        print_json({**row, **limits, "inputs": inputs})
        return
    typer.echo(f"{row['decision_id']} at {row['time']} ({row['mode']}): {row['message']}")
    rows = [[need["source"], need["pods"], need["term"], need["why"]] for need in limits["needs"]]
    print_table(["source", "pods", "by", "why"], rows, title="needs")
    for limit in limits["limits"]:
        typer.echo(f"limit {limit['limit']}: {limit['before']} → {limit['after']}, {limit['why']}")
    for hold in limits["holds"]:
        typer.echo(f"hold: {Hold(hold).words}")
    typer.echo(f"{row['current']} → {row['final']} pods, {_done(row)}")


def _done(row: dict[str, Any]) -> str:
    """Say what came of a decision."""
    if row["error"]:
        return f"{'carried out' if row['applied'] else 'not carried out'}: {row['error']}"
    if row["applied"]:
        return "carried out"
    return "nothing to do" if row["final"] == row["current"] else f"not carried out in mode {row['mode']}"


def _row(reader: Reader, id_: str, now_ns: int) -> dict[str, Any]:
    """Return the decision of this id, or the newest of the pool of this name."""
    window = Window(now_ns - _LOOK_BACK_NS, now_ns + 1)
    newest = reader.latest("replica_decision", window, by=["pool"], where={"pool": [id_]})
    if not newest.num_rows:
        pool, _, second = id_.rpartition("-")
        if second.isdecimal():
            at_ns = int(second) * 1_000_000_000
            newest = reader.select(
                "replica_decision", Window(at_ns, at_ns + 1_000_000_000), where={"pool": [pool]}, limit=1
            )
    if not newest.num_rows:
        raise OutOfScope(f"no decision {id_[:80]!r}, and no pool of this name has one")
    return rows_of(newest)[0]
