"""Session attempts and registrations of the captures, beside what is known of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sip_batches import Datagram, batch_of, hep_sip, pcap_sip

from collectors.facts import CallEnded, MediaDescription, RegistrationEnded, SipCall
from collectors.tracking.dialogs import DialogEvent, DialogSettings, DialogTracker
from telephony.model import RegistrationOutcome

pytestmark = pytest.mark.captures

LAB_HOPS = ["127.0.0.11:5061 > 127.0.0.10:5060", "127.0.0.10:5060 > 127.0.0.12:5062"]


def events_of(datagrams: list[Datagram]) -> list[DialogEvent]:
    tracker = DialogTracker(DialogSettings())
    tracker.feed(batch_of(datagrams), np.arange(len(datagrams)))
    tracker.close(max(d.at_ns for d in datagrams))
    return tracker.take_events()


def datagrams_of(captures: Path, source: str, name: str) -> list[Datagram]:
    if source == "hep":
        return list(hep_sip(captures / "hep" / f"{name}.hepbin"))
    return list(pcap_sip(captures / source / f"{name}.pcap"))


@dataclass(frozen=True, slots=True)
class Expected:
    """What a capture's one call is known to be."""

    code: int
    attempts: int = 1
    ringing: bool = True
    answered: bool = True
    duration_s: float = 0.0
    cancelled: bool = False
    released_by: str = "caller"
    hops: int = 2


CALLS = {
    "01_clean": Expected(200, duration_s=9.0),
    "02_loss2": Expected(200, duration_s=21.0),
    "03_jitter30": Expected(200, duration_s=21.0),
    "04_oneway_callee_silent": Expected(200, duration_s=9.0),
    "05_hold_reinvite": Expected(200, duration_s=21.0),
    "06_fail_404": Expected(404, ringing=False, answered=False, released_by="", hops=1),
    "07_fail_486": Expected(486, answered=False, released_by=""),
    "08_fail_503_uas": Expected(500, ringing=False, answered=False, released_by=""),
    "11_invite_407_ok": Expected(200, attempts=2, duration_s=9.0),
    "12_codec_488": Expected(488, ringing=False, answered=False, released_by=""),
    "13_abandoned_cancel": Expected(487, answered=False, cancelled=True),
    "16_dtmf": Expected(200, duration_s=13.0),
    "20_net_clean": Expected(200, duration_s=25.1),
    "21_net_loss3": Expected(200, duration_s=40.1),
}


def figures(call: SipCall) -> Expected:
    return Expected(
        call.sip_code,
        call.attempts,
        bool(call.ringing_ns),
        bool(call.answered_ns),
        round((call.ended_ns - call.answered_ns) / 1e9, 1) if call.answered_ns else 0.0,
        call.cancelled,
        call.released_by,
        len(call.hops),
    )


@pytest.mark.parametrize("source", ["hep", "lab"])
@pytest.mark.parametrize("name", CALLS)
def test_call(captures: Path, source: str, name: str) -> None:
    calls = [e.call for e in events_of(datagrams_of(captures, source, name)) if isinstance(e, CallEnded)]
    assert [CALLS[name]] == [figures(call) for call in calls]


@pytest.mark.parametrize("name", CALLS)
def test_post_dial_delay_is_that_of_the_callers_hop(captures: Path, name: str) -> None:
    """The oracle takes the first 18x or final answer to the last INVITE that goes back to where it came from."""
    datagrams = datagrams_of(captures, "hep", name)
    first = next(d for d in datagrams if d.payload.startswith(b"INVITE"))
    last_cseq = max(
        int(line.split()[1])
        for d in datagrams
        if d.payload.startswith(b"INVITE")
        and (d.src, d.dst) == (first.src, first.dst)
        and b"\r\nTo: " in d.payload
        for line in d.payload.split(b"\r\n")
        if line.startswith(b"CSeq") and b";tag=" not in d.payload.split(b"\r\nTo: ")[1].split(b"\r\n")[0]
    )
    responses = [
        d
        for d in datagrams
        if d.payload.startswith(b"SIP/2.0")
        and d.dst == first.src
        and not d.payload.startswith(b"SIP/2.0 100")
        and b"\r\nCSeq: %d INVITE" % last_cseq in d.payload
    ]
    (call,) = [e.call for e in events_of(datagrams) if isinstance(e, CallEnded)]
    assert (responses[0].at_ns - first.at_ns) == call.first_response_ns - call.started_ns


@pytest.mark.parametrize("source", ["hep", "lab"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("09_register_403", [("1001@lab.test", RegistrationOutcome.REJECTED, 403, True, True)]),
        ("10_register_ok", [("1001@lab.test", RegistrationOutcome.REGISTERED, 200, True, False)]),
        (
            "20_net_clean",
            [
                (f"{user}@lab.test", outcome, 200, True, False)
                for outcome in (RegistrationOutcome.REGISTERED, RegistrationOutcome.UNREGISTERED)
                for user in (2001, 2002)
            ],
        ),
    ],
)
def test_registrations(captures: Path, source: str, name: str, expected: list[tuple[object, ...]]) -> None:
    events = events_of(datagrams_of(captures, source, name))
    found = [e for e in events if isinstance(e, RegistrationEnded)]
    assert expected == [(e.aor, e.outcome, e.sip_code, e.challenged, e.auth_failed) for e in found]


def test_hops_and_tenant_key_of_the_proxy(captures: Path) -> None:
    (call,) = [e.call for e in events_of(datagrams_of(captures, "hep", "01_clean")) if isinstance(e, CallEnded)]
    assert (LAB_HOPS, "labkey", 2001) == (call.hops, call.tenant_key, call.node_id)


def test_hold_of_every_hop(captures: Path) -> None:
    events = events_of(datagrams_of(captures, "hep", "05_hold_reinvite"))
    held = [m for m in events if isinstance(m, MediaDescription) and m.sendrecv != "sendrecv"]
    assert [
        (True, "127.0.0.11:40000", "sendonly"),
        (True, "127.0.0.20:30232", "sendonly"),
        (False, "127.0.0.12:41000", "recvonly"),
        (False, "127.0.0.20:30254", "recvonly"),
    ] == [(m.from_caller, str(m.endpoint), m.sendrecv) for m in held]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # (code, attempts, released by, hops) of each call
        ("sipnab_sip-proxy", [(200, 1, "callee", 2)]),
        ("sipnab_register-invite-reinvite-bye", [(200, 1, "caller", 1)]),
        ("ws_MagicJack-_short_call", [(200, 2, "callee", 1)]),
    ],
)
def test_public_captures(captures: Path, name: str, expected: list[tuple[object, ...]]) -> None:
    events = events_of(datagrams_of(captures, "public", name))
    calls = [e.call for e in events if isinstance(e, CallEnded)]
    assert expected == [(c.sip_code, c.attempts, c.released_by, len(c.hops)) for c in calls]


def test_fax_goes_over_to_t38(captures: Path) -> None:
    events = events_of(datagrams_of(captures, "public", "ws_FAX-Call-t38-CA-TDM-SIP-FB-1"))
    media = [m for m in events if isinstance(m, MediaDescription)]
    assert [("audio", False), ("audio", True), ("image", True)] == list(
        dict.fromkeys((m.media, m.is_reinvite) for m in media)
    )
