"""What an operator can set about scaling: the pools, what a pod can carry, and how far the scaler may go."""

from pathlib import Path
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from forecast.accuracy import LEVELS
from storage.setting_types import Duration

_POD = {"packets_per_second": 200_000, "sessions": 1000}
_FLOOR = {
    "name": "televote final",
    "start": "2026-12-05T20:00:00+01:00",
    "end": "2026-12-05T23:00:00+01:00",
    "load": {"sessions": 3000},
}
_GRACE_MARGIN_S = 10.0
"""Between the end of the last call and the kill: containers need some to end."""
_NAME = r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PodCapacity(_Section):
    """What one pod carries at most, by resource; those not given do not bind."""

    packets_per_second: float | None = Field(
        default=None, gt=0, description="Packets in and out; a relayed G.711 call is 200.", examples=[200_000]
    )
    sessions: float | None = Field(
        default=None, gt=0, description="Concurrent calls (ports, memory).", examples=[1000]
    )
    calls_per_second: float | None = Field(default=None, gt=0, description="New calls a second.", examples=[50])
    transcoded_sessions: float | None = Field(
        default=None, gt=0, description="Concurrent transcoded calls.", examples=[150]
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError("give at least one of " + ", ".join(type(self).model_fields))
        return self


class TargetSettings(_Section):
    """What is scaled, in Kubernetes."""

    namespace: str = Field(default="default", pattern=_NAME, description="Namespace.", examples=["voice"])
    kind: Literal["Deployment", "StatefulSet", "Simulated"] = Field(
        default="Deployment",
        description="Kind with a scale subresource; Simulated pods exist in the scaler alone, to try a policy.",
        examples=["Deployment"],
    )
    name: str = Field(pattern=_NAME, description="Name of the object.", examples=["rtpengine"])


class DrainSettings(_Section):
    """How a pod is emptied before it goes."""

    method: Literal["none", "rtpengine-cli", "rtpengine-ng"] = Field(
        default="none",
        description="What empties a pod: rtpengine's command line interface stops new calls and counts those "
        "that are up; with rtpengine-ng the NG protocol counts, which cannot stop them. none: a pod's own "
        "termination.",
        examples=["rtpengine-cli"],
    )
    port: int = Field(
        default=9900,
        ge=1,
        le=65535,
        description="Port of rtpengine's command line interface (listen-cli) on each pod; it has no password, so "
        "let nobody else reach it.",
        examples=[9900],
    )
    ng_port: int = Field(
        default=2223,
        ge=1,
        le=65535,
        description="Port of its NG protocol (listen-ng), for rtpengine-ng.",
        examples=[2223],
    )
    deadline: Duration = Field(
        default=1800.0,
        gt=0,
        description="Calls that last longer than this are given up. Without a method it is compared with the "
        "pods' terminationGracePeriodSeconds: where that is shorter, no pod is taken away.",
        examples=["30m"],
    )

    @property
    def grace_s(self) -> float:
        """The terminationGracePeriodSeconds that lets a call of the deadline's length end."""
        return self.deadline + _GRACE_MARGIN_S


class FloorSettings(_Section):
    """A load that is provided for between two times, whatever the forecast says."""

    name: str = Field(min_length=1, max_length=100, description="What it is for.", examples=["televote final"])
    start: AwareDatetime = Field(description="Begin, with its zone.", examples=["2026-12-05T20:00:00+01:00"])
    end: AwareDatetime = Field(description="End, with its zone.", examples=["2026-12-05T23:00:00+01:00"])
    load: PodCapacity = Field(description="The load to be ready for.", examples=[{"sessions": 3000}])

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError("end is not after start")
        return self


class PoolSettings(_Section):
    """A group of equal pods and the load that they share."""

    name: str = Field(pattern=_NAME, description="Name of the pool, as in the load it is measured by.",
                      examples=["rtpengine-eu"])  # fmt: skip
    region: str = Field(default="", max_length=64, description="Region of the pool.", examples=["eu"])
    target: TargetSettings | None = Field(
        default=None,
        description="What is scaled; without it decisions are only written down.",
        examples=[{"namespace": "voice", "name": "rtpengine"}],
    )
    pod: PodCapacity = Field(description="What one pod carries.", examples=[_POD])
    target_utilisation: float = Field(
        default=0.9, gt=0, le=1, description="How full pods may be by the load seen now.", examples=[0.9]
    )
    forecast_utilisation: float = Field(
        default=0.95, gt=0, le=1, description="How full pods may be at the forecast quantile.", examples=[0.95]
    )
    forecast_quantile: float = Field(
        default=0.95,
        description="Quantile of the coming slots' maximum that is provided for: 0.5, 0.8, 0.9, 0.95 or 0.99.",
        examples=[0.95],
    )
    blocking: float = Field(
        default=0.001, gt=0, lt=1, description="Calls that may find no pod with room (Erlang B).", examples=[0.001]
    )
    peakedness: float = Field(
        default=1.0, ge=1, le=10, description="Variance to mean of concurrent calls (Hayward).", examples=[1.5]
    )
    minimum: int = Field(default=1, ge=0, description="Fewest pods.", examples=[2])
    maximum: int = Field(default=100, ge=1, description="Most pods.", examples=[40])
    reserved_sessions: dict[str, int] = Field(
        default_factory=dict,
        description="Calls that a tenant can always place, by tenant.",
        examples=[{"hospital": 200}],
    )
    floors: tuple[FloorSettings, ...] = Field(
        default=(), description="Campaigns and other times to be ready for.", examples=[[_FLOOR]]
    )
    cost_per_pod_hour: float = Field(default=0.0, ge=0, description="Price of a pod.", examples=[0.17])
    budget_per_hour: float | None = Field(
        default=None, gt=0, description="Most that the pool may cost an hour.", examples=[5.0]
    )
    lead_time: Duration = Field(
        default=180.0, gt=0, description="From a new pod to a ready one, until it was measured.", examples=["3m"]
    )
    stabilisation: Duration = Field(
        default=300.0, ge=0, description="How long load must have been lower before pods go.", examples=["5m"]
    )
    step_up: int = Field(default=50, ge=1, description="Most pods added by one decision.", examples=[10])
    step_down: int = Field(default=10, ge=1, description="Most pods removed by one decision.", examples=[2])
    load_age: Duration = Field(
        default=30.0, gt=0, description="Older load is stale: no pod goes by it.", examples=["30s"]
    )
    forecast_age: Duration = Field(
        default=2700.0, gt=0, description="A forecast issued longer ago is stale.", examples=["45m"]
    )
    ready_ratio: float = Field(
        default=0.5, ge=0, le=1, description="With fewer of the pods ready none is removed.", examples=[0.5]
    )
    drain: DrainSettings = Field(
        default_factory=DrainSettings,
        description="How a pod is emptied.",
        examples=[{"method": "rtpengine-cli", "port": 9900}],
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.forecast_quantile not in LEVELS:
            raise ValueError(f"forecast_quantile must be one of {', '.join(map(str, LEVELS))}")
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} is above maximum {self.maximum}")
        if self.budget_per_hour is not None and not self.cost_per_pod_hour:
            raise ValueError("budget_per_hour needs cost_per_pod_hour")
        return self

    @property
    def affordable(self) -> int | None:
        """Pods that the budget pays for, at least the minimum; None where there is no budget."""
        if self.budget_per_hour is None:
            return None
        return max(int(self.budget_per_hour / self.cost_per_pod_hour + 1e-9), self.minimum)


class ClusterSettings(_Section):
    """The Kubernetes cluster, and the Lease by which one of several scalers acts."""

    kubeconfig: Path | None = Field(
        default=None, description="Kubeconfig; without it a pod's service account.", examples=["/etc/kube/config"]
    )
    context: str | None = Field(default=None, description="Context of the kubeconfig.", examples=["production"])
    namespace: str = Field(default="default", pattern=_NAME, description="Of the Lease.", examples=["voice"])
    lease: str = Field(
        default="surgecast-scaler", pattern=_NAME, description="Name of the Lease.", examples=["surgecast-scaler"]
    )


class ScalerSettings(_Section):
    """The autoscaler."""

    mode: Literal["observe", "advise", "act"] = Field(
        default="observe",
        description="observe: decisions are written down; advise: and shown as advice; act: and carried out.",
        examples=["act"],
    )
    period: Duration = Field(default=15.0, ge=1, description="Between decisions.", examples=["15s"])
    cluster: ClusterSettings = Field(
        default_factory=ClusterSettings, description="Where targets are.", examples=[{"namespace": "voice"}]
    )
    pools: tuple[PoolSettings, ...] = Field(
        default=(), description="The pools.", examples=[[{"name": "rtpengine-eu", "pod": _POD}]]
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [pool.name for pool in self.pools]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two pools are named {', '.join(twice)}")
        return self
