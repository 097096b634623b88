"""Two baresip phones, each in a namespace of its own with a cable to the lab: RTCP that somebody else wrote.

baresip will not use a loopback address, hence the cables.
"""

import math
import struct
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path

from lab.namespace import PATIENCE_SECONDS, Namespace, connect, wait_until
from lab.scenarios import PASSWORD
from lab.stack import PROXY_IP, LabStack

CALLER, CALLEE = "phone-a", "phone-b"
CALLER_IP, CALLEE_IP = "198.18.2.2", "198.18.3.2"
CODEC = "G722"
"""Sampled at 16 kHz, yet its RTP clock is 8 kHz (RFC 3551 4.5.2)."""


def phone_call(lab: LabStack, find: Callable[[str], str], seconds: float) -> None:
    """Register both phones, let one call the other for so long, and hang up; raises where no call came about."""
    caller, callee = (Namespace(f"{lab.space.name}-{name}") for name in (CALLER, CALLEE))
    with caller, callee:
        connect(lab.space, "198.18.2.1", caller, CALLER_IP)
        connect(lab.space, "198.18.3.1", callee, CALLEE_IP)
        answering = _start(lab, callee, find, CALLEE, CALLEE_IP)
        wait_until(lambda: "200 OK" in _log(lab, CALLEE), "the callee's registration")
        calling = _start(lab, caller, find, CALLER, CALLER_IP, "-e", f"d{CALLEE}", "-t", str(round(seconds)))
        wait_until(lambda: "Call established" in _log(lab, CALLER), "the phones' call")
        calling.wait(timeout=seconds + PATIENCE_SECONDS)
        answering.terminate()
        answering.wait(timeout=PATIENCE_SECONDS)


def _log(lab: LabStack, name: str) -> str:
    return (lab.folder / f"{name}.log").read_text(errors="replace")


def _start(
    lab: LabStack, space: Namespace, find: Callable[[str], str], name: str, ip: str, *more: str
) -> subprocess.Popen[bytes]:
    folder = lab.folder / name
    folder.mkdir()
    _write_tone(folder / "tone.wav", seconds=60)
    (folder / "accounts").write_text(
        f'<sip:{name}@lab.test>;auth_pass={PASSWORD};outbound="sip:{PROXY_IP}:5060";regint=60;answermode=auto;'
        f"ptime=20;audio_codecs={CODEC}/16000/1;\n"
    )
    (folder / "contacts").touch()
    (folder / "config").write_text(
        f"""\
sip_listen {ip}:5060
net_interface {ip}
rtp_ports 20000-20100
rtcp_mux no
rtp_stats yes
audio_player aubridge,{name}
audio_alert aubridge,{name}-alert
audio_source aufile,{folder}/tone.wav
module_path {_module_path()}
module g711.so
module g722.so
module aufile.so
module aubridge.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
"""
    )
    return space.popen([find("baresip"), "-f", str(folder), *more], lab.folder / f"{name}.log")


def _module_path() -> Path:
    """Debian's releases differ in whether the folder is below the architecture's."""
    found = [*Path("/usr/lib").glob("baresip/modules"), *Path("/usr/lib").glob("*/baresip/modules")]
    assert found, "baresip is installed without its modules"
    return found[0]


def _write_tone(path: Path, seconds: int) -> None:
    """Write a tone that comes and goes, 16 kHz, one channel."""
    samples = (
        round(6000 * max(0.0, math.sin(2 * math.pi * 1.5 * n / 16000)) * math.sin(2 * math.pi * 440 * n / 16000))
        for n in range(16000)
    )
    second = struct.pack("<16000h", *samples)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(second * seconds)
