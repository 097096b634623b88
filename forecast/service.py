"""The forecast service: which series are due at which horizon, fitted at their own midnight, issued and stored.

No clock is read here: `step` is given the time, does what is due by then and nothing twice, and what was issued is
read back from the store after a restart. The past of all series is held as single-precision slots; fits are a few
kilobytes; both are bounded by the number of series.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from zoneinfo import ZoneInfo

import numpy as np

from forecast.carried import CarriedForecasts
from forecast.coherent import ADDITIVE, coherent
from forecast.findings import Findings
from forecast.followed import REREAD, Followed
from forecast.horizons import Horizon, due_s
from forecast.issue import Known, Outcome, Task, masked_slots, prepared
from forecast.kept import Shelf
from forecast.knowledge import Knowledge, Shares, gather, tenant_shares
from forecast.localtime import DAY_S, Bools, utc_offset_s
from forecast.regressor_files import RegressorFiles
from forecast.rolling import Night
from forecast.scoring import Scoring
from forecast.series import BadSeries, Series
from forecast.service_settings import ForecastServiceSettings
from forecast.signals import SECOND_NS, Book, read_into
from forecast.stored import LastIssue, Unwritten, forecast_batch, last_issues
from forecast.targets import Kind, SeriesId, Signal
from storage.seam import Reader, Window, Writer

Run = Callable[[Iterable[Task]], Iterator[Outcome]]
_REREAD_SLOTS = 2
"""Slots read again each time: late rows of a minute come within ten minutes."""
_FLUSH_ROWS = 20_000
"""A long horizon is shown soon after it is made; short ones come together."""
_MOST_TOGETHER = 1_000
"""Series whose forecasts are held back to be made to add up: some hundred kilobytes each."""
REHEARSAL_DAYS = 28
"""Days that the first fit of a series scores as rehearsed."""
_SILENT_S = 14 * DAY_S
"""A series without traffic for this long is not forecast."""


@dataclass(slots=True)
class ServiceStats:
    """Totals since start, and the state of things, for the exporter."""

    series: int = 0
    shed: int = 0
    fits: int = 0
    fit_seconds: float = 0.0
    learned: Counter[str] = field(default_factory=Counter)
    """Fits that went on from the night before, or why all was learned anew."""
    issues: Counter[str] = field(default_factory=Counter)
    """By horizon."""
    rows: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    """Series not forecast, by a word for the reason."""
    models: dict[SeriesId, str] = field(default_factory=dict)
    benched: dict[SeriesId, int] = field(default_factory=dict)
    """Bins of leads of each series in which its model has lost to the profile."""
    last_issue_s: dict[str, int] = field(default_factory=dict)
    """By horizon."""
    watermark_s: int = 0
    masked_slots: int = 0
    """Slots masked because capture lost too much."""
    compared: Counter[str] = field(default_factory=Counter)
    """Issued forecasts compared with what came, by lead."""
    covered: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Of these, those where what came lay at or under a quantile, by lead and quantile."""
    drifting: int = 0
    carried: Counter[str] = field(default_factory=Counter)
    """Near forecasts of calls in progress: `carried` on from live calls, or why the ladder's stayed."""


