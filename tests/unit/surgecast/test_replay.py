"""Replays: files in order of time, second by second, by the capture's own clock."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hep_traffic import CALLEE_SSRC, CALLER_SSRC, S_NS, START_NS, HepTraffic, report

from collectors.capture.base import CaptureError
from collectors.facts import DATAGRAM
from collectors.settings import CollectorSettings
from storage.open import open_store
from storage.seam import Scope, Window
from surgecast.replay import MAX_STEP_NS, by_second, replay_files
from telephony.model import Outcome


def file_of(path: Path, traffic: HepTraffic) -> Path:
    path.write_bytes(b"".join(struct.pack(">I", len(d)) + d for d in traffic.datagrams))
    return path


def slices(times: list[int], newest_ns: int = 0) -> list[tuple[list[int], int]]:
    rows = np.zeros(len(times), DATAGRAM)
    rows["captured_ns"] = times
    return [(part["captured_ns"].tolist(), clock) for part, _, clock in by_second(rows, newest_ns)]


T = START_NS
FAR = T + 2 * MAX_STEP_NS


@pytest.mark.parametrize(
    ("expected", "times", "newest_ns"),
    [
        pytest.param([], [], 0, id="nothing"),
        pytest.param([([T], T)], [T], 0, id="one"),
        pytest.param([([T, T + 5], T + 5), ([T + S_NS], T + S_NS)], [T, T + 5, T + S_NS], 0, id="two seconds"),
        pytest.param([([T + 9, T], T + 9)], [T + 9, T], 0, id="out of order"),
        pytest.param([([T], T + 50 * S_NS)], [T], T + 50 * S_NS, id="late data does not turn the clock back"),
        pytest.param([([T, FAR, T + 1], T + 1)], [T, FAR, T + 1], 0, id="a wrong time between right ones"),
        pytest.param([([T, T + 1, FAR], T + 1)], [T, T + 1, FAR], 0, id="a wrong time at the end"),
        pytest.param([([FAR], FAR)], [FAR], T, id="a gap between batches is believed"),
        pytest.param([([T], T), ([FAR, FAR + 1], FAR + 1)], [T, FAR, FAR + 1], 0, id="a gap in a batch as well"),
    ],
)
def test_by_second(expected: list[tuple[list[int], int]], times: list[int], newest_ns: int) -> None:
    assert expected == slices(times, newest_ns)


def test_reports_meet_the_call_that_had_the_port_then(tmp_path: Path) -> None:
    traffic = HepTraffic()
    for i, call_id in enumerate(("first", "second")):
        start = 120 * i
        traffic.invite(start, call_id).answer(start + 1, 200, call_id)
        for k in range(1, 4):
            told = report(250 * k - 10 * k * i, 10 * k * i, of=CALLER_SSRC + i, by=CALLEE_SSRC + i)
            traffic.rtcp(start + 1 + 5 * k, told, ssrc=CALLEE_SSRC + i)
        traffic.bye(start + 20, call_id)
    result = replay_files([file_of(tmp_path / "calls.hepbin", traffic)], CollectorSettings())
    assert {"first": (False, 4.3), "second": (True, 4.3)} == {
        call.call_id: ((call.mos_min or 0) < 4.3, 4.3) for call in result.calls
    }
    assert {("first", 0), ("second", 1)} == {(s.call_id, min(s.lost or 0, 1)) for s in result.streams}


def test_files_are_one_capture_in_the_order_given(tmp_path: Path) -> None:
    whole = HepTraffic().answered_call()
    half = len(whole.datagrams) // 2
    files = [
        file_of(tmp_path / "1.hepbin", HepTraffic(datagrams=whole.datagrams[:half])),
        file_of(tmp_path / "2.hepbin", HepTraffic(datagrams=whole.datagrams[half:])),
    ]
    once = replay_files([file_of(tmp_path / "0.hepbin", whole)], CollectorSettings())
    split = replay_files(files, CollectorSettings())
    assert (once.calls, once.intervals, once.streams) == (split.calls, split.intervals, split.streams)
    assert [Outcome.ANSWERED] == [call.outcome for call in split.calls]


def test_a_wrong_name_costs_nothing_before_it_is_told(tmp_path: Path) -> None:
    good = file_of(tmp_path / "good.hepbin", HepTraffic().answered_call())
    store = tmp_path / "store"
    with pytest.raises(CaptureError, match="missing"):
        replay_files([good, tmp_path / "missing.hepbin"], CollectorSettings(), store_url=f"embedded:{store}")


def test_one_wrong_time_does_not_spoil_the_rest(tmp_path: Path) -> None:
    traffic = HepTraffic().answered_call()
    stray = HepTraffic().invite(40 * 365 * 86_400, "stray").datagrams[0]
    traffic.datagrams.insert(3, stray)
    result = replay_files([file_of(tmp_path / "stray.hepbin", traffic)], CollectorSettings())
    plain = replay_files([file_of(tmp_path / "plain.hepbin", HepTraffic().answered_call())], CollectorSettings())
    (call,) = (call for call in result.calls if call.call_id == "c1")
    assert plain.calls == [call]
    assert {} == result.shed


def test_what_a_replay_finds_can_go_to_a_store(tmp_path: Path) -> None:
    url = f"embedded:{tmp_path / 'store'}"
    path = file_of(tmp_path / "call.hepbin", HepTraffic().answered_call(loss=5))
    result = replay_files([path], CollectorSettings(), store_url=url)
    store = open_store(url)
    reader = store.reader(Scope.everything("test"))
    window = Window(START_NS, START_NS + 3600 * S_NS)
    stored = {name: reader.select(name, window).num_rows for name in ("call", "stream_interval", "sip_message")}
    trace = reader.call("c1")
    store.close()
    assert {"call": 1, "stream_interval": len(result.intervals), "sip_message": len(result.messages)} == stored
    assert trace.call is not None
    assert "answered" == trace.call["outcome"]


def test_an_empty_file_is_no_capture(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(CaptureError, match="starts with nothing"):
        replay_files([tmp_path / "empty"], CollectorSettings())
