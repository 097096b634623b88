"""View of what our own interfaces saw: packets, streams, drops, and its quality beside what the parties report."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from dashboards.numbers import SECOND_NS, duration
from dashboards.views import READY, PanelState, Status, Wire, WireQuality
from storage.seam import Scope
from telephony.histogram import JITTER_MS, LOSS_RATIO, MOS, Buckets
from telephony.kpis import Ratio
from telephony.model import INTERVAL_NS

from .context import LOADING, Context
from .lanes import OBSERVER_WORDS
from .tables import Floats, Grid, histograms, ints, known, strings, summed, times_ns, total

QUIET_SECONDS = 15.0
"""RTP that was not seen for so long is said to be missing."""
_RATE_SECONDS = 10
_ROW_SECONDS = 2.0
_FRESH_SECONDS = 15.0
_INTERVAL_SECONDS = INTERVAL_NS // SECOND_NS


def wire(
    context: Context,
    rows: pa.Table | None,
    rated: pa.Table | None,
    scope: Scope,
    status: Status | None,
    rated_status: Status | None,
) -> Wire:
    """Return what was captured, from the collectors' own rows; engineers only, as it is of all tenants.

    Where quality alone cannot be read, the rest is shown and it is said.
    """
    if scope.tenants is not None:
        return Wire(Status(PanelState.NOT_ALLOWED, "What our interfaces see is shown to engineers only."))
    if rows is None:
        return Wire(status or LOADING)
    rows = rows.filter(rows["rtp_packets"].is_valid())  # those of older versions know nothing of interfaces
    if not rows.num_rows:
        return Wire(status or context.empty("No collector has said what it captures", "Is the role `collect` up?"))
    at, packets = times_ns(rows), ints(rows, "rtp_packets")
    newest = int(at.max())
    last = at > newest - _RATE_SECONDS * SECOND_NS
    current = rows.filter(pa.array(last))
    trouble = _trouble(context, current)
    if not packets.any():
        silent = trouble or _silence(context, current, int(at.min()), "at least ")
        return Wire(status or Status(PanelState.EMPTY, silent))
    heard_ns = int(at[packets > 0].max())
    if not trouble and context.now_ns - heard_ns > QUIET_SECONDS * SECOND_NS:
        trouble = _silence(context, current, heard_ns)
    span_s = min(_RATE_SECONDS, (newest - int(at[last].min())) / SECOND_NS + _ROW_SECONDS)
    view = Wire(
        status
        or context.fresh(newest, _FRESH_SECONDS)
        or (Status(PanelState.PARTIAL, trouble) if trouble else None)
        or (Status(PanelState.PARTIAL, f"no quality: {rated_status.reason}") if rated_status else None)
        or _partly(context)
        or READY,
        interfaces=_interfaces(current),
        interfaces_down=int(ints(current, "interfaces_down").max()),
        packets_hz_now=float(packets[last].sum()) / span_s,
        streams_now=int(ints(rows, "rtp_streams")[int(at.argmax())]),
        ring_drops=total(rows, "drops_ring"),
        softnet_drops=total(rows, "drops_softnet"),
        refused=total(rows, "frames_refused"),
        quality=_quality(rated),
    )
    return _with_series(view, _grid(context), rows)


def _grid(context: Context) -> Grid:
    """Return the steps of the chart: short ones where the range is short, for rows come every 2 s."""
    seconds = context.filters.range.seconds
    if seconds > 900:
        return context.grid
    return Grid.of(context.filters.window(context.now_ns), 5 if seconds <= 300 else 10)


def _with_series(view: Wire, grid: Grid, rows: pa.Table) -> Wire:
    """Return the view with its series; a step in which no collector wrote is unknown, not zero."""
    at = times_ns(rows)
    inside = rows.filter(pa.array(at >= grid.starts_ns[0]))
    step, size = grid.index(times_ns(inside)), len(grid)
    n = summed(np.ones(len(step), np.int64), step, size)

    def sums(column: str) -> Floats:
        return np.where(n, summed(ints(inside, column), step, size), np.nan)

    rates = sums("rtp_packets") / grid.step_seconds
    rates[-1] = np.nan  # the running step is not over
    return replace(
        view,
        starts_ns=grid.starts_ns,
        step_seconds=grid.step_seconds,
        packets_hz=known(rates),
        streams=known(sums("rtp_streams") / np.maximum(n, 1)),
        ring_drops_by_step=known(sums("drops_ring")),
        softnet_drops_by_step=known(sums("drops_softnet")),
    )


def _interfaces(current: pa.Table) -> str:
    return ", ".join(sorted({name for name in strings(current, "interfaces") if name}))


def _trouble(context: Context, current: pa.Table) -> str:
    """Return why no RTP can come at all; empty where it could."""
    names, allowed = _interfaces(current), current["may_capture"].to_pylist()
    denied = False in allowed and True not in allowed
    if not names:
        lacking = ", and the collector has no CAP_NET_RAW to capture from one" if denied else ""
        return f"No interface is configured (collect.interfaces){lacking}: RTP is not measured, only reported."
    if denied:
        return (
            f"Interface {names} is configured, but the collector has no CAP_NET_RAW: `surgecast doctor` says how "
            "to give it."
        )
    down = int(ints(current, "interfaces_down").max())
    if down:
        return f"Interface {names} is configured, but {down} of these cannot be captured from: down or gone."
    return ""


def _silence(context: Context, current: pa.Table, since_ns: int, least: str = "") -> str:
    age = duration(round((context.now_ns - since_ns) / SECOND_NS))
    return f"Interface {_interfaces(current)} is configured, no RTP seen for {least}{age}."


def _partly(context: Context) -> Status | None:
    if not context.filters.narrowed:
        return None
    return Status(PanelState.PARTIAL, "packets, streams and drops are of all traffic; only the table is narrowed")


def _quality(rated: pa.Table | None) -> tuple[WireQuality, ...]:
    """Return the quality that each observer saw, over the whole range."""
    if rated is None or not rated.num_rows:
        return ()
    observers = np.array(strings(rated, "observer"), dtype=object)
    found = []
    for observer in OBSERVER_WORDS:
        mine = rated.filter(pa.array(observers == observer))
        if not mine.num_rows:
            continue
        jitter, jitter_n = _merged(mine, "jitter_histogram", JITTER_MS)
        loss, _ = _merged(mine, "loss_histogram", LOSS_RATIO)
        mos, mos_n = _merged(mine, "mos_histogram", MOS)
        found.append(
            WireQuality(
                observer,
                OBSERVER_WORDS[observer],
                intervals=total(mine, "intervals"),
                loss=Ratio(total(mine, "lost"), total(mine, "expected"), "packets lost / expected"),
                loss_p95=LOSS_RATIO.quantile(loss, 0.95),
                jitter_p50_ms=JITTER_MS.quantile(jitter, 0.5),
                jitter_p95_ms=JITTER_MS.quantile(jitter, 0.95),
                jitter_intervals=jitter_n,
                mos_p50=MOS.quantile(mos, 0.5),
                mos_p5=MOS.quantile(mos, 0.05),
                mos_intervals=mos_n,
            )
        )
    return tuple(found)


def _merged(rows: pa.Table, column: str, buckets: Buckets) -> tuple[list[int], int]:
    """Return a histogram over all rows and the intervals in it, of which each counts its seconds."""
    counts = histograms(rows, column, buckets.count).sum(axis=0).tolist()
    return counts, sum(counts) // _INTERVAL_SECONDS
