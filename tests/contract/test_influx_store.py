"""The InfluxDB store passes the conformance suite, on real servers."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cli_runner import surgecast
from influx_doubles import VersionDouble, as_user
from influx_servers import ORG, PATIENCE, TOKEN, InfluxServer, influxd1, influxd2, require_influxd2, set_up
from store_conformance import (
    AROUND,
    DAY,
    DAY_NS,
    EVER,
    HOUR_NS,
    StoreConformance,
    WritingConformance,
    write_batches,
)
from store_oracle import NOW, interval, minute
from store_queries_conformance import QueriesConformance

from storage.influx.admin import init
from storage.influx.store import InfluxStore
from storage.influx.targets import Policy
from storage.rows import batch, stream_interval_batch
from storage.schema import MEASUREMENTS, SESSION_MINUTE
from storage.seam import BadQuery, Reader, Scope, StoreError, Window, Writer
from storage.settings import StorageSettings
from surgecast.commands.output import iso_time
from telephony.model import INTERVAL_NS, MINUTE_NS

_NUMBERS = itertools.count()
FOREVER = {name: {"age": "36500d"} for name in MEASUREMENTS}


PATIENT = StorageSettings.model_validate({"influx": PATIENCE})


class InfluxWriting(WritingConformance):
    """What differs on a server of its own: no batch is seen whole or not at all."""

    settings = PATIENT

    def test_another_process_is_read_while_it_writes(self, reader: Reader, store_url: str) -> None:
        """Nothing is lost or twice; a server may show half of a batch for a moment."""
        write_batches(store_url, self.settings, 12, 500)
        assert 6000 == reader.select("stream_interval", EVER, columns=["call_id"], limit=10**5).num_rows


class InfluxConformance(InfluxWriting, StoreConformance, QueriesConformance):
    """The whole contract, and what the server tells of itself."""

    series: int | None = None
    """What the server tells of the series of a measurement that has three."""
    keep_seconds: float | None = 36_500 * 86_400.0

    def test_status_tells_ages_series_and_retention(self, writer: Writer, store_url: str) -> None:
        rows = [minute(SESSION_MINUTE, trunk=trunk, time_ns=NOW + i * MINUTE_NS) for i, trunk in enumerate("abca")]
        writer.write("session_minute", batch("session_minute", rows))
        writer.flush()
        found = surgecast("store", "status", "--store", store_url, "--json").json
        ages = {"oldest": iso_time(NOW), "newest": iso_time(NOW + 3 * MINUTE_NS)}
        told = {"measurement": "session_minute", "policy": "minutes", "series": self.series}
        assert [told | ages] == found["measurements"]
        assert {(policy.value, self.keep_seconds) for policy in Policy} == {
            (policy["policy"], policy["keep_seconds"]) for policy in found["policies"]
        }

    def _ticks(self, writer: Writer) -> None:
        for tick in range(3):
            facts = [
                interval(
                    call_id=f"c{i}", ssrc=i, time_ns=NOW + tick * INTERVAL_NS, r_factor=60 + i * 7 % 31 + tick / 4
                )
                for i in range(31)
            ]
            writer.write("stream_interval", stream_interval_batch(facts))
            writer.flush()

    def test_worst_calls_are_told_by_marks(
        self, writer: Writer, reader: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self._ticks(writer)
        monkeypatch.delattr("storage.influx.reader.by_intervals")
        found = reader.worst_calls(Window(NOW - 1, NOW + 3 * INTERVAL_NS), limit=3)
        assert [("c0", 60.0, 3), ("c9", 61.0, 3), ("c18", 62.0, 3)] == [
            (row["call_id"], row["r_min"], row["intervals"]) for row in found.to_pylist()
        ]

    def test_worst_calls_of_rows_without_marks_are_found(
        self, writer: Writer, reader: Reader, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As older versions wrote them: long before marks are, so that the window has both."""
        with monkeypatch.context() as older:
            older.setattr("storage.influx.writer.worst_marks", lambda rows: None)
            fact = interval(call_id="unmarked", time_ns=NOW - 10 * MINUTE_NS, r_factor=50.0)
            writer.write("stream_interval", stream_interval_batch([fact]))
        self._ticks(writer)
        assert ["unmarked", "c0"] == reader.worst_calls(AROUND, limit=2)["call_id"].to_pylist()

    def test_marks_are_told_in_status_and_not_exported(
        self, writer: Writer, store_url: str, tmp_path: Path
    ) -> None:
        self._ticks(writer)
        found = surgecast("store", "status", "--store", store_url, "--json").json["measurements"]
        surgecast("store", "export", str(tmp_path / "out"), "--store", store_url, "--from", iso_time(NOW - 1))
        assert (["stream_interval", "stream_interval_worst"], ["stream_interval"]) == (
            [row["measurement"] for row in found],
            [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()],
        )


