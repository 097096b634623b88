"""The notebook of the deep dive runs from the first cell to the last on a call of the simulator's own RTP."""

import struct
from pathlib import Path

import jupytext
import nbclient
import pytest

from surgecast.simulator.engine import EXAMPLE_START_NS, Engine
from surgecast.simulator.incidents import Impairment, Incident, IncidentPlan, Place

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "01_deep_dive.py"
SECOND = 10**9


def _frame(src: tuple[str, int], dst: tuple[str, int], payload: bytes) -> bytes:
    addresses = bytes(int(part) for ip in (src[0], dst[0]) for part in ip.split("."))
    udp = struct.pack("!HHHH", src[1], dst[1], 8 + len(payload), 0) + payload
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + addresses + udp


@pytest.fixture(scope="module")
def capture(tmp_path_factory) -> Path:
    """Return a capture of the longest of the simulator's calls that sent RTP, one packet in twenty lost."""
    lossy = [
        Incident("loss", Place.REGION, region, 0, 2**63, impairment=Impairment(0.05, 1.5))
        for region in ("eu-west", "us-east", "ap-south")
    ]
    engine = Engine(start_ns=EXAMPLE_START_NS, calls=60, seed=3, plan=IncidentPlan(lossy), rtp_calls=4)
    until_ns = EXAMPLE_START_NS + 60 * SECOND
    sightings = [s for _, s in engine.sightings(until_ns)]
    packets = list(engine.packets(until_ns))
    call = max((c for c in engine.truth.ended if len(c.rtp) == 2), key=lambda c: sum(r.packets for r in c.rtp))
    pairs = {(rtp.src, rtp.dst) for rtp in call.rtp}
    frames = [(p.due_ns, _frame(p.src, p.dst, p.data)) for p in packets if (p.src, p.dst) in pairs]
    frames += [(s.at_ns, _frame(s.src, s.dst, s.payload)) for s in sightings if call.call_id.encode() in s.payload]
    path = tmp_path_factory.mktemp("notebook") / "call.pcap"
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, 101))
        for at_ns, frame in sorted(frames):
            file.write(struct.pack("<IIII", *divmod(at_ns, SECOND), len(frame), len(frame)) + frame)
    return path


def test_the_notebook_runs(capture, require_program, monkeypatch):
    require_program("tshark")
    monkeypatch.setenv("SURGECAST_SLICE", str(capture))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    notebook = jupytext.read(NOTEBOOK)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute(cwd=str(capture.parent))
    printed = [
        o["text"] for c in notebook.cells if c.cell_type == "code" for o in c.outputs if o.get("name") == "stdout"
    ]
    streams = next(text for text in printed if "ours: lost" in text).splitlines()[1:]
    assert len(streams) == 2
    assert all("no stream of ours" not in line for line in streams)
    tsharks, own = zip(*((line.split()[4], line.split()[6].strip(",")) for line in streams), strict=True)
    assert tsharks == own
    assert all(int(lost) > 0 for lost in tsharks)
