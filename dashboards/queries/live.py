"""What the live page asks the store, how often, and how the answers become its view.

Each question is asked at its own pace: what is written every 2 s every 2 s, minute rollups less often.
A question that fails keeps its last answer and says so in its own panels; the others go on.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from dashboards.filters import PLACES, Filters
from dashboards.numbers import SECOND_NS
from dashboards.views import Choices, LiveView, PanelState, Stage, Status
from storage.seam import OutOfScope, Reader, Scope, Store, StoreError, Window

from . import calls, capture, places, quality, sip, wire
from .context import LOADING, Context, Seen
from .incidents import newest_rows, open_incidents
from .tables import Grid, total

NOW_WINDOW_SECONDS = 90
_FINE_RANGE_SECONDS = 900
"""Up to this range the load is drawn from the 2 s rows, beyond it from minutes."""
_NOW_COLUMNS = (
    "time",
    "tenant",
    "pool",
    "region",
    "node",
    "concurrent",
    "setup_in_progress",
    "measured_calls",
    "attempts",
    "datagrams",
    "sip_messages",
    "rtcp_reports",
    "duplicates",
    "errors",
    "drops_kernel",
    "drops_queue",
    "drops_table",
    "unmatched_reports",
    "clock_offset_ms",
    "agents_alive",
    "drops_ring",
    "drops_softnet",
    "rtp_packets",
    "spool_rows",
    "spool_age_s",
    "store_rows_shed",
)
_NOW_LIMIT = 200_000
_WIRE_COLUMNS = (
    "time",
    "rtp_packets",
    "rtp_streams",
    "drops_ring",
    "drops_softnet",
    "frames_refused",
    "interfaces",
    "interfaces_down",
    "may_capture",
)
_WIRE_LIMIT = 50_000
_CALLS_LIMIT = 4000
_FINDINGS_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Part:
    """The last answer to one question."""

    table: pa.Table | None = None
    asked_ns: int = 0
    error: str = ""
    refused: bool = False

    def status(self) -> Status | None:
        """Return why there is nothing to show, None where there is an answer."""
        if self.refused:
            return Status(PanelState.NOT_ALLOWED, "This is outside of what you may see.")
        if self.table is None:
            return Status(PanelState.ERROR, self.error) if self.error else LOADING
        return None


Ask = Callable[[Reader, Filters, Window], pa.Table]


@dataclass(frozen=True, slots=True)
class Question:
    """One named query and how old its answer may get."""

    every_seconds: float
    ask: Ask


def _now(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    span = filters.range.seconds if filters.range.seconds <= _FINE_RANGE_SECONDS else NOW_WINDOW_SECONDS
    recent = Window(window.until_ns - span * SECOND_NS, window.until_ns)
    return reader.select("load_now", recent, columns=_NOW_COLUMNS, limit=_NOW_LIMIT, newest_first=True)


def _wire(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    mine = {"pool": (capture.CAPTURE_POOL,), "node": (capture.COLLECTOR_NODE,)}
    return reader.select(
        "load_now", window, columns=_WIRE_COLUMNS, where=mine, limit=_WIRE_LIMIT, newest_first=True
    )


def _load(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    where = filters.where("tenant", "region", "node")
    return reader.sums("load_minute", window, step_seconds=filters.range.step_seconds, where=where)


def _sessions(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    return reader.sums("session_minute", window, step_seconds=filters.range.step_seconds, where=filters.where())


def _quality(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    return reader.sums(
        "quality_minute",
        window,
        step_seconds=filters.range.step_seconds,
        by=("direction", "observer"),
        where=filters.where(),
    )


def _session_places(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    return reader.sums("session_minute", window, step_seconds=0, by=PLACES, where=filters.where())


def _quality_places(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    return reader.sums("quality_minute", window, step_seconds=0, by=PLACES, where=filters.where())


def _registrations(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    step = filters.range.step_seconds
    return reader.sums("registration_minute", window, step_seconds=step, where=filters.where())


def _in_progress(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    recent = Window(window.until_ns - calls.STATED_SECONDS * SECOND_NS, window.until_ns)
    return reader.select("call_now", recent, where=filters.where(), limit=_CALLS_LIMIT, newest_first=True)


def _findings(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    where = filters.where("tenant", "node")
    return reader.select("finding", window, where=where, limit=_FINDINGS_LIMIT, newest_first=True)


def _incidents(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    return newest_rows(reader, window.until_ns)


def _choices(reader: Reader, filters: Filters, window: Window) -> pa.Table:
    found = {
        tag: {
            *reader.tag_values("session_minute", tag, window),
            *reader.tag_values("quality_minute", tag, window),
            *getattr(filters, tag),
        }
        for tag in PLACES
    }
    rows = [(tag, value) for tag, values in found.items() for value in sorted(values)]
    return pa.table(
        {"tag": pa.array([t for t, _ in rows], pa.string()), "value": pa.array([v for _, v in rows], pa.string())}
    )


@dataclass(frozen=True, slots=True)
class LiveAnswers:
    """The last answer to every question of the live page."""

    parts: dict[str, Part] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Part:
        return self.parts[name]


class LiveQuestions:
    """Asks a store what the live page needs."""

    def __init__(self, store: Store, *, worst_calls: int) -> None:
        self._store = store

        def worst(reader: Reader, filters: Filters, window: Window) -> pa.Table:
            return reader.worst_calls(window, limit=worst_calls, where=filters.where())

        self._questions: dict[str, Question] = {
            "now": Question(2, _now),
            "wire": Question(4, _wire),
            "load": Question(10, _load),
            "sessions": Question(4, _sessions),
            "quality": Question(4, _quality),
            "session_places": Question(8, _session_places),
            "quality_places": Question(8, _quality_places),
            "worst": Question(4, worst),
            "in_progress": Question(2, _in_progress),
            "findings": Question(6, _findings),
            "registrations": Question(8, _registrations),
            "incidents": Question(6, _incidents),
            "choices": Question(30, _choices),
        }

    def ask(self, scope: Scope, filters: Filters, before: LiveAnswers | None, now_ns: int) -> LiveAnswers:
        """Ask what is due and keep the rest."""
        reader = self._store.reader(scope)
        window = filters.window(now_ns)
        parts = {}
        for name, question in self._questions.items():
            last = before.parts[name] if before else Part()
            # The refresher comes every 2 s, give or take its own step: half a second early is due too.
            due = not last.asked_ns or now_ns - last.asked_ns >= (question.every_seconds - 0.5) * SECOND_NS
            parts[name] = self._ask(question, reader, filters, window, last, now_ns) if due else last
        return LiveAnswers(parts)

    @staticmethod
    def _ask(
        question: Question, reader: Reader, filters: Filters, window: Window, last: Part, now_ns: int
    ) -> Part:
        try:
            return Part(question.ask(reader, filters, window), now_ns)
        except OutOfScope:
            return Part(None, now_ns, refused=True)
        except StoreError as error:
            return Part(last.table, now_ns, error=str(error) or type(error).__name__)


def live_view(answers: LiveAnswers, scope: Scope, filters: Filters, now_ns: int) -> LiveView:
    """Make the view of the live page from the answers."""
    grid = Grid.of(filters.window(now_ns), filters.range.step_seconds)
    stage = _stage(answers, scope, filters)
    context = Context(grid, filters, stage, now_ns)
    seen = _what_is_seen(answers)

    def status(name: str) -> Status | None:
        part = answers[name]
        found = part.status()
        if found is None and part.error:
            found = Status(PanelState.STALE, f"the store did not answer: {part.error}")
        return found

    sessions, rated, now = answers["sessions"], answers["quality"], answers["now"]
    return LiveView(
        at_ns=now_ns,
        stage=stage,
        capture=capture.capture_health(context, now.table, scope, status("now")),
        wire=wire.wire(context, answers["wire"].table, rated.table, scope, status("wire"), status("quality")),
        load=capture.load(context, now.table, answers["load"].table, status("now") or status("load")),
        bands=quality.bands(context, rated.table, seen, status("quality")),
        loss=quality.loss(context, rated.table, seen, status("quality")),
        jitter=quality.jitter(context, rated.table, seen, status("quality")),
        outcomes=sip.outcomes(context, sessions.table, status("sessions")),
        media=sip.media_rates(context, sessions.table, status("sessions")),
        registrations=sip.registrations(context, answers["registrations"].table, status("registrations")),
        ranking=places.ranking(
            context,
            answers["session_places"].table,
            answers["quality_places"].table,
            status("session_places") or status("quality_places"),
        ),
        worst=calls.worst_calls(context, answers["worst"].table, seen, status("worst")),
        in_progress=calls.in_progress(context, answers["in_progress"].table, seen, status("in_progress")),
        findings=places.findings(context, answers["findings"].table, status("findings")),
        incidents=open_incidents(answers["incidents"].table, status("incidents"), scope, now_ns),
        choices=_offered(answers["choices"].table),
    )


def _stage(answers: LiveAnswers, scope: Scope, filters: Filters) -> Stage:
    """Tell an installation that was never fed from one that is quiet; a narrowed view or scope proves nothing."""
    now, sessions, worst = answers["now"].table, answers["sessions"].table, answers["worst"].table
    if filters.narrowed or scope.tenants is not None or now is None or sessions is None or worst is None:
        return Stage.RUNNING
    if (
        sessions.num_rows
        or worst.num_rows
        or (now.num_rows and (total(now, "datagrams") or total(now, "rtp_packets")))
    ):
        return Stage.RUNNING
    return Stage.NO_TRAFFIC if now.num_rows else Stage.NO_COLLECTOR


def _what_is_seen(answers: LiveAnswers) -> Seen:
    now = answers["now"].table
    if now is None or not now.num_rows:
        return Seen(collector=False, sip=False, rtcp=False)
    return Seen(
        collector=True,
        sip=total(now, "sip_messages") > 0,
        rtcp=total(now, "rtcp_reports") > 0,
    )


def _offered(table: pa.Table | None) -> Choices:
    if table is None:
        return Choices()
    values: dict[str, list[str]] = {tag: [] for tag in PLACES}
    for row in table.to_pylist():
        values[row["tag"]].append(row["value"])
    return Choices(**{tag: tuple(found) for tag, found in values.items()})
