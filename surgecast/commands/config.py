"""`surgecast config`: check, show and describe the configuration."""

import json
from typing import Annotated, Any

import typer
import yaml
from pydantic import SecretStr
from pydantic_core import to_jsonable_python

from storage.urls import shown_url
from surgecast.commands.output import AsJson, print_json
from surgecast.config import ConfigFile, Settings, load_settings

HIDDEN = "***"

app = typer.Typer(
    help="Check, show or describe the configuration.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command("check")
def check(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Say whether the configuration can be used; exit code 2 names each fault.

    Example: surgecast config check -c /etc/surgecast.yaml
    """
    load_settings(config)
    if as_json:
        print_json({"ok": True})
    else:
        typer.echo("configuration ok")


@app.command("show")
def show(
    config: ConfigFile = None,
    secrets: Annotated[bool, typer.Option("--secrets", help="Print secrets as they are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the configuration in force, defaults and environment included, secrets hidden."""
    values = to_jsonable_python(_revealed(load_settings(config).model_dump(by_alias=True), secrets))
    if as_json:
        print_json(values)
    else:
        typer.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    typer.echo(json.dumps(Settings.model_json_schema(), indent=2, ensure_ascii=False))


def _revealed(value: Any, secrets: bool) -> Any:
    """Return values with each secret as text: itself, or stars where it shall not be shown."""
    if isinstance(value, SecretStr):
        return value.get_secret_value() if secrets or not value else HIDDEN
    if isinstance(value, str) and not secrets:
        return shown_url(value)
    if isinstance(value, dict):
        return {key: _revealed(inner, secrets) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(inner, secrets) for inner in value]
    return value
