"""What an operator can set about reports and the executive page."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from storage.setting_types import Duration


class Targets(BaseModel):
    """What the figures of the executive page are held against."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ner: float = Field(default=0.95, ge=0, le=1, description="Network effectiveness, at least.", examples=[0.95])
    good_time: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description="Share of rated stream time with R of 70 or more, at least.",
        examples=[0.97],
    )
    incidents: int | None = Field(default=None, ge=0, description="Incidents in 28 days, at most.", examples=[4])
    attempts: int | None = Field(
        default=None, ge=0, description="Session attempts in 28 days, at least.", examples=[100000]
    )
    minutes: float | None = Field(
        default=None, ge=0, description="Conversation minutes in 28 days, at least.", examples=[250000]
    )
    peak_calls: int | None = Field(
        default=None,
        ge=1,
        description="Calls in progress that are provided for: the peak is to stay below.",
        examples=[4000],
    )
    cost: float | None = Field(default=None, ge=0, description="Cost of 28 days, at most.", examples=[900])
    revenue: float | None = Field(default=None, ge=0, description="Revenue of 28 days, at least.", examples=[5000])


class ReportSettings(BaseModel):
    """Reports and the executive page; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rates_file: Path | None = Field(
        default=None,
        description="YAML file of prices a minute, for cost and revenue on the executive page (docs/kpis.md).",
        examples=["/etc/surgecast/rates.yaml"],
    )
    targets: Targets = Field(
        default_factory=Targets, description="Targets of the executive page.", examples=[{"ner": 0.97}]
    )
    pdf_program: str = Field(
        default="chromium", min_length=1, description="Chromium, which prints PDF.", examples=["/usr/bin/chromium"]
    )
    pdf_timeout: Duration = Field(
        default=30.0, gt=0, le=600, description="After this a PDF is given up.", examples=["30s"]
    )
