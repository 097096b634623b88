"""What an operator can set about the pages, with units in the names."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator


class DashboardSettings(BaseModel):
    """Settings of the web role; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8050, ge=0, le=65535)
    """TCP port; 0 lets the system choose."""
    threads: int = Field(default=8, ge=1, le=256)
    """Requests answered at once."""
    refresh_seconds: float = Field(default=2.0, ge=1.0, le=60.0)
    """How often an open page asks for news, and how often watched data is read again."""
    idle_seconds: float = Field(default=20.0, ge=4.0)
    """After how long without a viewer a snapshot is dropped."""
    max_snapshots: int = Field(default=128, ge=1)
    """Different views (scope, filters, call) kept at once; the longest unwatched goes first."""
    zone: str = "UTC"
    """IANA time zone in which times are shown; the store keeps UTC."""
    worst_calls: int = Field(default=50, ge=1, le=1000)
    """Rows of the worst-calls grid."""
    ladder_messages: int = Field(default=400, ge=10, le=5000)
    """Messages drawn in a ladder; the CSV export carries all of them."""
    hep_target: str = "127.0.0.1:9060"
    """`host:port` of the HEP listener, as agents must address it; shown to whoever has no traffic yet."""

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
