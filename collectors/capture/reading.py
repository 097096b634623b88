"""Opening and reading recorded files, through gzip where they are compressed."""

import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from collectors.capture.base import CaptureError

_GZIP_MAGIC = b"\x1f\x8b"


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading.

    Raises:
        CaptureError: It cannot be opened.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise CaptureError(f"{path}: cannot be read: {error.strerror}") from error
    magic = read_some(file, path, len(_GZIP_MAGIC))
    file.seek(0)
    return cast(BinaryIO, _GzipFile(file)) if magic == _GZIP_MAGIC else file


def read_some(file: BinaryIO, path: Path, size: int) -> bytes:
    """Read up to `size` bytes; fewer only at the end.

    Raises:
        CaptureError: The medium fails, or the gzip stream is damaged or cut.
    """
    try:
        return file.read(size)
    except (OSError, EOFError, zlib.error) as error:
        raise CaptureError(f"{path}: cannot be read on: {error}") from error


class _GzipFile(gzip.GzipFile):
    """Closes the file below it too."""

    def __init__(self, below: BinaryIO) -> None:
        super().__init__(fileobj=below, mode="rb")
        self._below = below

    def close(self) -> None:
        super().close()
        self._below.close()
