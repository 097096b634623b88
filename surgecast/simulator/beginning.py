"""Says to a simulator in another process when to begin, which it waits for with everything loaded.

What starts a network cannot know how long a process takes to come up on a busy machine; where history ends has to
be less than two minutes ago when live traffic goes on from there (see `warm`).
"""

import threading
from multiprocessing import get_context

_LOOK_SECONDS = 0.05


class Beginning:
    """Told once, read by every process that it is given to as an argument, also by one that is started again."""

    def __init__(self) -> None:
        self._told = get_context("spawn").Array("q", 2)

    def tell(self, story_ns: int, history_end_ns: int) -> None:
        """Let it begin: from when on incidents happen as planned, and where history ends (0: there is none)."""
        with self._told:
            self._told[:] = [story_ns, history_end_ns]

    def wait(self, stop: threading.Event) -> tuple[int, int] | None:
        """Return what was told, as soon as it is; None where it is to stop before."""
        while True:
            with self._told:
                story_ns, history_end_ns = self._told[:]
            if story_ns:
                return story_ns, history_end_ns
            if stop.wait(_LOOK_SECONDS):
                return None
