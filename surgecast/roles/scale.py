"""The scale role: decides for every pool each period, and acts where the mode says so and it holds the Lease."""

import itertools
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import structlog

from scaler.decision import ReplicaDecision
from scaler.drain import Drainer, ReplicaSetOrder, StatefulSetOrder
from scaler.rtpengine import Rtpengine
from scaler.service import Scaler
from scaler.settings import ClusterSettings, PoolSettings, ScalerSettings
from scaler.target import ScaleTarget, SimulatedTarget
from storage.open import open_store
from storage.seam import Scope, Store, StoreError, Writer, WriterHealth
from surgecast.config import Settings
from surgecast.exporter import exporting
from surgecast.scale_metrics import LoopFigures, ScaleMetrics

if TYPE_CHECKING:
    from scaler.kube.workload import Workload

log = structlog.get_logger()

_RENEW_SECONDS = 3.0
_WRITER = "scale"


def run(settings: Settings, stop: threading.Event, rounds: int | None = None) -> None:
    """Decide until stopped, or for so many rounds."""
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = _Journal(store)
        try:
            with Targets(settings.scale) as targets:
                if not targets.elected:
                    writer.open()  # the store's lock tells two that have no Lease apart
                reader = store.reader(Scope.everything("scaler"))
                scaler = Scaler(
                    settings.scale,
                    reader,
                    writer,
                    targets.of,
                    time.time_ns(),
                    targets.tell,
                    targets.drainer,
                    pause=lambda: time.sleep(random.uniform(0.01, 0.1)),
                )
                loop = Loop(scaler, targets.may_act, time.time)
                # A few rounds by hand beside the role must not want its port.
                metrics = ScaleMetrics(scaler.stats, loop.figures)
                served = exporting(settings.metrics, settings.metrics.scale_port, metrics, loop.trouble)
                with served if rounds is None else nullcontext():
                    loop.run(settings.scale.period, stop, rounds)
        finally:
            writer.close()
    finally:
        store.close()


class _Journal:
    """The role's writer, opened when it is first written to: who follows leaves it to who leads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._writer: Writer | None = None

    def open(self) -> Writer:
        """Return the writer. Raises StoreLocked while another instance has it."""
        if self._writer is None:
            self._writer = self._store.writer(_WRITER)
        return self._writer

    def write(self, measurement: str, rows: pa.RecordBatch) -> None:
        self.open().write(measurement, rows)

    def flush(self) -> None:
        self.open().flush()

    def health(self) -> WriterHealth:
        return WriterHealth() if self._writer is None else self._writer.health()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


class Loop:
    """Has the scaler decide each period; a store that is away is asked again in the next."""

    def __init__(self, scaler: Scaler, may_act: Callable[[], bool], clock_s: Callable[[], float]) -> None:
        self.figures = LoopFigures()
        self._scaler = scaler
        self._may_act = may_act
        self._clock_s = clock_s
        self._why = ""

    def run(self, period_s: float, stop: threading.Event, rounds: int | None) -> None:
        """Decide until stopped, or for so many rounds."""
        for done in itertools.count(1):
            self.turn()
            if done == rounds or stop.wait(period_s):
                return

    def turn(self) -> None:
        """Decide once for all pools."""
        self.figures.leading = self._may_act()
        try:
            self._scaler.round(round(self._clock_s() * 1e9), self.figures.leading)
        except StoreError as error:
            self._why = str(error)
            self.figures.store_failures += 1
            log.error("no decision: the store", why=self._why)
        else:
            self._why = ""

    def trouble(self) -> str:
        """Return what is wrong, empty where nothing is: the answer of the health probe."""
        return f"the store does not answer: {self._why}" if self._why else ""


class Targets:
    """What the pools scale: workloads of one cluster, guarded by its Lease, and pods that exist only here."""

    def __init__(self, settings: ScalerSettings, elect: bool = True) -> None:
        """Without `elect` nothing can be written: for those who only look."""
        self._cluster: _Cluster | None = None
        if any(pool.target is not None and pool.target.kind != "Simulated" for pool in settings.pools):
            self._cluster = _Cluster(settings.cluster, elect)

    def __enter__(self) -> "Targets":
        return self

    def __exit__(self, *_: object) -> None:
        if self._cluster is not None:
            self._cluster.close()

    @property
    def elected(self) -> bool:
        """Whether a Lease says who leads."""
        return self._cluster is not None

    def may_act(self) -> bool:
        """Whether we lead, or there is nothing to lead."""
        return self._cluster is None or self._cluster.leads()

    def of(self, pool: PoolSettings) -> ScaleTarget:
        """Return what a pool scales."""
        if pool.target is None or pool.target.kind == "Simulated" or self._cluster is None:
            # The first ones are there already: nobody waits for them.
            return SimulatedTarget(pool.name, pool.lead_time, pool.minimum, time.time() - pool.lead_time)
        return self._cluster.workload(pool)

    def drainer(self, pool: PoolSettings) -> Drainer | None:
        """Return what empties a pool's pods, where it is asked for and there are such."""
        drain, target = pool.drain, pool.target
        if drain.method == "none" or target is None or target.kind == "Simulated" or self._cluster is None:
            return None
        relays = Rtpengine(drain.port, drain.ng_port if drain.method == "rtpengine-ng" else None)
        order = StatefulSetOrder() if target.kind == "StatefulSet" else ReplicaSetOrder()
        return Drainer(self._cluster.workload(pool), relays, order, drain.deadline, self._cluster.leads)

    def tell(self, pool: PoolSettings, decision: ReplicaDecision, error: str) -> None:
        """Write an event beside the workload."""
        if pool.target is not None and self._cluster is not None:
            self._cluster.events.tell(pool.target, decision, error, datetime.now(UTC))


class _Cluster:
    """A connection, and the Lease renewed by a thread of its own: a slow round must not lose it."""

    def __init__(self, settings: ClusterSettings, elect: bool) -> None:
        # Here and not above: who scales no cluster needs no Kubernetes client, which takes seconds to import.
        from scaler.kube.connect import connect
        from scaler.kube.events import Events
        from scaler.kube.lease import Lease

        self._api = connect(settings.kubeconfig, settings.context)
        identity = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.events = Events(self._api, identity)
        self._lease = Lease(self._api, settings.namespace, settings.lease, identity)
        self._stop = threading.Event()
        self._renewer: threading.Thread | None = None
        if elect:
            self._lease.step(time.monotonic(), datetime.now(UTC))
            self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
            self._renewer.start()

    def _renew(self) -> None:
        while not self._stop.wait(_RENEW_SECONDS):
            self._lease.step(time.monotonic(), datetime.now(UTC))

    def leads(self) -> bool:
        """Whether we may write now."""
        return self._lease.holds(time.monotonic())

    def workload(self, pool: PoolSettings) -> "Workload":
        """Return the workload that a pool names."""
        from scaler.kube.workload import Workload

        assert pool.target is not None
        return Workload(self._api, pool.target, self.leads)

    def close(self) -> None:
        """Give the Lease back."""
        if self._renewer is not None:
            self._stop.set()
            self._renewer.join()
            self._lease.release(datetime.now(UTC))
