"""The configured interfaces as sources."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

from collectors.capture.base import PacketRing, RingReader, RingTap
from collectors.capture.bpf import FrameFilter
from collectors.capture.ring import RingSource
from collectors.capture.softnet import SoftnetDrops
from collectors.capture.tpacket import RingSettings, open_rings
from collectors.settings import InterfaceSettings


def ring_settings(interface: InterfaceSettings) -> RingSettings:
    """Return what the configuration says of an interface, as its rings want it."""
    return RingSettings(
        interface=interface.name,
        frames=FrameFilter(
            ports=interface.port_ranges(),
            sip_ports=interface.sip_port_ranges(),
            hosts=interface.hosts,
            vlans=interface.vlans,
            snap_bytes=interface.snap_bytes,
        ),
        rings=interface.rings,
        block_bytes=interface.block_bytes,
        blocks=interface.blocks,
        promiscuous=interface.promiscuous,
        ignore_outgoing=interface.ignore_outgoing,
    )


def open_interfaces(
    interfaces: Sequence[InterfaceSettings], readers: Sequence[RingReader], tap: RingTap | None = None
) -> Sequence[RingSource]:
    """Open the rings of every interface.

    Args:
        interfaces: What to capture from.
        readers: One for each ring of all interfaces.
        tap: Sees every block before it is read.

    Raises:
        CaptureError: One cannot be captured from; none is left open.
    """
    softnet = SoftnetDrops()
    sources: list[RingSource] = []
    left = list(readers)
    with ExitStack() as opened:
        for interface in interfaces:
            own, left = left[: interface.rings], left[interface.rings :]
            source = RingSource(interface.name, _opener(interface, tap), own, softnet)
            opened.callback(source.close)
            sources.append(source)
        opened.pop_all()
    return sources


def _opener(interface: InterfaceSettings, tap: RingTap | None) -> Callable[[], Sequence[PacketRing]]:
    settings = ring_settings(interface)
    return lambda: open_rings(settings, tap)
