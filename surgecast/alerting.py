"""The alert role's inside: the service stepped by the clock, whatever the store does meanwhile."""

import threading
from collections.abc import Callable

import structlog

from alerts.service import Service
from storage.seam import StoreError

log = structlog.get_logger()

_TURN_SECONDS = 5.0
_STALLED_SLOTS = 3


class Loop:
    """Steps the service with the clock and sends in between; a store that is away is asked again soon."""

    def __init__(self, service: Service, clock_s: Callable[[], float]) -> None:
        self.failures = 0
        """Turns that the store did not allow."""
        self.why = ""
        """What the last one ended with; empty after a good one."""
        self._service = service
        self._clock_s = clock_s
        self._began_s = clock_s()
        self._logged: dict[str, str] = {}

    def run(self, stop: threading.Event) -> None:
        """Judge and send until stopped."""
        while not stop.is_set():
            self.turn()
            stop.wait(_TURN_SECONDS)

    def turn(self) -> None:
        """Do what is due now. What is judged but not written, or owed but not sent, is so at a later turn."""
        now_s = self._clock_s()
        try:
            if now_s >= self._service.due_s:
                self._service.step(now_s)
                self._log_incidents()
            else:
                self._service.deliver(now_s)
        except StoreError as error:
            self.failures += 1
            self.why = str(error)
            log.error("alerting waits for the store", why=self.why)
            return
        self.why = ""
        outbox = self._service.outbox
        if outbox.last_error:
            log.error("a message was not taken", error=outbox.last_error)
            outbox.last_error = ""

    def _log_incidents(self) -> None:
        current = {one.id: f"{one.state} {one.severity}" for one in self._service.incidents()}
        for one in self._service.incidents():
            if self._logged.get(one.id) != current[one.id]:
                log.info("incident", id=one.id, rule=one.rule, scope=str(one.scope), severity=one.severity.value)
        self._logged = current

    def trouble(self) -> str:
        """Return what is wrong, empty where nothing is: the answer of the health probe."""
        if self.why:
            return f"the store does not answer: {self.why}"
        late = self._clock_s() - max(self._service.stats.judged_at_s, self._began_s)
        slot = self._service.settings.slot
        return f"nothing was judged for {late:.0f} s" if late > max(_STALLED_SLOTS * slot, 1800) else ""
