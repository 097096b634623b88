"""Compiled loops for the hot paths: numba on raw addresses, without the interpreter lock.

numba keeps machine code between runs and compiles anew when the file of a function changes, but not
when a function or constant that it took from another file does: after an upgrade, old code would run
on. So the code is kept in a folder named by the digest of all the sources that kernels are made of.
"""

import hashlib
import os
import tempfile
from pathlib import Path

import numba


def cache_folder(base: Path, sources: list[Path]) -> Path:
    """Return the folder below `base` for machine code made from `sources`."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(sources):
        digest.update(path.read_bytes())
    return base / digest.hexdigest()[:16]


def _prepare_cache() -> None:
    here = Path(__file__).parent
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    sources = [*here.glob("*.py"), here.parent / "facts.py"]
    try:
        folder = cache_folder(Path(base).expanduser() / "surgecast", sources)
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # read-only, or nobody's home: compile once a process, in a private place
        folder = Path(tempfile.mkdtemp(prefix="surgecast-kernels-"))
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]  # numba fills the module at import


_prepare_cache()
