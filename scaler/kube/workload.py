"""A Deployment or StatefulSet as a scale target, through its scale subresource.

Replicas are written with the resourceVersion they were read with, so that a change by anybody else meanwhile is a
conflict and never overwritten. A workload that a HorizontalPodAutoscaler or a KEDA ScaledObject scales is theirs,
which is read with it each time: nothing of such a one is written, nor are its pods emptied.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from kubernetes import client

from scaler.kube.connect import TIMEOUT_S, told
from scaler.settings import TargetSettings
from scaler.target import DrainMark, Pod, TargetError, TargetFenced, TargetGone, TargetState

FIELD_MANAGER = "surgecast"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
DRAINING = "surgecast.io/draining"
_DRAINED_COST = "-1000000"
_MARK = re.compile(r"since=(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00)(?: maxsessions=(-?\d{1,9}))?")
_PAGE = 500


class Workload:
    """What `scale.pools[].target` names. `may_write` is asked right before each write: the lease's fence."""

    def __init__(self, api: client.ApiClient, target: TargetSettings, may_write: Callable[[], bool]) -> None:
        self._target = target
        self._may_write = may_write
        self._core = client.CoreV1Api(api)
        self._apps = client.AppsV1Api(api)
        self._autoscaling = client.AutoscalingV2Api(api)
        self._custom = client.CustomObjectsApi(api)
        self._where = f"{target.kind} {target.namespace}/{target.name}"
        kind = "deployment" if target.kind == "Deployment" else "stateful_set"
        self._read_scale = getattr(self._apps, f"read_namespaced_{kind}_scale")
        self._replace_scale = getattr(self._apps, f"replace_namespaced_{kind}_scale")

    def read(self, now_s: float) -> TargetState:
        """Return replicas and pods. Raises TargetError."""
        with told(f"scale of {self._where}"):
            scale = self._read_scale(self._target.name, self._target.namespace, _request_timeout=TIMEOUT_S)
        if scale.spec is None or scale.status is None or not scale.status.selector:
            raise TargetError(f"scale of {self._where}: without a selector its pods cannot be told from others")
        pods = tuple(self._pods(scale.status.selector, now_s))
        return TargetState(scale.spec.replicas or 0, scale.metadata.resource_version, pods, self._owner())

    def scale(self, replicas: int, version: str, now_s: float) -> None:
        """Write replicas. Raises TargetError: TargetConflict where they changed, TargetFenced without Lease."""
        if not self._may_write():
            raise TargetFenced(f"{self._where}: another instance leads")
        body = client.V1Scale(
            metadata=client.V1ObjectMeta(
                name=self._target.name, namespace=self._target.namespace, resource_version=version
            ),
            spec=client.V1ScaleSpec(replicas=replicas),
        )
        with told(f"scale of {self._where}"):
            self._replace_scale(
                self._target.name,
                self._target.namespace,
                body,
                field_manager=FIELD_MANAGER,
                _request_timeout=TIMEOUT_S,
            )

    def mark_draining(self, pod: str, mark: DrainMark | None) -> None:
        """Note on a pod that it is being emptied, or no longer; one that is gone needs no note."""
        self._annotate(pod, {DRAINING: None if mark is None else _written(mark)})

    def prefer_to_delete(self, pod: str, prefer: bool) -> None:
        """Make a pod the first to go when replicas are lowered (of a ReplicaSet), or one like the others."""
        self._annotate(pod, {DELETION_COST: _DRAINED_COST if prefer else None})

    def _annotate(self, pod: str, annotations: dict[str, str | None]) -> None:
        if not self._may_write():
            raise TargetFenced(f"pod {pod}: another instance leads")
        body = {"metadata": {"annotations": annotations}}
        try:
            with told(f"pod {self._target.namespace}/{pod}"):
                self._core.patch_namespaced_pod(
                    pod, self._target.namespace, body, field_manager=FIELD_MANAGER, _request_timeout=TIMEOUT_S
                )
        except TargetGone:
            return

    def _pods(self, selector: str, now_s: float) -> Iterator[Pod]:
        token: str | None = None
        while True:
            more = {"_continue": token} if token else {}
            with told(f"pods of {self._where}"):
                page = self._core.list_namespaced_pod(
                    self._target.namespace,
                    label_selector=selector,
                    limit=_PAGE,
                    _request_timeout=TIMEOUT_S,
                    **more,
                )
            yield from (_pod(item, now_s) for item in page.items if _counts(item))
            token = page.metadata._continue if hasattr(page.metadata, "_continue") else page.metadata.continue_
            if not token:
                return

    def _owner(self) -> str:
        """Return what else scales the workload; empty where nothing does."""
        target = self._target
        with told(f"HorizontalPodAutoscalers of {target.namespace}"):
            found = self._autoscaling.list_namespaced_horizontal_pod_autoscaler(
                target.namespace, _request_timeout=TIMEOUT_S
            )
        for hpa in found.items:
            ref = hpa.spec.scale_target_ref
            if (ref.kind, ref.name) == (target.kind, target.name):
                return f"HorizontalPodAutoscaler {hpa.metadata.name}"
        for scaled in self._scaled_objects():
            ref = scaled.get("spec", {}).get("scaleTargetRef", {})
            if (ref.get("kind", "Deployment"), ref.get("name")) == (target.kind, target.name):
                return f"ScaledObject {scaled.get('metadata', {}).get('name')}"
        return ""

    def _scaled_objects(self) -> list[dict[str, Any]]:
        try:
            with told("ScaledObjects"):
                found = self._custom.list_namespaced_custom_object(
                    "keda.sh", "v1alpha1", self._target.namespace, "scaledobjects", _request_timeout=TIMEOUT_S
                )
        except TargetGone:
            return []  # no KEDA here
        return list(found.get("items", []))


