"""The seam to a relay's own controls: how many calls it carries, and whether it takes new ones.

Errors:

    RelayError
    ├── RelayUnreachable  it does not answer in time, or not at all
    └── RelayRefused      it answered with something else than what was asked for
"""

from typing import Protocol

NO_LIMIT = -1


class RelayError(Exception):
    """Base of what can go wrong with a relay; the message names it."""


class RelayUnreachable(RelayError):
    """It does not answer in time, or not at all."""


class RelayRefused(RelayError):
    """It answered with something else than what was asked for."""


class RelayControl(Protocol):
    """The relays of a pool, by their address."""

    def sessions(self, address: str) -> int:
        """Return the calls it carries. Raises RelayError."""

    def limit(self, address: str) -> int:
        """Return its limit of parallel sessions, NO_LIMIT where it has none. Raises RelayError."""

    def set_limit(self, address: str, limit: int) -> None:
        """Set its limit of parallel sessions; 0 takes no new call. Raises RelayError."""
