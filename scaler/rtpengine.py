"""Talks to an rtpengine: how many calls it carries, and whether it takes new ones.

New calls are kept out by its limit of parallel sessions, which is asked only for calls that it does not know yet:
at 0 the calls it has go on, re-INVITEs included. Only the command line interface (`listen-cli`, text over TCP) can
set it; the NG protocol (`listen-ng`, bencode over UDP) has no command for it, and is used for counting alone.

Neither has a password: both belong on a network of their own. Nothing here waits longer than its time limit or
reads more than its bound.
"""

import re
import secrets
import socket
import time

from scaler.bencode import BencodeError, Value, decode, encode
from scaler.relay import RelayRefused, RelayUnreachable

_TIMEOUT_S = 2.0
_MOST_BYTES = 1 << 16
_OWN = re.compile(rb"^Current sessions own:\s*(\d{1,9})\s*$", re.MULTILINE)
_LIMIT = re.compile(rb"^Maximum sessions configured on rtpengine:\s*(-?\d{1,9})\s*$", re.MULTILINE)


class Rtpengine:
    """The relays of a pool, which all listen at the same ports."""

    def __init__(self, cli_port: int, ng_port: int | None = None, timeout_s: float = _TIMEOUT_S) -> None:
        """Count sessions over NG where its port is given, else over the command line interface."""
        self.cli_port, self._ng_port, self._timeout_s = cli_port, ng_port, timeout_s

    def sessions(self, address: str) -> int:
        """Return the calls of its own (not those that another relay keeps in Redis). Raises RelayError."""
        if self._ng_port is None:
            return self._asked(address, "list numsessions", _OWN)
        answer: Value = self.ask(address, {b"command": b"statistics"})
        for key in (b"statistics", b"currentstatistics", b"sessionsown"):
            answer = answer.get(key, b"") if isinstance(answer, dict) else b""
        if not isinstance(answer, int) or answer < 0:
            raise RelayRefused(f"{address}: its statistics have no sessionsown")
        return answer

    def limit(self, address: str) -> int:
        """Return its limit of parallel sessions, NO_LIMIT where it has none. Raises RelayError."""
        return self._asked(address, "list maxsessions", _LIMIT)

    def set_limit(self, address: str, limit: int) -> None:
        """Set its limit of parallel sessions; 0 takes no new call. Raises RelayError."""
        answer = self._command(address, f"set maxsessions {limit}")
        if not answer.startswith(b"Success"):
            raise RelayRefused(f"{address}: set maxsessions: {_shown(answer)}")

    def ask(self, address: str, request: dict[bytes, Value]) -> dict[bytes, Value]:
        """Return the answer to one NG request. Raises RelayError."""
        if self._ng_port is None:
            raise RelayRefused(f"{address}: no NG port is configured")
        cookie = secrets.token_hex(8).encode() + b" "
        try:
            family = _family(address)
            with socket.socket(family, socket.SOCK_DGRAM) as connection:
                connection.settimeout(self._timeout_s)
                connection.connect((address, self._ng_port))
                connection.send(cookie + encode(request))
                data = self._datagram(connection, cookie)
        except OSError as error:
            raise RelayUnreachable(f"{address}: NG port {self._ng_port}: {_why(error)}") from error
        try:
            answer = decode(data)
        except BencodeError as error:
            raise RelayRefused(f"{address}: NG answer: {error}") from error
        if not isinstance(answer, dict) or answer.get(b"result") == b"error":
            raise RelayRefused(f"{address}: NG answer: {_shown(data)}")
        return answer

    def _datagram(self, connection: socket.socket, cookie: bytes) -> bytes:
        """Return what answers our cookie; late answers to others are passed over, for the time there is."""
        deadline_s = time.monotonic() + self._timeout_s
        while True:
            data = connection.recv(_MOST_BYTES)
            if data.startswith(cookie):
                return data.removeprefix(cookie)
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)

    def _asked(self, address: str, command: str, expected: re.Pattern[bytes]) -> int:
        answer = self._command(address, command)
        found = expected.search(answer)
        if found is None:
            raise RelayRefused(f"{address}: {command}: {_shown(answer)}")
        return int(found[1])

    def _command(self, address: str, command: str) -> bytes:
        """Return what one command prints; the relay closes the connection behind it."""
        deadline_s = time.monotonic() + self._timeout_s
        answer = b""
        try:
            with socket.create_connection((address, self.cli_port), self._timeout_s) as connection:
                connection.sendall(command.encode() + b"\n")
                while part := connection.recv(_MOST_BYTES):
                    answer += part
                    left_s = deadline_s - time.monotonic()
                    if len(answer) > _MOST_BYTES or left_s <= 0:
                        raise RelayRefused(f"{address}: {command}: an answer without end")
                    connection.settimeout(left_s)
        except OSError as error:
            raise RelayUnreachable(f"{address}: CLI port {self.cli_port}: {_why(error)}") from error
        return answer


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _why(error: OSError) -> str:
    return error.strerror or "no answer in time"


def _shown(answer: bytes) -> str:
    return repr(answer[:100].decode("utf-8", "replace").strip()) if answer else "no answer"
