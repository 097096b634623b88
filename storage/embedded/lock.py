"""One process at a time owns a writer's name."""

import fcntl
import os
import time
from pathlib import Path

from storage.seam import StoreLocked

UPKEEP = "upkeep"
"""Purpose of a lock that is held for a moment only, to look after a dead writer's files."""
_UPKEEP_WAIT_SECONDS = 30.0
_UPKEEP_POLL_SECONDS = 0.02


class WriterLock:
    """flock(2) on `lock/<writer>.lock`: dies with the process, so a crash leaves nothing to clean."""

    def __init__(self, path: Path, writer: str, purpose: str = "") -> None:
        """Take the lock; raises StoreLocked that says who has it.

        `purpose` is said to others that want the lock: they wait for upkeep, which is short.
        """
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        deadline = time.monotonic() + _UPKEEP_WAIT_SECONDS
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = os.pread(self._fd, 64, 0).decode("ascii", "replace").strip()
                if (not owner or owner.startswith(UPKEEP)) and not purpose and time.monotonic() < deadline:
                    time.sleep(_UPKEEP_POLL_SECONDS)
                    continue
                os.close(self._fd)
                by = f"process {owner}" if owner else "another process"
                raise StoreLocked(f"writer {writer!r} of {path.parent.parent} is open in {by}; stop it") from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{purpose} {os.getpid()}\n".lstrip().encode(), 0)

    def release(self) -> None:
        """Let the lock go."""
        os.close(self._fd)
