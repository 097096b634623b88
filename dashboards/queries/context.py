"""What every panel's query shares: the grid, the filters, and the reasons why something is empty."""

from dataclasses import dataclass

from dashboards.filters import Filters
from dashboards.numbers import duration
from dashboards.views import PanelState, Stage, Status

from .tables import Grid

LOADING = Status(PanelState.LOADING, "Reading the store …")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the collectors have seen in the last minute, to say why a panel is empty."""

    collector: bool
    sip: bool
    rtcp: bool


@dataclass(frozen=True, slots=True)
class Context:
    """The view that is asked for, and when."""

    grid: Grid
    filters: Filters
    stage: Stage
    now_ns: int

    def empty(self, what: str, hint: str = "") -> Status:
        """Return the empty state of a panel: the installation's stage, the filters, or the hint as the reason.

        Args:
            what: a sentence about what is missing, without its full stop.
            hint: what is known beyond that, a sentence.
        """
        span = f"in the last {self.filters.range.words}"
        if self.stage is Stage.NO_COLLECTOR:
            why = "No collector writes to this store."
        elif self.stage is Stage.NO_TRAFFIC:
            why = "The collector is up, but no agent has sent it anything yet."
        elif self.filters.narrowed:
            why = f"Narrowed to {self.filters.words()}. {hint}".strip()
        else:
            why = hint
        return Status(PanelState.EMPTY, f"{what} {span}. {why}".strip())

    def fresh(self, newest_ns: int | None, limit_seconds: float) -> Status | None:
        """Return the stale state where the newest row is older than it should be."""
        if newest_ns is None:
            return None
        age_s = (self.now_ns - newest_ns) / 1e9
        if age_s <= limit_seconds:
            return None
        return Status(PanelState.STALE, f"the newest data is {duration(age_s)} old")


def no_media_hint(seen: Seen) -> str:
    """Say why there is no quality figure, as far as is known."""
    if not seen.collector:
        return "No collector has written for the last minute and a half."
    if seen.rtcp:
        return "RTCP reports arrive, but none was joined to a call: see the findings."
    if seen.sip:
        return (
            "SIP is seen, but no RTCP report: let rtpengine (homer=…), the phones' vq-rtcpxr or heplify "
            "(-m SIPRTCP) send reports as well."
        )
    return "Neither SIP nor RTCP was seen in the last minute and a half."
