"""`surgecast event`: campaigns and events that move the load, and times that must not be learned from."""

import getpass
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from forecast.announce import Announcement, announce, listed, settings_of, withdraw
from forecast.events import BadEvents, event_of
from forecast.masks import mask_of
from forecast.service_settings import ForecastServiceSettings
from forecast.signals import SECOND_NS
from storage.open import open_store
from storage.schema import ActionKind
from storage.seam import Reader, Scope, StoreLocked, Writer
from surgecast.commands.output import AsJson, iso_time, print_json, print_table
from surgecast.config import ConfigFile, StoreUrl, load_settings
from surgecast.errors import CommandError, Exit
from telephony.durations import format_duration

WRITER_NAME = "operator"
_PATIENCE_SECONDS = 5.0

app = typer.Typer(
    help="Announce campaigns and events, and times not to learn from.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    start: Annotated[str, typer.Option(help="When it begins: 2026-03-01T09:00, local unless it has an offset.")],
    end: Annotated[str, typer.Option(help="When it is over.")],
    tenant: Annotated[
        list[str] | None, typer.Option(help="Whose load it moves; may be repeated; everyone's if not given.")
    ] = None,
    uplift: Annotated[
        str | None, typer.Option(help="Expected change: 40%, -10% or 0.4; learned from past events if not given.")
    ] = None,
    kind: Annotated[str, typer.Option(help="Events of one kind teach each other; the name if not given.")] = "",
    decay: Annotated[str, typer.Option(help="Half-life of what remains after the end.")] = "0s",
    mask: Annotated[bool, typer.Option("--mask", help="Do not learn from this time, and expect nothing.")] = False,
    tz: Annotated[str, typer.Option(help="Zone of times without an offset; forecast.zone if not given.")] = "",
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Announce an event, a campaign or (with --mask) a time that must not be learned from.

    Examples: surgecast event add sale --start 2026-03-01T09:00 --end 2026-03-03 --tenant acme --uplift 40%

    surgecast event add "load test" --mask --start 2026-02-11T10:00Z --end 2026-02-11T14:00Z
    """
    if mask and uplift is not None:
        raise CommandError("--mask takes no --uplift: nothing is expected of a mask", Exit.USAGE)
    values = {
        "name": name, "start": start, "end": end, "tenants": tenant or [], "kind": kind, "decay": decay,
        "uplift": None if uplift is None else _ratio(uplift),
    }  # fmt: skip
    try:
        asked = settings_of(values)
        with _operating(config, store) as (reader, writer, settings):
            zone = _zone(tz or settings.zone)
            found = announce(reader, writer, asked, zone=zone, author=_author(), now_ns=time.time_ns(), mask=mask)
    except BadEvents as error:
        raise CommandError(str(error), Exit.USAGE) from error
    _show([found], as_json)


@app.command("list")
def list_command(
    past: Annotated[bool, typer.Option("--past", help="Also those that are over.")] = False,
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """List what is announced, from the configuration and by operators.

    Example: surgecast event list --past --json
    """
    settings = load_settings(config)
    opened = open_store(store or settings.storage.url, settings.storage, existing=True)
    now_ns = time.time_ns()
    try:
        found = listed(opened.reader(Scope.everything("command line")), now_ns)
    finally:
        opened.close()
    found += configured(settings.forecast)
    held = [each for each in found if past or each.end_s * SECOND_NS > now_ns]
    _show(sorted(held, key=lambda each: each.start_s), as_json, many=True)


@app.command("remove")
def remove(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `event list` prints it.")],
    config: ConfigFile = None,
    store: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Withdraw an event or mask; forecasts are made anew without it.

    Example: surgecast event remove e-1a2b3c4d
    """
    with _operating(config, store) as (reader, writer, _):
        found = withdraw(reader, writer, id_, author=_author(), now_ns=time.time_ns())
    _show([found], as_json)


def configured(settings: ForecastServiceSettings) -> list[Announcement]:
    """Return the events and masks of the configuration, which are changed there."""
    zone = ZoneInfo(settings.zone)
    events = [event_of(each, zone) for each in settings.events]
    masks = [mask_of(each, zone) for each in settings.masks]
    event, mask = ActionKind.EVENT, ActionKind.MASK
    return [
        *(
            Announcement("", event, e.name, e.start_s, e.end_s, e.tenants, e.uplift, e.kind, e.decay_s)
            for e in events
        ),
        *(Announcement("", mask, m.reason, m.start_s, m.end_s, (m.tenant,) if m.tenant else ()) for m in masks),
    ]


@contextmanager
def _operating(config: Path | None, url: str | None) -> Iterator[tuple[Reader, Writer, ForecastServiceSettings]]:
    """Open the store to read and to record; waits a little while another command records."""
    settings = load_settings(config)
    opened = open_store(url or settings.storage.url, settings.storage, existing=True)
    try:
        writer = _writer(opened.writer)
        try:
            yield opened.reader(Scope.everything("command line")), writer, settings.forecast
        finally:
            writer.close()
    finally:
        opened.close()


def _writer(opener: Any) -> Writer:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            writer: Writer = opener(WRITER_NAME)
        except StoreLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return writer


def _ratio(text: str) -> float:
    try:
        return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise CommandError(f"--uplift {text[:40]!r} is no share; write 40% or 0.4", Exit.USAGE) from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError) as error:
        raise CommandError(f"--tz: no zone {name[:40]!r}; write for example Europe/Berlin", Exit.USAGE) from error


def _author() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "command line"


def _as_json(found: Announcement) -> dict[str, Any]:
    return {
        "id": found.id or None,
        "kind": found.kind.value,
        "name": found.name,
        "start": iso_time(found.start_s * SECOND_NS),
        "end": iso_time(found.end_s * SECOND_NS),
        "tenants": found.tenants,
        "uplift": found.uplift,
        "similar": found.similar or None,
        "decay_seconds": found.decay_s,
        "author": found.author or None,
        "source": "operator" if found.id else "configuration",
    }


def _show(found: list[Announcement], as_json: bool, *, many: bool = False) -> None:
    if as_json:
        plain = [_as_json(each) for each in found]
        print_json({"events": plain} if many else plain[0])
        return
    rows = [
        [
            each.id or "configuration",
            each.kind.value,
            each.name,
            iso_time(each.start_s * SECOND_NS),
            iso_time(each.end_s * SECOND_NS),
            ", ".join(each.tenants) or "everyone",
            "" if each.kind is ActionKind.MASK else "learn it" if each.uplift is None else f"{each.uplift:+.0%}",
            format_duration(each.decay_s) if each.decay_s else "",
        ]
        for each in found
    ]
    print_table(["id", "kind", "name", "start", "end", "tenants", "uplift", "decay"], rows)
