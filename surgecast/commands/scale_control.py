"""`surgecast scale freeze|override|mode|controls|release`: what operators tell the scaler, with their names."""

import getpass
import time
from typing import Annotated, Any

import typer

from scaler.decision import Mode
from scaler.view import CONTROLS
from storage.actions import EVERY_TARGET, NO_END_NS, Action, actions, record, withdraw
from storage.open import open_store
from storage.schema import ActionKind
from storage.seam import Scope
from surgecast.commands.output import AsJson, iso_time, print_json, print_table
from surgecast.commands.stored import stored
from surgecast.commands.times import seconds_of
from surgecast.config import ConfigFile, Settings, StoreUrl, load_settings
from surgecast.errors import CommandError, Exit

PoolName = Annotated[str, typer.Argument(metavar="POOL", help="Pool, or '*' for all.")]
For = Annotated[str | None, typer.Option("--for", help="How long it holds, for example 2h; without it for ever.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the record.")]


def freeze(
    pool: PoolName, for_: For = None, reason: Reason = "", config: ConfigFile = None, store: StoreUrl = None
) -> None:
    """Keep a pool's pods as they are; '*' switches all scaling off until it is released.

    Example: surgecast scale freeze rtpengine-eu --for 2h --reason "maintenance of the rack"
    """
    _tell(config, store, ActionKind.FREEZE, pool, for_, reason)


def override(
    pool: PoolName,
    pods: Annotated[int, typer.Argument(min=0, help="Pods to keep.")],
    for_: For = None,
    reason: Reason = "",
    config: ConfigFile = None,
    store: StoreUrl = None,
) -> None:
    """Keep a pool at a number of pods, whatever its load; its maximum and budget still hold.

    Example: surgecast scale override rtpengine-eu 12 --for 4h --reason "televote"
    """
    _tell(config, store, ActionKind.OVERRIDE, pool, for_, reason, value=float(pods))


def mode(
    pool: PoolName,
    to: Annotated[Mode, typer.Argument(help="observe, advise or act.")],
    for_: For = None,
    reason: Reason = "",
    config: ConfigFile = None,
    store: StoreUrl = None,
) -> None:
    """Change how far decisions about a pool go.

    Example: surgecast scale mode rtpengine-eu act
    """
    _tell(config, store, ActionKind.MODE, pool, for_, reason, details=to.value)


def controls(config: ConfigFile = None, store: StoreUrl = None, as_json: AsJson = False) -> None:
    """List what operators told the scaler, with what is in force."""
    now_ns = time.time_ns()
    with stored(config, store, None) as reader:
        found = [action for action in actions(reader, CONTROLS, now_ns) if action.target_kind == "pool"]
    rows = [_row(action, now_ns) for action in found]
    if as_json:
        print_json({"controls": rows})
    else:
        columns = ["id", "kind", "pool", "to", "author", "reason", "from", "until", "in_force"]
        print_table(columns, [[row[column] for column in columns] for row in rows], title="controls")


def release(
    id_: Annotated[str, typer.Argument(metavar="ID", help="Id of a control, from `scale controls`.")],
    config: ConfigFile = None,
    store: StoreUrl = None,
) -> None:
    """End a freeze, an override or a mode before its time."""
    settings = load_settings(config)
    opened = open_store(store or settings.storage.url, settings.storage, existing=True)
    try:
        writer = opened.writer("operator")
        try:
            reader = opened.reader(Scope.everything("command line"))
            gone = withdraw(reader, writer, id_, _author(), time.time_ns())
        finally:
            writer.close()
    finally:
        opened.close()
    typer.echo(f"{gone.id}: {gone.kind.value} of {gone.target} ended")


def _tell(
    config: ConfigFile,
    store: StoreUrl,
    kind: ActionKind,
    pool: str,
    for_: str | None,
    reason: str,
    *,
    value: float | None = None,
    details: str = "",
) -> None:
    settings = load_settings(config)
    _check(settings, pool)
    now_ns = time.time_ns()
    until_ns = NO_END_NS if for_ is None else now_ns + seconds_of("--for", for_) * 1_000_000_000
    action = Action(kind, "pool", pool, _author(), reason, now_ns, until_ns, value, details)
    opened = open_store(store or settings.storage.url, settings.storage, existing=True)
    try:
        writer = opened.writer("operator")
        try:
            written = record(writer, action, now_ns)
        finally:
            writer.close()
    finally:
        opened.close()
    typer.echo(f"{written.id}: {kind.value} of {pool} {'for ever' if for_ is None else 'for ' + for_}")


def _check(settings: Settings, pool: str) -> None:
    names = [known.name for known in settings.scale.pools]
    if pool != EVERY_TARGET and pool not in names:
        raise CommandError(f"no pool {pool[:60]!r}; configured: {', '.join(names) or 'none'}", Exit.NOT_FOUND)


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "command line"


def _row(action: Action, now_ns: int) -> dict[str, Any]:
    to = {ActionKind.OVERRIDE: f"{action.value or 0:.0f} pods", ActionKind.MODE: action.details}.get(
        action.kind, ""
    )
    return {
        "id": action.id,
        "kind": action.kind.value,
        "pool": action.target,
        "to": to,
        "author": action.author,
        "reason": action.reason,
        "from": iso_time(action.starts_ns),
        "until": None if action.until_ns >= NO_END_NS else iso_time(action.until_ns),
        "in_force": action.holds(now_ns),
    }
