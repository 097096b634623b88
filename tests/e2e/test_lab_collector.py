"""The collector against real kamailio, rtpengine, sipp and baresip: what it says about calls of known truth."""

import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from lab.namespace import udp_is_bound, wait_until
from lab.phones import phone_call
from lab.scenarios import CALLS, REGISTRATIONS, Expected, Kind, Registration
from lab.stack import HEP_KEY, HEP_PORT, MEDIA_NODE, PROXY_NODE, LabStack

from storage.open import open_store
from storage.seam import Reader, Scope, Window
from telephony.model import Outcome, RegistrationOutcome, ReleasedBy

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

TENANT = "lab"
FRESH_SECONDS = 20.0
"""A call that was placed, or ended, must be visible within this: five seconds, on a machine that is busy."""
RECORD_SECONDS = 90.0
"""A call's record and the minute's counts wait for the reports of its last seconds and for late messages."""
START_SECONDS = 120.0
"""The first start on a machine compiles the kernels."""

MICROSECONDS = pa.timestamp("us", tz="UTC")
Row = Mapping[str, Any]


class Collector:
    """A collector running in the lab, and the store it writes."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.store = open_store(url)
        self._since_ns = time.time_ns()

    @property
    def reader(self) -> Reader:
        """Read as an operator of the tenant: traffic of nobody's is not seen."""
        return self.store.reader(Scope.of("test", TENANT))

    def window(self) -> Window:
        """Return all of the test so far."""
        minute_ns = 60_000_000_000
        return Window(self._since_ns - minute_ns, time.time_ns() + minute_ns)

    def rows(self, measurement: str) -> list[Row]:
        """Return everything stored of a measurement, in order of time."""
        table = self.reader.select(measurement, self.window(), limit=100_000)
        micro = [f.with_type(MICROSECONDS) if pa.types.is_timestamp(f.type) else f for f in table.schema]
        rows: list[Row] = table.cast(pa.schema(micro), safe=False).to_pylist()  # datetime has no nanoseconds
        return rows

    def states(self) -> dict[str, Row]:
        """Return the newest state of each call."""
        return {row["call_id"]: row for row in self.rows("call_now")}

    def records(self) -> dict[str, Row]:
        """Return the record of each call that is over and rated."""
        return {row["call_id"]: row for row in self.rows("call")}

    def stop(self) -> None:
        """End it the way a service manager does; it writes all it holds."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0


@contextmanager
def collecting(lab: LabStack, folder: Path) -> Iterator[Collector]:
    """Run `surgecast up --roles collect` in the lab."""
    url = f"embedded:{folder / 'store'}"
    config = folder / "surgecast.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "collect": {
                    "listeners": [{"transport": "udp", "host": "127.0.0.1", "port": HEP_PORT}],
                    "require_auth": True,
                    "auth_exempt_networks": ["127.0.0.1/32"],  # rtpengine, which cannot send a key
                    "tenants": [{"name": TENANT, "hep_keys": [HEP_KEY], "sip_domains": ["lab.test"]}],
                    "nodes": [
                        {"capture_id": PROXY_NODE, "name": "proxy-1", "region": "lab"},
                        {"capture_id": MEDIA_NODE, "name": "media-1", "region": "lab"},
                    ],
                },
                "storage": {"url": url},
            }
        )
    )
    argv = [sys.executable, "-m", "surgecast.cli", "up", "-c", str(config), "--roles", "collect"]
    process = lab.popen(argv, "surgecast")
    log = lab.folder / "surgecast.log"

    def listening() -> bool:
        assert process.poll() is None, log.read_text()
        return udp_is_bound(process.pid, HEP_PORT)

    wait_until(listening, "the collector's HEP port", START_SECONDS)
    collector = Collector(process, url)
    try:
        yield collector
    finally:
        collector.store.close()


def _outcome(row: Row | None) -> Expected | None:
    return Expected(Outcome(row["outcome"]), row["sip_code"]) if row and row["outcome"] else None


def _loss_ratio(intervals: Sequence[Row]) -> float:
    lost, expected = (sum(row[field] for row in intervals) for field in ("lost", "expected"))
    return float(lost / expected)


def _wait_for(what: str, seconds: float, read: Callable[[], object], expected: object) -> None:
    """Wait until what is read is as expected; a failure shows the difference."""
    try:
        wait_until(lambda: read() == expected, what, seconds)
    except TimeoutError:
        assert read() == expected, f"{what}: not within {seconds:g} s"


def test_calls_are_seen_and_end_as_they_did(lab: LabStack, tmp_path: Path) -> None:
    with collecting(lab, tmp_path) as collector:
        calls = {kind: lab.call(kind, seconds=6) for kind in Kind}
        known = {call.call_id for call in calls.values()}
        _wait_for("every call placed is seen", FRESH_SECONDS, lambda: known & collector.states().keys(), known)

        lab.finish()

        def outcomes() -> dict[Kind, Expected | None]:
            states = collector.states()
            return {kind: _outcome(states.get(calls[kind].call_id)) for kind in over}

        over = {kind: expected for kind, expected in CALLS.items() if kind is not Kind.VANISHED}
        _wait_for("every outcome is seen", FRESH_SECONDS, outcomes, over)
        assert collector.states()[calls[Kind.VANISHED].call_id]["state"] == "answered", "nobody said that it ended"

        def recorded() -> dict[Kind, Expected | None]:
            records = collector.records()
            return {kind: _outcome(records.get(calls[kind].call_id)) for kind in over}

        _wait_for("every call that is over is recorded", RECORD_SECONDS, recorded, over)
        records = collector.records()
        challenged = {kind for kind in over if records[calls[kind].call_id]["attempts"] == 2}
        assert challenged == {Kind.SECURE, Kind.WRONG_PASSWORD}, "INVITEs folded into one session attempt"
        assert sum(row["attempts"] for row in collector.rows("session_minute")) == len(calls)
        released = {
            kind: records[calls[kind].call_id]["released_by"] for kind in (Kind.ANSWERED, Kind.CALLEE_RELEASES)
        }
        assert released == {Kind.ANSWERED: ReleasedBy.CALLER, Kind.CALLEE_RELEASES: ReleasedBy.CALLEE}
        assert records[calls[Kind.ANSWERED].call_id]["duration_s"] == pytest.approx(6.0, abs=0.5)
        collector.stop()


def test_loss_is_measured_on_the_side_that_had_it(lab: LabStack, tmp_path: Path) -> None:
    with collecting(lab, tmp_path) as collector:
        call = lab.call(Kind.ANSWERED, seconds=6, skip_every=10)
        lab.finish()
        wait_until(lambda: call.call_id in collector.records(), "the call's record", RECORD_SECONDS)
        intervals = [row for row in collector.rows("stream_interval") if row["call_id"] == call.call_id]
        of_caller = [row for row in intervals if row["ssrc"] == call.caller_ssrc]
        of_callee = [row for row in intervals if row["ssrc"] == call.callee_ssrc]

        assert _loss_ratio(of_caller) == pytest.approx(0.1, abs=0.02)
        assert _loss_ratio(of_callee) == 0.0
        assert {row["codec"] for row in intervals} == {"PCMA"}
        # The ends of a call hold too few packets to be rated.
        assert min(row["mos"] for row in of_callee if row["mos"] is not None) > 4.3
        assert max(row["mos"] for row in of_caller if row["mos"] is not None) < 3.9


def test_registrations_end_as_they_did(lab: LabStack, tmp_path: Path) -> None:
    with collecting(lab, tmp_path) as collector:
        for kind in Registration:
            lab.register(kind)
        lab.finish()

        def counted() -> dict[RegistrationOutcome, int]:
            rows = collector.rows("registration_minute")
            return {outcome: sum(row[outcome.value] or 0 for row in rows) for outcome in RegistrationOutcome}

        expected = dict.fromkeys(RegistrationOutcome, 0) | dict.fromkeys(REGISTRATIONS.values(), 1)
        _wait_for("every registration is counted", RECORD_SECONDS, counted, expected)


def test_phones_are_rated_by_their_own_reports(
    lab: LabStack, tmp_path: Path, require_program: Callable[[str], str]
) -> None:
    require_program("baresip")
    with collecting(lab, tmp_path) as collector:
        phone_call(lab, require_program, seconds=12)
        wait_until(collector.records, "the call's record", RECORD_SECONDS)
        (record,) = collector.records().values()
        intervals = collector.rows("stream_interval")
        assert record["outcome"] == Outcome.ANSWERED
        assert record["codecs"] == ["G722"]
        assert {row["clock_rate_hz"] for row in intervals} == {8000}
        assert {row["direction"] for row in intervals} == {"to_callee", "to_caller"}
        # Typical, not greatest: phones on a busy machine send late; ticks of a wrong clock are far off.
        assert statistics.median(row["jitter_ms"] for row in intervals if row["jitter_ms"] is not None) < 60
        assert any(row["rtt_ms"] is not None and 0 <= row["rtt_ms"] < 200 for row in intervals)