class Service:
    """Forecasts every series of a store; used by one thread."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        settings: ForecastServiceSettings,
        run: Run,
        shelf: Shelf | None = None,
    ) -> None:
        """Without a `shelf` every nightly fit learns all anew."""
        self.stats = ServiceStats()
        self._reader = reader
        self._writer = writer
        self._settings = settings
        self._run = run
        self._shelf = shelf
        self._books: dict[int, Book] = {}
        self._nights: dict[SeriesId, tuple[Night, str]] = {}
        """The fit in force, and the digest of what was known to it."""
        self._followed: dict[SeriesId, Followed] = {}
        """What stands for the history of a series until its next fit."""
        self._last: dict[tuple[SeriesId, Horizon], LastIssue] | None = None
        self._shares: Shares = {}
        self._shares_day = -1
        self._regressors = RegressorFiles(settings.regressors, ZoneInfo(settings.zone))
        self._unwritten: list[Unwritten] = []
        self._unwritten_rows = 0
        self._carried = CarriedForecasts(reader, settings)
        self.stats.carried = self._carried.counts
        self._quiet: set[SeriesId] = set()
        """Series that were passed over when last due, having no traffic."""
        self._scoring = Scoring(reader, writer, settings)
        self.stats.compared, self.stats.covered = self._scoring.compared, self._scoring.covered
        self._findings = Findings(reader, writer, settings.slot_s)

    @property
    def books(self) -> Iterable[Book]:
        """The slots of every series, one book per length of slot."""
        return self._books.values()

    def next_s(self, now_s: int) -> int:
        """Return when a next step has something to do: after the slot that runs now, and its delay."""
        slot, delay = self._settings.slot_s, round(self._settings.delay)
        return ((now_s - delay) // slot + 1) * slot + delay

    def step(self, now_s: int, stopped: Callable[[], bool] = lambda: False) -> int:
        """Do what is due at `now_s`; return how many series were issued. Raises StoreError.

        What needs no fit comes first, so that near forecasts do not wait for the nightly fits of thousands of
        series. `stopped` is asked before each series; what is left is due at the next step.
        """
        known_s = now_s - round(self._settings.delay)
        self._read(known_s)
        self._findings.look_for_loss(now_s, known_s)
        self.stats.masked_slots = self._findings.masked_slots
        if self._last is None:
            self._last = last_issues(self._reader, now_s)
            self._scoring.resume(now_s)
        knowledge = self._knowledge(now_s)
        self._carried.begin(known_s)
        series_of = partial(self._series_of, knowledge)
        issued = set()
        for anew in (False, True):
            outcomes = self._run(self._due_now(knowledge, now_s, known_s, stopped, anew=anew))
            for outcome in self._together(self._carried.carried(outcomes, series_of, stopped)):
                self._took(outcome, knowledge, now_s)
                if outcome.issues:
                    self._write(Unwritten(outcome, self._settings.slot_of(outcome.key.kind), now_s))
                    issued.add(outcome.key)
        issued_ever = [key for key in self.keys() if (key, Horizon.SHORT) in self._last]
        self._scoring.score(issued_ever, self._books, self._closed_times, known_s, stopped)
        self._findings.look_for_drift(now_s)
        self.stats.drifting = self._findings.drifting
        self._flush()
        return len(issued)

    def _series_of(self, knowledge: Knowledge, key: SeriesId) -> tuple[Series, Known]:
        known = knowledge.of(key)
        series = self._books[self._settings.slot_of(key.kind)].series(key, self._settings.zone_of(key))
        return prepared(key, series, known), known

    def _together(self, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        """Yield outcomes as they come, those of a signal that adds up once all of them are there, adding up."""
        waiting: list[Outcome] = []
        for outcome in outcomes:
            if waiting and (outcome.key.signal is not waiting[0].key.signal or len(waiting) >= _MOST_TOGETHER):
                yield from self._coherent(waiting)
                waiting = []
            if outcome.key.signal in ADDITIVE and outcome.key.kind in (Kind.POOL, Kind.TENANT):
                waiting.append(outcome)
            else:
                yield outcome
        yield from self._coherent(waiting)

    def _coherent(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Return outcomes of a signal adding up, where they are of every pool and tenant that has traffic."""
        signals = {outcome.key.signal for outcome in outcomes}
        wanted = {key for key in self.keys() if key.signal in signals and key.kind in (Kind.POOL, Kind.TENANT)}
        return coherent(outcomes) if wanted - self._quiet <= {outcome.key for outcome in outcomes} else outcomes

    def _write(self, issued: Unwritten) -> None:
        rows = sum(len(issue.quantiles) for issue in issued.outcome.issues)
        self._unwritten.append(issued)
        self.stats.rows += rows
        self._unwritten_rows += rows
        if self._unwritten_rows >= _FLUSH_ROWS:
            self._flush()

    def _flush(self) -> None:
        """Make durable what was issued; many series in one batch, which costs as little as one."""
        if self._unwritten:
            self._writer.write("forecast", forecast_batch(self._unwritten))
        self._unwritten.clear()
        self._unwritten_rows = 0
        self._writer.flush()

    # --- what is known -------------------------------------------------------------------------------

    def _read(self, known_s: int) -> None:
        for slot_s, wanted in self._wanted().items():
            until_s = known_s // slot_s * slot_s
            keep = max(1, round(self._settings.history) // slot_s)
            book = self._books.get(slot_s)
            if book is None:
                book = Book.of(until_s - keep * slot_s, slot_s, until_s, self._settings.max_series)
                since_s = book.start_s
            else:
                since_s = book.until_s - _REREAD_SLOTS * slot_s
                book.reach(until_s, keep)
            window = Window(since_s * SECOND_NS, until_s * SECOND_NS)
            read_into(book, self._reader, window, wanted)
            self._books[slot_s] = book
        self.stats.series = sum(len(book.values) for book in self.books)
        self.stats.shed = sum(book.shed for book in self.books)
        self.stats.watermark_s = max((book.watermark_s() or 0 for book in self.books), default=0)

    def _wanted(self) -> dict[int, dict[Kind, tuple[Signal, ...]]]:
        """Return kinds and signals by length of slot."""
        wanted: dict[int, dict[Kind, tuple[Signal, ...]]] = {}
        for kind, signals in self._settings.signals.items():
            wanted.setdefault(self._settings.slot_of(kind), {})[kind] = signals
        return wanted

    def _knowledge(self, now_s: int) -> Knowledge:
        if now_s // DAY_S != self._shares_day:
            self._shares = tenant_shares(self._reader, now_s * SECOND_NS)
            self._shares_day = now_s // DAY_S
            if self._shelf is not None:
                self._shelf.tidy(now_s)
        return gather(self._reader, self._settings, now_s * SECOND_NS, self._shares, self._regressors.current())

    # --- what is due ---------------------------------------------------------------------------------

    def keys(self) -> list[SeriesId]:
        """Return every series in the order in which they are served: pools first, signals as configured."""
        kinds = (Kind.POOL, Kind.TENANT, Kind.REGION, Kind.TRUNK)

        def order(key: SeriesId) -> tuple[int, int, str]:
            return self._settings.signals[key.kind].index(key.signal), kinds.index(key.kind), key.name

        return sorted((key for book in self.books for key in book.values), key=order)

    def _due_now(
        self, knowledge: Knowledge, now_s: int, known_s: int, stopped: Callable[[], bool], *, anew: bool
    ) -> Iterator[Task]:
        """Yield what is due: what needs no fit, or (`anew`) all, with the fits that it needs."""
        for key in self.keys():
            horizons, night = self._due(key, knowledge.of(key).digest, known_s), None
            if not anew:
                horizons, night = self._without_fit(key, knowledge, horizons, known_s)
            if not horizons:
                continue
            if stopped():
                return
            task = self._task(key, knowledge, horizons, night, now_s)
            if task is not None:
                yield task

    def _without_fit(
        self, key: SeriesId, knowledge: Knowledge, due: tuple[Horizon, ...], known_s: int
    ) -> tuple[tuple[Horizon, ...], Night | None]:
        """Return the horizons that the fit at hand serves: today's fit all, yesterday's those up to some hours."""
        night, digest = self._nights.get(key, (None, ""))
        if not due or night is None or digest != knowledge.of(key).digest:
            return (), None
        today = (known_s + utc_offset_s(known_s, self._settings.zone_of(key))) // DAY_S
        if night.day == today:
            return due, night
        near = tuple(horizon for horizon in due if horizon is not Horizon.LONG) if night.day == today - 1 else ()
        return near, night

    def _task(
        self, key: SeriesId, knowledge: Knowledge, horizons: tuple[Horizon, ...], night: Night | None, now_s: int
    ) -> Task | None:
        """Return what to do for a series at the horizons that are due, fitting it where no night is given."""
        zone, slot_s = self._settings.zone_of(key), self._settings.slot_of(key.kind)
        known = knowledge.of(key)
        # Taken away until its outcome is there: a task that fails must not be gone on from.
        followed = self._followed.pop(key, None)
        if night is not None and followed is not None and Horizon.LONG not in horizons:
            today = followed.today
            masked = masked_slots(key, known, today.series.start_s, slot_s, today.known)
            slots = None
            if np.array_equal(masked, followed.masked) and known.regressor_digests == followed.regressor_digests:
                slots = followed.next(self._books[slot_s].newest(key, followed.end_s - REREAD * slot_s))
            if slots is not None:
                self._carried.came(key, slots, known)
                # The figures of regressors may be large, and are not asked for again.
                return Task(key, slots, replace(known, regressors=()), horizons, night, followed=followed)
        try:
            series = self._books[slot_s].series(key, zone)
        except BadSeries:
            self._pass_over(key, horizons, known.digest, now_s, "no traffic")
            return None
        if not (series.y[-_SILENT_S // slot_s :] > 0).any():
            self._pass_over(key, horizons, known.digest, now_s, "silent")
            return None
        self._quiet.discard(key)
        self._carried.came(key, series, known)
        rehearsal_days = REHEARSAL_DAYS if self._scoring.is_new(key) else 0
        days = round(self._settings.history) // DAY_S
        place = self._shelf.place(key, series.slots_per_day, days) if self._shelf else None
        return Task(key, series, known, horizons, night, rehearsal_days, kept=place)

    def _due(self, key: SeriesId, digest: str, known_s: int) -> tuple[Horizon, ...]:
        zone, slot_s = self._settings.zone_of(key), self._settings.slot_of(key.kind)
        delay, last = round(self._settings.delay), self._last or {}
        due = []
        for horizon in Horizon:
            issue = last.get((key, horizon))
            boundary = due_s(horizon, known_s, slot_s, zone) + delay
            if issue is None or issue.issued_s < boundary or issue.known_digest != digest:
                due.append(horizon)
        return tuple(due)

    def _pass_over(self, key: SeriesId, horizons: tuple[Horizon, ...], digest: str, now_s: int, why: str) -> None:
        self.stats.troubles[why] += 1
        self._quiet.add(key)
        for horizon in horizons:
            self._remember(key, horizon, now_s, digest)

    def _took(self, outcome: Outcome, knowledge: Knowledge, now_s: int) -> None:
        key, digest = outcome.key, knowledge.of(outcome.key).digest
        if outcome.trouble or outcome.night is None:
            # Tried again at the next slot; the other horizons wait for it too.
            self.stats.troubles["failed"] += 1
            self._remember(key, Horizon.SHORT, now_s, digest)
            return
        if outcome.fit_seconds:
            self.stats.fits += 1
            self.stats.fit_seconds += outcome.fit_seconds
            if outcome.learned is not None:
                self.stats.learned[outcome.learned] += 1
            before, slot_s = self.stats.benched.get(key), self._settings.slot_of(key.kind)
            self._findings.look_at_bench(outcome, before, slot_s, now_s)
        if outcome.rehearsed:
            self._scoring.rehearsed(key, outcome.rehearsed)
        self._nights[key] = (outcome.night, digest)
        if outcome.followed is not None:
            self._followed[key] = outcome.followed
        self.stats.models[key] = outcome.model
        self.stats.benched[key] = len(outcome.benched)
        for issue in outcome.issues:
            self.stats.issues[issue.horizon.value] += 1
            self.stats.last_issue_s[issue.horizon.value] = now_s
            self._remember(key, issue.horizon, now_s, digest)

    def _closed_times(self, key: SeriesId) -> Bools:
        followed = self._followed.get(key)
        if followed is not None:
            return followed.closed_times
        series = self._books[self._settings.slot_of(key.kind)].series(key, self._settings.zone_of(key))
        never = np.zeros((7, series.slots_per_day), np.bool_)
        return never if series.closed_times is None else series.closed_times

    def _remember(self, key: SeriesId, horizon: Horizon, now_s: int, digest: str) -> None:
        if self._last is not None:
            self._last[key, horizon] = LastIssue(now_s, digest)
