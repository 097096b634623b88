"""The scale role: decides for every pool each period, and acts where the mode says so."""

import itertools
import threading
import time

import structlog

from scaler.service import Scaler
from scaler.settings import PoolSettings
from scaler.target import ScaleTarget, SimulatedTarget
from storage.open import open_store
from storage.seam import Scope, StoreError
from surgecast.config import Settings

log = structlog.get_logger()


def run(settings: Settings, stop: threading.Event, rounds: int | None = None) -> None:
    """Decide until stopped, or for so many rounds."""
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer("scale")
        try:
            reader = store.reader(Scope.everything("scaler"))
            scaler = Scaler(settings.scale, reader, writer, target_of, time.time_ns())
            for done in itertools.count(1):
                try:
                    scaler.round(time.time_ns())
                except StoreError as error:
                    log.error("no decision: the store", why=str(error))
                if done == rounds or stop.wait(settings.scale.period):
                    return
        finally:
            writer.close()
    finally:
        store.close()


def target_of(pool: PoolSettings) -> ScaleTarget:
    """Return what a pool scales; pods that exist only here where it names nothing."""
    return SimulatedTarget(pool.name, pool.lead_time, pool.minimum, time.time())
