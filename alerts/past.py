"""One rule over a past window of the store: what it would have alerted on. Nothing is written or sent."""

from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from alerts.archive import Archive, SignalId
from alerts.catalog import STARTER, Watched, watched
from alerts.episode import Alert
from alerts.incidents import Scope
from alerts.limits import Limit, LimitWatch
from alerts.settings import AlertSettings
from alerts.watch import Sensitivity, Watch
from forecast.calendar import holiday_days
from forecast.localtime import DAY_S
from forecast.states import mark_closed
from storage.seam import Reader


@dataclass(frozen=True, slots=True)
class PastAlert:
    """An alert that would have been raised; UTC seconds."""

    scope: Scope
    start_s: int
    end_s: int | None
    alert: Alert


@dataclass(frozen=True, slots=True)
class Trial:
    """What one rule would have done."""

    alerts: tuple[PastAlert, ...]
    signals: int
    """Scopes that it was tried in."""
    learning: int
    """Those of them that had too little history."""


def new_watch(settings: AlertSettings, rule: Watched, archive: Archive, key: SignalId) -> Watch:
    """Return a watch for a signal; the budget of a scope is shared by all that is learned in it."""
    days = archive.start_s // DAY_S
    ahead = days + int(settings.history // DAY_S) + 400
    holiday = holiday_days(settings.country, days, ahead) if settings.country else frozenset()
    sharing = sum(1 for w in STARTER if w.learned and key.scope.kind in w.dimensions)
    budget = settings.budget_per_week / max(1, sharing)
    least = {"least_volume": rule.least_volume, "least_excess": rule.least_excess}
    return Watch(Sensitivity(budget, **least, directions=rule.directions), holiday)


def try_learned(reader: Reader, settings: AlertSettings, rule: Watched, since_s: int, until_s: int) -> Trial:
    """Return what a learned rule would have alerted on in a window, from what was known before it."""
    archive, first = _read(reader, settings, rule, int(since_s - settings.history), since_s, until_s)
    alerts: list[PastAlert] = []
    learning = 0
    for key in archive.ids():
        signal = archive.signal(key, rule)
        watch = new_watch(settings, rule, archive, key)
        history = min(first, len(signal))
        watch.skip_to(history, replace(signal, series=mark_closed(signal.series, history=history)))
        watch.advance(signal)
        learning += watch.calibration is None
        alerts += _past(archive, key, watch.alerts)
    return Trial(tuple(alerts), len(archive.ids()), learning)


def try_limit(reader: Reader, settings: AlertSettings, limit: Limit, since_s: int, until_s: int) -> Trial:
    """Return what a fixed limit would have alerted on in a window."""
    rule = watched(limit.signal)
    assert rule is not None
    before = since_s - int(max(limit.hold_s, DAY_S if limit.no_data else 0))
    archive, _ = _read(reader, settings, rule, before, since_s, until_s)
    keys = [
        key
        for key in archive.ids()
        if key.scope.kind == limit.scope_kind and limit.scope_name in ("", key.scope.name)
    ]
    alerts: list[PastAlert] = []
    for key in keys:
        watch = LimitWatch(limit)
        watch.advance(archive.signal(key, rule))
        alerts += [one for one in _past(archive, key, watch.alerts) if one.end_s is None or one.end_s > since_s]
    return Trial(tuple(alerts), len(keys), 0)


def _read(
    reader: Reader, settings: AlertSettings, rule: Watched, start_s: int, since_s: int, until_s: int
) -> tuple[Archive, int]:
    """Return the signals of a rule from `start_s` on, and the first slot of the window."""
    slot_s = int(settings.slot)
    start_s -= start_s % (DAY_S if rule.learned else slot_s)
    archive = Archive((rule,), start_s, slot_s, ZoneInfo(settings.zone), settings.most_scopes)
    archive.read(reader, until_s)
    return archive, (since_s - start_s) // slot_s


def _past(archive: Archive, key: SignalId, alerts: list[Alert]) -> list[PastAlert]:
    def at(slot: int) -> int:
        return archive.start_s + slot * archive.slot_s

    return [PastAlert(key.scope, at(a.start), None if a.end is None else at(a.end), a) for a in alerts]
