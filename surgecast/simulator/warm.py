"""Where the simulated past ends and a live run begins."""

from telephony.model import MINUTE_NS

_SURE_NS = 45_000_000_000
_OLDEST_NS = 110_000_000_000
"""Collectors take capture times that are older than two minutes for a wrong clock."""


def warm_from_ns(start_ns: int, history_end_ns: int = 0) -> int:
    """Return the first capture time of a warm start, a whole minute.

    That is where history ends, so that no minute is written by both and none by neither; where there is none, or
    too long ago for a collector, 45 to 105 s before the start.
    """
    if start_ns - _OLDEST_NS <= history_end_ns < start_ns:
        return history_end_ns // MINUTE_NS * MINUTE_NS
    return (start_ns - _SURE_NS) // MINUTE_NS * MINUTE_NS


def start_after(history_end_ns: int) -> int:
    """Return the earliest start whose own warm start begins at the end of a history, or later."""
    return history_end_ns + _SURE_NS
