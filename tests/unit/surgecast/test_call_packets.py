"""`call --pcap`: of a simulated network, the packets of one call and nothing else, or why there are none."""

import struct
import subprocess
import threading
from pathlib import Path

import pytest
from cli_runner import surgecast

from collectors.capture.hepfile import HepFileSource
from collectors.capture.packetbuffer import BufferedSource, PacketBuffer
from collectors.settings import CollectorSettings, PacketBufferSettings
from collectors.wire.hep import HepParser
from surgecast.replay import replay_files
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.engine import simulate_to_datagrams
from surgecast.simulator.incidents import IncidentPlan
from surgecast.simulator.network import collector_config
from surgecast.simulator.truth import CallTruth
from telephony.model import Outcome


class Network:
    """A store and a packet buffer that took the same traffic."""

    def __init__(self, folder: Path) -> None:
        datagrams, truth = simulate_to_datagrams(40, 5, 60, plan=IncidentPlan())
        hep = folder / "network.hepbin"
        hep.write_bytes(b"".join(struct.pack("!I", len(data)) + data for _, data in datagrams))
        self.store = f"embedded:{folder / 'store'}"
        replay_files([hep], CollectorSettings(**collector_config(DEMO_NETWORK)), store_url=self.store)
        self.packets = folder / "packets"
        buffer = PacketBuffer(self.packets, PacketBufferSettings())
        source = BufferedSource(HepFileSource(hep, HepParser()), buffer)
        source.run(lambda batch: None, threading.Event())
        buffer.close()
        self.buffered = folder / "with.yaml"
        self.buffered.write_text(f"collect: {{packet_buffer: {{directory: {self.packets}}}}}\n")
        self.plain = folder / "without.yaml"
        self.plain.write_text("{}\n")
        self.call: CallTruth = max(
            (c for c in truth.ended if c.outcome is Outcome.ANSWERED),
            key=lambda c: sum(s.reports for s in c.streams),
        )

    def run(self, *arguments: object, config: Path | None = None, call_id: str = ""):
        return surgecast(
            "call", call_id or self.call.call_id, "--store", self.store, "-c", config or self.buffered, *arguments
        )


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Network:
    return Network(tmp_path_factory.mktemp("network"))


def test_the_packets_of_a_call_are_saved(network, tmp_path):
    ran = network.run("--pcap", tmp_path / "call.pcapng", "--json")
    assert (ran.code, ran.err) == (0, "")
    replayed = replay_files([tmp_path / "call.pcapng"], CollectorSettings())
    assert {call.call_id for call in replayed.calls} == {network.call.call_id}
    assert {stream.ssrc for stream in replayed.streams} == {stream.ssrc for stream in network.call.streams}
    assert ran.json["packets"] == replayed.capture.frames == ran.json["sip"] + ran.json["rtcp"]


def test_it_says_what_it_saved(network, tmp_path):
    ran = network.run("--pcap", tmp_path / "call.pcapng")
    assert ran.code == 0
    assert f"{tmp_path / 'call.pcapng'}: " in ran.out
    assert " RTCP" in ran.out


def test_without_a_buffer_it_says_how_to_have_one(network, tmp_path):
    ran = network.run("--pcap", tmp_path / "call.pcapng", config=network.plain)
    assert ran.code == 3
    assert "set collect.packet_buffer.directory" in ran.err
    assert not (tmp_path / "call.pcapng").exists()


def test_a_call_that_the_store_does_not_know_is_not_found(network, tmp_path):
    assert network.run("--pcap", tmp_path / "call.pcapng", call_id="nobody@nowhere").code == 3


def test_tenants_get_no_packets(network, tmp_path):
    ran = network.run("--pcap", tmp_path / "call.pcapng", "--tenant", network.call.labels.tenant)
    assert ran.code == 4
    assert "engineers" in ran.err


def test_a_target_that_cannot_be_written_is_named(network, tmp_path):
    ran = network.run("--pcap", tmp_path / "no" / "call.pcapng")
    assert ran.code == 1
    assert "call.pcapng: cannot be written" in ran.err


def test_tshark_opens_it(network, tmp_path, require_program):
    path = tmp_path / "call.pcapng"
    network.run("--pcap", path)
    shown = subprocess.run(
        [
            require_program("tshark"),
            "-r",
            path,
            "-T",
            "fields",
            "-e",
            "sip.Call-ID",
            "-e",
            "rtcp.pt",
            "-e",
            "_ws.malformed",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    lines = [line.split("\t") for line in shown]
    assert {line[0] for line in lines} == {network.call.call_id, ""}
    assert all(line[0] or "200" in line[1] or "201" in line[1] for line in lines)
    assert {line[2] for line in lines} == {""}


def test_a_deep_dive_prints_what_tshark_knows(network, require_program):
    require_program("tshark")
    ran = network.run("--deep", "--json")
    assert ran.code == 0
    assert {step["call_id"] for step in ran.json["deep"]["sip"]} == {network.call.call_id}
    assert {report["sender_ssrc"] for report in ran.json["deep"]["rtcp"]} >= {s.ssrc for s in network.call.streams}


def test_a_deep_dive_can_be_read(network, tmp_path, require_program):
    require_program("tshark")
    ran = network.run("--deep", "--pcap", tmp_path / "call.pcapng")
    assert ran.code == 0
    assert [title for title in ("SIP", "SDP", "RTP streams", "RTCP", "expert") if title not in ran.out] == []
    assert (tmp_path / "call.pcapng").exists()


def test_without_tshark_it_says_so(network, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    ran = network.run("--deep")
    assert ran.code == 5
    assert "tshark is not installed" in ran.err
