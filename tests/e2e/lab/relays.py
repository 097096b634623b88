"""Relays without phones: rtpengine daemons on loopback addresses of their own, and calls set up by the test."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_port

from lab.namespace import wait_until
from scaler.relay import RelayUnreachable
from scaler.rtpengine import Rtpengine

ONE, TWO = "127.0.0.2", "127.0.0.3"
SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"


class Calls:
    """What a SIP proxy tells relays."""

    def __init__(self, relays: Rtpengine) -> None:
        self._relays = relays

    def offer(self, address: str, call: str, tag: str = "") -> None:
        """Begin a call, or change one (a re-INVITE) where the callee's tag is given."""
        more = {b"to-tag": tag.encode()} if tag else {}
        self._tell(address, {b"command": b"offer", b"call-id": call.encode(), b"sdp": SDP} | more)

    def answer(self, address: str, call: str) -> None:
        self._tell(
            address, {b"command": b"answer", b"call-id": call.encode(), b"to-tag": b"callee", b"sdp": SDP}
        )  # fmt: skip

    def up(self, address: str, *calls: str) -> None:
        for call in calls:
            self.offer(address, call)
            self.answer(address, call)

    def delete(self, address: str, call: str) -> None:
        self._tell(address, {b"command": b"delete", b"call-id": call.encode()})

    def media(self, address: str, call: str) -> int:
        """Return how many sides of a call the relay forwards media for; 0 where it does not know the call."""
        answer = self._relays.ask(address, {b"command": b"query", b"call-id": call.encode()})
        tags = answer.get(b"tags", {})
        return (
            sum(1 for tag in tags.values() if isinstance(tag, dict) and tag.get(b"medias"))
            if isinstance(tags, dict)
            else 0
        )

    def _tell(self, address: str, request: dict[bytes, bytes]) -> None:
        self._relays.ask(address, {b"from-tag": b"caller", **request})


def _answers(relays: Rtpengine, address: str) -> bool:
    try:
        return relays.sessions(address) == 0
    except RelayUnreachable:
        return False


@contextmanager
def running_relays(program: str, folder: Path) -> Iterator[Rtpengine]:
    """Run one relay at each address; sessions are counted over NG."""
    cli, ng = free_port(socket.SOCK_STREAM, ONE), free_port(socket.SOCK_DGRAM, ONE)
    processes = []
    try:
        for number, address in enumerate((ONE, TWO)):
            first = 32_000 + 200 * number
            with (folder / f"rtpengine-{number}.log").open("wb") as log:
                process = subprocess.Popen(
                    [
                        program, "--config-file=none", "--foreground", "--log-stderr", "--log-level=5",
                        "--table=-1", f"--interface={address}",
                        f"--listen-ng={address}:{ng}", f"--listen-cli={address}:{cli}",
                        f"--port-min={first}", f"--port-max={first + 198}", "--delete-delay=0", "--num-threads=1",
                    ],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                )  # fmt: skip
            processes.append(process)
        relays = Rtpengine(cli, ng)
        for address in (ONE, TWO):
            wait_until(lambda address=address: _answers(relays, address), f"rtpengine at {address}")  # type: ignore[misc]
        yield relays
    finally:
        for process in processes:
            process.kill()
            process.wait()
