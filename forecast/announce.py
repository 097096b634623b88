"""Recording what people announce: events that move the load, and times not to learn from.

The command line and the web both write through here, so that both check and store the same.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from forecast.events import BadEvents, event_of
from forecast.masks import mask_of
from forecast.settings import EventSettings, ForecastSettings
from forecast.stored import EVERYONE, Announced, announced, record_announced
from storage.schema import ActionKind
from storage.seam import OutOfScope, Reader, Scope, Writer

_MOST = 5_000


@dataclass(frozen=True, slots=True)
class Announcement:
    """An event or mask as listed: one record for each tenant it concerns."""

    id: str
    kind: ActionKind
    name: str
    start_s: int
    end_s: int
    tenants: tuple[str, ...]
    """Empty: everyone."""
    uplift: float | None = None
    similar: str = ""
    decay_s: float = 0.0
    author: str = ""


def announce(
    reader: Reader,
    writer: Writer,
    asked: EventSettings,
    *,
    zone: ZoneInfo,
    author: str,
    now_ns: int,
    mask: bool = False,
) -> Announcement:
    """Record an event (or a mask) and return it. Raises BadEvents, OutOfScope, StoreError."""
    for tenant in asked.tenants or (EVERYONE,):
        if not reader.scope.allows(tenant):
            raise OutOfScope(f"no tenant {tenant[:60]!r}")
    if len(announced(reader, now_ns)) + max(len(asked.tenants), 1) > _MOST:
        raise BadEvents(f"{_MOST} events are recorded already; remove old ones")
    event = event_of(asked, zone)
    base = Announced(
        f"e-{secrets.token_hex(4)}",
        ActionKind.MASK if mask else ActionKind.EVENT,
        event.name,
        EVERYONE,
        event.start_s,
        event.end_s,
        None if mask else event.uplift,
        event.kind,
        event.decay_s,
        author,
    )
    records = [
        replace(base, id=f"{base.id}/{tenant}", tenant=tenant) for tenant in dict.fromkeys(asked.tenants)
    ] or [base]
    record_announced(writer, records, now_ns)
    return _grouped(records)[0]


def listed(reader: Reader, now_ns: int) -> list[Announcement]:
    """Return what is announced and not withdrawn, by start."""
    return _grouped(announced(reader, now_ns))


def declared(settings: ForecastSettings, zone: ZoneInfo) -> list[Announcement]:
    """Return the events and masks of a configuration, by start; times without an offset are of `zone`."""
    events = [event_of(each, zone) for each in settings.events]
    masks = [mask_of(each, zone) for each in settings.masks]
    found = [
        Announcement(
            "configuration", ActionKind.EVENT, each.name, each.start_s, each.end_s, each.tenants, each.uplift,
            each.kind, each.decay_s, "configuration",
        )
        for each in events
    ] + [
        Announcement(
            "configuration", ActionKind.MASK, each.reason, each.start_s, each.end_s,
            (each.tenant,) if each.tenant else (), author="configuration",
        )
        for each in masks
    ]  # fmt: skip
    return sorted(found, key=lambda each: each.start_s)


def visible(
    recorded: Iterable[Announcement], configured: Iterable[Announcement], scope: Scope
) -> list[Announcement]:
    """Return what is recorded and what is configured, by start; of the configured ones only what a scope may see.

    What is recorded was read within the scope; one that concerns everyone is no tenant's own, and stays unseen.
    """
    mine = [
        each
        for each in configured
        if scope.tenants is None or (each.tenants and all(scope.allows(tenant) for tenant in each.tenants))
    ]
    return sorted((*recorded, *mine), key=lambda each: each.start_s)


def withdraw(reader: Reader, writer: Writer, id_: str, *, author: str, now_ns: int) -> Announcement:
    """Withdraw an announcement and return what it was. Raises OutOfScope where the reader's scope has none."""
    mine = [record for record in announced(reader, now_ns) if _group(record) == id_]
    if not mine:
        raise OutOfScope(f"no event {id_[:60]!r}")
    record_announced(writer, [replace(record, withdrawn=True, author=author) for record in mine], now_ns)
    return _grouped(mine)[0]


def settings_of(values: object) -> EventSettings:
    """Return checked settings of an event. Raises BadEvents that names each fault."""
    try:
        return EventSettings.model_validate(values)
    except ValidationError as error:
        faults = error.errors(include_url=False)
        named = (
            f"{'.'.join(map(str, f['loc'])) or 'event'}: {f['msg'].removeprefix('Value error, ')}" for f in faults
        )
        raise BadEvents("; ".join(named)) from error


def _group(record: Announced) -> str:
    return record.id.partition("/")[0]


def _grouped(records: Iterable[Announced]) -> list[Announcement]:
    groups: dict[str, list[Announced]] = {}
    for record in records:
        groups.setdefault(_group(record), []).append(record)
    return [_announcement(id_, group) for id_, group in groups.items()]


def _announcement(id_: str, records: Sequence[Announced]) -> Announcement:
    first = records[0]
    return Announcement(
        id_,
        first.kind,
        first.name,
        first.start_s,
        first.end_s,
        tuple(sorted(record.tenant for record in records if record.tenant != EVERYONE)),
        first.uplift,
        first.similar,
        first.decay_s,
        first.author,
    )
