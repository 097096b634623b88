"""The forecast role's inside: the service stepped by the clock, whatever the store does meanwhile."""

import threading
from collections.abc import Callable

import structlog

from forecast.service import Service
from storage.embedded.giveback import give_back
from storage.seam import StoreError

log = structlog.get_logger()

_RETRY_SECONDS = 10.0
_STALLED_SECONDS = 1800.0


class Loop:
    """Steps the service with the clock; a store that is away is asked again, nothing that was due is lost."""

    def __init__(self, service: Service, clock_s: Callable[[], float]) -> None:
        self.failures = 0
        """Steps that the store did not allow."""
        self.why = ""
        """What the last one ended with; empty after a good one."""
        self._service = service
        self._clock_s = clock_s
        self._turned_s = clock_s()

    def run(self, stop: threading.Event) -> None:
        """Step until stopped."""
        while not stop.is_set():
            stop.wait(self.turn(stop))

    def turn(self, stop: threading.Event) -> float:
        """Do what is due now; return the seconds until the next turn."""
        began_s = self._clock_s()
        next_s, fits = self._service.next_s(int(began_s)), self._service.stats.fits
        try:
            # Fits that are not done when the next slot has ended wait until its forecasts are out.
            issued = self._service.step(int(began_s), lambda: stop.is_set() or self._clock_s() >= next_s)
        except StoreError as error:
            self.failures += 1
            self.why = str(error)
            log.error("forecasting waits for the store", why=self.why)
            return _RETRY_SECONDS
        finally:
            if self._service.stats.fits > fits:
                give_back()
        self.why = ""
        self._turned_s = self._clock_s()
        if issued:
            log.info("forecast", series=issued, seconds=round(self._turned_s - began_s, 1))
        return max(next_s - self._clock_s(), 0.0)

    def trouble(self) -> str:
        """Return what is wrong, empty where nothing is: the answer of the health probe."""
        if self.why:
            return f"the store does not answer: {self.why}"
        stalled = self._clock_s() - self._turned_s
        return f"no step has ended for {stalled:.0f} s" if stalled > _STALLED_SECONDS else ""