@pytest.fixture(scope="module")
def first(
    tmp_path_factory: pytest.TempPathFactory, require_program: Callable[[str], str]
) -> Iterator[InfluxServer]:
    server = influxd1(require_program("influxd"), tmp_path_factory.mktemp("influxd1"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def played_1_8(first: InfluxServer) -> Iterator[VersionDouble]:
    with closing(VersionDouble(first, "1.8.10")) as double:
        yield double


@pytest.fixture(scope="module")
def played_3(first: InfluxServer) -> Iterator[VersionDouble]:
    with closing(VersionDouble(first, "3.4.1")) as double:
        yield double


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    server = influxd2(require_influxd2(), tmp_path_factory.mktemp("influxd2"))
    server.start()
    set_up(server)
    yield server
    server.kill()


class TestInflux1(InfluxConformance):
    series = 3

    @pytest.fixture
    def store_url(self, first: InfluxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)  # where the spool lies
        url = f"influx://127.0.0.1:{first.port}/conformance{next(_NUMBERS)}"
        init(StorageSettings.model_validate({"url": url, "retention": FOREVER}))
        return url

    def test_status_tells_sizes_and_what_goes_next(self, writer: Writer, store_url: str) -> None:
        writer.write("session_minute", batch("session_minute", [minute(SESSION_MINUTE)]))
        writer.flush()
        policies = surgecast("store", "status", "--store", store_url, "--json").json["policies"]
        assert ["minutes"] == [policy["policy"] for policy in policies if policy["bytes"] > 0]
        assert ["minutes"] == [policy["policy"] for policy in policies if policy["next_at"]]


class TestInflux2(InfluxConformance):
    @pytest.fixture
    def store_url(self, second: InfluxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)
        url = f"influx://{TOKEN}@127.0.0.1:{second.port}/conformance{next(_NUMBERS)}"
        init(StorageSettings.model_validate({"url": url, "retention": FOREVER, "influx": {"org": ORG}}))
        return url


class TestPlayed18(InfluxWriting):
    """A 1.8, played by a double over a real 1.6: it is read as that is, and written to as 2.x is."""

    @pytest.fixture
    def store_url(self, played_1_8: VersionDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)
        url = as_user(f"influx://127.0.0.1:{played_1_8.port}/played{next(_NUMBERS)}", "user", "pass")
        init(StorageSettings.model_validate({"url": url, "retention": FOREVER}))
        return url


class TestPlayed3(InfluxConformance):
    """A 3.x, played by a double over a real 1.6: each question goes to another place and is answered otherwise."""

    keep_seconds = None

    @pytest.fixture
    def store_url(self, played_3: VersionDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)
        return as_user(f"influx://127.0.0.1:{played_3.port}/played{next(_NUMBERS)}", "user", "pass")


def test_a_3_makes_databases_itself(played_3: VersionDouble, tmp_path: Path) -> None:
    url = f"influx://a-token@127.0.0.1:{played_3.port}/fresh"
    settings = StorageSettings.model_validate({"url": url, "spool": {"directory": str(tmp_path)}})
    with pytest.raises(StoreError, match=r"InfluxDB 3.4.1 makes databases at the first write"):
        init(settings)
    store = InfluxStore(url, settings)
    found = store.reader(Scope.everything("engineer")).select("call", EVER)
    store.close()
    assert (0, {"Token a-token"}) == (found.num_rows, played_3.authorizations & {"Token a-token"})


def test_long_sums_are_read_of_hours_and_days(first: InfluxServer, tmp_path: Path) -> None:
    url = f"influx://127.0.0.1:{first.port}/rolled"
    settings = StorageSettings.model_validate(
        {
            "url": url,
            "retention": FOREVER,
            "influx": {"read_rows": 1000} | PATIENCE,
            "spool": {"directory": str(tmp_path)},
        }
    )
    init(settings)
    store = InfluxStore(url, settings)
    writer, reader = store.writer("collect"), store.reader(Scope.everything("engineer"))
    days = Window(DAY, DAY + 3 * DAY_NS)
    rows = [
        minute(SESSION_MINUTE, time_ns=time_ns) | {"attempts": 2}
        for time_ns in range(days.since_ns, days.until_ns, MINUTE_NS)
    ]
    writer.write("session_minute", batch("session_minute", rows))
    writer.flush()
    with pytest.raises(BadQuery, match="more than 1000 rows"):
        reader.sums("session_minute", days, step_seconds=86_400)
    store.maintain(time.time_ns() + HOUR_NS)
    before = reader.sums("session_minute", days, step_seconds=86_400)["attempts"].to_pylist()
    writer.write("session_minute", batch("session_minute", [rows[2000] | {"attempts": 5}]))
    writer.flush()
    late = reader.sums("session_minute", days, step_seconds=86_400)["attempts"].to_pylist()
    store.close()
    assert ([2880, 2880, 2880], [2880, 2883, 2880]) == (before, late)
