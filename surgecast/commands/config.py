"""`surgecast config`: check, show and describe the configuration."""

import json
from typing import Annotated, Any

import typer
import yaml

from surgecast.commands.output import AsJson, plain, print_json
from surgecast.config import ConfigFile, Settings, load_settings

app = typer.Typer(
    help="Check, show or describe the configuration.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

_SECRET_WORDS = ("token", "password", "secret", "salt", "hep_keys", "auth_keys")


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
    values = load_settings(config).model_dump(mode="json")
    if not secrets:
        values = _redacted(values)
    if as_json:
        print_json(values)
    else:
        typer.echo(yaml.safe_dump(plain(values), sort_keys=False, allow_unicode=True), nl=False)


@app.command("schema")
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    typer.echo(json.dumps(Settings.model_json_schema(), indent=2, ensure_ascii=False))


def _redacted(values: Any, key: str = "") -> Any:
    if isinstance(values, dict):
        return {k: _redacted(v, k) for k, v in values.items()}
    if values and any(word in key for word in _SECRET_WORDS):
        return "***" if isinstance(values, str) else ["***"] * len(values)
    if isinstance(values, list):
        return [_redacted(v, key) for v in values]
    return values
