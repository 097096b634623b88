"""`surgecast up`: production."""

import threading
from typing import Annotated

import typer

from storage.urls import shown_url
from surgecast.commands.output import stderr
from surgecast.config import ConfigFile, MetricsSettings, Settings, load_settings
from surgecast.errors import CommandError, Exit
from surgecast.logs import configure_logs
from surgecast.processes import Role, run_role, stop_on_signals, supervise

ROLES = {
    "collect": "surgecast.roles.collect:run",
    "forecast": "surgecast.roles.forecast:run",
    "scale": "surgecast.roles.scale:run",
    "alert": "surgecast.roles.alert:run",
    "web": "surgecast.roles.web:run",
}

_ALL = ",".join(ROLES)


def up(
    config: ConfigFile = None,
    roles_: Annotated[str, typer.Option("--roles", help=f"Comma-separated: {_ALL}.")] = _ALL,
) -> None:
    """Run Surgecast: each role a process of its own, started again when it dies.

    Example: surgecast up -c /etc/surgecast.yaml --roles collect,forecast,web
    """
    settings = load_settings(config)
    names = [name.strip() for name in roles_.split(",") if name.strip()]
    unknown = [name for name in names if name not in ROLES]
    if unknown or not names:
        raise CommandError(f"--roles {roles_!r}: unknown role; there is {', '.join(ROLES)}", Exit.USAGE)
    configure_logs()
    stop = threading.Event()
    stop_on_signals(stop)
    _announce(settings, names)
    chosen = [Role(name, ROLES[name], (settings,)) for name in dict.fromkeys(names)]
    if len(chosen) == 1:
        run_role(chosen[0], stop)
    else:
        supervise(chosen, stop)


def _announce(settings: Settings, names: list[str]) -> None:
    stderr.print(f"store: {shown_url(settings.storage.url)}", markup=False)
    if "collect" in names:
        for listener in settings.collect.listeners:
            stderr.print(f"HEP: {listener.transport}://{listener.host}:{listener.port}", markup=False)
        for interface in settings.collect.interfaces:
            media = ", ".join(interface.ports) or "all"
            stderr.print(f"interface: {interface.name}, media ports {media}", markup=False)
        if settings.metrics.enabled:
            stderr.print(f"metrics: http://{settings.metrics.host}:{settings.metrics.port}/metrics", markup=False)
    for role, port in _metrics_ports(settings.metrics):
        if role in names and settings.metrics.enabled:
            stderr.print(f"{role} metrics: http://{settings.metrics.host}:{port}/metrics", markup=False)
    if "web" in names:
        stderr.print(f"pages: http://{settings.web.host}:{settings.web.port}", markup=False)


def _metrics_ports(settings: MetricsSettings) -> tuple[tuple[str, int], ...]:
    """Return where each role beside the collector, which tells its own, is scraped."""
    return (
        ("forecast", settings.forecast_port),
        ("scale", settings.scale_port),
        ("alert", settings.alert_port),
        ("web", settings.web_port),
    )
