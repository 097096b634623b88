"""`surgecast call ID --pcap OUT` and `--deep`: the packets of a call, out of the rolling packet buffer."""

import tempfile
from dataclasses import asdict
from pathlib import Path

import typer

from collectors.callpackets import save_call_packets
from collectors.capture.base import CaptureError
from collectors.capture.packetslice import PacketsGone, SavedSlice
from collectors.deepdive import DeepDive, DeepDiveError, DiveTrouble, deep_dive
from storage.seam import CallTrace
from surgecast.commands.output import iso_time, print_json, print_table
from surgecast.config import Settings
from surgecast.errors import CommandError, Exit

_MISSING = (DiveTrouble.NO_TSHARK, DiveTrouble.NO_PYSHARK)


def packets_of(
    settings: Settings,
    call_id: str,
    trace: CallTrace,
    target: Path | None,
    *,
    tenant: str | None,
    deep: bool,
    as_json: bool,
) -> None:
    """Save the packets of a call to `target`, or let tshark look at them, or both, and print what came of it.

    Raises:
        CommandError: There is no buffer or no packet of the call in it (exit code 3), packets are asked for as a
            tenant (4: what shared trunks carry is for engineers), tshark is missing (5), or it failed (1).
    """
    if tenant:
        raise CommandError("packets are for engineers only; leave out --tenant", Exit.NOT_ALLOWED)
    with tempfile.TemporaryDirectory(prefix="surgecast-call-") as folder:
        saved = _saved(settings, call_id, trace, target or Path(folder) / "call.pcapng")
        dive = _dived(saved.path) if deep else None
    if as_json:
        described = _described(saved) if target is not None else {}
        print_json(described | ({"deep": asdict(dive)} if dive is not None else {}))
        return
    if target is not None:
        _print_saved(saved)
    if dive is not None:
        _print_dive(dive)
    if not saved.complete:
        since = iso_time(saved.kept_since_ns)
        typer.echo(f"perhaps not all of the call: the packet buffer begins at {since}", err=True)


def _saved(settings: Settings, call_id: str, trace: CallTrace, target: Path) -> SavedSlice:
    try:
        return save_call_packets(settings.collect.packet_buffer.directory, call_id, trace, target)
    except PacketsGone as gone:
        raise CommandError(f"{call_id}: {gone}", Exit.NOT_FOUND) from gone
    except CaptureError as error:
        raise CommandError(f"{call_id}: {error}") from error


def _dived(path: Path) -> DeepDive:
    try:
        return deep_dive(path)
    except DeepDiveError as error:
        raise CommandError(str(error), Exit.UNREACHABLE if error.trouble in _MISSING else Exit.FAILURE) from error


def _described(saved: SavedSlice) -> dict[str, object]:
    counts = {name: getattr(saved, name) for name in ("packets", "sip", "rtp", "rtcp", "other")}
    times = {name: iso_time(getattr(saved, f"{name}_ns")) for name in ("first", "last", "kept_since")}
    return {"path": str(saved.path), **counts, **times, "complete": saved.complete}


def _print_saved(saved: SavedSlice) -> None:
    typer.echo(
        f"{saved.path}: {saved.packets} packets ({saved.sip} SIP, {saved.rtp} RTP, {saved.rtcp} RTCP, "
        f"{saved.other} other) from {iso_time(saved.first_ns)} to {iso_time(saved.last_ns)}"
    )


def _print_dive(dive: DeepDive) -> None:
    rows: list[tuple[object, ...]] = [
        (s.number, iso_time(s.time_ns), f"{s.src} > {s.dst}", s.what, s.cseq, "resent" if s.resent else "")
        for s in dive.sip
    ]
    print_table(("no.", "time", "hop", "message", "cseq", ""), rows, title=f"{dive.tool}: SIP")
    print_table(("no.", "from", "line"), [(s.number, s.src, s.text) for s in dive.sdp], title="SDP")
    rows = [
        (
            f"{s.src} > {s.dst}",
            f"0x{s.ssrc:08x}",
            s.payload,
            s.packets,
            s.lost,
            s.mean_jitter_ms,
            s.max_jitter_ms,
            s.max_delta_ms,
        )
        for s in dive.streams
    ]
    columns = ("stream", "ssrc", "payload", "packets", "lost", "jitter mean ms", "max ms", "delta max ms")
    print_table(columns, rows, title="RTP streams")
    rows = [
        (
            r.number,
            iso_time(r.time_ns),
            f"{r.src} > {r.dst}",
            r.kind,
            r.fraction_lost,
            r.cumulative_lost,
            r.jitter_ticks,
        )
        for r in dive.rtcp
    ]
    print_table(("no.", "time", "hop", "kind", "fraction", "lost", "jitter ticks"), rows, title="RTCP")
    rows = [(e.severity, e.count, e.protocol, e.group, e.summary) for e in dive.experts]
    print_table(("severity", "count", "protocol", "group", "summary"), rows, title="expert information")
    if dive.cut:
        typer.echo("there were more messages or reports than are listed", err=True)
