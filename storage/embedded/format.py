"""Which version of the layout a store has; older ones are migrated when they are opened, newer ones refused.

    1  no `format` file; logs are plain Arrow streams (`.arrows`)
    2  logs are framed with checksums (`.frames`); segments have aggregates of their calls beside them
    3  those aggregates (digests) are Arrow files, to be mapped, no longer Parquet

Migrating needs no rewriting: old logs are read, and sealed, as they are; digests that are missing are made by
upkeep, and until then queries read the rows.
"""

import json
import os
from pathlib import Path

from storage.seam import StoreError

FORMAT = 3
_NAME = "format"


def check_format(root: Path) -> int:
    """Return the format that the store had, and mark it as one of this version.

    Raises StoreError for one of a newer version or whose mark cannot be understood, OSError.
    """
    path = root / _NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        found = 1 if (root / "data").is_dir() else FORMAT
    else:
        found = _version_of(text, path)
    if found > FORMAT:
        raise StoreError(
            f"store {root} has format {found}; this version reads formats up to {FORMAT}: use the newer surgecast"
        )
    if found < FORMAT or not path.exists():
        _mark(path)
    return found


def _version_of(text: str, path: Path) -> int:
    try:
        version = json.loads(text)["format"]
    except (ValueError, TypeError, KeyError):
        version = None
    if not isinstance(version, int) or version < 1:
        raise StoreError(f'{path} does not say the store\'s format; it should be like {{"format": {FORMAT}}}')
    return version


def _mark(path: Path) -> None:
    temporary = path.with_name(f"{_NAME}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(json.dumps({"format": FORMAT}) + "\n", encoding="utf-8")
    temporary.replace(path)
