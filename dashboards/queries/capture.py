"""Views of capture health and load, from the 2 s rows and the load minutes."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dashboards.numbers import SECOND_NS
from dashboards.views import READY, AgentHealth, CaptureHealth, Load, PanelState, Series, Status
from storage.seam import Scope
from telephony.kpis import Ratio

from .context import LOADING, Context
from .tables import Floats, Grid, Ints, floats, ints, known, strings, times_ns, total

CAPTURE_POOL = "capture"
COLLECTOR_NODE = "collector"
"""The node of a collector's own rows, among those of its agents."""
ALIVE_SECONDS = 12.0
"""An agent that has not been heard of for this long is not counted as alive."""
_RATE_SECONDS = 10
_ROW_SECONDS = 2.0
_MINUTE_SECONDS = 60
_FRESH_SECONDS = 15.0


def capture_health(context: Context, now: pa.Table | None, scope: Scope, status: Status | None) -> CaptureHealth:
    """Return agents, rates and losses of the capture; engineers only."""
    if scope.tenants is not None:
        return CaptureHealth(Status(PanelState.NOT_ALLOWED, "Capture health is shown to engineers only."))
    if now is None:
        return CaptureHealth(status or LOADING)
    at = times_ns(now)
    pools = np.array(strings(now, "pool"), dtype=object)
    mine = pools == CAPTURE_POOL
    recent = mine & (at > context.now_ns - _MINUTE_SECONDS * SECOND_NS)
    if not mine.any():
        return CaptureHealth(
            status or context.empty("No collector has reported", "Is the role `collect` up?"),
            measured=_measured(context, now),
        )
    newest = int(at[mine].max())
    last = mine & (at > newest - _RATE_SECONDS * SECOND_NS)
    span_s = min(_RATE_SECONDS, (newest - int(at[last].min())) / SECOND_NS + _ROW_SECONDS)

    def rate(column: str) -> float:
        return float(ints(now, column)[last].sum()) / span_s

    def in_last_minute(column: str) -> int:
        return int(ints(now, column)[recent].sum())

    agents = _agents(context, now, at, mine, span_s, newest)
    return CaptureHealth(
        status or context.fresh(newest, _FRESH_SECONDS) or READY,
        agents=agents,
        agents_alive=sum(agent.alive for agent in agents),
        datagrams_hz=rate("datagrams"),
        sip_hz=rate("sip_messages"),
        rtcp_hz=rate("rtcp_reports"),
        drops_kernel=in_last_minute("drops_kernel"),
        drops_ring=in_last_minute("drops_ring"),
        drops_softnet=in_last_minute("drops_softnet"),
        drops_queue=in_last_minute("drops_queue"),
        drops_table=in_last_minute("drops_table"),
        errors=in_last_minute("errors"),
        duplicates=in_last_minute("duplicates"),
        unmatched=in_last_minute("unmatched_reports"),
        spool_rows=_last(now, mine, newest, "spool_rows"),
        spool_age_s=_last(now, mine, newest, "spool_age_s"),
        store_rows_shed=in_last_minute("store_rows_shed"),
        newest_ns=newest,
        measured=_measured(context, now),
    )


def _last(now: pa.Table, mine: npt.NDArray[np.bool_], newest: int, column: str) -> int:
    """Return the sum over the collectors' newest rows."""
    nodes = np.array(strings(now, "node"), dtype=object)
    rows = mine & (nodes == COLLECTOR_NODE) & (times_ns(now) > newest - round(_ROW_SECONDS * SECOND_NS))
    return int(ints(now, column)[rows].sum())


def _measured(context: Context, now: pa.Table) -> Ratio | None:
    rows = _newest_call_rows(context, now)
    if not rows.num_rows:
        return None
    return Ratio(
        total(rows, "measured_calls"), total(rows, "concurrent"), "calls up with a reported stream / calls up"
    )


def _agents(
    context: Context, now: pa.Table, at: Ints, mine: np.ndarray, span_s: float, newest: int
) -> tuple[AgentHealth, ...]:
    nodes = np.array(strings(now, "node"), dtype=object)
    datagrams, offsets, alive = ints(now, "datagrams"), floats(now, "clock_offset_ms"), floats(now, "agents_alive")
    found = []
    for node in sorted({*nodes[mine]} - {COLLECTOR_NODE}):
        rows = np.flatnonzero(mine & (nodes == node))
        newest_row = rows[np.argmax(at[rows])]
        age_s = max((context.now_ns - int(at[newest_row])) / SECOND_NS, 0.0)
        recent = rows[at[rows] > newest - _RATE_SECONDS * SECOND_NS]
        found.append(
            AgentHealth(
                str(node),
                age_s <= ALIVE_SECONDS and alive[newest_row] != 0,
                age_s,
                float(datagrams[recent].sum()) / span_s,
                known([offsets[newest_row]])[0],
            )
        )
    return tuple(found)


