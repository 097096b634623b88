"""The past that is written fits the schema, agrees with itself, holds its incidents, ends where live begins."""

from itertools import chain, repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from storage.schema import MEASUREMENTS
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.engine import EXAMPLE_START_NS, Engine
from surgecast.simulator.history import LEARNED_MINUTES, write_history
from surgecast.simulator.incidents import Impairment, Incident, IncidentPlan, Place, past_incidents
from surgecast.simulator.warm import warm_from_ns
from telephony.model import MINUTE_NS, Outcome

UNTIL = warm_from_ns(EXAMPLE_START_NS)
HOUR_NS = 60 * MINUTE_NS
FAILING = Incident("carrier-c fails", Place.TRUNK, "carrier-c", UNTIL - 5 * HOUR_NS, HOUR_NS, fail_ratio=0.6)
LOSSY = Incident(
    "loss", Place.REGION, "eu-west", UNTIL - 3 * HOUR_NS, HOUR_NS, impairment=Impairment(0.08, 3.0, 10.0)
)


class Kept:
    """A writer that keeps what it is given, once flushed."""

    def __init__(self) -> None:
        self.batches: dict[str, list[pa.RecordBatch]] = {}
        self.waiting = 0

    def write(self, measurement: str, rows: pa.RecordBatch) -> None:
        self.batches.setdefault(measurement, []).append(rows)
        self.waiting += rows.num_rows

    def flush(self) -> None:
        self.waiting = 0

    def close(self) -> None:
        raise AssertionError("the writer is the caller's")

    def table(self, measurement: str) -> pa.Table:
        return pa.Table.from_batches(self.batches[measurement])


def history(weeks=0.15, seed=1, calls=200, plan=None):
    kept = Kept()
    plan = plan if plan is not None else IncidentPlan([FAILING, LOSSY])
    summary = write_history(kept, weeks=weeks, calls=calls, seed=seed, until_ns=UNTIL, plan=plan)
    return kept, summary


@pytest.fixture(scope="module")
def written():
    return history()


def test_what_passes_while_it_is_written_is_written_too():
    """The clock goes on by a minute once the first end was reached, and no further."""
    kept, ends = Kept(), chain(repeat(UNTIL, 3), repeat(UNTIL + MINUTE_NS))
    summary = write_history(kept, weeks=0.01, calls=50, seed=1, until_ns=lambda: next(ends))
    assert pc.max(kept.table("load_minute")["time"]).cast(pa.int64()).as_py() == UNTIL
    assert summary.until_ns == UNTIL + MINUTE_NS


def ints(table, name):
    return table[name].to_numpy()


def histograms(table, name):
    column = table[name].combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


@pytest.mark.parametrize(
    "measurement", ["session_minute", "load_minute", "registration_minute", "trunk_minute", "quality_minute"]
)
def test_rows_fit_the_schema_and_are_counted(written, measurement):
    kept, summary = written
    table = kept.table(measurement)
    table.validate(full=True)
    assert table.schema == MEASUREMENTS[measurement].schema
    assert table.num_rows == summary.rows[measurement] > 0
    assert kept.waiting == 0


@pytest.mark.parametrize("measurement", ["session_minute", "load_minute", "quality_minute", "trunk_minute"])
def test_no_point_is_written_twice(written, measurement):
    table = written[0].table(measurement)
    points = table.select(["time", *MEASUREMENTS[measurement].tags]).to_pylist()
    assert len({tuple(p.values()) for p in points}) == len(points)


def test_the_past_ends_where_a_live_run_begins(written):
    times = written[0].table("load_minute")["time"].cast(pa.int64()).to_numpy()
    assert times.max() == UNTIL - MINUTE_NS
    assert times.min() >= written[1].since_ns
    engine = Engine(start_ns=EXAMPLE_START_NS, calls=20, seed=1)
    assert min(s.at_ns for _, s in engine.sightings(EXAMPLE_START_NS)) >= UNTIL


def test_attempts_are_the_sum_of_the_outcomes(written):
    table = written[0].table("session_minute")
    outcomes = sum(ints(table, outcome.value) for outcome in Outcome)
    assert ints(table, "attempts").tolist() == outcomes.tolist()
    assert ints(table, "attempts").tolist() == histograms(table, "pdd_ms_histogram").sum(axis=1).tolist()


def test_every_answered_call_ends_once(written):
    sessions, load = written[0].table("session_minute"), written[0].table("load_minute")
    answered = ints(sessions, "answered").sum()
    ended = histograms(load, "holding_time_histogram").sum()
    assert ended == pytest.approx(answered, rel=0.02)
    assert ints(sessions, "completed").sum() == pytest.approx(0.996 * answered, rel=0.02)


