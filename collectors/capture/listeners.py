"""The configured HEP listeners as sources."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from collectors.capture.hepstream import HepStreamSource, server_context
from collectors.capture.hepudp import HepUdpSource
from collectors.settings import CollectorSettings, ListenerSettings
from collectors.wire.hep import HepParser

HepServer = HepUdpSource | HepStreamSource


def hep_parser(settings: CollectorSettings) -> HepParser:
    """Return a parser that enforces what the settings say; one for each thread."""
    return HepParser(
        settings.tenant_by_hep_key(),
        require_auth=settings.require_auth,
        auth_exempt_networks=[str(network) for network in settings.auth_exempt_networks],
        max_inflated_bytes=settings.max_inflated_bytes,
    )


def open_listeners(settings: CollectorSettings) -> Sequence[HepServer]:
    """Bind every listener.

    Raises:
        CaptureError: One cannot be bound, or its TLS files are wrong; none is left open.
    """
    sources: list[HepServer] = []
    with ExitStack() as opened:
        for listener in settings.listeners:
            source = _open(listener, lambda: hep_parser(settings))
            opened.callback(source.close)
            sources.append(source)
        opened.pop_all()
    return sources


def _open(listener: ListenerSettings, make_parser: Callable[[], HepParser]) -> HepServer:
    if listener.transport == "udp":
        return HepUdpSource(
            listener.host,
            listener.port,
            make_parser,
            sockets=listener.sockets,
            slots=listener.slots,
            slot_bytes=listener.slot_bytes,
            groups=listener.slot_groups,
            coalesce_seconds=listener.coalesce_seconds,
            receive_buffer_bytes=listener.receive_buffer_bytes,
        )
    tls = None
    if listener.tls_certificate is not None and listener.tls_key is not None:
        tls = server_context(listener.tls_certificate, listener.tls_key, listener.tls_client_ca)
    return HepStreamSource(
        listener.host,
        listener.port,
        make_parser(),
        tls=tls,
        max_connections=listener.max_connections,
        frame_timeout_seconds=listener.frame_timeout_seconds,
        idle_timeout_seconds=listener.idle_timeout_seconds,
        handshake_timeout_seconds=listener.handshake_timeout_seconds,
    )
