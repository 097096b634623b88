"""Settings of the store."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

from storage.influx.settings import InfluxSettings
from storage.schema import MEASUREMENTS
from storage.setting_types import Duration
from storage.spool import SpoolSettings
from storage.urls import check_url
from telephony.durations import parse_duration

_KEEP = {
    "stream_interval": "7d",
    "sip_message": "7d",
    "load_now": "1h",
    "call_now": "1h",
    "call": "90d",
    "finding": "30d",
    "forecast": "90d",
}
_KEEP_OTHERS = "400d"
_GIB = 1024**3


class Retention(BaseModel):
    """How long, and how much, of one measurement is kept; whole segments go, the oldest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    age: Duration = Field(gt=0, description="Rows older than this go.", examples=["7d"])
    bytes: int = Field(
        default=20 * _GIB, gt=0, description="What a measurement may take on disk.", examples=[20 * _GIB]
    )


class StorageSettings(BaseModel):
    """Where measurements are kept, how long, and what reading and writing may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        default="embedded:surgecast-data",
        description="The store: `embedded:DIRECTORY`, the path of a directory, `influx://HOST:8086/DATABASE`, or "
        "`influxs://` for TLS. User and password may stand before the host.",
        examples=["embedded:/var/lib/surgecast"],
    )
    retention: dict[str, Retention] = Field(
        default_factory=dict,
        description="Retention by measurement; those not named keep their defaults: "
        + ", ".join(f"{name} {age}" for name, age in _KEEP.items())
        + f", others {_KEEP_OTHERS}.",
        examples=[{"stream_interval": {"age": "14d"}}],
    )
    seal_rows: int = Field(
        default=500_000, gt=0, description="A log of this many rows becomes a segment.", examples=[500_000]
    )
    seal_bytes: int = Field(
        default=256 * 1024**2,
        gt=0,
        description="A log of this many bytes becomes a segment; also what a writer holds while the disk is full.",
        examples=[268435456],
    )
    seal_age: Duration = Field(
        default=900.0, gt=0, description="A log of this age becomes a segment.", examples=["15m"]
    )
    remember_points: int = Field(
        default=1_048_576,
        ge=1_024,
        description="Rows that a writer remembers of a busy measurement (8 bytes each), to tell new ones from "
        "those written again: of older ones each query looks for equal points.",
        examples=[1_048_576],
    )
    compact_rows: int = Field(
        default=1_000_000,
        gt=0,
        description="Small segments of a closed day are merged up to this many rows.",
        examples=[1_000_000],
    )
    min_free_bytes: int = Field(
        default=_GIB,
        ge=0,
        description="Below this much free space on the store's disk the oldest rows go before their time, "
        "those of the least precious measurements first (live states, messages, intervals; minutes, calls last).",
        examples=[10 * _GIB],
    )
    read_threads: int = Field(default=2, ge=1, le=64, description="Threads of a query.", examples=[2])
    read_memory_bytes: int = Field(
        default=_GIB, ge=64 * 1024**2, description="Memory of all queries of a process.", examples=[_GIB]
    )

    influx: InfluxSettings = Field(
        default_factory=InfluxSettings, description="How to speak to InfluxDB.", examples=[{"org": "operations"}]
    )
    spool: SpoolSettings = Field(
        default_factory=SpoolSettings,
        description="What waits on disk while InfluxDB is away.",
        examples=[{"fsync": "always"}],
    )

    @field_validator("url")
    @classmethod
    def _names_a_store(cls, value: str) -> str:
        check_url(value)
        return value

    @field_validator("retention")
    @classmethod
    def _known(cls, value: dict[str, Retention]) -> dict[str, Retention]:
        unknown = sorted(set(value) - set(MEASUREMENTS))
        if unknown:
            raise ValueError(f"no measurement {', '.join(unknown)}; there are {', '.join(MEASUREMENTS)}")
        return value

    @property
    def seal_age_ns(self) -> int:
        """`seal_age` in nanoseconds."""
        return round(self.seal_age * 1e9)

    def retention_of(self, measurement: str) -> Retention:
        """Return how long a measurement is kept."""
        given = self.retention.get(measurement)
        return given if given is not None else Retention(age=parse_duration(_KEEP.get(measurement, _KEEP_OTHERS)))
