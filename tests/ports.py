"""Ports of loopback for what tests start.

A port that the kernel chose, read and let go again may become that of anybody's outgoing connection before the
program that it is meant for listens on it, or while that is killed and started again. So they are taken from below
those that the kernel chooses from, each process of a run from a part of its own.
"""

import itertools
import os
import socket

_FIRST, _OF_A_WORKER, _WORKERS = 16_000, 2_000, 8
_NEXT = itertools.count(os.getpid())
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM, host: str = "127.0.0.1") -> int:
    """Return a port that nothing has, another at each call."""
    for number in itertools.islice(_NEXT, _OF_A_WORKER):
        port = _FIRST + _OF_A_WORKER * _WORKER + number % _OF_A_WORKER
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port at {host}")
