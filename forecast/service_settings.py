"""Settings of the forecast role, beside what people know of the load (`forecast.settings`)."""

from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from forecast.settings import ForecastSettings
from forecast.targets import KIND_SIGNALS, Kind, SeriesId, Signal
from storage.setting_types import Duration, Zone, ZoneOrEmpty

_DAY_S = 86_400
_DEFAULT_SIGNALS: dict[Kind, tuple[Signal, ...]] = {
    Kind.POOL: (Signal.CONCURRENT_MAX, Signal.ARRIVALS, Signal.PACKETS, Signal.CPS_MAX, Signal.TRANSCODES),
    Kind.TENANT: (Signal.CONCURRENT_MAX, Signal.ARRIVALS),
    Kind.TRUNK: (Signal.ARRIVALS,),
}


def _country(value: str) -> str:
    if value:
        # Here and not above: the lists of holidays are only needed by who names a country.
        from forecast.calendar import UnknownCountry, holiday_days

        try:
            holiday_days(value, 0, 0)
        except UnknownCountry as error:
            raise ValueError(str(error)) from error
    return value


class ClockSettings(BaseModel):
    """By which clock and holidays the load of one tenant, pool, region or trunk goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = Field(default=Kind.TENANT, description="pool, region, trunk or tenant.", examples=["tenant"])
    name: str = Field(min_length=1, description="Its name.", examples=["acme"])
    zone: ZoneOrEmpty = Field(
        default="", description="IANA time zone; the general one when empty.", examples=["Asia/Tokyo"]
    )
    country: str = Field(
        default="", description="Public holidays: a country, or country-subdivision.", examples=["DE-BY"]
    )

    _country_exists = field_validator("country")(classmethod(lambda cls, value: _country(value)))


class RegressorSettings(BaseModel):
    """A figure known ahead that may move the load: mailings, temperature, a price."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=60, description="Its column in the file.", examples=["mailings"])
    file: Path = Field(
        description="CSV with the columns ds,NAME,...; read again when it changes. What is in it is taken as "
        "known ahead. Stamps without an offset are of `zone`.", examples=["/etc/surgecast/mailings.csv"],
    )  # fmt: skip
    tenants: tuple[str, ...] = Field(
        default=(), description="Whose load it may move, and that of the pools that carry them; everyone's when "
        "empty.", examples=[["acme"]],
    )  # fmt: skip


class ForecastServiceSettings(ForecastSettings):
    """What the forecast role forecasts, and what is known of the load beside its history."""

    slot: Duration = Field(
        default=900.0, ge=60, le=3600, description="Length of a slot; it divides an hour.", examples=["15m"]
    )
    history: Duration = Field(
        default=182.0 * _DAY_S, ge=_DAY_S, le=800 * _DAY_S, description="How far back is learned from.",
        examples=["182d"],
    )  # fmt: skip
    delay: Duration = Field(
        default=60.0, ge=0, le=600, description="How long late rows of a slot are waited for.", examples=["60s"]
    )
    zone: Zone = Field(
        default="UTC", description="IANA time zone of what `clocks` does not name.", examples=["Europe/Berlin"]
    )
    country: str = Field(
        default="", description="Public holidays of what `clocks` does not name.", examples=["GB"]
    )
    clocks: tuple[ClockSettings, ...] = Field(
        default=(), description="Zones and holidays of tenants, pools, regions and trunks.",
        examples=[[{"name": "acme", "zone": "Europe/Paris", "country": "FR"}]],
    )  # fmt: skip
    signals: dict[Kind, tuple[Signal, ...]] = Field(
        default_factory=lambda: dict(_DEFAULT_SIGNALS),
        description="What is forecast of each kind; the first first.",
        examples=[{"pool": ["concurrent_max", "arrivals"], "tenant": ["arrivals"]}],
    )  # fmt: skip
    regressors: tuple[RegressorSettings, ...] = Field(
        default=(), max_length=16, description="What is known ahead and may move the load; its effect is learned.",
        examples=[[{"name": "mailings", "file": "/etc/surgecast/mailings.csv", "tenants": ["acme"]}]],
    )  # fmt: skip
    workers: int = Field(
        default=2, ge=0, le=64, description="Processes that fit and forecast; 0 is none beside the role's own.",
        examples=[2],
    )  # fmt: skip
    max_series: int = Field(
        default=5000, ge=1, description="Series kept at once; what finds no room is counted.", examples=[5000]
    )

    _country_exists = field_validator("country")(classmethod(lambda cls, value: _country(value)))

    @field_validator("slot")
    @classmethod
    def _divides_an_hour(cls, value: float) -> float:
        if value % 60 or 3600 % value:
            raise ValueError(f"slot of {value:g} s is not a number of minutes that divides an hour")
        return value

    @field_validator("signals")
    @classmethod
    def _are_kept(cls, value: dict[Kind, tuple[Signal, ...]]) -> dict[Kind, tuple[Signal, ...]]:
        for kind, signals in value.items():
            if unknown := [signal.value for signal in signals if signal not in KIND_SIGNALS[kind]]:
                known = ", ".join(signal.value for signal in KIND_SIGNALS[kind])
                raise ValueError(f"{', '.join(unknown)} is not kept by {kind.value}; there is {known}")
        return value

    @property
    def slot_s(self) -> int:
        """Seconds of a slot."""
        return round(self.slot)

    def slot_of(self, kind: Kind) -> int:
        """Return the seconds of a kind's slots: sessions by trunk may be kept by the hour."""
        return max(self.slot_s, 3600) if kind is Kind.TRUNK else self.slot_s

    def tenant_zone(self, tenant: str) -> ZoneInfo:
        """Return the zone in which a tenant's days are counted."""
        return self.zone_of(SeriesId(Kind.TENANT, tenant, Signal.ARRIVALS))

    def zone_of(self, key: SeriesId) -> ZoneInfo:
        """Return the zone by whose clock a series goes."""
        clock = self._clock(key)
        return ZoneInfo(clock.zone if clock and clock.zone else self.zone)

    def country_of(self, key: SeriesId) -> str:
        """Return the country whose holidays a series keeps; empty for none."""
        clock = self._clock(key)
        return clock.country if clock and clock.country else self.country

    def _clock(self, key: SeriesId) -> ClockSettings | None:
        return next((clock for clock in self.clocks if (clock.kind, clock.name) == (key.kind, key.name)), None)
