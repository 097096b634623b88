"""`surgecast replay --json` as a contract: its keys, and the facts of every capture of the lab."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from capture_truth import dropped, manifest, sip_of, timings_of
from cli_runner import surgecast

from telephony.quality import assess

STREAM_KEYS = [
    "ssrc", "src", "dst", "payload_types", "codec", "clock_rate_hz", "observer", "expected", "received", "lost",
    "duplicates", "reordered", "jitter_mean_ms", "jitter_max_ms", "burst_ratio", "r_factor", "mos", "mos_scale",
    "verdicts", "call_id",
]  # fmt: skip
CALL_KEYS = [
    "call_id", "outcome", "sip_code", "attempts", "pdd_ms", "duration_s", "released_by", "one_way",
    "degraded_ratio", "legs", "codecs", "hops",
]  # fmt: skip
REGISTRATION_KEYS = ["aor", "outcome", "sip_code", "challenged"]
OUTCOMES = {
    "answered", "busy", "no_answer", "rejected", "abandoned", "redirected", "challenged", "no_facility", "timeout",
    "client_error",
}  # fmt: skip
RTCP_OBSERVERS = {"rtcp_rr", "rtcp_xr", "vq_report"}

pytestmark = pytest.mark.captures


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SURGECAST_CONFIG", raising=False)


_REPLAYED: dict[Path, Any] = {}


def replayed(path: Path) -> Any:
    """Return what `replay --json` says of a capture; each is replayed once."""
    if path not in _REPLAYED:
        ran = surgecast("replay", path, "--json")
        assert 0 == ran.code, ran.err
        _REPLAYED[path] = ran.json
    return _REPLAYED[path]


class Call(NamedTuple):
    """What a scenario's one call came to."""

    outcome: str
    sip_code: int | None
    released_by: str | None
    one_way: bool | None
    codecs: tuple[str, ...] = ("PCMA",)
    hops: int = 2


CALLS = {
    "01_clean": Call("answered", 200, "caller", False),
    "02_loss2": Call("answered", 200, "caller", False),
    "03_jitter30": Call("answered", 200, "caller", False),
    "04_oneway_callee_silent": Call("answered", 200, "caller", True),
    "05_hold_reinvite": Call("answered", 200, "caller", False),
    "06_fail_404": Call("client_error", 404, None, None, hops=1),
    "07_fail_486": Call("busy", 486, None, None),
    "08_fail_503_uas": Call("no_facility", 500, None, None),  # the proxy gives the callee's 503 on as 500
    "11_invite_407_ok": Call("answered", 200, "caller", False),
    "12_codec_488": Call("client_error", 488, None, None, ("G729",)),
    "13_abandoned_cancel": Call("no_answer", 487, "caller", None),  # it had rung
    "16_dtmf": Call("answered", 200, "caller", False),
    "20_net_clean": Call("answered", 200, "caller", False),
    "21_net_loss3": Call("answered", 200, "caller", False),
}
REGISTRATIONS = {
    "09_register_403": [("1001@lab.test", "rejected", 403, True)],
    "10_register_ok": [("1001@lab.test", "registered", 200, True)],
    "20_net_clean": [
        ("2001@lab.test", "registered", 200, True),
        ("2001@lab.test", "unregistered", 200, True),
        ("2002@lab.test", "registered", 200, True),
        ("2002@lab.test", "unregistered", 200, True),
    ],
    "21_net_loss3": [
        ("2001@lab.test", "registered", 200, True),
        ("2001@lab.test", "unregistered", 200, True),
        ("2002@lab.test", "registered", 200, True),
        ("2002@lab.test", "unregistered", 200, True),
    ],
}
ENDS_EARLY = {"21_net_loss3.pcap"}
"""Captures that end before the phones unregister."""
SCENARIOS = sorted(CALLS.keys() | REGISTRATIONS.keys())
FILES = [
    *(
        f"{folder}/{name}{suffix}"
        for folder, suffix in (("hep", ".hepbin"), ("lab", ".pcap"))
        for name in SCENARIOS
    ),
    "hep/one_of_each.hepbin",
]


