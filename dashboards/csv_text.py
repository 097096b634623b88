"""Tables as CSV that no spreadsheet takes for formulas."""

import re
from collections.abc import Sequence

_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
_QUOTED = (",", '"', "\r", "\n")


def csv_lines(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""Return a table as CSV (RFC 4180); cells that a spreadsheet would run as a formula are quoted off.

    >>> csv_lines(("a", "b"), (("x,y", "-1.5"), ("=1+1", "-1+1")))
    'a,b\r\n"x,y",-1.5\r\n\'=1+1,\'-1+1\r\n'
    """
    return "".join(",".join(_cell(text) for text in line) + "\r\n" for line in (columns, *rows))


def _cell(text: str) -> str:
    risky = text.startswith(_STARTS_FORMULA) and _NUMBER.fullmatch(text) is None
    safe = f"'{text}" if risky else text
    return '"' + safe.replace('"', '""') + '"' if any(mark in safe for mark in _QUOTED) else safe
