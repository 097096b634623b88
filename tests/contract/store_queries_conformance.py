"""What every store must answer: named queries over minutes, calls, forecasts, incidents and what people told.

Subclass `QueriesConformance` and give the fixture `store_url`.
"""

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest
from store_conformance import AROUND, ENGINEER, EVER, StoreFixtures, in_ns, rounded
from store_oracle import NOW, call, interval, minute, sample

from storage.embedded.store import EmbeddedStore
from storage.rows import batch, call_batch, forecast_time_ns, stream_interval_batch
from storage.schema import ALERT_EVENT, FORECAST, SESSION_MINUTE
from storage.seam import BadQuery, CallMatch, Reader, Scope, Store, Top, Window, Writer
from telephony.model import INTERVAL_NS, MINUTE_NS, Scale

_SLOT_NS = 15 * MINUTE_NS
_SLOT = NOW // _SLOT_NS * _SLOT_NS


def _load(minutes: int, *, tenant: str = "acme", pool: str = "relays", **fields: Any) -> dict[str, Any]:
    row = {"time": _SLOT + minutes * MINUTE_NS, "tenant": tenant, "pool": pool, "region": "eu", "node": "edge-1"}
    return row | {"concurrent_mean": 0.0, "concurrent_max": 0, "arrivals": 0} | fields


def _forecast(slot: int, issued: int, q50: float, *, target: str = "relays", **tags: str) -> dict[str, Any]:
    """Return a forecast of the slot (counted from `_SLOT`), issued so many minutes after NOW."""
    slot_ns, issued_ns = _SLOT + slot * _SLOT_NS, NOW + issued * MINUTE_NS
    row = sample(FORECAST, forecast_time_ns(slot_ns, issued_ns), 0)
    row |= {"tenant": "acme", "target_kind": "pool", "target": target, "signal": "arrivals", "horizon": "short"}
    return row | {"slot": slot_ns, "issued_at": issued_ns, "q50": q50} | tags


def _alert(minutes: int, incident: str, state: str, tenant: str = "acme") -> dict[str, Any]:
    row = sample(ALERT_EVENT, NOW + minutes * MINUTE_NS, 0)
    row |= {"tenant": tenant, "rule": "answer_ratio", "severity": "major", "scope_kind": "trunk", "scope": "a"}
    return row | {"state": state, "incident_id": incident}


def _write(writer: Writer, measurement: str, rows: Sequence[dict[str, Any]]) -> None:
    writer.write(measurement, batch(measurement, rows))
    writer.flush()


