"""Settings of the InfluxDB store; where it is stands in the URL."""

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from storage.setting_types import Duration

_CLASS_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,31}$")


class InfluxSettings(BaseModel):
    """How to speak to InfluxDB, for `url: influx://HOST:8086/DATABASE` (`influxs://` for TLS)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: SecretStr = Field(
        default=SecretStr(""),
        description="API token (2.x, 3.x), better in `token_file` or the environment.",
        examples=["$SURGECAST__STORAGE__INFLUX__TOKEN"],
    )
    token_file: Path | None = Field(
        default=None, description="A file that holds the token.", examples=["/run/secrets/influx-token"]
    )
    username: str = Field(default="", description="User, where there are no tokens (1.x).", examples=["surgecast"])
    password: SecretStr = Field(
        default=SecretStr(""),
        description="Password of that user, better in `password_file` or the environment.",
        examples=["$SURGECAST__STORAGE__INFLUX__PASSWORD"],
    )
    password_file: Path | None = Field(
        default=None, description="A file that holds the password.", examples=["/run/secrets/influx-password"]
    )
    org: str = Field(default="", description="Organisation (2.x).", examples=["operations"])
    tenant_classes: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="Classes of tenants whose rows lie in databases of their own, named `DATABASE_CLASS`; tenants "
        "of no class share `DATABASE`.",
        examples=[{"regulated": ["bank", "hospital"]}],
    )
    ca_file: Path | None = Field(
        default=None,
        description="Certificates to trust in place of the system's.",
        examples=["/etc/ssl/influx.pem"],
    )
    verify_tls: bool = Field(default=True, description="Check the server's certificate.", examples=[True])
    connect_timeout: Duration = Field(default=2.0, gt=0, description="To reach the server.", examples=["2s"])
    write_timeout: Duration = Field(
        default=5.0,
        gt=0,
        description="For a batch to be taken at a flush; 12 times as long from the spool.",
        examples=["5s"],
    )
    query_timeout: Duration = Field(
        default=30.0, gt=0, description="For a query to be answered.", examples=["30s"]
    )
    batch_rows: int = Field(
        default=10_000, ge=1, le=100_000, description="Most rows of one request to write.", examples=[10_000]
    )
    held_bytes: int = Field(
        default=64 * 1024**2,
        ge=1024**2,
        description="What a writer holds in memory while neither the server nor the spool takes anything.",
        examples=[67108864],
    )
    read_rows: int = Field(
        default=1_000_000,
        ge=1000,
        description="Most rows that one query may read from the server to work on; a wider one is refused.",
        examples=[1_000_000],
    )
    backoff: Duration = Field(
        default=0.5,
        gt=0,
        description="First pause after a failure; doubled, with jitter, at each.",
        examples=["500ms"],
    )
    backoff_max: Duration = Field(default=30.0, gt=0, description="Longest such pause.", examples=["30s"])

    @field_validator("tenant_classes")
    @classmethod
    def _disjoint(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        owners: dict[str, str] = {}
        for name, tenants in value.items():
            if not _CLASS_NAME.match(name):
                raise ValueError(f"{name[:40]!r} is no name for a class: use a-z, 0-9, - and _")
            for tenant in tenants:
                if owners.setdefault(tenant, name) != name:
                    raise ValueError(f"tenant {tenant!r} is in the classes {owners[tenant]} and {name}")
        return value
