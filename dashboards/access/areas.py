"""The areas of the application with who may use them, and the actor behind a request.

An area that is not listed here does not exist: the guard refuses what was registered under none.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

from dashboards.access.roles import Role
from storage.seam import Scope


@dataclass(frozen=True, slots=True)
class Rule:
    """An area: its place in the navigation, and who may use it."""

    roles: frozenset[Role]
    """Who sees its pages, has its callbacks answered and reads its addresses."""
    title: str = ""
    """In the navigation; empty where it has no entry."""
    href: str = ""
    writers: frozenset[Role] = frozenset()
    """Who may use the methods that change something (POST, DELETE) of its addresses."""


_EVERYBODY = frozenset(Role)


class Area(Enum):
    """The areas in the order of the navigation; the first that a role may see is its home."""

    SHELL = Rule(_EVERYBODY)
    """The frame around the pages; holds no data."""
    LIVE = Rule(frozenset({Role.ENGINEER, Role.CLIENT_SUCCESS, Role.TENANT_VIEWER}), "Live", "/live")
    INCIDENTS = Rule(_EVERYBODY - {Role.EXECUTIVE}, "Incidents", "/incidents")
    """Read within the scope; acknowledged and silenced by those of every tenant (`dashboards.writes`)."""
    CALLS = Rule(frozenset({Role.ENGINEER, Role.CLIENT_SUCCESS}), "Calls", "/calls")
    CALL = Rule(frozenset({Role.ENGINEER, Role.CLIENT_SUCCESS, Role.TENANT_VIEWER}))
    """One call, with its exports; the deep dive in it is for engineers of every tenant."""
    TENANTS = Rule(frozenset({Role.ENGINEER, Role.CLIENT_SUCCESS, Role.TENANT_VIEWER}), "Tenants", "/tenants")
    """The tenants, the page of each, and its reports as files."""
    EXECUTIVE = Rule(frozenset({Role.ENGINEER, Role.EXECUTIVE}), "Executive", "/executive")
    BODY = Rule(_EVERYBODY - {Role.OPERATOR})
    """The callback that tenants and executives' pages share; it asks for the area of the page that it is of."""
    CAPACITY = Rule(_EVERYBODY, "Capacity", "/capacity")
    SCALING = Rule(frozenset({Role.ENGINEER, Role.OPERATOR}), "Scaling", "/scaling")
    EVENTS = Rule(_EVERYBODY, writers=frozenset({Role.ENGINEER, Role.OPERATOR}))
    """Events over HTTP."""


class Via(StrEnum):
    """How an actor became known."""

    LOCAL = "local"
    PASSWORD = "password"  # noqa: S105 (a way to sign in, no secret)
    PROXY = "proxy"
    PERSONA = "persona"


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever is behind a request."""

    name: str
    role: Role
    tenants: frozenset[str] | None
    """None is every tenant; see `tenants_of`."""
    via: Via

    @property
    def scope(self) -> Scope:
        """What the actor may read."""
        return Scope(self.tenants, self.name)

    def may(self, area: Area) -> bool:
        """Tell whether an area is the actor's to see."""
        return self.role in area.value.roles

    @property
    def pages(self) -> tuple[Rule, ...]:
        """The entries of the actor's navigation."""
        return tuple(area.value for area in Area if area.value.title and self.may(area))


LOCAL_ENGINEER = Actor("engineer", Role.ENGINEER, None, Via.LOCAL)
"""Whoever is at this machine, while no sign-in is set up."""