@pytest.mark.parametrize("name", FILES)
class TestEveryCapture:
    """Each HEP file and each packet capture of the lab."""

    def test_keys_are_exactly_those_of_the_contract(self, captures: Path, name: str) -> None:
        found = replayed(captures / name)
        assert ["streams", "calls", "registrations", "rtcp", "capture"] == list(found)
        assert {tuple(STREAM_KEYS)} >= {tuple(stream) for stream in found["streams"]}
        assert {tuple(CALL_KEYS)} >= {tuple(call) for call in found["calls"]}
        assert {tuple(REGISTRATION_KEYS)} >= {tuple(registration) for registration in found["registrations"]}
        assert ["reports", "rejected"] == list(found["rtcp"])
        assert ["frames", "bytes", "errors", "drops"] == list(found["capture"])

    def test_figures_are_possible(self, captures: Path, name: str) -> None:
        found = replayed(captures / name)
        for stream in found["streams"]:
            assert int(stream["ssrc"], 16) <= 0xFFFF_FFFF
            assert stream["mos"] is None or 1 <= stream["mos"] <= 4.5
            assert (stream["mos"] is None) == (stream["r_factor"] is None) == (stream["mos_scale"] is None)
            if stream["expected"] is not None and stream["observer"] in RTCP_OBSERVERS:
                assert stream["expected"] == stream["received"] + stream["lost"]
            for end in ("src", "dst"):
                assert stream[end].rpartition(":")[2].isdigit()
        for call in found["calls"]:
            assert call["outcome"] in OUTCOMES
            assert call["degraded_ratio"] is None or 0 <= call["degraded_ratio"] <= 1
            assert (call["duration_s"] is not None) == (call["outcome"] == "answered")

    def test_nothing_was_lost_on_the_way(self, captures: Path, name: str) -> None:
        found = replayed(captures / name)
        assert ({}, {}, 0) == (found["capture"]["errors"], found["capture"]["drops"], found["rtcp"]["rejected"])


@pytest.mark.parametrize("name", [name for name in FILES if Path(name).stem in CALLS])
class TestOneCall:
    """The captures that hold one call."""

    def call(self, captures: Path, name: str) -> Any:
        (call,) = replayed(captures / name)["calls"]
        return call

    def test_it_came_to_what_it_did(self, captures: Path, name: str) -> None:
        call = self.call(captures, name)
        assert CALLS[Path(name).stem] == Call(
            call["outcome"],
            call["sip_code"],
            call["released_by"],
            call["one_way"],
            tuple(call["codecs"]),
            len(call["hops"]),
        )
        assert (1, 1) == (call["attempts"], call["legs"])

    def test_its_timings_are_the_captures_own(self, captures: Path, name: str) -> None:
        call, truth = self.call(captures, name), timings_of(captures / name)
        assert pytest.approx(truth.pdd_ms, abs=0.01) == call["pdd_ms"]
        if truth.duration_s is None:
            assert call["duration_s"] is None
        else:
            assert pytest.approx(truth.duration_s, abs=0.001) == call["duration_s"]

    def test_its_hops_are_the_captures_own(self, captures: Path, name: str) -> None:
        call = self.call(captures, name)
        invites = [m for m in sip_of(captures / name) if m.method == "INVITE" and not m.status]
        invites = [m for m in invites if m.call_id == call["call_id"]]
        assert list(dict.fromkeys(f"{m.src} > {m.dst}" for m in invites)) == call["hops"]


@pytest.mark.parametrize("name", [name for name in FILES if Path(name).stem in REGISTRATIONS])
def test_registrations(captures: Path, name: str) -> None:
    found = [tuple(r[key] for key in REGISTRATION_KEYS) for r in replayed(captures / name)["registrations"]]
    expected = REGISTRATIONS[Path(name).stem]
    if Path(name).name in ENDS_EARLY:
        expected = [registration for registration in expected if registration[1] == "registered"]
    assert expected == sorted(found)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_hep_and_packets_of_one_scenario_agree(captures: Path, scenario: str) -> None:
    hep, packets = (replayed(captures / f"{f}/{scenario}{s}") for f, s in (("hep", ".hepbin"), ("lab", ".pcap")))
    same = ("call_id", "outcome", "sip_code", "attempts", "released_by", "one_way", "legs", "codecs", "hops")
    assert [{k: call[k] for k in same} for call in hep["calls"]] == [
        {k: call[k] for k in same} for call in packets["calls"]
    ]
    for seen, heard in zip(packets["calls"], hep["calls"], strict=True):
        assert pytest.approx(seen["duration_s"], abs=0.01) == heard["duration_s"]
        assert pytest.approx(seen["pdd_ms"], abs=5) == heard["pdd_ms"]
    if f"{scenario}.pcap" not in ENDS_EARLY:
        assert hep["registrations"] == packets["registrations"]
    loss = [
        {(s["ssrc"], s["dst"]): (s["expected"], s["lost"]) for s in found["streams"] if s["observer"] == "rtcp_rr"}
        for found in (hep, packets)
    ]
    assert loss[0] == loss[1]