class QueriesConformance(StoreFixtures):
    """The named queries of `storage.seam.Reader` that `StoreConformance` does not ask."""

    # --- sums: some fields, the greatest groups ----------------------------------------------------------------

    def test_sums_give_the_fields_that_are_named(self, writer: Writer, reader: Reader) -> None:
        _write(writer, "session_minute", [minute(SESSION_MINUTE) | {"attempts": 3, "busy": 1}])
        found = reader.sums("session_minute", AROUND, step_seconds=0, by=["trunk"], fields=["busy", "attempts"])
        assert [{"time": AROUND.since_ns, "trunk": "one", "attempts": 3, "busy": 1}] == in_ns(found)

    @pytest.mark.parametrize("step_seconds", [0, 60])
    def test_top_keeps_the_greatest_groups_of_the_whole_window(
        self, writer: Writer, reader: Reader, step_seconds: int
    ) -> None:
        attempts = {"a": (9, 1), "b": (1, 8), "c": (4, 6), "d": (5, 4), "e": (0, 0)}
        rows = [
            minute(SESSION_MINUTE, time_ns=NOW + i * MINUTE_NS, trunk=trunk) | {"attempts": n}
            for trunk, counts in attempts.items()
            for i, n in enumerate(counts)
        ]
        _write(writer, "session_minute", rows)
        found = reader.sums(
            "session_minute", AROUND, step_seconds=step_seconds, by=["trunk"], fields=["attempts"],
            top=Top("attempts", 3),
        )  # fmt: skip
        assert ["a", "b", "c"] * (2 if step_seconds else 1) == found["trunk"].to_pylist()
        assert sum(map(sum, (attempts[trunk] for trunk in "abc"))) == sum(found["attempts"].to_pylist())

    @pytest.mark.parametrize(
        ("ask", "says"),
        [
            (lambda r: r.sums("call", AROUND, step_seconds=0, fields=["call_id"]), "no sum of 'call_id'"),
            (lambda r: r.sums("session_minute", AROUND, step_seconds=0, top=Top("busy", 3)), "names no tag"),
            (
                lambda r: r.sums("session_minute", AROUND, step_seconds=0, by=["trunk"], top=Top("rain", 3)),
                "top by 'rain'",
            ),
            (lambda r: r.load(AROUND, step_seconds=-1), "step"),
            (lambda r: r.load(AROUND, step_seconds=60, by=["trunk"]), "load_minute has no tag 'trunk'"),
            (lambda r: r.forecasts(AROUND, where={"model": ["x"]}), "forecast has no tag 'model'"),
            (lambda r: r.latest("forecast", AROUND, by=["q50"]), "no tag 'q50'"),
            (lambda r: r.latest("call", AROUND, by=["tenant"], where={"rain": ["x"]}), "call has no tag 'rain'"),
            (lambda r: r.tag_values("call", "tenant", AROUND, where={"rain": ["x"]}), "call has no tag 'rain'"),
        ],
    )
    def test_what_cannot_be_asked_is_a_bad_query(self, reader: Reader, ask: Any, says: str) -> None:
        with pytest.raises(BadQuery, match=says):
            ask(reader)

    # --- load --------------------------------------------------------------------------------------------------

    def test_load_is_the_mean_and_the_peak_of_minutes(self, writer: Writer, reader: Reader) -> None:
        rows = [
            _load(0, concurrent_mean=10.0, concurrent_max=14, arrivals=5, cps_max=2.0),
            _load(0, concurrent_mean=2.0, concurrent_max=3, arrivals=1, cps_max=1.0, pool="proxies"),
            _load(1, concurrent_mean=20.0, concurrent_max=22, arrivals=7, cps_max=2.5),
            _load(7, concurrent_mean=1.0, concurrent_max=1, arrivals=1, erlangs=0.5),
        ]
        _write(writer, "load_minute", rows)
        found = in_ns(reader.load(Window(_SLOT, _SLOT + 10 * MINUTE_NS), step_seconds=300))
        common = {"packets_per_second": None, "transcodes": None}
        assert [
            {"time": _SLOT, "minutes": 2, "arrivals": 13, "concurrent_mean": 16.0,
             "erlangs": None, "concurrent_max": 22, "cps_max": 3.0} | common,
            {"time": _SLOT + 5 * MINUTE_NS, "minutes": 1, "arrivals": 1,
             "concurrent_mean": 1.0, "erlangs": 0.5, "concurrent_max": 1, "cps_max": None} | common,
        ] == found  # fmt: skip

    def test_load_of_each_pool_and_of_the_whole_window(self, writer: Writer, reader: Reader) -> None:
        rows = [_load(m, pool=p, concurrent_mean=float(m), concurrent_max=m) for m in range(4) for p in ("x", "y")]
        _write(writer, "load_minute", [*rows, _load(1, tenant="globex", concurrent_max=90)])
        found = in_ns(reader.load(AROUND, step_seconds=0, by=["pool"], where={"tenant": ["acme"]}))
        assert [("x", 4, 1.5, 3), ("y", 4, 1.5, 3)] == [
            (row["pool"], row["minutes"], row["concurrent_mean"], row["concurrent_max"]) for row in found
        ]
        assert {AROUND.since_ns} == {row["time"] for row in found}

    def test_load_of_nothing_keeps_the_columns(self, writer: Writer, reader: Reader) -> None:
        empty = reader.load(AROUND, step_seconds=60, by=["tenant"])
        _write(writer, "load_minute", [_load(0)])
        assert (0, reader.load(AROUND, step_seconds=60, by=["tenant"]).schema) == (empty.num_rows, empty.schema)

    # --- forecasts ---------------------------------------------------------------------------------------------

    def test_forecasts_are_the_newest_of_each_slot(self, writer: Writer, reader: Reader) -> None:
        rows = [_forecast(slot, issued, 10.0 * slot + issued) for issued in (0, 15, 30) for slot in range(4)]
        _write(writer, "forecast", [*rows[4:], *rows[:4]])
        window = Window(_SLOT + _SLOT_NS, _SLOT + 3 * _SLOT_NS)
        found = in_ns(reader.forecasts(window))
        assert [(_SLOT + _SLOT_NS, 40.0), (_SLOT + 2 * _SLOT_NS, 50.0)] == [(r["slot"], r["q50"]) for r in found]
        assert FORECAST.schema == reader.forecasts(window).schema

    def test_forecasts_as_believed_then(self, writer: Writer, reader: Reader) -> None:
        rows = [_forecast(slot, issued, 10.0 * slot + issued) for issued in (0, 15, 30) for slot in (1, 2)]
        _write(writer, "forecast", rows)
        ever = Window(0, 1 << 62)
        for minutes, expected in ((-1, []), (0, [10.0, 20.0]), (29, [25.0, 35.0]), (31, [40.0, 50.0])):
            found = reader.forecasts(ever, issued_until_ns=NOW + minutes * MINUTE_NS)
            assert expected == found["q50"].to_pylist()

    def test_forecasts_of_targets_and_horizons_are_apart(self, writer: Writer, reader: Reader) -> None:
        rows = [_forecast(1, 0, 1.0), _forecast(1, 0, 2.0, target="b"), _forecast(1, 15, 3.0, horizon="medium")]
        _write(writer, "forecast", rows)
        assert [1.0, 2.0, 3.0] == sorted(reader.forecasts(EVER)["q50"].to_pylist())
        assert [2.0] == reader.forecasts(EVER, where={"target": ["b"]})["q50"].to_pylist()

    def test_a_forecast_issued_again_overwrites(self, writer: Writer, reader: Reader) -> None:
        for q50 in (1.0, 2.0):
            _write(writer, "forecast", [_forecast(1, 0, q50)])
        assert [2.0] == reader.select("forecast", EVER, columns=["q50"])["q50"].to_pylist()

    # --- the newest state --------------------------------------------------------------------------------------

    def test_latest_by_a_text_field_is_the_state_of_each_incident(self, writer: Writer, reader: Reader) -> None:
        rows = [_alert(0, "one", "firing"), _alert(1, "two", "firing"), _alert(2, "one", "resolved")]
        _write(writer, "alert_event", rows)
        found = in_ns(reader.latest("alert_event", AROUND, by=["tenant", "incident_id"]))
        assert [("two", "firing"), ("one", "resolved")] == [(r["incident_id"], r["state"]) for r in found]
        before = Window(AROUND.since_ns, NOW + 2 * MINUTE_NS)
        found = in_ns(reader.latest("alert_event", before, by=["incident_id"], where={"state": ["firing"]}))
        assert ["one", "two"] == [r["incident_id"] for r in found]

    def test_latest_does_not_find_what_was_overwritten(self, writer: Writer, reader: Reader) -> None:
        for incident in ("one", "two"):
            _write(writer, "alert_event", [_alert(0, incident, "firing")])
        assert ["two"] == reader.latest("alert_event", AROUND, by=["incident_id"])["incident_id"].to_pylist()

    @pytest.mark.parametrize("limit", [1, 3])
    def test_few_of_many_are_the_first_of_all(self, writer: Writer, reader: Reader, limit: int) -> None:
        facts = [
            interval(
                call_id=f"c{i}", ssrc=i, trunk=f"t{i % 13}", tenant=f"n{i % 5}", r_factor=20.0 + i * 37 % 60,
                mos_scale=list(Scale)[i % 3], time_ns=NOW + i * 10_000_000_000,
            )
            for i in range(60)
        ]  # fmt: skip
        writer.write("stream_interval", stream_interval_batch(facts))
        writer.flush()
        every = reader.worst_calls(AROUND, limit=1000)
        assert (60, every.slice(0, limit)) == (every.num_rows, reader.worst_calls(AROUND, limit=limit))
        newest = reader.select("stream_interval", AROUND, newest_first=True, limit=5000)
        assert newest.slice(0, limit) == reader.select("stream_interval", AROUND, newest_first=True, limit=limit)

    def test_worst_calls_are_those_of_an_embedded_store(
        self, writer: Writer, store: Store, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """Whatever was written late, again, better or worse than before, and where R ties."""
        chance = random.Random(7)
        embedded = EmbeddedStore(tmp_path_factory.mktemp("beside"))
        writers = (writer, embedded.writer("collect"))
        streams = [(f"c{i % 150}", i, f"n{i % 3}") for i in range(300)]
        for tick in range(8):
            times = [tick * INTERVAL_NS] * len(streams)
            late = chance.sample(range(len(streams)), 40) if tick else []
            facts = [
                interval(
                    call_id=call_id, ssrc=ssrc, tenant=tenant, time_ns=NOW + at, lost=chance.randrange(9),
                    r_factor=None if chance.random() < 0.1 else round(chance.gauss(85, 6)), mos_scale=scale,
                )
                for (call_id, ssrc, tenant), at, scale in [
                    *((stream, at, "nb") for stream, at in zip(streams, times, strict=True)),
                    *((streams[i], chance.randrange(tick) * INTERVAL_NS, "wb" if i % 3 else "nb") for i in late),
                ]
            ]  # fmt: skip
            for each in writers:
                each.write("stream_interval", stream_interval_batch(facts))
                each.flush()
        windows = [
            AROUND,
            Window(NOW + 7, NOW + 6 * INTERVAL_NS - 10**9),
            Window(NOW + 40 * 10**9, NOW + 41 * 10**9),
        ]
        for scope, window, limit in itertools.product((ENGINEER, Scope.of("t", "n1")), windows, (1, 5, 20)):
            expected = in_ns(embedded.reader(scope).worst_calls(window, limit=limit))
            found = in_ns(store.reader(scope).worst_calls(window, limit=limit))
            assert [rounded(row) for row in expected] == [rounded(row) for row in found]
        embedded.close()

    def test_tag_values_narrow_by_tags(self, writer: Writer, reader: Reader) -> None:
        rows = [minute(SESSION_MINUTE, trunk=t, node=n) for t, n in ("ax", "bx", "cy")]
        _write(writer, "session_minute", rows)
        assert ["a", "b"] == reader.tag_values("session_minute", "trunk", AROUND, where={"node": ["x"]})

    # --- calls -------------------------------------------------------------------------------------------------

    def test_calls_come_newest_first_in_pages_that_do_not_overlap(self, writer: Writer, reader: Reader) -> None:
        records = [call(call_id=f"c{i}", ended_ns=NOW + i // 3 * 10**9) for i in range(10)]
        writer.write("call", call_batch(records))
        writer.flush()
        whole = reader.calls(AROUND)
        ids = whole.rows["call_id"].to_pylist()
        times = [row["time"] for row in in_ns(whole.rows)]
        assert (10, sorted(times, reverse=True)) == (whole.total, times)
        pages = [reader.calls(AROUND, limit=4, offset=offset) for offset in (0, 4, 8, 12)]
        assert ids == [call_id for page in pages for call_id in page.rows["call_id"].to_pylist()]
        assert [10] * 4 == [page.total for page in pages]

    def test_a_page_of_no_rows_still_counts(self, writer: Writer, reader: Reader) -> None:
        writer.write("call", call_batch([call(call_id=f"c{i}") for i in range(3)]))
        writer.flush()
        assert [(0, 3)] == [(p.rows.num_rows, p.total) for p in (reader.calls(AROUND, limit=0),)]

    @pytest.mark.parametrize(
        ("match", "found"),
        [
            (CallMatch(), ["alpha@sbc", "beta@sbc"]),
            (CallMatch(contains="alpha"), ["alpha@sbc"]),
            (CallMatch(contains="SBC"), ["alpha@sbc", "beta@sbc"]),
            (CallMatch(contains="+49"), ["beta@sbc"]),
            (CallMatch(contains="xxx12"), ["alpha@sbc"]),
            (CallMatch(contains="nowhere"), []),
            (CallMatch(contains="%"), []),
            (CallMatch(contains="' OR 1=1 --"), []),
            (CallMatch(contains="\0"), []),
            (CallMatch(number="99"), ["beta@sbc"]),
            (CallMatch(number="alpha"), []),
            (CallMatch(destination="+4"), ["beta@sbc"]),
            (CallMatch(destination="xxx"), []),
            (CallMatch(sip_codes=(486, 487)), ["beta@sbc"]),
            (CallMatch(sip_codes=(404,)), []),
            (CallMatch(mos_below=3.6), ["alpha@sbc"]),
            (CallMatch(mos_below=1.0), []),
            (CallMatch(contains="sbc", number="12", sip_codes=(200,), mos_below=5.0), ["alpha@sbc"]),
        ],
    )
    def test_calls_are_searched(self, writer: Writer, reader: Reader, match: CallMatch, found: list[str]) -> None:
        records = [
            call(call_id="alpha@sbc", from_masked="xxx12", destination="+1", mos_min=3.1),
            call(call_id="beta@sbc", to_masked="xxx99", destination="+49", sip_code=486, outcome="busy"),
        ]
        writer.write("call", call_batch(records))
        writer.flush()
        page = reader.calls(AROUND, match=match)
        assert (found, len(found)) == (sorted(page.rows["call_id"].to_pylist()), page.total)

    def test_calls_narrow_by_tags_and_match(self, writer: Writer, reader: Reader) -> None:
        records = [call(call_id=f"{o}-{n}", outcome=o) for o in ("answered", "busy", "timeout") for n in range(2)]
        writer.write("call", call_batch(records))
        writer.flush()
        page = reader.calls(
            AROUND, where={"outcome": ["busy", "timeout"], "codec": ["PCMA"]}, match=CallMatch(contains="-1")
        )
        assert (["busy-1", "timeout-1"], 2) == (sorted(page.rows["call_id"].to_pylist()), page.total)

    # --- scope -------------------------------------------------------------------------------------------------

    def test_no_query_leaves_the_scope(self, store: Store, writer: Writer) -> None:
        for tenant in ("acme", "globex"):
            writer.write("forecast", batch("forecast", [_forecast(1, 0, 1.0, tenant=tenant)]))
            writer.write("alert_event", batch("alert_event", [_alert(0, "one", "firing", tenant)]))
            writer.write("load_minute", batch("load_minute", [_load(0, tenant=tenant, arrivals=1)]))
            writer.write("call", call_batch([call(call_id=tenant, tenant=tenant)]))
        writer.flush()
        reader = store.reader(Scope.of("client", "acme"))
        foreign = {"tenant": ["globex"]}
        assert ["acme"] == reader.forecasts(EVER)["tenant"].to_pylist()
        assert ["acme"] == reader.latest("alert_event", EVER, by=["incident_id"])["tenant"].to_pylist()
        assert [1] == reader.load(AROUND, step_seconds=0)["arrivals"].to_pylist()
        assert (["acme"], 1) == (reader.calls(AROUND).rows["call_id"].to_pylist(), reader.calls(AROUND).total)
        assert [0] * 4 == [
            reader.forecasts(EVER, where=foreign).num_rows,
            reader.latest("alert_event", EVER, by=["incident_id"], where=foreign).num_rows,
            reader.load(AROUND, step_seconds=0, where=foreign).num_rows,
            reader.calls(AROUND, where=foreign).total,
        ]
        assert [2] == store.reader(ENGINEER).load(AROUND, step_seconds=0)["arrivals"].to_pylist()
