"""Where the simulated past ends and a live run begins."""

from telephony.model import MINUTE_NS

_SURE_NS = 45_000_000_000


def warm_from_ns(start_ns: int) -> int:
    """Return the first capture time of a warm start: a whole minute, 45 to 105 s before it.

    History ends there, so no minute is written by both. Collectors take capture times that are older than two
    minutes for a wrong clock.
    """
    return (start_ns - _SURE_NS) // MINUTE_NS * MINUTE_NS
