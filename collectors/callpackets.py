"""From what the store knows of a call to its packets: when and between which addresses to look for them."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from collectors.capture.packetslice import PacketsGone, SavedSlice, SliceRequest, save_call
from storage.seam import CallTrace
from telephony.model import INTERVAL_NS, Endpoint

_BEFORE_NS = 2_000_000_000
_AFTER_NS = 5_000_000_000
"""Retransmissions and stragglers around what the store knows of a call."""


def save_call_packets(directory: Path | None, call_id: str, trace: CallTrace, target: Path) -> SavedSlice:
    """Write the packets of a call to a pcapng file.

    Args:
        directory: Of the packet buffer; None where there is none.
        call_id: Of the call.
        trace: What the store knows of it, read within the scope of who asks.
        target: File to write.

    Raises:
        PacketsGone: There is no buffer, or nothing of the call in it: the message says which, and since when
            there are packets.
        CaptureError: The buffer or the target cannot be used.
    """
    if directory is None:
        raise PacketsGone("no packets are kept: set collect.packet_buffer.directory, and they are from then on", 0)
    try:
        return save_call(directory, request_of(call_id, trace), target)
    except PacketsGone as gone:
        if not gone.kept_since_ns:
            raise PacketsGone(f"{gone} ({directory})", 0) from None
        since = datetime.fromtimestamp(gone.kept_since_ns // 1_000_000_000, UTC)
        raise PacketsGone(f"{gone}; it begins at {since:%Y-%m-%d %H:%M:%S} UTC", gone.kept_since_ns) from None


def request_of(call_id: str, trace: CallTrace) -> SliceRequest:
    """Return where to look for the packets of a call; a live one is looked for up to what is stored of it."""
    times = _times(trace.messages) + [t for at in _times(trace.intervals) for t in (at, at + INTERVAL_NS)]
    if trace.call is not None:
        times += [at for name in ("started_at", "time") if isinstance(at := trace.call.get(name), int)]
    ends = {text for name in ("src", "dst") for text in trace.intervals.column(name).to_pylist() if text}
    return SliceRequest(
        call_id,
        min(times, default=0) - _BEFORE_NS,
        max(times, default=0) + _AFTER_NS,
        tuple(sorted(_endpoint(text) for text in ends)),
    )


def _times(table: pa.Table) -> list[int]:
    return [int(at) for at in table.column("time").cast(pa.int64()).to_pylist()]


def _endpoint(text: str) -> Endpoint:
    ip, _, port = text.rpartition(":")
    return Endpoint(ip.strip("[]"), int(port) if port.isdigit() else 0)
