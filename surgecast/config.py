"""The configuration: one YAML file, overridden by `SURGECAST__SECTION__KEY`, composed of every package's settings.

A wrong configuration ends with exit code 2 and, for each fault, the key, the reason and an example.
"""

import os
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from alerts.settings import AlertSettings
from collectors.settings import CollectorSettings
from dashboards.settings import DashboardSettings
from forecast.service_settings import ForecastServiceSettings
from scaler.settings import ScalerSettings
from storage.settings import StorageSettings
from storage.urls import shown_url
from surgecast.errors import ConfigError

ConfigFile = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="Configuration file (YAML); default: $SURGECAST_CONFIG, else built-in."),
]
StoreUrl = Annotated[str | None, typer.Option("--store", help="Store to use in place of the configured one.")]

_ENV_PREFIX = "SURGECAST__"


class MetricsSettings(BaseModel):
    """Where Prometheus scrapes us; its own port, never the pages'."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Serve /metrics and /healthz.", examples=[True])
    host: str = Field(default="127.0.0.1", description="Address to listen on.", examples=["0.0.0.0"])
    port: int = Field(
        default=9464,
        ge=0,
        le=65535,
        description="Port of the collect role; 0 picks a free one.",
        examples=[9464],
    )
    forecast_port: int = Field(
        default=9465, ge=0, le=65535, description="Port of the forecast role; 0 picks a free one.", examples=[9465]
    )
    scale_port: int = Field(
        default=9466, ge=0, le=65535, description="Port of the scale role; 0 picks a free one.", examples=[9466]
    )
    alert_port: int = Field(
        default=9467, ge=0, le=65535, description="Port of the alert role; 0 picks a free one.", examples=[9467]
    )
    web_port: int = Field(
        default=9468, ge=0, le=65535, description="Port of the web role; 0 picks a free one.", examples=[9468]
    )


class Settings(BaseSettings):
    """All of Surgecast's configuration."""

    model_config = SettingsConfigDict(
        env_prefix=_ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    collect: CollectorSettings = Field(default_factory=CollectorSettings, description="Where traffic comes from.")
    storage: StorageSettings = Field(default_factory=StorageSettings, description="Where it is kept.")
    forecast: ForecastServiceSettings = Field(
        default_factory=ForecastServiceSettings, description="What load is forecast, and what is known of it."
    )
    alerts: AlertSettings = Field(
        default_factory=AlertSettings, description="What is worth an alert, and who is told."
    )
    web: DashboardSettings = Field(default_factory=DashboardSettings, description="The pages.")
    scale: ScalerSettings = Field(default_factory=ScalerSettings, description="Pools that follow their load.")
    metrics: MetricsSettings = Field(default_factory=MetricsSettings, description="The Prometheus exporter.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment beats file; the file comes in through the constructor."""
        return env_settings, init_settings


def load_settings(path: Path | None = None) -> Settings:
    """Read the file (or `$SURGECAST_CONFIG`, or nothing) and the environment; raises ConfigError."""
    if path is None and (named := os.environ.get("SURGECAST_CONFIG")):
        path = Path(named)
    values: Any = {}
    if path is not None:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise ConfigError(f"configuration {path}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"configuration {path} is not YAML: {error}") from error
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            raise ConfigError(f"configuration {path}: the top level must be sections, for example 'collect:'")
    _check_environment()
    values = {section: keys for section, keys in values.items() if keys is not None}  # all of it commented out
    return settings_from(values, origin=str(path) if path else "environment")


def settings_from(values: dict[str, Any], origin: str) -> Settings:
    """Return the settings of these values under the environment's; raises ConfigError that names every fault."""
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise ConfigError(f"configuration ({origin}) is wrong:\n{_listed(error)}") from error
    except SettingsError as error:
        raise ConfigError(
            f"configuration (environment): {error}; name one setting a variable, "
            f"for example {_ENV_PREFIX}WEB__PORT=8050"
        ) from error
    return settings


def _check_environment() -> None:
    """Raise ConfigError for a variable of ours that names no section: it would set nothing, silently."""
    for name in os.environ:
        section = name.removeprefix(_ENV_PREFIX).partition("__")[0].lower()
        if name.startswith(_ENV_PREFIX) and section not in Settings.model_fields:
            known = ", ".join(f"{_ENV_PREFIX}{field.upper()}__…" for field in Settings.model_fields)
            raise ConfigError(f"environment: {name} names no section; there are {known}")


def _listed(error: ValidationError) -> str:
    """Return one line a fault; what several readings of a value object to is one fault."""
    reasons: dict[str, list[Any]] = {}
    for fault in error.errors(include_url=False):
        reasons.setdefault(".".join(str(part) for part in _location(fault)), []).append(fault)
    return "\n".join(f"  {key}: {_reason(faults)}" for key, faults in reasons.items())


def _location(fault: Any) -> tuple[str | int, ...]:
    """Return where a fault is, without the names that pydantic gives to its own validators."""
    return tuple(part for part in fault["loc"] if isinstance(part, int) or "[" not in part)


def _reason(faults: list[Any]) -> str:
    fault, location = faults[0], _location(faults[0])
    if fault["type"] == "extra_forbidden":
        known = _fields_at(location[:-1])
        return "unknown key" + (f"; known here: {', '.join(known)}" if known else "")
    reason = " / ".join(dict.fromkeys(f["msg"].removeprefix("Value error, ") for f in faults))
    info, example = _field_at(location), _example_at(location)
    given = fault.get("input")
    if isinstance(given, str | int | float | None) and not _is_secret(info):
        told = repr(shown_url(given)) if isinstance(given, str) else repr(given)
        reason += f" (given {told:.60})"
    return reason + (f"; for example {example}" if example else "")


def _field_at(location: tuple[str | int, ...]) -> FieldInfo | None:
    """Follow a location into the models, through lists, mappings and optionals, to the field it is of."""
    model: type[BaseModel] | None = Settings
    info = None
    for part in location:
        fields = {} if model is None else _by_key(model)
        if part not in fields:
            continue  # an item of a list, or a key of a mapping: what is in it comes next
        info = fields[part]
        model = _model_in(info.annotation)
    return info


def _by_key(model: type[BaseModel]) -> dict[str | int, FieldInfo]:
    """Return the fields by how they are written: some keys are words of Python."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def _is_secret(info: FieldInfo | None) -> bool:
    return info is not None and "Secret" in str(info.annotation)


def _fields_at(location: tuple[str | int, ...]) -> list[str]:
    info = _field_at(location)
    model = _model_in(info.annotation) if info is not None else Settings
    return sorted(str(key) for key in _by_key(model)) if model else []


def _example_at(location: tuple[str | int, ...]) -> str:
    info = _field_at(location)
    if info is None or not info.examples:
        return ""
    name = next(part for part in reversed(location) if isinstance(part, str))
    return f"{name}: {info.examples[0]}"
