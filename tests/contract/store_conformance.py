"""What every store must do: subclass `StoreConformance` and give the fixture `store_url`.

The answers are checked against a brute-force oracle in plain Python over the rows that were written.
"""

import itertools
import multiprocessing
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest
from store_oracle import NOW, Oracle, call, interval, minute, sample, tag_sets

from storage.open import open_store
from storage.rows import batch, call_batch, shard_of, stream_interval_batch
from storage.schema import (
    CALL,
    FINDING,
    MEASUREMENTS,
    QUALITY_MINUTE,
    SESSION_MINUTE,
    SIP_MESSAGE,
    STREAM_INTERVAL,
)
from storage.seam import BadQuery, OutOfScope, Reader, Scope, Store, StoreError, StoreLocked, Window, Writer
from storage.settings import StorageSettings
from telephony.model import INTERVAL_NS, MINUTE_NS, UNASSIGNED, StreamInterval

ENGINEER = Scope.everything("engineer")
HOUR_NS = 3_600 * 10**9
DAY_NS = 24 * HOUR_NS
DAY = NOW // DAY_NS * DAY_NS
EVER = Window(0, 1 << 62)
AROUND = Window(NOW - DAY_NS, NOW + DAY_NS)


def in_ns(table: pa.Table) -> list[dict[str, Any]]:
    """Return rows as dicts with times as ns."""
    columns = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in table.columns]
    return pa.table(columns, names=table.column_names).to_pylist()


def rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with floats rounded: sums differ by their order."""
    return {name: round(v, 6) if isinstance(v, float) else v for name, v in row.items()}


def by_point(rows: Sequence[Mapping[str, Any]], tags: Sequence[str]) -> list[Mapping[str, Any]]:
    return sorted(rows, key=lambda row: (row["time"], *(row[tag] for tag in tags)))


def write_batches(url: str, settings: StorageSettings, batches: int, rows: int) -> None:
    """Write so many flushes of so many rows (another process)."""
    store = open_store(url, settings)
    writer = store.writer("other")
    for number in range(batches):
        facts = [interval(call_id=f"c{number}-{i}", ssrc=i, time_ns=NOW) for i in range(rows)]
        writer.write("stream_interval", stream_interval_batch(facts))
        writer.flush()
    store.close()


class StoreFixtures:
    """A store, its writer and an engineer's reader, from a `store_url` that the backend's test class gives."""

    settings = StorageSettings()
    """Those that the store is opened with."""

    @pytest.fixture
    def store_url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, store_url: str) -> Iterator[Store]:
        store = open_store(store_url, self.settings)
        yield store
        store.close()

    @pytest.fixture
    def writer(self, store: Store) -> Writer:
        return store.writer("collect")

    @pytest.fixture
    def reader(self, store: Store) -> Reader:
        return store.reader(ENGINEER)


class WritingConformance(StoreFixtures):
    """The contract of `storage.seam` for writing: what was written is read back, whole and once."""

    @pytest.mark.parametrize("name", MEASUREMENTS)
    def test_rows_come_back_as_written(self, writer: Writer, reader: Reader, name: str) -> None:
        rows = [sample(MEASUREMENTS[name], NOW + i, i) for i in range(5)]
        writer.write(name, batch(name, rows))
        writer.flush()
        assert rows == in_ns(reader.select(name, AROUND))

    @pytest.mark.parametrize("name", MEASUREMENTS)
    def test_rows_come_back_as_written_after_the_writer_closed(
        self, store: Store, writer: Writer, name: str
    ) -> None:
        rows = [sample(MEASUREMENTS[name], NOW + i, i) for i in range(5)]
        writer.write(name, batch(name, rows))
        writer.close()
        assert rows == in_ns(store.reader(ENGINEER).select(name, AROUND))

    @pytest.mark.parametrize("name", MEASUREMENTS)
    def test_fields_may_be_null(self, writer: Writer, reader: Reader, name: str) -> None:
        row = sample(MEASUREMENTS[name], NOW, 1) | dict.fromkeys(MEASUREMENTS[name].fields)
        writer.write(name, batch(name, [row]))
        writer.flush()
        assert [row] == in_ns(reader.select(name, AROUND))

    def test_nothing_is_read_before_it_is_flushed(self, writer: Writer, reader: Reader) -> None:
        writer.write("stream_interval", stream_interval_batch([interval()]))
        assert reader.select("stream_interval", AROUND).num_rows == 0

    def test_an_equal_point_overwrites(self, writer: Writer, reader: Reader) -> None:
        for lost in (1, 2, 3):
            writer.write("stream_interval", stream_interval_batch([interval(lost=lost), interval(ssrc=7)]))
            writer.flush()
        assert [(7, 0), (1, 3)] == sorted(
            ((row["ssrc"], row["lost"]) for row in in_ns(reader.select("stream_interval", AROUND))), reverse=True
        )

    def test_an_equal_point_overwrites_within_one_flush(self, writer: Writer, reader: Reader) -> None:
        facts = [interval(lost=1), interval(lost=2)]
        writer.write("stream_interval", stream_interval_batch(facts))
        writer.write("stream_interval", stream_interval_batch([interval(lost=3), interval(lost=4)]))
        writer.flush()
        assert [4] == reader.select("stream_interval", AROUND, columns=["lost"])["lost"].to_pylist()

    def test_an_equal_point_overwrites_after_the_writer_was_opened_again(self, store_url: str) -> None:
        for lost in (1, 2, 3):
            store = open_store(store_url, self.settings)
            writer = store.writer("collect")
            writer.write("stream_interval", stream_interval_batch([interval(lost=lost)]))
            writer.flush()
            found = store.reader(ENGINEER).select("stream_interval", AROUND, columns=["lost"])
            store.close()
            assert [lost] == found["lost"].to_pylist()

    def test_an_equal_point_of_another_writer_overwrites(self, store: Store, reader: Reader) -> None:
        first, second = store.writer("first"), store.writer("second")
        for lost, writer in ((1, first), (2, second), (3, first), (4, second)):
            writer.write("stream_interval", stream_interval_batch([interval(lost=lost)]))
            writer.flush()
        assert [4] == reader.select("stream_interval", AROUND, columns=["lost"])["lost"].to_pylist()

    @pytest.mark.parametrize("tag", STREAM_INTERVAL.tags)
    def test_points_of_different_tags_are_kept_apart(self, writer: Writer, reader: Reader, tag: str) -> None:
        row = sample(STREAM_INTERVAL, NOW, 1)
        for value in ("one", "two"):
            writer.write("stream_interval", batch("stream_interval", [row | {tag: value}]))
            writer.flush()
        found = reader.select("stream_interval", AROUND, columns=[tag])[tag].to_pylist()
        assert ["one", "two"] == sorted(found)

    def test_60000_streams_in_one_second_are_60000_points(self, writer: Writer, reader: Reader) -> None:
        facts = [interval(call_id=f"call-{i // 2}", ssrc=i) for i in range(60_000)]
        writer.write("stream_interval", stream_interval_batch(facts))
        writer.flush()
        assert reader.select("stream_interval", AROUND, columns=["ssrc"], limit=70_000).num_rows == 60_000

    def test_late_rows_are_found_in_their_own_time(self, writer: Writer, reader: Reader) -> None:
        times = [NOW, NOW - 3 * DAY_NS, NOW - DAY_NS, NOW + 1]
        for time_ns in times:
            writer.write("session_minute", batch("session_minute", [minute(SESSION_MINUTE, time_ns=time_ns)]))
            writer.flush()
        assert sorted(times) == [row["time"] for row in in_ns(reader.select("session_minute", EVER))]
        old = Window(NOW - 3 * DAY_NS, NOW - 2 * DAY_NS)
        assert [NOW - 3 * DAY_NS] == [row["time"] for row in in_ns(reader.select("session_minute", old))]

    def test_the_window_is_half_open(self, writer: Writer, reader: Reader) -> None:
        writer.write(
            "load_now", batch("load_now", [sample(MEASUREMENTS["load_now"], NOW + i, 0) for i in range(4)])
        )
        writer.flush()
        found = in_ns(reader.select("load_now", Window(NOW + 1, NOW + 3), columns=["time"]))
        assert [{"time": NOW + 1}, {"time": NOW + 2}] == found

    def test_an_unknown_measurement_is_not_written(self, writer: Writer) -> None:
        with pytest.raises(BadQuery, match="no measurement 'weather'; there are stream_interval"):
            writer.write("weather", batch("load_now", []))

    def test_rows_of_another_schema_are_not_written(self, writer: Writer) -> None:
        with pytest.raises(BadQuery, match="call: no trunk; no codec"):
            writer.write("call", batch("load_now", []))

    def test_a_closed_writer_takes_nothing(self, writer: Writer) -> None:
        writer.close()
        writer.close()
        with pytest.raises(StoreError):
            writer.write("call", batch("call", []))

    def test_a_writer_is_open_once(self, store: Store, store_url: str) -> None:
        store.writer("collect")
        other = open_store(store_url, self.settings)
        with pytest.raises(StoreLocked, match="collect"):
            other.writer("collect")
        other.close()

    def test_writers_of_different_names_write_at_once(self, store: Store, reader: Reader) -> None:
        writers = {name: store.writer(name) for name in ("collect", "forecast")}
        for name, writer in writers.items():
            writer.write(
                "load_now", batch("load_now", [sample(MEASUREMENTS["load_now"], NOW, 0) | {"node": name}])
            )
        for writer in writers.values():
            writer.flush()
        assert ["collect", "forecast"] == reader.tag_values("load_now", "node", AROUND)

    def test_another_process_is_read_while_it_writes(self, reader: Reader, store_url: str) -> None:
        """No torn batch, nothing twice, nothing lost: the count only grows, by whole flushes."""
        batches, rows = 12, 500
        process = multiprocessing.get_context("spawn").Process(
            target=write_batches, args=(store_url, self.settings, batches, rows)
        )
        counts = []

        def look() -> None:
            table = reader.select("stream_interval", EVER, columns=["call_id"], limit=10**6)
            assert len(set(table["call_id"].to_pylist())) == table.num_rows
            counts.append(table.num_rows)

        process.start()
        while process.is_alive():
            look()
        look()
        assert [count % rows for count in counts] == [0] * len(counts)
        assert counts == sorted(counts)
        assert batches * rows == counts[-1]


class StoreConformance(WritingConformance):
    """The contract of `storage.seam`: writing, scope, sums and calls; see also `store_queries_conformance`."""

    # --- select ---------------------------------------------------------------------------------------------

    def test_select_orders_limits_and_picks_columns(self, writer: Writer, reader: Reader) -> None:
        rows = [sample(MEASUREMENTS["load_now"], NOW + i, i) for i in (3, 1, 2, 0)]
        writer.write("load_now", batch("load_now", rows))
        writer.flush()
        newest = reader.select("load_now", AROUND, columns=["frames", "time"], limit=2, newest_first=True)
        assert ["frames", "time"] == newest.column_names
        assert [NOW + 3, NOW + 2] == [row["time"] for row in in_ns(newest)]
        oldest = reader.select("load_now", AROUND, columns=["node"], limit=3)
        assert [row["node"] for row in sorted(rows, key=lambda r: r["time"])][:3] == oldest["node"].to_pylist()
        assert reader.select("load_now", AROUND, limit=0).num_rows == 0

    def test_where_narrows_by_tags(self, writer: Writer, reader: Reader) -> None:
        rows = [minute(SESSION_MINUTE, trunk=t, node=n) for t in ("a", "b", "c") for n in ("x", "y")]
        writer.write("session_minute", batch("session_minute", rows))
        writer.flush()
        found = in_ns(reader.select("session_minute", AROUND, where={"trunk": ["a", "c"], "node": ["y"]}))
        assert [("a", "y"), ("c", "y")] == sorted((row["trunk"], row["node"]) for row in found)
        assert reader.select("session_minute", AROUND, where={"trunk": []}).num_rows == 0

    @pytest.mark.parametrize("name", MEASUREMENTS)
    def test_an_empty_answer_keeps_the_columns(self, reader: Reader, name: str) -> None:
        measurement = MEASUREMENTS[name]
        assert measurement.schema == reader.select(name, AROUND).schema
        assert measurement.schema == reader.latest(name, AROUND, by=[measurement.tags[0]]).schema
        assert ["time", measurement.tags[0]] == reader.sums(
            name, AROUND, step_seconds=60, by=[measurement.tags[0]]
        ).column_names[:2]
        assert reader.tag_values(name, measurement.tags[0], AROUND) == []

    def test_empty_answers_about_calls_keep_the_columns(self, writer: Writer, reader: Reader) -> None:
        empty = reader.worst_calls(AROUND)
        assert CALL.schema == reader.calls(AROUND).rows.schema
        writer.write("stream_interval", stream_interval_batch([interval()]))
        writer.flush()
        assert reader.worst_calls(AROUND).schema == empty.schema
        trace = reader.call("a-call")
        assert [SIP_MESSAGE.schema, STREAM_INTERVAL.schema, FINDING.schema] == [
            trace.messages.schema, trace.intervals.schema, trace.findings.schema,
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("ask", "says"),
        [
            (lambda r: r.select("weather", AROUND), "no measurement 'weather'"),
            (lambda r: r.select("call", AROUND, columns=["rain"]), "call has no column 'rain'"),
            (lambda r: r.select("call", AROUND, columns=["time", "time"]), "each once"),
            (lambda r: r.select("call", AROUND, where={"call_id": ["x"]}), "call has no tag 'call_id'"),
            (lambda r: r.sums("call", AROUND, step_seconds=60, by=["rain"]), "call has no tag 'rain'"),
            (lambda r: r.sums("call", AROUND, step_seconds=-1), "step"),
            (lambda r: r.latest("weather", AROUND, by=[]), "no measurement 'weather'"),
            (lambda r: r.latest("call", AROUND, by=["time"]), "call has no tag 'time'"),
            (lambda r: r.worst_calls(AROUND, where={"rain": []}), "stream_interval has no tag 'rain'"),
            (lambda r: r.calls(AROUND, where={"rain": []}), "call has no tag 'rain'"),
            (lambda r: r.tag_values("call", 'tenant" --', AROUND), "call has no tag"),
        ],
    )
    def test_what_the_schema_does_not_have_is_a_bad_query(self, reader: Reader, ask: Any, says: str) -> None:
        with pytest.raises(BadQuery, match=says):
            ask(reader)

    # --- scope ----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("scope", "sees"),
        [
            (Scope.everything("engineer"), {"acme", "globex", UNASSIGNED}),
            (Scope.of("client", "acme"), {"acme"}),
            (Scope.of("client", "acme", "globex", "nobody"), {"acme", "globex"}),
            (Scope.of("client", UNASSIGNED), set()),
            (Scope.of("client"), set()),
            (Scope.of("client", "ACME"), set()),
        ],
    )
    def test_every_query_sees_the_scope_only(self, store: Store, scope: Scope, sees: set[str]) -> None:
        writer = store.writer("collect")
        tenants = ("acme", "globex", UNASSIGNED)
        for name, measurement in MEASUREMENTS.items():
            rows = [sample(measurement, NOW, i) | {"tenant": tenant} for i, tenant in enumerate(tenants)]
            writer.write(name, batch(name, rows))
        writer.write("stream_interval", stream_interval_batch([interval(call_id=t, tenant=t) for t in tenants]))
        writer.write("call", call_batch([call(call_id=t, tenant=t) for t in tenants]))
        writer.flush()
        reader = store.reader(scope)
        for name in MEASUREMENTS:
            assert sees == set(reader.select(name, AROUND)["tenant"].to_pylist())
            assert sees == set(reader.latest(name, AROUND, by=["tenant"])["tenant"].to_pylist())
            assert sees == set(reader.sums(name, AROUND, step_seconds=0, by=["tenant"])["tenant"].to_pylist())
            assert sorted(sees) == reader.tag_values(name, "tenant", AROUND)
            foreign = sorted(set(tenants) - sees)
            assert reader.select(name, AROUND, where={"tenant": foreign}).num_rows == 0
        assert sees == set(reader.worst_calls(AROUND)["tenant"].to_pylist())
        assert sees == set(reader.calls(AROUND).rows["tenant"].to_pylist())
        for tenant in tenants:
            if tenant in sees:
                assert {tenant} == set(reader.call(tenant).intervals["tenant"].to_pylist())
            else:
                with pytest.raises(OutOfScope, match="not found"):
                    reader.call(tenant)

    def test_a_call_id_of_two_tenants_shows_each_its_own(self, store: Store) -> None:
        writer = store.writer("collect")
        facts = [interval(call_id="same", tenant=t, r_factor=r) for t, r in (("acme", 40.0), ("globex", 90.0))]
        writer.write("stream_interval", stream_interval_batch(facts))
        writer.write("call", call_batch([call(call_id="same", tenant="globex")]))
        writer.flush()
        acme = store.reader(Scope.of("client", "acme"))
        assert [(40.0, True)] == [(row["r_min"], row["live"]) for row in in_ns(acme.worst_calls(AROUND))]
        trace = acme.call("same")
        assert (None, ["acme"]) == (trace.call, trace.intervals["tenant"].to_pylist())

    # --- sums and latest ------------------------------------------------------------------------------------

    @pytest.mark.parametrize("by", [(), ("tenant",), ("node", "tenant")])
    @pytest.mark.parametrize("step_seconds", [0, 60, 300])
    @pytest.mark.parametrize("name", ["session_minute", "quality_minute", "load_minute", "trunk_minute"])
    def test_sums_are_those_of_the_oracle(
        self, writer: Writer, reader: Reader, name: str, step_seconds: int, by: tuple[str, ...]
    ) -> None:
        measurement = MEASUREMENTS[name]
        oracle = Oracle(measurement)
        for number in range(3):  # the second and third write most minutes again
            rows = [
                minute(measurement, seed=number * 1000 + i, time_ns=NOW + (i + number) % 12 * MINUTE_NS, **tags)
                for i, tags in enumerate(tag_sets(measurement, 24))
            ]
            oracle.write(rows)
            writer.write(name, batch(name, rows))
            writer.flush()
        window = Window(NOW + MINUTE_NS, NOW + 11 * MINUTE_NS)
        found = in_ns(reader.sums(name, window, step_seconds=step_seconds, by=by))
        expected = oracle.sums(window, step_seconds, by)
        assert [list(row) for row in expected] == [list(row) for row in found]
        assert expected == [rounded(row) for row in found]

    @pytest.mark.parametrize("name", ["session_minute", "quality_minute"])
    def test_sums_of_hours_and_days_are_those_of_the_minutes(self, store: Store, name: str) -> None:
        """Whatever the store keeps of hours and days, and whatever is written late."""
        measurement, chance = MEASUREMENTS[name], random.Random(name)
        writer, scopes = store.writer("collect"), itertools.cycle((ENGINEER, Scope.of("client", "tenant-1")))
        oracle, tags = Oracle(measurement), list(tag_sets(measurement, 6))
        windows = [
            Window(DAY - DAY_NS, DAY + 4 * DAY_NS),
            Window(DAY + 7 * MINUTE_NS, DAY + 50 * HOUR_NS),
            Window(DAY - 2 * HOUR_NS, DAY + 26 * HOUR_NS + 1),
        ]
        for turn in range(3):  # later turns write minutes again, of spans that were summed before
            times = [DAY + chance.randrange(300 if turn else 2 * 1440) * MINUTE_NS for _ in range(40)]
            rows = [
                minute(measurement, seed=turn * 1000 + i, time_ns=time_ns, **chance.choice(tags))
                for i, time_ns in enumerate(times)
            ]
            oracle.write(rows)
            writer.write(name, batch(name, rows))
            writer.flush()
            for _ in range(2):
                for (window, step), scope in zip(
                    itertools.product(windows, (0, 3600, 86_400)), scopes, strict=False
                ):
                    found = store.reader(scope).sums(name, window, step_seconds=step, by=["tenant"])
                    expected = oracle.sums(window, step, ["tenant"])
                    seen = [row for row in expected if scope.allows(row["tenant"])]
                    assert seen == [rounded(row) for row in in_ns(found)]
                store.maintain(time.time_ns() + HOUR_NS)

    def test_sums_of_nothing_but_null_are_null_and_histograms_zero(self, writer: Writer, reader: Reader) -> None:
        row = minute(QUALITY_MINUTE) | dict.fromkeys(QUALITY_MINUTE.fields)
        writer.write("quality_minute", batch("quality_minute", [row]))
        writer.flush()
        found = in_ns(reader.sums("quality_minute", AROUND, step_seconds=60))[0]
        assert (None, None) == (found["intervals"], found["stream_seconds"])
        assert [0] * QUALITY_MINUTE.histograms["r_histogram"].count == found["r_histogram"]

    def test_sums_do_not_overflow_a_bucket(self, writer: Writer, reader: Reader) -> None:
        buckets = QUALITY_MINUTE.histograms["r_histogram"].count
        rows = [minute(QUALITY_MINUTE, trunk=str(i)) | {"r_histogram": [2**32 - 1] * buckets} for i in range(3)]
        writer.write("quality_minute", batch("quality_minute", rows))
        writer.flush()
        found = in_ns(reader.sums("quality_minute", AROUND, step_seconds=0))[0]
        assert [3 * (2**32 - 1)] * buckets == found["r_histogram"]

    @pytest.mark.parametrize("by", [(), ("node",), ("tenant", "region")])
    def test_latest_is_that_of_the_oracle(self, writer: Writer, reader: Reader, by: tuple[str, ...]) -> None:
        measurement = MEASUREMENTS["load_now"]
        rows = [
            minute(measurement, seed=i, time_ns=NOW + i * 7919 % 40, **tags)
            for i, tags in enumerate(tag_sets(measurement, 40))
        ]
        for row in rows:
            writer.write("load_now", batch("load_now", [row]))
        writer.flush()
        found = in_ns(reader.latest("load_now", AROUND, by=by))
        newest: dict[tuple[str, ...], dict[str, Any]] = {}
        for row in sorted(rows, key=lambda r: r["time"]):
            newest[tuple(row[tag] for tag in by)] = row
        assert by_point(list(newest.values()), by) == by_point(found, by)

    # --- calls ----------------------------------------------------------------------------------------------

    def test_worst_calls_are_those_of_the_oracle(self, writer: Writer, reader: Reader) -> None:
        facts: list[StreamInterval] = [
            interval(
                call_id=f"call-{i % 9}",
                ssrc=i % 2,
                time_ns=NOW + i // 18 * INTERVAL_NS,
                observer=("rtcp_rr", "rtcp_xr")[i % 2],
                r_factor=None if i % 9 == 8 else 95.0 - i * 7919 % 53,
                mos=None if i % 9 == 8 else 4.4 - i * 7919 % 53 / 20,
                mos_scale="wb" if i % 9 == 3 else "nb",
                lost=i * 31 % 17,
                jitter_ms=float(i % 7),
                jitter_max_ms=None if i % 3 else float(i % 11),
                rtt_ms=None if i % 5 else float(i),
                verdict=("", "dtx", "dtx hold")[i % 3],
            )
            for i in range(120)
        ]
        ended = [call(call_id="call-1", duration_s=42.5), call(call_id="call-4", outcome="busy", duration_s=None)]
        for part in (facts[:60], facts[60:], facts[30:90]):
            writer.write("stream_interval", stream_interval_batch(part))
            writer.flush()
        writer.write("call", call_batch(ended))
        writer.flush()
        expected = Oracle.worst_calls(facts, ended)
        found = [rounded(row) for row in in_ns(reader.worst_calls(AROUND))]
        assert expected == found
        assert expected[:4] == [rounded(row) for row in in_ns(reader.worst_calls(AROUND, limit=4))]

    def test_worst_calls_leave_out_streams_of_no_call(self, writer: Writer, reader: Reader) -> None:
        writer.write("stream_interval", stream_interval_batch([interval(call_id="")]))
        writer.flush()
        assert reader.worst_calls(AROUND).num_rows == 0

    def test_worst_calls_narrow_by_tags(self, writer: Writer, reader: Reader) -> None:
        facts = [interval(call_id=f"on-{trunk}", trunk=trunk) for trunk in ("a", "b")]
        writer.write("stream_interval", stream_interval_batch(facts))
        writer.flush()
        assert ["on-b"] == reader.worst_calls(AROUND, where={"trunk": ["b"]})["call_id"].to_pylist()

    def test_a_call_is_traced_over_midnight(self, writer: Writer, reader: Reader) -> None:
        midnight = NOW // DAY_NS * DAY_NS + DAY_NS
        record = call(call_id="long", started_ns=midnight - 3600 * 10**9, ended_ns=midnight + 600 * 10**9)
        times = [midnight + i * 60 * INTERVAL_NS // 2 for i in range(-11, 2)]
        rows = [
            _message("long", midnight - 3600 * 10**9, "INVITE"),
            _message("long", midnight + 600 * 10**9, "BYE"),
            _message("another", midnight, "INVITE"),
        ]
        finding = sample(FINDING, midnight // MINUTE_NS * MINUTE_NS, 0) | {"call_id": "long"}
        writer.write(
            "stream_interval", stream_interval_batch([interval(call_id="long", time_ns=t) for t in times])
        )
        writer.write("stream_interval", stream_interval_batch([interval(call_id="another", time_ns=midnight)]))
        writer.write("sip_message", batch("sip_message", rows))
        writer.write("finding", batch("finding", [finding]))
        writer.flush()
        alive = reader.call("long")
        assert alive.call is None
        writer.write("call", call_batch([record]))
        writer.close()
        ended = reader.call("long")
        assert ended.call is not None
        assert ("long", "answered") == (ended.call["call_id"], ended.call["outcome"])
        for trace in (alive, ended):
            assert ["INVITE", "BYE"] == trace.messages["method"].to_pylist()
            assert len(times) == trace.intervals.num_rows
            assert [finding] == in_ns(trace.findings)
            stamps = [row["time"] for row in in_ns(trace.intervals)]
            assert stamps == sorted(stamps)

    def test_a_message_of_no_call_is_traced(self, writer: Writer, reader: Reader) -> None:
        for days in (0, 5):
            row = _message(f"register-{days}", NOW - days * DAY_NS, "REGISTER")
            writer.write("sip_message", batch("sip_message", [row]))
        writer.close()
        assert ["REGISTER"] == reader.call("register-5").messages["method"].to_pylist()

    def test_what_belongs_to_no_call_is_not_one_call(self, writer: Writer, reader: Reader) -> None:
        row = _message("", NOW, "REGISTER")
        writer.write("sip_message", batch("sip_message", [row]))
        writer.close()
        with pytest.raises(OutOfScope, match="not found"):
            reader.call("")

    def test_an_unknown_call_is_not_found(self, reader: Reader) -> None:
        with pytest.raises(OutOfScope, match="'nobody' not found"):
            reader.call("nobody")

    def test_tag_values_are_sorted_and_those_of_the_window(self, writer: Writer, reader: Reader) -> None:
        rows = [minute(SESSION_MINUTE, trunk=t, time_ns=NOW + i) for i, t in enumerate("cabbz")]
        writer.write("session_minute", batch("session_minute", rows))
        writer.flush()
        assert ["a", "b", "c"] == reader.tag_values("session_minute", "trunk", Window(NOW, NOW + 4))


def _message(call_id: str, time_ns: int, method: str) -> dict[str, Any]:
    row = sample(SIP_MESSAGE, time_ns, 0)
    return row | {"call_id": call_id, "method": method, "shard": shard_of(call_id)}