class TestReports:
    """Loss, jitter and MOS as receivers reported them."""

    def streams(self, captures: Path, name: str, observer: str = "rtcp_rr") -> list[Any]:
        return [s for s in replayed(captures / name)["streams"] if s["observer"] == observer]

    @pytest.mark.parametrize("name", ["hep/21_net_loss3.hepbin", "lab/21_net_loss3.pcap"])
    def test_loss_is_what_the_impairer_dropped(self, captures: Path, name: str) -> None:
        """Reports end before the stream does: what comes after the last one, at most 10 packets, nobody told."""
        truth = dropped(manifest(captures / "lab" / "MANIFEST.tsv")["21_net_loss3.pcap"])
        streams = {int(s["ssrc"], 16): s for s in self.streams(captures, name)}
        assert truth.keys() == streams.keys()
        for ssrc, (offered, lost) in truth.items():
            assert offered - 10 <= streams[ssrc]["expected"] <= offered
            assert lost - 1 <= streams[ssrc]["lost"] <= lost

    @pytest.mark.parametrize("name", ["hep/20_net_clean.hepbin", "lab/20_net_clean.pcap"])
    def test_a_clean_network_loses_nothing(self, captures: Path, name: str) -> None:
        streams = self.streams(captures, name)
        assert [0, 0] == [stream["lost"] for stream in streams]
        assert all(1250 <= stream["expected"] <= 1256 for stream in streams)

    @pytest.mark.parametrize("name", [f"{n}_net_{k}" for n, k in (("20", "clean"), ("21", "loss3"))])
    def test_jitter_is_in_milliseconds(self, captures: Path, name: str) -> None:
        """8 to 25 ticks of 8 kHz, which as milliseconds would be a very bad network."""
        for stream in self.streams(captures, f"hep/{name}.hepbin"):
            assert 0.5 < stream["jitter_mean_ms"] <= stream["jitter_max_ms"] <= 3.5

    @pytest.mark.parametrize("name", ["hep/20_net_clean.hepbin", "hep/21_net_loss3.hepbin"])
    def test_mos_is_the_rating_of_the_same_figures(self, captures: Path, name: str) -> None:
        for stream in self.streams(captures, name):
            ratio = stream["lost"] / stream["expected"]
            rating = assess("PCMA", ratio, jitter_ms=stream["jitter_mean_ms"], rtt_ms=1.0, ptime_ms=20)
            assert pytest.approx(rating.mos, abs=0.01) == stream["mos"]
            assert ("PCMA", 8000, "nb") == (stream["codec"], stream["clock_rate_hz"], stream["mos_scale"])

    def test_three_percent_of_loss_is_heard(self, captures: Path) -> None:
        clean, lossy = (
            [s["mos"] for s in self.streams(captures, f"hep/{name}.hepbin")]
            for name in ("20_net_clean", "21_net_loss3")
        )
        assert max(lossy) + 0.2 < min(clean)

    @pytest.mark.parametrize("name", ["20_net_clean", "21_net_loss3"])
    def test_parties_and_the_relay_say_the_same(self, captures: Path, name: str) -> None:
        """The X-RTP-Stat of the BYE covers the whole call, reports all but its tail."""
        told = {s["dst"]: s["lost"] for s in self.streams(captures, f"hep/{name}.hepbin", "vq_report")}
        reported = {s["dst"]: s["lost"] for s in self.streams(captures, f"hep/{name}.hepbin")}
        assert reported == told

    def test_streams_are_joined_to_their_call(self, captures: Path) -> None:
        found = replayed(captures / "hep/21_net_loss3.hepbin")
        assert {found["calls"][0]["call_id"]} == {stream["call_id"] for stream in found["streams"]}


