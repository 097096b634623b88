"""Everything that tshark knows about one call, from a saved slice of its packets.

The work is done by a child process (`collectors.deepdive_child`) that is bounded in time, memory and output and is
killed with all it started when it goes beyond: dissectors read hostile input, pyshark (an asyncio program of its
own) is known to leak and to hang, and neither may hurt the process that asks. Only saved slices are looked at,
never live traffic.
"""

import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, fields
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

_ROOT = Path(__file__).resolve().parents[1]
_READ_BYTES = 1 << 16
_Fact = TypeVar("_Fact")


@dataclass(frozen=True, slots=True)
class DiveLimits:
    """What a deep dive may cost."""

    seconds: float = 60.0
    memory_bytes: int = 2 << 30
    """Address space of each of its processes."""
    output_bytes: int = 16 << 20
    facts: int = 5_000
    """Messages and reports that are listed; the figures of streams count every packet."""


class DiveTrouble(StrEnum):
    """Why there is no deep dive."""

    NO_TSHARK = "no_tshark"
    NO_PYSHARK = "no_pyshark"
    NO_FILE = "no_file"
    TOO_SLOW = "too_slow"
    TOO_MUCH_MEMORY = "too_much_memory"
    TOO_MUCH_OUTPUT = "too_much_output"
    FAILED = "failed"


class DeepDiveError(Exception):
    """A deep dive that did not happen; the message says why and what to do."""

    def __init__(self, trouble: DiveTrouble, message: str) -> None:
        super().__init__(message)
        self.trouble = trouble


@dataclass(frozen=True, slots=True)
class SipStep:
    """A SIP message, as a rung of the ladder."""

    number: int
    """Of the packet in the slice, from 1."""
    time_ns: int
    src: str
    dst: str
    what: str
    """Method and Request-URI, or status and reason."""
    cseq: str
    call_id: str
    resent: bool


@dataclass(frozen=True, slots=True)
class SdpLine:
    """A line of a session description."""

    number: int
    """Of the packet that carries it."""
    src: str
    text: str


@dataclass(frozen=True, slots=True)
class RtpStreamView:
    """tshark's analysis of an RTP stream; restarts and late packets count in its own way: compare, do not mix."""

    src: str
    dst: str
    ssrc: int
    payload: str
    packets: int
    lost: int
    lost_ratio: float
    mean_delta_ms: float
    max_delta_ms: float
    mean_jitter_ms: float
    max_jitter_ms: float
    problems: bool


@dataclass(frozen=True, slots=True)
class RtcpView:
    """An RTCP packet and its first report block."""

    number: int
    time_ns: int
    src: str
    dst: str
    kind: str
    sender_ssrc: int | None
    source_ssrc: int | None
    fraction_lost: int | None
    """0..255"""
    cumulative_lost: int | None
    jitter_ticks: int | None
    round_trip_ms: int | None


@dataclass(frozen=True, slots=True)
class ExpertInfo:
    """A kind of remark of tshark's dissectors."""

    severity: str
    """error, warn, note, chat"""
    count: int
    group: str
    protocol: str
    summary: str


@dataclass(frozen=True, slots=True)
class DeepDive:
    """What tshark knows of a slice."""

    tool: str
    """`TShark 4.0.17`"""
    sip: tuple[SipStep, ...]
    sdp: tuple[SdpLine, ...]
    streams: tuple[RtpStreamView, ...]
    rtcp: tuple[RtcpView, ...]
    experts: tuple[ExpertInfo, ...]
    cut: bool
    """There were more messages or reports than are listed."""


