"""Files that are there whole or not at all: after a crash a reader finds no torn one under its name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from storage.embedded.layout import TEMPORARY


@contextmanager
def written_whole(path: Path, mark: str = "") -> Iterator[BinaryIO]:
    """Yield a file that takes its name once all of it is on disk; after an error nothing of it is left.

    Two processes that write the same name tell their halves apart by a `mark`. Raises OSError. That the name
    itself is on disk too is for the caller, who may write several.
    """
    temporary = path.with_name(f"{path.name}{mark}{TEMPORARY}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
