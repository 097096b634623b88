"""Surgecast's own HEP receiver under `bench hep`: the source that production uses, its batches counted."""

import json
import threading
import time
from dataclasses import asdict

from collectors.capture.hepudp import HepUdpSource
from collectors.facts import DatagramBatch
from collectors.wire.hep import HepParser
from surgecast.bench.peers import IDLE_SECONDS, LOOPBACK, RECEIVE_BUFFER_BYTES, Figures


def main() -> None:
    """Receive until silence: print the port, then the figures as JSON."""
    source = HepUdpSource(LOOPBACK, 0, HepParser, receive_buffer_bytes=RECEIVE_BUFFER_BYTES)
    stop = threading.Event()
    figures = Figures()
    first = last = 0.0

    def sink(batch: DatagramBatch) -> None:
        nonlocal first, last
        last = time.perf_counter()
        first = first or last
        figures.parsed += len(batch.rows)
        batch.release()

    def watch() -> None:
        while not first or time.perf_counter() - last < IDLE_SECONDS:
            time.sleep(IDLE_SECONDS / 4)
        stop.set()

    watcher = threading.Thread(target=watch)
    print(source.port, flush=True)
    before = time.process_time()
    watcher.start()
    source.run(sink, stop)
    watcher.join()
    figures.cpu_seconds = time.process_time() - before
    stats = source.stats()
    figures.received, figures.drops, figures.seconds = stats.frames, stats.kernel_drops, last - first
    print(json.dumps(asdict(figures)), flush=True)


if __name__ == "__main__":
    main()