class TestPublicCaptures:
    """Captures of others, with what tshark shows in them."""

    def calls(self, captures: Path, name: str) -> list[tuple[Any, ...]]:
        keys = ("call_id", "outcome", "sip_code", "attempts", "released_by")
        return [tuple(call[key] for key in keys) for call in replayed(captures / "public" / name)["calls"]]

    def registrations(self, captures: Path, name: str) -> list[tuple[Any, ...]]:
        found = replayed(captures / "public" / name)["registrations"]
        return [tuple(registration.values()) for registration in found]

    def test_a_challenge_that_nobody_answers_is_the_outcome(self, captures: Path) -> None:
        assert [("qgf3dm9rudi@127.0.0.1", "challenged", 407, 1, None)] == self.calls(captures, "hepws_hep.pcap")

    def test_datagrams_that_are_there_three_times_count_once(self, captures: Path) -> None:
        found = replayed(captures / "public" / "hepws_hep3_compressed.pcapng")
        assert 21 == found["capture"]["frames"]
        assert [("+15145550054@rcs.st", "registered", 200, True)] == self.registrations(
            captures, "hepws_hep3_compressed.pcapng"
        )

    def test_a_call_through_a_proxy_is_one_call_of_two_hops(self, captures: Path) -> None:
        name = "sipnab_sip-proxy.pcap"
        assert [("75104938772201062721@10.33.6.101", "answered", 200, 1, "callee")] == self.calls(captures, name)
        (call,) = replayed(captures / "public" / name)["calls"]
        assert (pytest.approx(121.593), pytest.approx(2.232, abs=0.001)) == (call["pdd_ms"], call["duration_s"])
        assert 2 == len(call["hops"])

    def test_a_reinvite_changes_the_codec_of_one_call(self, captures: Path) -> None:
        name = "sipnab_register-invite-reinvite-bye.pcap"
        assert [("1-3812687@127.0.0.1", "answered", 200, 1, "caller")] == self.calls(captures, name)
        assert [("alice@example.com", "registered", 200, False)] == self.registrations(captures, name)
        assert ["PCMU", "OPUS"] == replayed(captures / "public" / name)["calls"][0]["codecs"]

    def test_a_challenged_call_that_is_answered_is_one_attempt(self, captures: Path) -> None:
        name = "ws_MagicJack-_short_call.pcap"
        call_id = "C5570127C1A6A1ABF7ED9DB9AD608CE00xc0a8000a"
        assert [(call_id, "answered", 200, 1, "callee")] == self.calls(captures, name)
        (call,) = replayed(captures / "public" / name)["calls"]
        assert (pytest.approx(6989.191), pytest.approx(4.076, abs=0.001)) == (call["pdd_ms"], call["duration_s"])

    def test_calls_whose_end_the_capture_does_not_hold(self, captures: Path) -> None:
        """One was answered and no BYE seen, one still rang when the capture ended."""
        name = "sipnab_SIP_CALL_RTP_G711.pcap"
        assert [
            ("12013223@200.57.7.195", "answered", 200, 1, "timeout"),
            ("12015624@200.57.7.195", "timeout", None, 1, "timeout"),
        ] == sorted(self.calls(captures, name))
        assert ["registered"] * 3 == [registration[1] for registration in self.registrations(captures, name)]

    def test_both_legs_of_a_fax_call_are_told(self, captures: Path) -> None:
        calls = self.calls(captures, "ws_FAX-Call-t38-CA-TDM-SIP-FB-1.pcap")
        assert [("answered", 200, 1, "caller")] * 2 == [call[1:] for call in calls]


def test_replays_without_json_are_for_people(captures: Path) -> None:
    ran = surgecast("replay", captures / "hep/21_net_loss3.hepbin")
    assert 0 == ran.code
    assert all(text in ran.out for text in ("calls", "streams", "registrations", "4bc441cbdcc2e5d4", "answered"))
    assert "46 frames, 28935 bytes; RTCP reports 18, rejected 0; errors none; drops none" in ran.out


def test_what_could_not_be_joined_is_said_on_stderr(captures: Path) -> None:
    ran = surgecast("replay", captures / "hep/one_of_each.hepbin", "--json")
    assert "of a call whose SIP was not seen" in ran.err
    assert ran.json["streams"]


@pytest.mark.parametrize(("name", "reason"), [("missing.pcap", "cannot be read"), ("notes.txt", "neither pcap")])
def test_what_is_no_capture_fails_and_says_why(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "notes.txt").write_text("call me back, it crackles")
    ran = surgecast("replay", tmp_path / name, "--json")
    assert (1, "") == (ran.code, ran.out)
    assert reason in ran.err
