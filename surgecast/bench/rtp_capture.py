"""Surgecast's own capture under `bench rtp`: rings and stream kernel of production, in a process of its own."""

import json
import signal
import threading
import time

from collectors.capture.bpf import FrameFilter
from collectors.capture.ring import RingSource
from collectors.capture.softnet import SoftnetDrops
from collectors.capture.tpacket import RingSettings, open_rings
from collectors.tracking.streams import StreamSettings, StreamTable
from surgecast.bench.rtp_live import MAX_STREAMS, PORTS

_TICK_SECONDS = 0.5


def main() -> None:
    """Capture until SIGINT; print `ready`, then the figures as JSON."""
    settings = StreamSettings(
        streams=2 * MAX_STREAMS, max_streams=4 * MAX_STREAMS, candidates=2 * MAX_STREAMS, need_unknown=2
    )
    table = StreamTable(settings)
    wanted = RingSettings("sgfar", FrameFilter(ports=(PORTS,)))
    source = RingSource("sgfar", lambda: open_rings(wanted), [table], SoftnetDrops())
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda number, frame: stop.set())
    capture = threading.Thread(target=source.run, args=(lambda batch: batch.release(), stop))
    capture.start()
    print("ready", flush=True)
    while not stop.wait(_TICK_SECONDS):
        with table.lock:  # what the collector does beside: intervals, which nobody rates here
            table.advance(time.time_ns())
            table.take_intervals()
            table.take_ended()
    capture.join()
    stats = source.stats()
    figures = {"captured": stats.frames, "dropped": stats.ring_drops, "streams": len(table)}
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
