"""Which of several scalers acts: a Lease that one of them holds, and a fence that ends before the lease does.

Another's clock is never compared with ours: a lease has expired when it was not renewed for its duration by *our*
clock since we saw it change. The holder stops writing a safe time before another may take over, and gives the
lease back when it stops, so that its successor need not wait.
"""

from dataclasses import dataclass
from datetime import datetime

import structlog
from kubernetes import client

from scaler.kube.connect import TIMEOUT_S, micro_time, told
from scaler.target import TargetConflict, TargetError, TargetGone

log = structlog.get_logger()

DURATION_S = 15
RENEW_DEADLINE_S = 10.0
"""After the last renewal we no longer write; well before the lease can be taken from us."""


@dataclass(slots=True)
class _Seen:
    version: str
    at_s: float


class Lease:
    """One instance's part in the election; call `step` every few seconds with a clock that only goes forward."""

    def __init__(self, api: client.ApiClient, namespace: str, name: str, identity: str) -> None:
        self._api = client.CoordinationV1Api(api)
        self._namespace, self._name, self.identity = namespace, name, identity
        self._renewed_at_s: float | None = None
        self._seen: _Seen | None = None
        self.term = 0
        """How often the lease has changed hands, as of our last look."""

    def holds(self, now_s: float) -> bool:
        """Whether we may write at `now_s` (monotonic seconds): the fence."""
        return self._renewed_at_s is not None and now_s - self._renewed_at_s < RENEW_DEADLINE_S

    def step(self, now_s: float, wall: datetime) -> bool:
        """Renew, or take a lease that is free or expired; return whether we lead. Trouble is not leading."""
        try:
            with told(f"lease {self._namespace}/{self._name}"):
                self._step(now_s, wall)
        except TargetConflict:
            self._renewed_at_s = None  # somebody was faster
        except TargetError as error:
            log.warning("lease", why=str(error))
        return self.holds(now_s)

    def release(self, wall: datetime) -> None:
        """Give the lease back, if it is ours."""
        if self._renewed_at_s is None:
            return
        self._renewed_at_s = None
        try:
            with told(f"lease {self._namespace}/{self._name}"):
                lease = self._read()
                if lease.spec.holder_identity == self.identity:
                    lease.spec.holder_identity = ""
                    lease.spec.renew_time = micro_time(wall)
                    self._replace(lease)
        except TargetError as error:
            log.warning("lease not given back", why=str(error))

    def _step(self, now_s: float, wall: datetime) -> None:
        try:
            with told("lease"):
                lease = self._read()
        except TargetGone:
            self._create(now_s, wall)
            return
        version = lease.metadata.resource_version
        if self._seen is None or self._seen.version != version:
            self._seen = _Seen(version, now_s)
        self.term = lease.spec.lease_transitions or 0
        holder = lease.spec.holder_identity or ""
        if holder == self.identity:
            lease.spec.renew_time = micro_time(wall)
        elif not holder or now_s - self._seen.at_s > (lease.spec.lease_duration_seconds or DURATION_S):
            lease.spec.holder_identity = self.identity
            lease.spec.acquire_time = lease.spec.renew_time = micro_time(wall)
            lease.spec.lease_duration_seconds = DURATION_S
            lease.spec.lease_transitions = self.term + 1
            self.term += 1
            log.info("leading", lease=self._name, term=self.term, before=holder or "nobody")
        else:
            self._renewed_at_s = None
            return
        self._seen = _Seen(self._replace(lease), now_s)
        self._renewed_at_s = now_s

    def _read(self) -> client.V1Lease:
        return self._api.read_namespaced_lease(self._name, self._namespace, _request_timeout=TIMEOUT_S)

    def _replace(self, lease: client.V1Lease) -> str:
        """Write it if nobody has since it was read, and return its new version."""
        written = self._api.replace_namespaced_lease(
            self._name, self._namespace, lease, _request_timeout=TIMEOUT_S
        )
        return str(written.metadata.resource_version)

    def _create(self, now_s: float, wall: datetime) -> None:
        lease = client.V1Lease(
            metadata=client.V1ObjectMeta(name=self._name, namespace=self._namespace),
            spec=client.V1LeaseSpec(
                holder_identity=self.identity,
                acquire_time=micro_time(wall),
                renew_time=micro_time(wall),
                lease_duration_seconds=DURATION_S,
                lease_transitions=0,
            ),
        )
        made = self._api.create_namespaced_lease(self._namespace, lease, _request_timeout=TIMEOUT_S)
        self._seen = _Seen(str(made.metadata.resource_version), now_s)
        self._renewed_at_s = now_s
        log.info("leading", lease=self._name, term=0, before="nobody")
