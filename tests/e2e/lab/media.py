"""One end of a call's media: sends PCMA over RTP and reports what it received over RTCP, as RFC 3550 says.

Run as a program by the sipp scenarios, inside the lab's namespace, with the address they found in the SDP:

    python media.py LOCAL_IP:PORT REMOTE_IP:PORT SSRC SECONDS SKIP_EVERY

It skips (sends never) every SKIP_EVERY-th packet, 0 for none: loss whose ratio is known to the packet.
"""

import socket
import struct
import sys
import time
from dataclasses import dataclass
from selectors import EVENT_READ, DefaultSelector

PTIME_MS = 20
TICKS = 160
"""RTP ticks of PCMA in 20 ms."""
REPORT_EVERY_S = 1.0
_NTP_EPOCH_S = 2_208_988_800
_SR, _SDES = 200, 202


@dataclass(slots=True)
class Reception:
    """What was received of the other end, RFC 3550 A.1, A.3 and A.8 for a stream that never restarts."""

    ssrc: int
    base: int
    highest: int
    received: int = 0
    jitter: float = 0.0
    transit: float | None = None
    expected_prior: int = 0
    received_prior: int = 0
    last_sr: int = 0
    last_sr_at: float = 0.0

    def packet(self, sequence: int, timestamp: int, now: float) -> None:
        """Count one packet."""
        ahead = (sequence - self.highest) & 0xFFFF
        if ahead < 0x8000:
            self.highest += ahead
        self.received += 1
        transit = now * 8000 - timestamp
        if self.transit is not None:
            self.jitter += (abs(transit - self.transit) - self.jitter) / 16
        self.transit = transit

    def block(self, now: float) -> bytes:
        """Return a report block on everything since the last one."""
        expected = self.highest - self.base + 1
        lost = expected - self.received
        span, got = expected - self.expected_prior, self.received - self.received_prior
        self.expected_prior, self.received_prior = expected, self.received
        fraction = max(0, (span - got) * 256 // span) if span else 0
        delay = round((now - self.last_sr_at) * 65536) if self.last_sr else 0
        return struct.pack(
            "!IIIIII",
            self.ssrc,
            min(fraction, 255) << 24 | lost & 0xFFFFFF,
            self.highest & 0xFFFFFFFF,
            round(self.jitter),
            self.last_sr,
            delay & 0xFFFFFFFF,
        )


class MediaEnd:
    """Both sockets of one end; `run` does it all."""

    def __init__(self, local: tuple[str, int], remote: tuple[str, int], ssrc: int, skip_every: int) -> None:
        self.remote, self.ssrc, self.skip_every = remote, ssrc, skip_every
        self.rtp, self.rtcp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        self.rtp.bind(local)
        self.rtcp.bind((local[0], local[1] + 1))
        self.sequence, self.timestamp, self.sent = 1000, 160_000, 0
        self.reception: Reception | None = None

    def run(self, seconds: float) -> None:
        """Send for so long, a report each second, what came in between counted."""
        selector = DefaultSelector()
        selector.register(self.rtp, EVENT_READ, self._on_rtp)
        selector.register(self.rtcp, EVENT_READ, self._on_rtcp)
        start = time.monotonic()
        next_packet, next_report = start, start + REPORT_EVERY_S
        while (now := time.monotonic()) < start + seconds:
            if now >= next_packet:
                self._send_packet()
                next_packet += PTIME_MS / 1000
            if now >= next_report:
                self._send_report(now)
                next_report += REPORT_EVERY_S
            wait = max(0.0, min(next_packet, next_report) - time.monotonic())
            for key, _ in selector.select(wait):
                key.data(time.monotonic())

    def _send_packet(self) -> None:
        nth = self.sequence - 999
        if not (self.skip_every and nth % self.skip_every == 0):
            header = struct.pack("!BBHII", 0x80, 8, self.sequence & 0xFFFF, self.timestamp, self.ssrc)
            self.rtp.sendto(header + b"\xd5" * TICKS, self.remote)
            self.sent += 1
        self.sequence += 1
        self.timestamp += TICKS

    def _send_report(self, now: float) -> None:
        wall = time.time() + _NTP_EPOCH_S
        sender = struct.pack(
            "!IIIII", int(wall), int(wall % 1 * 2**32), self.timestamp, self.sent, self.sent * TICKS
        )
        blocks = self.reception.block(now) if self.reception else b""
        body = struct.pack("!I", self.ssrc) + sender + blocks
        report = struct.pack("!BBH", 0x80 | len(blocks) // 24, _SR, len(body) // 4) + body
        name = b"media@lab.test"
        item = struct.pack("!IBB", self.ssrc, 1, len(name)) + name + b"\0"
        item += b"\0" * (-len(item) % 4)
        self.rtcp.sendto(
            report + struct.pack("!BBH", 0x81, _SDES, len(item) // 4) + item, (self.remote[0], self.remote[1] + 1)
        )

    def _on_rtp(self, now: float) -> None:
        data = self.rtp.recv(2048)
        _, _, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        if self.reception is None:
            self.reception = Reception(ssrc, sequence, sequence)
        self.reception.packet(sequence, timestamp, now)

    def _on_rtcp(self, now: float) -> None:
        data = self.rtcp.recv(2048)
        if data[1] == _SR and self.reception is not None:
            self.reception.last_sr = int.from_bytes(data[10:14])  # middle 32 bits of the NTP stamp
            self.reception.last_sr_at = now


def _endpoint(text: str) -> tuple[str, int]:
    ip, _, port = text.rpartition(":")
    return ip, int(port)


if __name__ == "__main__":
    _local, _remote, _ssrc, _seconds, _skip_every = sys.argv[1:]
    _end = MediaEnd(_endpoint(_local), _endpoint(_remote), int(_ssrc, 16), int(_skip_every))
    _end.run(float(_seconds))
