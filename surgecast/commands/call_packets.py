"""`surgecast call ID --pcap OUT`: the packets of a call, out of the rolling packet buffer."""

from pathlib import Path

import typer

from collectors.callpackets import save_call_packets
from collectors.capture.base import CaptureError
from collectors.capture.packetslice import PacketsGone, SavedSlice
from storage.seam import CallTrace
from surgecast.commands.output import iso_time, print_json
from surgecast.config import Settings
from surgecast.errors import CommandError, Exit


def save_packets(
    settings: Settings, call_id: str, trace: CallTrace, target: Path, *, tenant: str | None
) -> SavedSlice:
    """Save the packets of a call.

    Raises:
        CommandError: There is no buffer or no packet of the call in it (exit code 3), or packets are asked for as
            a tenant (exit code 4): what shared trunks carry is for engineers.
    """
    if tenant:
        raise CommandError("packets are for engineers only; leave out --tenant", Exit.NOT_ALLOWED)
    try:
        return save_call_packets(settings.collect.packet_buffer.directory, call_id, trace, target)
    except PacketsGone as gone:
        raise CommandError(f"{call_id}: {gone}", Exit.NOT_FOUND) from gone
    except CaptureError as error:
        raise CommandError(f"{call_id}: {error}") from error


def print_saved(saved: SavedSlice, *, as_json: bool) -> None:
    """Say what was saved."""
    times = {name: iso_time(getattr(saved, f"{name}_ns")) for name in ("first", "last", "kept_since")}
    if as_json:
        counts = {name: getattr(saved, name) for name in ("packets", "sip", "rtp", "rtcp", "other")}
        print_json({"path": str(saved.path), **counts, **times, "complete": saved.complete})
        return
    typer.echo(
        f"{saved.path}: {saved.packets} packets ({saved.sip} SIP, {saved.rtp} RTP, {saved.rtcp} RTCP, "
        f"{saved.other} other) from {times['first']} to {times['last']}"
    )
    if not saved.complete:
        typer.echo(f"not all of the call: the packet buffer begins at {times['kept_since']}", err=True)
