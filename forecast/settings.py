"""Settings of the forecast: what people know and a series cannot tell, such as campaigns and spoilt hours."""

from datetime import date, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from storage.setting_types import Duration


def _moment(value: object) -> object:
    """Return a time as ISO 8601 text; YAML makes dates of some, and leaves others text. Raises ValueError."""
    if isinstance(value, date):
        return value.isoformat()
    try:
        return datetime.fromisoformat(str(value).strip()).isoformat()
    except ValueError as error:
        raise ValueError(f"{str(value)[:40]!r} is no time; write for example 2026-03-01T09:00") from error


Moment = Annotated[str, BeforeValidator(_moment)]
"""ISO 8601; without an offset it is local time of the series it is applied to."""


class EventSettings(BaseModel):
    """A campaign, an outage notice, a match: something announced that moves the load."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, description="What it is called.", examples=["spring sale"])
    start: Moment = Field(
        description="When it begins; local time unless it has an offset.", examples=["2026-03-01T09:00"]
    )
    end: Moment = Field(description="When it is over.", examples=["2026-03-03T18:00"])
    tenants: tuple[str, ...] = Field(
        default=(), description="Whose load it moves; everyone's when empty.", examples=[["acme"]]
    )
    kind: str = Field(
        default="", max_length=100, description="Events of one kind teach each other; its name unless given.",
        examples=["sale"],
    )  # fmt: skip
    uplift: float | None = Field(
        default=None, gt=-1, le=100, description="Expected change, 0.4 is + 40 %; learned from past events of its "
        "kind when not given.", examples=[0.4],
    )  # fmt: skip
    decay: Duration = Field(
        default=0.0, ge=0, le=28 * 86400, description="Half-life of what remains of it after its end.",
        examples=["12h"],
    )  # fmt: skip


class MaskSettings(BaseModel):
    """A time that must not be learned from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    start: Moment = Field(
        description="When it begins; local time unless it has an offset.", examples=["2026-03-01T09:00"]
    )
    end: Moment = Field(description="When it is over.", examples=["2026-03-01T13:00"])
    tenant: str = Field(default="", description="Whose; everyone's when empty.", examples=["acme"])
    reason: str = Field(default="by hand", max_length=200, description="Why.", examples=["load test"])


class ForecastSettings(BaseModel):
    """What is known of the load beside its history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    events: tuple[EventSettings, ...] = Field(
        default=(), description="Events and campaigns, past ones too: they teach.",
        examples=[[{"name": "sale", "start": "2026-03-01T09:00", "end": "2026-03-03"}]],
    )  # fmt: skip
    masks: tuple[MaskSettings, ...] = Field(
        default=(), description="Times that are shown but not learned from.",
        examples=[[{"start": "2026-03-01T09:00", "end": "2026-03-01T13:00"}]],
    )  # fmt: skip
