"""The lab itself: that it speaks HEP the way the parsers' facts say, before anything is measured with it."""

import json

import pytest
from lab.namespace import wait_until
from lab.scenarios import CALLS, Kind, Registration
from lab.stack import LabCall, LabStack

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def _of(call: LabCall, datagrams: list[bytes]) -> list[bytes]:
    return [datagram for datagram in datagrams if call.call_id.encode() in datagram]


def _reports(datagrams: list[bytes]) -> list[dict[str, object]]:
    """Return rtpengine's RTCP reports, JSON at the end of the datagram."""
    return [json.loads(d[d.index(b'{ "') :]) for d in datagrams if b"report_blocks" in d]


def test_every_scenario_runs_and_is_mirrored(lab: LabStack) -> None:
    sink = lab.hep_sink()
    calls = {kind: lab.call(kind, seconds=3) for kind in Kind}
    registrations = [lab.register(kind) for kind in Registration]
    lab.finish()
    wait_until(lambda: _of(registrations[-1], sink.datagrams), "the mirror of the last message")

    assert {datagram[:4] for datagram in sink.datagrams} == {b"HEP3"}
    final = {
        kind: b"SIP/2.0 %d " % CALLS[kind].sip_code in b"".join(_of(call, sink.datagrams))
        for kind, call in calls.items()
    }
    assert final == dict.fromkeys(Kind, True)


def test_reports_carry_the_loss_that_was_made(lab: LabStack) -> None:
    sink = lab.hep_sink()
    call = lab.call(Kind.ANSWERED, seconds=5, skip_every=10)
    lab.finish()

    blocks = [
        block
        for report in _reports(_of(call, sink.datagrams))
        for block in report["report_blocks"]  # type: ignore[attr-defined]
        if block["source_ssrc"] == call.caller_ssrc
    ]
    last = blocks[-1]
    expected = last["highest_seq_no"] - 1000 + 1
    assert last["packets_lost"] == pytest.approx(expected / 10, abs=1.01)
