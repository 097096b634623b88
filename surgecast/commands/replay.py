"""`surgecast replay`: capture files through the real path."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from collectors.capture.base import CaptureError
from collectors.kernels.ready import prepare
from surgecast.commands.output import AsJson, print_json, print_table, stderr
from surgecast.config import ConfigFile, load_settings
from surgecast.errors import CommandError
from surgecast.replay import ReplayResult, replay_files
from telephony.model import CallRecord, Registration, StreamInterval

_SHOWN: dict[str, tuple[str, ...]] = {
    "calls": ("call_id", "outcome", "sip_code", "pdd_ms", "duration_s", "released_by", "one_way", "codecs"),
    "streams": ("call_id", "ssrc", "src", "dst", "codec", "observer", "expected", "lost", "jitter_mean_ms", "mos"),
    "registrations": ("aor", "outcome", "sip_code", "challenged"),
}
"""What is shown of each list where no JSON was asked for."""


def replay(
    files: Annotated[list[Path], typer.Argument(help="pcap, pcapng or HEP datagram files, in order of time.")],
    store: Annotated[str | None, typer.Option("--store", help="Also write what is found to this store.")] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Read captures as if their traffic arrived now, and say what calls and quality were in them.

    Example: surgecast replay monday.pcap --json
    """
    settings = load_settings(config)
    prepare(lambda text: stderr.print(text, markup=False))
    try:
        result = replay_files(files, settings.collect, store_url=store, storage=settings.storage)
    except CaptureError as error:
        raise CommandError(str(error)) from error
    for row in result.rows.get("finding", ()):
        stderr.print(f"{row['text']} ({row['count']} times)", markup=False)
    if as_json:
        print_json(as_contract(result))
    else:
        _print(result)


def as_contract(result: ReplayResult) -> dict[str, Any]:
    """Return the keys that the command-line contract names, no others."""
    attempts = Counter(call.call_id for call in result.calls)
    return {
        "streams": [_stream(s) for s in result.streams],
        "calls": [_call(c, attempts[c.call_id]) for c in result.calls],
        "registrations": [_registration(r) for r in result.registrations],
        "rtcp": {"reports": result.rtcp_reports, "rejected": result.rtcp_rejected},
        "capture": {
            "frames": result.capture.frames,
            "bytes": result.capture.bytes,
            "errors": dict(result.capture.errors),
            "drops": result.shed,
        },
    }


def _stream(stream: StreamInterval) -> dict[str, Any]:
    return {
        "ssrc": f"0x{stream.ssrc:08x}",
        "src": str(stream.src),
        "dst": str(stream.dst),
        "payload_types": list(stream.payload_types),
        "codec": stream.codec,
        "clock_rate_hz": stream.clock_rate_hz or None,
        "observer": stream.observer.value,
        "expected": stream.expected,
        "received": stream.received,
        "lost": stream.lost,
        "duplicates": stream.duplicates,
        "reordered": stream.reordered,
        "jitter_mean_ms": stream.jitter_ms,
        "jitter_max_ms": stream.jitter_max_ms,
        "burst_ratio": stream.burst_ratio,
        "r_factor": stream.r_factor,
        "mos": stream.mos,
        "mos_scale": stream.mos_scale.value if stream.mos_scale is not None else None,
        "verdicts": stream.verdict.split(),
        "call_id": stream.call_id,
    }


def _call(call: CallRecord, attempts: int) -> dict[str, Any]:
    return {
        "call_id": call.call_id,
        "outcome": call.outcome.value,
        "sip_code": call.sip_code,
        "attempts": attempts,  # session attempts: challenges are folded
        "pdd_ms": call.pdd_ms,
        "duration_s": call.duration_s,
        "released_by": call.released_by.value if call.released_by is not None else None,
        "one_way": call.one_way,
        "degraded_ratio": call.degraded_ratio,
        "legs": call.legs,
        "codecs": list(call.codecs),
        "hops": list(call.hops),
    }


def _registration(registration: Registration) -> dict[str, Any]:
    return {
        "aor": registration.aor,
        "outcome": registration.outcome.value,
        "sip_code": registration.sip_code,
        "challenged": registration.challenged,
    }


def _print(result: ReplayResult) -> None:
    found = as_contract(result)
    for title, columns in _SHOWN.items():
        if found[title]:
            print_table(columns, [[row[name] for name in columns] for row in found[title]], title=title)
    typer.echo(
        f"{result.capture.frames} frames, {result.capture.bytes} bytes; RTCP reports {result.rtcp_reports}, "
        f"rejected {result.rtcp_rejected}; errors {dict(result.capture.errors) or 'none'}; "
        f"drops {result.shed or 'none'}"
    )
    if not (result.calls or result.streams or result.registrations):
        typer.echo("no calls, streams or registrations were found in it")
