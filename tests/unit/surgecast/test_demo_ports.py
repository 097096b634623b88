"""The ports of the demo: chosen at once, listened at half a minute later, and nobody else's meanwhile."""

import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from surgecast.commands.demo import held_port
from surgecast.errors import CommandError


def test_a_held_port_is_for_the_server_that_names_it() -> None:
    with held_port(0) as port, ThreadingHTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler) as server:
        assert port == server.server_address[1]


def test_a_held_port_is_not_to_be_had_by_chance() -> None:
    with held_port(0) as port, socket.socket() as other, pytest.raises(OSError, match="Address already in use"):
        other.bind(("127.0.0.1", port))


def test_a_taken_port_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CommandError, match=rf"^port {port} on 127\.0\.0\.1: .* choose another with --port$"):
            held_port(port).__enter__()
