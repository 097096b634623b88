"""The lab itself: start it, place calls and registrations, look at what it did.

    with LabStack(folder) as lab:
        sink = lab.hep_sink()                     # or start a collector inside: lab.popen([...], "collector")
        call = lab.call(Kind.ANSWERED, seconds=5)  # returns at once
        lab.finish()                              # every call has ended as its scenario says

Everything is bounded in time: sipp gives up by itself, waiting raises, and leaving ends all processes.
"""

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import TracebackType

from lab.namespace import Namespace, udp_is_bound, wait_until
from lab.scenarios import PASSWORD, Kind, Registration, Setup, registration, script

HEP_PORT = 9060
HEP_KEY = "lab-key"
PROXY_NODE, MEDIA_NODE = 2001, 3001
PROXY_IP, MEDIA_IP = "198.18.1.1", "198.18.1.2"
CALLER_IP, CALLEE_IP = "198.18.1.11", "198.18.1.12"
"""Addresses of RFC 2544 (benchmarking), inside the lab's namespace."""
CALLER_SIP_PORT, CALLEE_SIP_PORT = 10_000, 11_000
CALLER_MEDIA_PORT, CALLEE_MEDIA_PORT = 40_000, 42_000
"""The first of each; sipp itself takes ports from 6000 up for media it does not play."""
NO_ANSWER_MS = 2500
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class LabCall:
    """A call or registration under way, and what is known of it beforehand."""

    call_id: str
    kind: Kind | Registration
    caller_ssrc: int
    callee_ssrc: int
    ends: tuple[subprocess.Popen[bytes], ...]


class HepSink:
    """Receives HEP inside the lab and keeps it: what a collector would get."""

    def __init__(self, lab: Namespace) -> None:
        self.datagrams: list[bytes] = []
        self._socket = lab.udp_socket("127.0.0.1", HEP_PORT)
        self._socket.settimeout(0.1)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._receive)
        self._thread.start()

    def _receive(self) -> None:
        while not self._stopping.is_set():
            try:
                self.datagrams.append(self._socket.recv(65535))
            except TimeoutError:
                continue

    def close(self) -> None:
        """Stop receiving; idempotent."""
        self._stopping.set()
        self._thread.join()
        self._socket.close()