def load(context: Context, now: pa.Table | None, minutes: pa.Table | None, status: Status | None) -> Load:
    """Return calls in progress, arrivals and carried traffic over the range."""
    if now is None or minutes is None:
        return Load(status or LOADING)
    rows = _call_rows(context, now)
    fine = context.filters.range.seconds <= 900
    if fine:
        grid = Grid.of(context.filters.window(context.now_ns), 5 if context.filters.range.seconds <= 300 else 10)
        series = _fine_series(grid, rows, times_ns(now))
    else:
        grid = context.grid
        series = _minute_series(grid, minutes)
    concurrent, setup, attempts_hz = series
    means = [value for value in concurrent if value is not None]
    current = _current(context, now)
    if not means and current is None:
        return Load(status or context.empty("No call was in progress", "No load was written for this range."))
    newest = int(times_ns(now).max()) if now.num_rows else None
    return Load(
        status or context.fresh(newest, _FRESH_SECONDS) or _partly(context) or READY,
        starts_ns=grid.starts_ns,
        step_seconds=grid.step_seconds,
        concurrent=concurrent,
        setup=setup,
        attempts_hz=attempts_hz,
        concurrent_now=current[0] if current else None,
        setup_now=current[1] if current else None,
        attempts_hz_now=current[2] if current else None,
        erlangs=sum(means) / len(means) if means else None,
        attempts=total(minutes, "arrivals") if minutes.num_rows else None,
    )


def _partly(context: Context) -> Status | None:
    missing = context.filters.where("trunk")
    if not missing:
        return None
    return Status(PanelState.PARTIAL, "load is not kept by trunk: all trunks are shown")


def _call_rows(context: Context, now: pa.Table) -> pa.Table:
    wanted = context.filters.where("tenant", "region", "node")
    keep = np.array(strings(now, "pool"), dtype=object) != CAPTURE_POOL
    for tag, values in wanted.items():
        keep &= np.isin(np.array(strings(now, tag), dtype=object), list(values))
    return now.filter(pa.array(keep))


def _fine_series(grid: Grid, rows: pa.Table, heard_ns: Ints) -> tuple[Series, Series, Series]:
    """Average each source within a step, then add the sources up.

    A step in which a collector wrote (`heard_ns`) but no source had calls is zero; one in which nobody wrote
    stays unknown.
    """
    size = len(grid)
    heard = np.zeros(size, bool)
    heard[grid.index(heard_ns[heard_ns >= grid.starts_ns[0]])] = True
    at = times_ns(rows)
    inside = at >= grid.starts_ns[0]
    step, source = grid.index(at)[inside], _sources(rows)[inside]
    shape = (size, int(source.max()) + 1 if len(source) else 1)

    def sums(values: Ints) -> Floats:
        out = np.zeros(shape)
        np.add.at(out, (step, source), values)
        return out

    n = sums(np.ones(len(step), np.int64))

    def level(column: str) -> Series:
        means = sums(ints(rows, column)[inside]) / np.maximum(n, 1)
        return known(np.where(heard, means.sum(axis=1), np.nan))

    arrivals = np.where(heard, sums(ints(rows, "attempts")[inside]).sum(axis=1) / grid.step_seconds, np.nan)
    arrivals[-1] = np.nan  # the running step is not over
    return level("concurrent"), level("setup_in_progress"), known(arrivals)


def _sources(rows: pa.Table) -> Ints:
    """Return a number for each row's combination of tags."""
    keys = list(zip(*(strings(rows, tag) for tag in ("tenant", "pool", "region", "node"))))
    numbers = {key: i for i, key in enumerate(sorted(set(keys)))}
    return np.array([numbers[key] for key in keys], np.int64)


def _minute_series(grid: Grid, minutes: pa.Table) -> tuple[Series, Series, Series]:
    size = len(grid)
    unknown: Series = (None,) * size
    if not minutes.num_rows:
        return unknown, unknown, unknown
    step = grid.index(times_ns(minutes))
    concurrent, arrivals = np.full(size, np.nan), np.full(size, np.nan)
    # Means of minutes were summed over sources and minutes: per step, divide by its minutes.
    concurrent[step] = floats(minutes, "concurrent_mean") / (grid.step_seconds / 60)
    arrivals[step] = floats(minutes, "arrivals") / grid.step_seconds
    if grid.step_seconds > 60:
        concurrent[-1] = np.nan
    arrivals[-1] = np.nan
    return known(concurrent), unknown, known(arrivals)


def _newest_call_rows(context: Context, now: pa.Table) -> pa.Table:
    """Return each source's newest row, leaving out sources that fell silent."""
    rows = _call_rows(context, now)
    at, source = times_ns(rows), _sources(rows)
    newest: dict[int, int] = {}
    for i in np.flatnonzero(at > context.now_ns - round(ALIVE_SECONDS * SECOND_NS)).tolist():
        if source[i] not in newest or at[i] > at[newest[source[i]]]:
            newest[int(source[i])] = i
    return rows.take(pa.array(sorted(newest.values()), pa.int64()))


def _current(context: Context, now: pa.Table) -> tuple[float, float, float] | None:
    """Return calls up, calls in setup and attempts per second; None where no collector wrote of late."""
    at = times_ns(now)
    since_ns = context.now_ns - round(ALIVE_SECONDS * SECOND_NS)
    if not (at > since_ns).any():
        return None
    newest = _newest_call_rows(context, now)
    rows = _call_rows(context, now)
    recent = rows.filter(pa.array(times_ns(rows) > since_ns))
    span_s = (int(at.max()) - int(at[at > since_ns].min())) / SECOND_NS + _ROW_SECONDS
    return (
        float(total(newest, "concurrent")),
        float(total(newest, "setup_in_progress")),
        total(recent, "attempts") / span_s,
    )
