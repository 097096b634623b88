"""The bounded queue between sources and their consumer."""

import threading

import numpy as np

from collectors.capture.base import BatchQueue, SourceStats
from collectors.facts import DATAGRAM, DatagramBatch


def batch(released: list[int], number: int) -> DatagramBatch:
    rows = np.zeros(1, DATAGRAM)
    rows["node_id"] = number
    return DatagramBatch(rows, np.zeros(1, np.uint8), lambda: released.append(number))


def test_batches_come_out_in_order() -> None:
    queue = BatchQueue(4, threading.Event())
    for number in range(3):
        queue.put(batch([], number))
    assert [0, 1, 2] == [int(each.rows["node_id"][0]) for each in queue.take(0)]


def test_an_empty_queue_gives_nothing() -> None:
    assert [] == BatchQueue(4, threading.Event()).take(0)


def test_a_full_queue_makes_the_source_wait_for_the_consumer() -> None:
    queue = BatchQueue(1, threading.Event())
    queue.put(batch([], 0))
    source = threading.Thread(target=queue.put, args=(batch([], 1),))
    source.start()
    taken = len(queue.take(60)) + len(queue.take(60))
    source.join(60)
    assert 2 == taken


def test_stopping_drops_what_does_not_fit_and_gives_its_buffer_back() -> None:
    stop = threading.Event()
    queue = BatchQueue(1, stop)
    released: list[int] = []
    queue.put(batch(released, 0))
    stop.set()
    queue.put(batch(released, 1))
    assert ([1], 1) == (released, queue.dropped)


def test_figures_of_parts_add_up() -> None:
    total = SourceStats(frames=1)
    total.errors["bad_magic"] = 2
    part = SourceStats(frames=3, kernel_drops=5)
    part.errors["bad_magic"] = 1
    total.add(part)
    assert (4, 5, {"bad_magic": 3}) == (total.frames, total.kernel_drops, dict(total.errors))
