"""What an operator can set about the pages, with units in the names."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from dashboards.reports.settings import ReportSettings


class DashboardSettings(BaseModel):
    """Settings of the web role; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on.", examples=["0.0.0.0"])
    port: int = Field(
        default=8050, ge=0, le=65535, description="Port to listen on; 0 picks a free one.", examples=[8050]
    )
    threads: int = Field(default=8, ge=1, le=256, description="Requests answered at once.", examples=[8])
    refresh_seconds: float = Field(
        default=2.0,
        ge=1.0,
        le=60.0,
        description="How often an open page asks for news, and how old watched data gets before it is read again.",
        examples=[2.0],
    )
    idle_seconds: float = Field(
        default=20.0, ge=4.0, description="A view that nobody looks at is forgotten after this.", examples=[20.0]
    )
    max_snapshots: int = Field(
        default=128,
        ge=1,
        description="Different views (filters, calls) kept at once; the longest unwatched goes first.",
        examples=[128],
    )
    zone: str = Field(
        default="UTC",
        description="IANA time zone in which times are shown; the store keeps UTC.",
        examples=["Europe/Berlin"],
    )
    worst_calls: int = Field(default=50, ge=1, le=1000, description="Rows of the worst-calls grid.", examples=[50])
    ladder_messages: int = Field(
        default=400,
        ge=10,
        le=5000,
        description="Messages drawn in a ladder; its CSV export carries all of them.",
        examples=[400],
    )
    hep_target: str = Field(
        default="127.0.0.1:9060",
        description="host:port of the HEP listener as agents must address it; shown while there is no traffic.",
        examples=["192.0.2.10:9060"],
    )
    reports: ReportSettings = Field(
        default_factory=ReportSettings,
        description="Reports and the executive page.",
        examples=[{"rates_file": "/etc/surgecast/rates.yaml"}],
    )

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone {value!r}; use an IANA name such as Europe/Berlin") from error
        return value

    @property
    def time_zone(self) -> ZoneInfo:
        """The zone as an object."""
        return ZoneInfo(self.zone)
