"""The scale role: decides for every pool each period, and acts where the mode says so and it holds the Lease."""

import itertools
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from scaler.decision import ReplicaDecision
from scaler.service import Scaler
from scaler.settings import ClusterSettings, PoolSettings, ScalerSettings
from scaler.target import ScaleTarget, SimulatedTarget
from storage.open import open_store
from storage.seam import Scope, StoreError
from surgecast.config import Settings

log = structlog.get_logger()

_RENEW_SECONDS = 3.0


def run(settings: Settings, stop: threading.Event, rounds: int | None = None) -> None:
    """Decide until stopped, or for so many rounds."""
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer("scale")
        try:
            with Targets(settings.scale) as targets:
                reader = store.reader(Scope.everything("scaler"))
                scaler = Scaler(settings.scale, reader, writer, targets.of, time.time_ns(), targets.tell)
                _rounds(scaler, targets.may_act, settings.scale.period, stop, rounds)
        finally:
            writer.close()
    finally:
        store.close()


def _rounds(
    scaler: Scaler, may_act: Callable[[], bool], period: float, stop: threading.Event, rounds: int | None
) -> None:
    for done in itertools.count(1):
        try:
            scaler.round(time.time_ns(), may_act())
        except StoreError as error:
            log.error("no decision: the store", why=str(error))
        if done == rounds or stop.wait(period):
            return


class Targets:
    """What the pools scale: workloads of one cluster, guarded by its Lease, and pods that exist only here."""

    def __init__(self, settings: ScalerSettings) -> None:
        self._cluster: _Cluster | None = None
        if any(pool.target is not None and pool.target.kind != "Simulated" for pool in settings.pools):
            self._cluster = _Cluster(settings.cluster)

    def __enter__(self) -> "Targets":
        return self

    def __exit__(self, *_: object) -> None:
        if self._cluster is not None:
            self._cluster.close()

    def may_act(self) -> bool:
        """Whether we lead, or there is nothing to lead."""
        return self._cluster is None or self._cluster.leads()

    def of(self, pool: PoolSettings) -> ScaleTarget:
        """Return what a pool scales."""
        if pool.target is None or pool.target.kind == "Simulated" or self._cluster is None:
            return SimulatedTarget(pool.name, pool.lead_time, pool.minimum, time.time())
        return self._cluster.workload(pool)

    def tell(self, pool: PoolSettings, decision: ReplicaDecision, error: str) -> None:
        """Write an event beside the workload."""
        if pool.target is not None and self._cluster is not None:
            self._cluster.events.tell(pool.target, decision, error, datetime.now(UTC))


class _Cluster:
    """A connection, and the Lease renewed by a thread of its own: a slow round must not lose it."""

    def __init__(self, settings: ClusterSettings) -> None:
        # Here and not above: who scales no cluster needs no Kubernetes client, which takes seconds to import.
        from scaler.kube.connect import connect
        from scaler.kube.events import Events
        from scaler.kube.lease import Lease

        self._api = connect(settings.kubeconfig, settings.context)
        identity = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.events = Events(self._api, identity)
        self._lease = Lease(self._api, settings.namespace, settings.lease, identity)
        self._stop = threading.Event()
        self._lease.step(time.monotonic(), datetime.now(UTC))
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewer.start()

    def _renew(self) -> None:
        while not self._stop.wait(_RENEW_SECONDS):
            self._lease.step(time.monotonic(), datetime.now(UTC))

    def leads(self) -> bool:
        """Whether we may write now."""
        return self._lease.holds(time.monotonic())

    def workload(self, pool: PoolSettings) -> ScaleTarget:
        """Return the workload that a pool names."""
        from scaler.kube.workload import Workload

        assert pool.target is not None
        return Workload(self._api, pool.target, self.leads)

    def close(self) -> None:
        """Give the Lease back."""
        self._stop.set()
        self._renewer.join()
        self._lease.release(datetime.now(UTC))
