"""A deep dive tells what tshark knows of a slice, and ends with a named reason whatever happens to it."""

import os
import stat
import time
from pathlib import Path

import numpy as np
import pytest
from packet_support import ethernet, ipv4, udp
from packetbuffer_support import T0, frames_of, invite, keep, rtp, save

from collectors import deepdive
from collectors.deepdive import DeepDive, DeepDiveError, DiveLimits, DiveTrouble, deep_dive
from collectors.facts import ReceptionReport, SenderInfo
from collectors.wire.rtcp import build_sender_report


@pytest.fixture(scope="module")
def tshark(require_program) -> str:
    return require_program("tshark")


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """Return the slice of a call of which the packets 7 and 8 are lost."""
    folder = tmp_path_factory.mktemp("dive")
    report = ReceptionReport(9, 77, 26, 2, 30, False, 80, 0, 0)
    frames = [
        ethernet(ipv4(udp(invite("one")), src="10.0.0.1", dst="10.0.0.2")),
        *(
            ethernet(ipv4(udp(rtp(n), 6000, 4000), src="10.0.0.2", dst="10.0.0.1"))
            for n in range(30)
            if n not in (7, 8)
        ),
        ethernet(
            ipv4(udp(build_sender_report(SenderInfo(9, 1 << 32, 0, 9, 9), [report]), 4001, 6001), src="10.0.0.1")
        ),
    ]
    keep(folder / "b", frames_of(frames))
    return save(folder / "b", folder).path


@pytest.fixture(scope="module")
def dive(tshark, path) -> DeepDive:
    return deep_dive(path)


def test_the_tool_is_named(dive):
    assert dive.tool.startswith("TShark")


def test_messages_are_a_ladder(dive):
    (step,) = dive.sip
    assert (step.number, step.time_ns, step.src, step.dst) == (1, T0, "10.0.0.1:5060", "10.0.0.2:5062")
    assert (step.what, step.cseq, step.call_id, step.resent) == ("INVITE sip:b@x", "1 INVITE", "one", False)


def test_session_descriptions_are_listed(dive):
    assert {"c=IN IP4 10.0.0.1", "m=audio 4000 RTP/AVP 8"} <= {line.text for line in dive.sdp}


def test_streams_are_analysed(dive):
    (stream,) = dive.streams
    assert (stream.src, stream.dst, stream.ssrc) == ("10.0.0.2:6000", "10.0.0.1:4000", 77)
    assert (stream.packets, stream.lost, stream.problems) == (28, 2, True)


def test_reports_are_listed(dive):
    (report,) = dive.rtcp
    assert (report.kind, report.sender_ssrc, report.source_ssrc) == ("SR", 9, 77)
    assert (report.fraction_lost, report.cumulative_lost, report.jitter_ticks) == (26, 2, 80)


def test_remarks_of_the_dissectors_are_listed(tshark, captures):
    found = deep_dive(captures / "lab" / "21_net_loss3.pcap")
    assert ("note", 4, "SIP") in {(e.severity, e.count, e.protocol) for e in found.experts}
    assert [s.lost for s in found.streams] == [69, 69, 59, 59]


def test_more_facts_than_wanted_are_cut(tshark, path):
    found = deep_dive(path, DiveLimits(facts=1))
    assert found.cut
    assert len(found.sip) == 1


def trouble(path: Path, limits: DiveLimits | None = None) -> tuple[DiveTrouble, str]:
    with pytest.raises(DeepDiveError) as error:
        deep_dive(path, limits)
    return error.value.trouble, str(error.value)


def test_a_missing_tshark_says_how_to_get_it(path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert trouble(path) == (
        DiveTrouble.NO_TSHARK,
        "tshark is not installed here (Debian and Ubuntu: apt install tshark)",
    )


def test_a_missing_pyshark_says_how_to_get_it(tshark, path, monkeypatch):
    monkeypatch.setattr(deepdive, "find_spec", lambda name: None)
    assert trouble(path)[0] is DiveTrouble.NO_PYSHARK


def test_a_missing_file_is_named(tshark, tmp_path):
    assert trouble(tmp_path / "none.pcapng") == (DiveTrouble.NO_FILE, f"{tmp_path / 'none.pcapng'}: no such file")


def test_what_is_no_capture_fails_with_what_tshark_says(tshark, tmp_path):
    path = tmp_path / "noise.pcapng"
    path.write_bytes(np.random.default_rng(1).bytes(5000))
    assert trouble(path)[0] is DiveTrouble.FAILED


def test_too_much_output_ends_it(tshark, path):
    assert trouble(path, DiveLimits(output_bytes=100))[0] is DiveTrouble.TOO_MUCH_OUTPUT


def test_too_little_memory_ends_it(tshark, path):
    assert trouble(path, DiveLimits(memory_bytes=40 << 20))[0] in (DiveTrouble.FAILED, DiveTrouble.TOO_MUCH_MEMORY)


def test_a_tool_that_hangs_is_ended_with_all_it_started(path, tmp_path, monkeypatch):
    hanging = tmp_path / "tshark"
    hanging.write_text(f"#!/bin/sh\necho $$ > {tmp_path / 'pid'}\nexec sleep 600\n")
    hanging.chmod(hanging.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert trouble(path, DiveLimits(seconds=8.0))[0] is DiveTrouble.TOO_SLOW
    assert _gone(int((tmp_path / "pid").read_text()))


def _gone(pid: int) -> bool:
    """Tell whether a process has ended; what was killed takes a moment to be reaped."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
    return False