class LabStack:
    """kamailio and rtpengine in a namespace, both sending HEP to 127.0.0.1:9060 in it; sipp makes the calls."""

    def __init__(self, folder: Path, find: Callable[[str], str]) -> None:
        """`folder` takes configurations and logs; `find` gives a program's path."""
        self.folder = folder
        self.find = find
        self.space = Namespace(f"lab-{os.getpid()}")
        self.calls: list[LabCall] = []
        self._numbers = count()
        self._cleanup = ExitStack()

    def __enter__(self) -> "LabStack":
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._cleanup:
            self._cleanup.enter_context(self.space)
            for ip in (PROXY_IP, MEDIA_IP, CALLER_IP, CALLEE_IP):
                self.space.add_address(ip)
            self._start_rtpengine()
            self._start_kamailio()
            self._cleanup = self._cleanup.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def popen(self, argv: Sequence[str], name: str) -> subprocess.Popen[bytes]:
        """Start a program inside; its output goes to `name.log` in the folder."""
        process = self.space.popen(argv, self.folder / f"{name}.log", cwd=self.folder)
        self._cleanup.callback(_end, process)
        return process

    def run(self, *argv: str) -> str:
        """Run a short program inside and return what it prints; raises CalledProcessError."""
        done = subprocess.run(
            self.space.argv(*argv), capture_output=True, text=True, timeout=60, check=True, cwd=self.folder
        )
        return done.stdout

    def hep_sink(self) -> HepSink:
        """Receive the lab's HEP in this process."""
        sink = HepSink(self.space)
        self._cleanup.callback(sink.close)
        return sink

    def call(self, kind: Kind, *, seconds: float = 3.0, skip_every: int = 0) -> LabCall:
        """Place a call and return at once; `skip_every` makes the caller's RTP miss every n-th packet."""
        number = next(self._numbers)
        call_id = f"{kind}-{number}@lab.test"
        caller_ssrc, callee_ssrc = 0xCA000000 + number, 0xCE000000 + number
        caller_port, callee_port = CALLER_MEDIA_PORT + 4 * number, CALLEE_MEDIA_PORT + 4 * number
        setup = Setup(
            seconds=seconds,
            caller_port=caller_port,
            callee_port=callee_port,
            caller_media=_media(CALLER_IP, caller_port, caller_ssrc, seconds - 0.2, skip_every),
            callee_media=_media(CALLEE_IP, callee_port, callee_ssrc, seconds + 0.2, 0),
        )
        phone = CALLEE_SIP_PORT + number
        does = script(kind, setup)
        ends = []
        if does.callee is not None:
            ends.append(self._sipp(f"{kind}-{number}-callee", does.callee, CALLEE_IP, phone, call_id))
            wait_until(lambda: udp_is_bound(ends[0].pid, phone), f"sipp's phone on port {phone}")
        dialled = does.dialled.format(port=phone)
        ends.append(
            self._sipp(
                f"{kind}-{number}-caller",
                does.caller,
                CALLER_IP,
                CALLER_SIP_PORT + number,
                call_id,
                dialled=dialled,
            )
        )
        placed = LabCall(call_id, kind, caller_ssrc, callee_ssrc, tuple(ends))
        self.calls.append(placed)
        return placed

    def register(self, kind: Registration) -> LabCall:
        """Register a phone and return at once."""
        number = next(self._numbers)
        call_id = f"register-{kind}-{number}@lab.test"
        phone = self._sipp(
            f"register-{kind}-{number}",
            registration(kind),
            CALLER_IP,
            CALLER_SIP_PORT + number,
            call_id,
            dialled="phone",
        )
        placed = LabCall(call_id, kind, 0, 0, (phone,))
        self.calls.append(placed)
        return placed

    def finish(self, *calls: LabCall, seconds: float = 90.0) -> None:
        """Wait until these calls (default all) are over; raises AssertionError if one did not go as its script."""
        deadline = time.monotonic() + seconds
        for call in calls or tuple(self.calls):
            for end in call.ends:
                code = end.wait(timeout=max(0.1, deadline - time.monotonic()))
                assert code == 0, f"sipp ended {call.call_id} with {code}, see {self.folder}"

    def _sipp(
        self, name: str, scenario: str, ip: str, port: int, call_id: str, dialled: str = ""
    ) -> subprocess.Popen[bytes]:
        file = self.folder / f"{name}.xml"
        file.write_text(scenario)
        calling = [f"{PROXY_IP}:5060", "-s", dialled, "-cid_str", call_id] if dialled else []
        argv = [self.find("sipp"), *calling, "-sf", str(file), "-i", ip, "-p", str(port), "-m", "1"]
        return self.popen([*argv, "-nostdin", "-timeout", "80s", "-timeout_error", "-trace_err"], name)

    def _start_rtpengine(self) -> None:
        argv = [
            self.find("rtpengine"), "--config-file=none", "--foreground", "--log-stderr", "--log-level=6",
            "--table=-1", f"--interface={MEDIA_IP}", "--listen-ng=127.0.0.1:2223", f"--homer=127.0.0.1:{HEP_PORT}",
            "--homer-protocol=udp", f"--homer-id={MEDIA_NODE}", "--port-min=30000", "--port-max=31999",
            "--delete-delay=0", "--timeout=12", "--num-threads=1",
        ]  # fmt: skip
        process = self.popen(argv, "rtpengine")
        wait_until(lambda: udp_is_bound(process.pid, 2223), "rtpengine's control port")

    def _start_kamailio(self) -> None:
        text = (_HERE / "kamailio.cfg").read_text()
        for name, value in {
            "PROXY_IP": PROXY_IP, "CALLEE_IP": CALLEE_IP, "NO_ANSWER_MS": NO_ANSWER_MS, "NODE_ID": PROXY_NODE,
            "RTPENGINE_NG": "127.0.0.1:2223", "HEP_KEY": HEP_KEY, "HEP_TARGET": f"127.0.0.1:{HEP_PORT}",
            "PASSWORD": PASSWORD,
        }.items():  # fmt: skip
            text = text.replace(f"@{name}@", str(value))
        config = self.folder / "kamailio.cfg"
        config.write_text(text)
        argv = [
            self.find("kamailio"), "-f", str(config), "-DD", "-E", "-m", "64", "-M", "8",
            "-Y", str(self.folder), "-P", str(self.folder / "kamailio.pid"),
        ]  # fmt: skip
        process = self.popen(argv, "kamailio")
        wait_until(lambda: udp_is_bound(process.pid, 5060), "kamailio's port")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process, the hard way where it does not go by itself."""
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _media(ip: str, port: int, ssrc: int, seconds: float, skip_every: int) -> str:
    program = f"{shlex.quote(sys.executable)} {shlex.quote(str(_HERE / 'media.py'))}"
    return f"{program} {ip}:{port} {{remote}} {ssrc:x} {seconds:.2f} {skip_every}"
