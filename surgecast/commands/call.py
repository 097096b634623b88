"""`surgecast call`: all that is known of one call."""

from pathlib import Path
from typing import Annotated

import typer

from surgecast.commands.output import AsJson, iso_time, print_json, print_table, shown
from surgecast.commands.stored import AsTenant, rows_of, stored
from surgecast.config import ConfigFile, StoreUrl, load_settings

_TIMES = ("time", "started_at")


def call(
    call_id: Annotated[str, typer.Argument(help="Call-ID, as in the SIP header.")],
    tenant: AsTenant = None,
    config: ConfigFile = None,
    store: StoreUrl = None,
    pcap: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Save its packets from the packet buffer to this pcapng file."),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Print what tshark knows of its packets in the packet buffer.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the trace of one call: its record, its messages hop by hop, and its quality; or save its packets.

    Example: surgecast call 1-28027@127.0.0.11
    """
    with stored(config, store, tenant) as reader:
        trace = reader.call(call_id)
    if pcap is not None or deep:
        # Here and not above: its kernels compile when they are imported.
        from surgecast.commands.call_packets import packets_of

        packets_of(load_settings(config), call_id, trace, pcap, tenant=tenant, deep=deep, as_json=as_json)
        return
    messages, intervals, findings = (rows_of(t) for t in (trace.messages, trace.intervals, trace.findings))
    record = {k: iso_time(v) if isinstance(v, int) and k in _TIMES else v for k, v in (trace.call or {}).items()}
    if as_json:
        print_json({"call": record or None, "messages": messages, "intervals": intervals, "findings": findings})
        return
    if not record:
        typer.echo(f"{call_id}: alive, no record yet")
    else:
        for name in (
            "call_id", "tenant", "trunk", "outcome", "sip_code", "started_at", "pdd_ms", "setup_ms", "duration_s",
            "released_by", "attempts", "legs", "codecs", "mos_min", "mos_avg", "degraded_ratio", "one_way",
            "quality_reason", "correlated",
        ):  # fmt: skip
            typer.echo(f"{name:>15}  {shown(record.get(name))}")
    if messages:
        rows = [
            (m["time"], f"{m['src']} > {m['dst']}", m["node"], m["status"] or m["method"], m["reason"], m["cseq"])
            for m in messages
        ]
        print_table(("time", "hop", "node", "message", "reason", "cseq"), rows, title="messages")
    if intervals:
        columns = ("time", "direction", "observer", "codec", "expected", "lost", "jitter_ms", "rtt_ms", "r_factor",
                   "mos", "verdict")  # fmt: skip
        print_table(columns, [[i[c] for c in columns] for i in intervals], title="intervals")
    for finding in findings:
        typer.echo(f"finding: {finding['text']}")
