"""The configuration: one YAML file, overridden by `SURGECAST__SECTION__KEY`, composed of every package's settings.

A wrong configuration ends with exit code 2 and, for each fault, the key, the reason and an example.
"""

import os
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from collectors.settings import CollectorSettings
from dashboards.settings import DashboardSettings
from storage.settings import StorageSettings
from surgecast.errors import ConfigError

ConfigFile = Annotated[
    Path | None,
    typer.Option("-c", "--config", help="Configuration file (YAML); default: $SURGECAST_CONFIG, else built-in."),
]
StoreUrl = Annotated[str | None, typer.Option("--store", help="Store to use in place of the configured one.")]


class MetricsSettings(BaseModel):
    """Where Prometheus scrapes us; its own port, never the pages'."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="Serve /metrics and /healthz.", examples=[True])
    host: str = Field(default="127.0.0.1", description="Address to listen on.", examples=["0.0.0.0"])
    port: int = Field(
        default=9464, ge=0, le=65535, description="Port to listen on; 0 picks a free one.", examples=[9464]
    )


class Settings(BaseSettings):
    """All of Surgecast's configuration."""

    model_config = SettingsConfigDict(
        env_prefix="SURGECAST__",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    collect: CollectorSettings = Field(default_factory=CollectorSettings, description="Where traffic comes from.")
    storage: StorageSettings = Field(default_factory=StorageSettings, description="Where it is kept.")
    web: DashboardSettings = Field(default_factory=DashboardSettings, description="The pages.")
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
        if not isinstance(values, dict):
            raise ConfigError(f"configuration {path}: the top level must be sections, for example 'collect:'")
    return settings_from(values, origin=str(path) if path else "environment")


def settings_from(values: dict[str, Any], origin: str) -> Settings:
    """Return the settings of these values under the environment's; raises ConfigError that names every fault."""
    try:
        return Settings(**values)
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(e)}" for e in error.errors(include_url=False))
        raise ConfigError(f"configuration ({origin}) is wrong:\n{faults}") from error


def _fault(error: Any) -> str:
    location = tuple(error["loc"])
    key = ".".join(str(part) for part in location)
    if error["type"] == "extra_forbidden":
        known = _fields_at(location[:-1])
        hint = f"; known here: {', '.join(known)}" if known else ""
        return f"{key}: unknown key{hint}"
    given = repr(error.get("input"))[:60]
    example = _example_at(location)
    return f"{key}: {error['msg']} (given {given})" + (
        f"; for example {location[-1]}: {example}" if example else ""
    )


def _model_at(location: tuple[Any, ...]) -> type[BaseModel] | None:
    """Follow a location into the models, through lists and optionals."""
    model: type[BaseModel] | None = Settings
    for part in location:
        if isinstance(part, int) or model is None:
            continue
        info = model.model_fields.get(str(part))
        model = _model_in(info.annotation) if info else None
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _model_in(inner):
            return found
    return None


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    model = _model_at(location)
    return sorted(model.model_fields) if model else []


def _example_at(location: tuple[Any, ...]) -> str:
    names = [p for p in location if not isinstance(p, int)]
    model = _model_at(tuple(names[:-1]))
    info = model.model_fields.get(str(names[-1])) if model and names else None
    if info is None:
        return ""
    if info.examples:
        return str(info.examples[0])
    return "" if info.is_required() or info.default_factory else str(info.default)
