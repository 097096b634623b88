"""Opening the listening sockets of the HEP servers."""

import socket
import struct

from collectors.capture.base import CaptureError

_SO_RCVBUFFORCE = 33
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
_MEMINFO_DROPS = 8


def open_udp(host: str, port: int, *, share: bool, receive_buffer_bytes: int) -> socket.socket:
    """Return a bound datagram socket; `::` takes IPv4 too.

    Args:
        host: Address or name to bind; a colon makes it IPv6.
        port: 0 picks one.
        share: Let several sockets share the port (SO_REUSEPORT): the kernel spreads senders over them.
        receive_buffer_bytes: Asked for by force where allowed (CAP_NET_ADMIN), else cut to rmem_max.

    Raises:
        CaptureError: The address cannot be bound.
    """
    listener = _bound(host, port, socket.SOCK_DGRAM, share=share)
    for option in (_SO_RCVBUFFORCE, socket.SO_RCVBUF):
        try:
            listener.setsockopt(socket.SOL_SOCKET, option, receive_buffer_bytes // 2)  # the kernel doubles it
        except PermissionError:
            continue
        break
    listener.setblocking(False)
    return listener


def open_tcp(host: str, port: int, *, backlog: int) -> socket.socket:
    """Return a listening stream socket; `::` takes IPv4 too.

    Raises:
        CaptureError: The address cannot be bound.
    """
    listener = _bound(host, port, socket.SOCK_STREAM, share=False)
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


def _bound(host: str, port: int, kind: socket.SocketKind, *, share: bool) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind)
    except OSError as error:
        raise CaptureError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    try:
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind == socket.SOCK_STREAM:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise CaptureError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener


def kernel_drops(listener: socket.socket) -> int:
    """Return how many datagrams the kernel dropped at this socket, modulo 2^32."""
    figures = listener.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    return int(_MEMINFO.unpack(figures)[_MEMINFO_DROPS])
