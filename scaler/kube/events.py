"""Decisions as Kubernetes Events, for those who look at the cluster first. They live an hour: no audit log."""

import secrets
from datetime import datetime

import structlog
from kubernetes import client

from scaler.decision import ReplicaDecision
from scaler.kube.connect import TIMEOUT_S, micro_time, told
from scaler.settings import TargetSettings
from scaler.target import TargetError

log = structlog.get_logger()

CONTROLLER = "surgecast.io/scaler"
_NOTE = 1024


class Events:
    """Writes events beside the workloads they are about."""

    def __init__(self, api: client.ApiClient, instance: str) -> None:
        self._api = client.EventsV1Api(api)
        self._instance = instance
        self.failed = 0
        """Events that could not be written."""

    def tell(self, target: TargetSettings, decision: ReplicaDecision, error: str, wall: datetime) -> None:
        """Write that a workload was scaled, or why it could not be. Never raises: no event is worth a round."""
        reason = "ScalingFailed" if error else "ScaledUp" if decision.final > decision.current else "ScaledDown"
        event = client.EventsV1Event(
            metadata=client.V1ObjectMeta(name=f"{target.name}.{secrets.token_hex(8)}", namespace=target.namespace),
            event_time=micro_time(wall),
            type="Warning" if error else "Normal",
            reason=reason,
            action="Scale",
            note=(error or decision.reason)[:_NOTE],
            regarding=client.V1ObjectReference(
                api_version="apps/v1", kind=target.kind, name=target.name, namespace=target.namespace
            ),
            reporting_controller=CONTROLLER,
            reporting_instance=self._instance[:128],
        )
        try:
            with told(f"event of {target.namespace}/{target.name}"):
                self._api.create_namespaced_event(target.namespace, event, _request_timeout=TIMEOUT_S)
        except TargetError as trouble:
            self.failed += 1
            log.warning("event", why=str(trouble))