def _counts(item: Any) -> bool:
    """Tell whether a pod is one of its workload's replicas: evicted ones stay listed, and were replaced."""
    return item.metadata.deletion_timestamp is None and item.status.phase not in ("Succeeded", "Failed")


def _pod(item: Any, now_s: float) -> Pod:
    annotations = item.metadata.annotations or {}
    conditions = {condition.type: condition for condition in (item.status.conditions or [])}
    ready_at_s = _since(conditions.get("Ready"))
    return Pod(
        name=item.metadata.name,
        created_at_s=item.metadata.creation_timestamp.timestamp(),
        ready_at_s=ready_at_s,
        ready=ready_at_s is not None,
        address=item.status.pod_ip or "",
        drain=_drain_mark(annotations[DRAINING], now_s) if DRAINING in annotations else None,
        preferred=annotations.get(DELETION_COST) == _DRAINED_COST,
        grace_s=item.spec.termination_grace_period_seconds,
        pre_stop=any(c.lifecycle is not None and c.lifecycle.pre_stop is not None for c in item.spec.containers),
    )


def _written(mark: DrainMark) -> str:
    since = datetime.fromtimestamp(mark.since_s, UTC).isoformat(timespec="seconds")
    return f"since={since}" + ("" if mark.limit is None else f" maxsessions={mark.limit}")


def _drain_mark(text: str, now_s: float) -> DrainMark:
    """Read a note; of one that somebody else wrote the time begins now, so that no deadline has passed."""
    found = _MARK.fullmatch(text)
    try:
        since_s = datetime.fromisoformat(found[1]).timestamp() if found else now_s
    except ValueError:
        since_s = now_s
    return DrainMark(min(since_s, now_s), int(found[2]) if found and found[2] else None)


def _since(condition: Any) -> float | None:
    """Return since when a condition is true, None while it is not."""
    if condition is None or condition.status != "True":
        return None
    return float(condition.last_transition_time.timestamp())
