"""Prices a minute, from a file: what calls cost by trunk and bring by tenant."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, ValidationError

_MOST_BYTES = 1_000_000


class BadRates(Exception):
    """The rates file cannot be used; the message says why."""


class Rates(BaseModel):
    """The rates file. Amounts are of one currency and a conversation minute; what has no rate is not priced."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str = Field(default="EUR", min_length=1, max_length=8)
    cost_per_minute: NonNegativeFloat | None = None
    """Of trunks that are not named."""
    trunks: dict[str, NonNegativeFloat] = Field(default_factory=dict)
    revenue_per_minute: NonNegativeFloat | None = None
    """Of tenants that are not named."""
    tenants: dict[str, NonNegativeFloat] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum of money, and how many of the minutes have a rate."""

    value: float
    priced_minutes: float
    minutes: float


def load_rates(path: Path) -> Rates:
    """Return the rates of a file; raises BadRates."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadRates(f"rates file {path}: larger than {_MOST_BYTES:,} bytes")
        return Rates.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise BadRates(f"rates file {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadRates(f"rates file {path} is not YAML") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise BadRates(f"rates file {path}: {where}: {fault['msg']}") from error


def priced(minutes: Mapping[str, float], rates: Mapping[str, float], default: float | None) -> Amount:
    """Return what minutes by name come to.

    >>> priced({"a": 10.0, "b": 5.0, "c": 1.0}, {"a": 2.0, "b": 4.0}, None)
    Amount(value=40.0, priced_minutes=15.0, minutes=16.0)
    """
    value = known = 0.0
    for name, amount in minutes.items():
        rate = rates.get(name, default)
        if rate is not None:
            value += amount * rate
            known += amount
    return Amount(value, known, sum(minutes.values()))
