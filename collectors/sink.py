"""Where the facts of the collector go: the seam between the pipeline and whatever keeps them."""

from collections.abc import Sequence
from typing import Protocol

from collectors.facts import SipSighting
from collectors.tracking.rollups import Row
from telephony.model import CallRecord, Labels, Registration, StreamInterval


class Sink(Protocol):
    """Where the facts go; every method takes what is new since the last call."""

    def intervals(self, intervals: Sequence[StreamInterval]) -> None:
        """Take closed stream intervals."""

    def calls(self, records: Sequence[CallRecord]) -> None:
        """Take the records of calls that ended."""

    def registrations(self, registrations: Sequence[Registration]) -> None:
        """Take registrations that are final."""

    def messages(self, sightings: Sequence[tuple[SipSighting, Labels]]) -> None:
        """Take SIP messages for the ladder."""

    def rows(self, measurement: str, rows: Sequence[Row]) -> None:
        """Take rows of a measurement (minutes, load, findings)."""

    def flush(self) -> None:
        """Everything up to here belongs together: make it durable and visible."""