def test_concurrency_is_arrivals_times_holding_time(written):
    """Little's law over the whole span."""
    load, sessions = written[0].table("load_minute"), written[0].table("session_minute")
    call_minutes = ints(load, "concurrent_mean").sum()
    assert call_minutes == pytest.approx(ints(sessions, "minutes").sum(), rel=0.02)


def test_a_maximum_is_no_less_than_its_mean(written):
    load = written[0].table("load_minute")
    assert (ints(load, "concurrent_max") >= ints(load, "concurrent_mean")).all()
    assert (ints(load, "cps_max") <= ints(load, "arrivals")).all()
    assert (ints(load, "cps_max") * 60 >= ints(load, "arrivals")).all()


def test_the_last_minutes_are_at_the_level_that_live_goes_on_from(written):
    load = written[0].table("load_minute")
    recent = load.filter(pc.greater_equal(load["time"].cast(pa.int64()), UNTIL - 10 * MINUTE_NS))
    assert ints(recent, "concurrent_mean").sum() / 10 == pytest.approx(200, rel=0.25)


@pytest.mark.parametrize("name", ["r_histogram", "mos_histogram", "jitter_histogram", "loss_histogram"])
def test_quality_histograms_hold_every_stream_second(written, name):
    table = written[0].table("quality_minute")
    assert histograms(table, name).sum(axis=1).tolist() == ints(table, "stream_seconds").tolist()


def test_quality_counts_are_of_their_intervals(written):
    table = written[0].table("quality_minute")
    assert (ints(table, "stream_seconds") == 10 * ints(table, "intervals")).all()
    assert (ints(table, "degraded_seconds") <= ints(table, "stream_seconds")).all()
    assert (ints(table, "lost") <= ints(table, "expected")).all()


def _share_of(table, incident, part, whole, **where):
    """Return part / whole during the incident and in the rest."""
    for tag, value in where.items():
        table = table.filter(pc.equal(table[tag], value))
    times = table["time"].cast(pa.int64()).to_numpy()
    during = (times >= incident.start_ns) & (times < incident.start_ns + incident.length_ns)
    shares = [ints(table, part)[mask].sum() / ints(table, whole)[mask].sum() for mask in (during, ~during)]
    return shares[0], shares[1]


def test_a_failing_trunk_is_in_the_past(written):
    during, else_ = _share_of(
        written[0].table("session_minute"), FAILING, "no_facility", "attempts", trunk="carrier-c"
    )
    assert during == pytest.approx(0.6, abs=0.08)
    assert else_ < 0.05
    during, else_ = _share_of(
        written[0].table("trunk_minute"), FAILING, "options_answered", "options_sent", trunk="carrier-c"
    )
    assert during == pytest.approx(1 - 0.6 * 0.6, abs=0.1)
    assert else_ == 1


def test_a_lossy_region_is_in_the_past(written):
    table = written[0].table("quality_minute")
    during, else_ = _share_of(table, LOSSY, "lost", "expected", region="eu-west")
    assert during == pytest.approx(0.08, abs=0.03)
    assert else_ < 0.012
    during, else_ = _share_of(table, LOSSY, "degraded_seconds", "stream_seconds", region="eu-west")
    assert during > 3 * else_


def test_tags_are_of_the_network(written):
    for measurement in ("session_minute", "quality_minute", "load_minute"):
        table = written[0].table(measurement)
        assert set(table["tenant"].unique().to_pylist()) == {t.name for t in DEMO_NETWORK.tenants}
        assert set(table["node"].unique().to_pylist()) <= {p.name for p in DEMO_NETWORK.proxies}


def test_the_same_seed_writes_the_same_past():
    one, other = (history(weeks=0.02)[0].table("session_minute") for _ in range(2))
    assert one.equals(other)


def test_what_alerts_do_not_learn_from_is_kept_by_the_hour():
    kept, _ = history(weeks=2.6, calls=20, plan=IncidentPlan())
    sessions = kept.table("session_minute")["time"].cast(pa.int64()).to_numpy()
    old = sessions[sessions < UNTIL - LEARNED_MINUTES * MINUTE_NS - 24 * HOUR_NS]
    assert old.size
    assert (old % HOUR_NS == 0).all()
    load = kept.table("load_minute")["time"].cast(pa.int64()).to_numpy()
    assert np.unique(load).size == (UNTIL - load.min()) // MINUTE_NS


def test_past_incidents_are_over_or_go_on_daily():
    for incident in past_incidents(EXAMPLE_START_NS).incidents:
        assert incident.start_ns + incident.length_ns < EXAMPLE_START_NS
