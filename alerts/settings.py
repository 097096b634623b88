"""Settings of the alert role."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from alerts.catalog import Rule, watched
from alerts.incidents import Severity
from alerts.limits import BUILT_IN, Limit
from alerts.signals import Direction
from storage.setting_types import Duration, Zone

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


class RuleSettings(BaseModel):
    """A fixed limit, beside what is learned. Counts are per minute, durations in seconds, the rest are shares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=r"^[a-z][a-z0-9_]{0,59}$", description="Small letters, digits and _; none of the signals' names.",
        examples=["carrier_a_answers"],
    )  # fmt: skip
    signal: Rule = Field(description="What is measured: see docs/alerts.md.", examples=["answer_ratio"])
    scope: str = Field(
        default="platform", description="platform; a kind, each of which is judged; or one of it, as trunk:NAME.",
        examples=["trunk:carrier-a"],
    )  # fmt: skip
    above: float | None = Field(default=None, description="Alert above this.", examples=[0.05])
    below: float | None = Field(default=None, description="Alert below this.", examples=[0.4])
    hold: Duration = Field(
        default=600.0, alias="for", ge=60, le=_DAY_S, description="How long it must hold.", examples=["10m"]
    )
    severity: Severity = Field(
        default=Severity.WARNING, description="info, warning or critical.", examples=["critical"]
    )
    minimum_n: float = Field(
        default=30.0, ge=0, description="Least number that a share or mean is made of, over that time.",
        examples=[50],
    )  # fmt: skip

    @field_validator("name")
    @classmethod
    def _name_is_free(cls, value: str) -> str:
        if value in (*Rule, *(limit.name for limit in BUILT_IN)):
            raise ValueError(f"{value!r} is the name of a rule of the starter pack; choose another one")
        return value

    @model_validator(mode="after")
    def _can_be_judged(self) -> "RuleSettings":
        if (self.above is None) == (self.below is None):
            raise ValueError(f"rule {self.name}: give either above or below, for example below: 0.4")
        signal = watched(self.signal)
        kinds = signal.dimensions if signal else ()
        kind, separator, name = self.scope.partition(":")
        if kind not in kinds or (separator and not name) or (kind == "platform" and separator):
            raise ValueError(
                f"rule {self.name}: scope {self.scope!r} does not fit {self.signal}; there is "
                f"{', '.join(kinds)}, for example scope: {kinds[-1]}"
            )
        return self

    @property
    def limit(self) -> Limit:
        """The rule as it is judged."""
        kind, _, name = self.scope.partition(":")
        value = self.below if self.above is None else self.above
        assert value is not None
        return Limit(
            self.name, self.name, self.signal, kind, Direction.DOWN if self.above is None else Direction.UP, value,
            self.hold, self.severity, scope_name=name, least_n=self.minimum_n, explicit=True,
        )  # fmt: skip


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
    zone: Zone = Field(default="UTC", description="IANA zone whose days are learned.", examples=["Europe/Berlin"])
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
    runbook_url: str = Field(
        default="", description="Where docs/runbooks is published, for links in messages; a path when empty.",
        examples=["https://docs.example.com/runbooks"],
    )  # fmt: skip
    rules: tuple[RuleSettings, ...] = Field(
        default=(), description="Fixed limits beside the learned rules.",
        examples=[[{"name": "carrier_a_answers", "signal": "answer_ratio", "scope": "trunk:carrier-a",
                    "below": 0.4}]],
    )  # fmt: skip
    attempts: int = Field(
        default=5, ge=1, le=20, description="How often a message is tried before it is given up.", examples=[5]
    )

    @field_validator("rules", "routes")
    @classmethod
    def _names_differ(
        cls, value: tuple[RuleSettings | RouteSettings, ...]
    ) -> tuple[RuleSettings | RouteSettings, ...]:
        names = [one.name for one in value]
        again = next((name for name in names if names.count(name) > 1), None)
        if again is not None:
            raise ValueError(f"{again!r} is there twice; names must differ")
        return value
