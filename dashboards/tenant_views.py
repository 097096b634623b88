"""What pages for client success and executives show, as frozen values; see `dashboards.views` for the rules."""

from dataclasses import dataclass

from dashboards.reports.model import Figure
from dashboards.views import Series, Status


@dataclass(frozen=True, slots=True)
class TenantRow:
    """One tenant over the days looked at."""

    name: str
    figures: dict[str, Figure]
    incidents: int
    trend: Series
    """Session attempts per step."""


@dataclass(frozen=True, slots=True)
class TenantsView:
    """All tenants of the scope."""

    status: Status
    since_ns: int = 0
    until_ns: int = 0
    rows: tuple[TenantRow, ...] = ()
    cut: bool = False
    """There are more tenants than are shown."""


@dataclass(frozen=True, slots=True)
class Headline:
    """One number of the executive page."""

    figure: Figure
    target: float | None
    at_least: bool
    """Whether the target is the least, or the most, that is wanted."""
    trend: Series
    """One value a week, oldest first."""
    sentence: str
    money: str = ""
    """Currency, where it is an amount."""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where nothing can be said."""
        if self.target is None or self.figure.value is None or self.figure.few:
            return None
        return self.figure.value >= self.target if self.at_least else self.figure.value <= self.target


@dataclass(frozen=True, slots=True)
class ExecutiveView:
    """The eight numbers."""

    status: Status
    since_ns: int = 0
    until_ns: int = 0
    headlines: tuple[Headline, ...] = ()