def deep_dive(path: Path, limits: DiveLimits | None = None) -> DeepDive:
    """Return what tshark knows of a pcap or pcapng file; blocks for as long as `limits` allow.

    Raises:
        DeepDiveError: It is not to be had, or went beyond a limit.
    """
    limits = limits or DiveLimits()
    tshark = shutil.which("tshark")
    if tshark is None:
        raise DeepDiveError(
            DiveTrouble.NO_TSHARK, "tshark is not installed here (Debian and Ubuntu: apt install tshark)"
        )
    if find_spec("pyshark") is None:
        raise DeepDiveError(DiveTrouble.NO_PYSHARK, "pyshark is not installed here (pip install pyshark)")
    if not path.is_file():
        raise DeepDiveError(DiveTrouble.NO_FILE, f"{path}: no such file")
    with tempfile.TemporaryDirectory(prefix="surgecast-dive-") as home:
        answer = _run(path, tshark, home, limits)
    if "trouble" in answer:
        raise DeepDiveError(DiveTrouble(answer["trouble"]), f"tshark on {path.name}: {answer['why']}")
    return DeepDive(
        tool=str(answer["tool"]),
        sip=_facts(SipStep, answer["sip"]),
        sdp=_facts(SdpLine, answer["sdp"]),
        streams=_facts(RtpStreamView, answer["streams"]),
        rtcp=_facts(RtcpView, answer["rtcp"]),
        experts=_facts(ExpertInfo, answer["experts"]),
        cut=bool(answer["cut"]),
    )


def _facts(kind: type[_Fact], found: list[dict[str, Any]]) -> tuple[_Fact, ...]:
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]  # every kind is a dataclass
    return tuple(kind(**{name: each[name] for name in names}) for each in found)


def _run(path: Path, tshark: str, home: str, limits: DiveLimits) -> dict[str, Any]:
    """Run the child, and return its one JSON object."""
    # Its own home: no preference of a user, and no lua script of theirs, takes part.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, sys.path)]),
        "HOME": home,
        "TMPDIR": home,
        "WIRESHARK_CONFIG_DIR": home,
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "collectors.deepdive_child", str(path), tshark, str(limits.facts)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        cwd=home,
        start_new_session=True,
    )
    try:
        _bound(child.pid, limits)
        output = _read(child, limits)
        code = child.wait(timeout=max(limits.seconds, 1.0))
    except subprocess.TimeoutExpired:
        raise _too_slow(limits) from None
    finally:
        _kill(child)
    return _answer(output, code, limits)


def _bound(pid: int, limits: DiveLimits) -> None:
    """Limit the child, and with it all that it starts; it waits for nothing before it reads the file."""
    seconds = int(limits.seconds) + 1
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        try:
            resource.prlimit(pid, kind, (value, value))
        except ProcessLookupError:
            return  # it has ended already, and its answer says why


def _read(child: "subprocess.Popen[bytes]", limits: DiveLimits) -> bytes:
    assert child.stdout is not None
    deadline = time.monotonic() + limits.seconds
    output = bytearray()
    descriptor = child.stdout.fileno()
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise _too_slow(limits)
        data = os.read(descriptor, _READ_BYTES)
        if not data:
            return bytes(output)
        output += data
        if len(output) > limits.output_bytes:
            raise DeepDiveError(
                DiveTrouble.TOO_MUCH_OUTPUT,
                f"the deep dive told more than {limits.output_bytes >> 20} MiB and was ended",
            )


def _too_slow(limits: DiveLimits) -> DeepDiveError:
    return DeepDiveError(
        DiveTrouble.TOO_SLOW,
        f"the deep dive took longer than {limits.seconds:g} s and was ended; try a shorter slice",
    )


def _kill(child: "subprocess.Popen[bytes]") -> None:
    """End the child and all it started."""
    with suppress(ProcessLookupError):  # all of them have ended
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdout is not None:
        child.stdout.close()


def _answer(output: bytes, code: int, limits: DiveLimits) -> dict[str, Any]:
    try:
        answer = json.loads(output)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        if code == -signal.SIGXCPU or code == -signal.SIGKILL:
            raise _too_slow(limits)
        mebibytes = limits.memory_bytes >> 20
        raise DeepDiveError(
            DiveTrouble.FAILED,
            f"the deep dive ended with code {code} (it may use {mebibytes} MiB) and told nothing",
        )
    return answer
