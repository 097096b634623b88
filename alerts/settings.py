"""Settings of the alert role."""

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

from alerts.incidents import Severity
from telephony.durations import parse_duration

Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds, written as `10s`, `15m`, `4h` or `7d`."""
_DAY_S = 86_400


class RouteSettings(BaseModel):
    """Who is told of what. Every route that matches is used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="Shown in the history of an incident.", examples=["on call"])
    urls: tuple[SecretStr, ...] = Field(
        min_length=1, description="Where to send: apprise URLs.", examples=[["mailto://user:password@example.com"]]
    )
    least_severity: Severity = Field(
        default=Severity.WARNING, description="info, warning or critical.", examples=["critical"]
    )
    tenants: tuple[str, ...] = Field(
        default=(), description="Incidents of these tenants only; all, and those of no tenant, when empty.",
        examples=[["acme"]],
    )  # fmt: skip
    rules: tuple[str, ...] = Field(
        default=(), description="Incidents of these rules only; all when empty.", examples=[["answer_ratio"]]
    )


class AlertSettings(BaseModel):
    """What is worth an alert, and who is told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slot: Duration = Field(default=300.0, ge=60, le=3600, description="How often is judged.", examples=["5m"])
    history: Duration = Field(
        default=70.0 * _DAY_S, ge=_DAY_S, le=400 * _DAY_S, description="How far back is learned from.",
        examples=["70d"],
    )  # fmt: skip
    delay: Duration = Field(
        default=60.0, ge=0, le=600, description="How long late rows of a slot are waited for.", examples=["60s"]
    )
    zone: str = Field(default="UTC", description="IANA zone whose days are learned.", examples=["Europe/Berlin"])
    country: str = Field(default="", description="Public holidays: a country, or country-subdivision.",
                         examples=["DE-BY"])  # fmt: skip
    budget_per_week: float = Field(
        default=1.0, gt=0, le=100, description="False alerts a week and scope that are acceptable.", examples=[1.0]
    )
    most_scopes: int = Field(
        default=500, ge=1, le=20_000, description="Scopes watched per rule; the busiest first.", examples=[500]
    )
    warning_calls: float = Field(
        default=25.0, gt=0, description="Calls affected from which an incident is a warning.", examples=[25]
    )
    critical_calls: float = Field(
        default=250.0, gt=0, description="Calls affected from which it is critical.", examples=[250]
    )
    routes: tuple[RouteSettings, ...] = Field(
        default=(), description="Who is told of what.",
        examples=[[{"name": "on call", "urls": ["mailto://user:password@example.com"]}]],
    )  # fmt: skip
    alertmanager_url: str = Field(
        default="", description="Alertmanager that is told of every incident (API v2); none when empty.",
        examples=["http://alertmanager:9093"],
    )  # fmt: skip
    page_url: str = Field(
        default="", description="Where the pages are, for links in messages.",
        examples=["https://surgecast.example.com"],
    )  # fmt: skip
    attempts: int = Field(
        default=5, ge=1, le=20, description="How often a message is tried before it is given up.", examples=[5]
    )

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"unknown time zone {value!r}; use an IANA name such as Europe/Berlin") from error
        return value
