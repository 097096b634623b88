"""What an operator can set about the pages, with units in the names."""

from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from dashboards.access.hosts import is_loopback
from dashboards.access.settings import EXAMPLE_HASH, ProxySettings, UserSettings
from dashboards.reports.settings import ReportSettings
from storage.setting_types import Duration, Zone

_LEAST_SECRET = 32


class DashboardSettings(BaseModel):
    """Settings of the web role; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on; without users or a proxy that names them, loopback only.",
        examples=["127.0.0.1"],
    )
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
    zone: Zone = Field(
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

    users: tuple[UserSettings, ...] = Field(
        default=(),
        description="Who signs in here; once there are users or a proxy that names them, nobody else has access.",
        examples=[[{"name": "ada", "password_hash": EXAMPLE_HASH, "role": "engineer"}]],
    )
    proxy: ProxySettings = Field(
        default_factory=ProxySettings,
        description="A proxy with TLS before the pages, and its sign-in if it has one.",
        examples=[{"networks": ["127.0.0.1/32"]}],
    )
    session_lifetime: Duration = Field(
        default=43_200.0, ge=60, le=2_592_000, description="After which one signs in again.", examples=["12h"]
    )
    session_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Signs sessions, at least 32 characters; without it they end when the web role is restarted.",
        examples=["what-openssl-rand-hex-32-printed"],
    )
    open_to_network: bool = Field(
        default=False,
        description="Without sign-in, serve whoever reaches `host` as engineer: every tenant, every call.",
        examples=[True],
    )

    @model_validator(mode="after")
    def _nobody_unknown_is_let_in(self) -> "DashboardSettings":
        if not (self.sign_in or self.open_to_network or is_loopback(self.host)):
            raise ValueError(
                f"host {self.host!r} is open to the network and nobody needs to sign in: add web.users "
                "(`surgecast web password` makes a hash) or web.proxy, or set host: 127.0.0.1; "
                "open_to_network: true lets everybody in as engineer"
            )
        return self

    @field_validator("users")
    @classmethod
    def _names_are_distinct(cls, value: tuple[UserSettings, ...]) -> tuple[UserSettings, ...]:
        names = [user.name for user in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"more than one user is named {', '.join(twice)}")
        return value

    @field_validator("session_secret")
    @classmethod
    def _secret_is_long(cls, value: SecretStr) -> SecretStr:
        if value and len(value.get_secret_value()) < _LEAST_SECRET:
            raise ValueError(f"shorter than {_LEAST_SECRET} characters; make one by: openssl rand -hex 32")
        return value

    @property
    def sign_in(self) -> bool:
        """Whether everybody has to be known: default deny."""
        return bool(self.users or self.proxy.user_header)

    @property
    def time_zone(self) -> ZoneInfo:
        """The zone as an object."""
        return ZoneInfo(self.zone)
