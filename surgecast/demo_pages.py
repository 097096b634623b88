"""The pages of the demo: those of the web role, with personas to choose from instead of users with passwords.

The personas are here in code and only here: no configuration leads to them.
"""

import threading

from dashboards.access.areas import Actor, Via
from dashboards.access.roles import Role, tenants_of
from surgecast.config import Settings
from surgecast.roles.web import serve
from surgecast.simulator.demo_network import DEMO_NETWORK


def personas() -> dict[str, Actor]:
    """Return one of each role; client success looks after two tenants, the viewer belongs to one of them."""
    tenants = [tenant.name for tenant in DEMO_NETWORK.tenants]
    given: tuple[tuple[Role, str, list[str]], ...] = (
        (Role.ENGINEER, "Erin", []),
        (Role.CLIENT_SUCCESS, "Carlos", tenants[:2]),
        (Role.TENANT_VIEWER, "Tomoko", tenants[:1]),
        (Role.EXECUTIVE, "Edith", []),
        (Role.OPERATOR, "Omar", []),
    )
    return {role.value: Actor(name, role, tenants_of(role, named), Via.PERSONA) for role, name, named in given}


def run(settings: Settings, stop: threading.Event) -> None:
    """Serve the pages until stopped."""
    serve(settings, stop, personas())
