"""Runs tasks in a few processes: as many results in flight as keep them busy, never a queue of everything."""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from types import TracebackType

from forecast.issue import Outcome, Task, perform

_IN_FLIGHT = 2
"""Tasks a worker: one at work, one waiting."""
_TASKS_PER_WORKER = 2000
"""Then a worker is replaced, so that nothing can pile up in it for months."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def _end_with_parent() -> None:
    """End this worker when the process that started it is gone: killed, it cannot say so."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_outlived, args=(parent.sentinel,), name="parent", daemon=True).start()


def _outlived(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


class Workers:
    """Worker processes; `run` keeps order. With no workers the tasks run here."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool: ProcessPoolExecutor | None = None
        self.broken = 0
        """Times the processes died (out of memory, killed) and were started anew."""

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Yield the outcome of each task, in order, while later ones are at work."""
        if not self._count:
            yield from map(perform, tasks)
            return
        waiting: deque[tuple[Task, Future[Outcome]]] = deque()
        for task in tasks:
            waiting.append((task, self._started().submit(perform, task)))
            if len(waiting) >= self._count * _IN_FLIGHT:
                yield self._result(*waiting.popleft())
        while waiting:
            yield self._result(*waiting.popleft())

    def _result(self, task: Task, future: "Future[Outcome]") -> Outcome:
        try:
            return future.result()
        except BrokenProcessPool:
            self.broken += 1
            self.close()
            return Outcome(task.key, None, trouble="its worker process died")

    def _started(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Two threads each on a busy machine wait for one another longer than they work.
            for name in _THREADS:
                os.environ.setdefault(name, "1")
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(
                self._count, context, _end_with_parent, max_tasks_per_child=_TASKS_PER_WORKER
            )
        return self._pool

    def close(self) -> None:
        """End the processes; idempotent."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def __enter__(self) -> "Workers":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
