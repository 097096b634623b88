"""Roles, and which tenants come with them; the configuration needs no more than this."""

from collections.abc import Iterable
from enum import StrEnum

from telephony.model import UNASSIGNED


class Role(StrEnum):
    """What somebody is here for."""

    ENGINEER = "engineer"
    CLIENT_SUCCESS = "client_success"
    TENANT_VIEWER = "tenant_viewer"
    EXECUTIVE = "executive"
    OPERATOR = "operator"

    @property
    def words(self) -> str:
        """The role as people read it."""
        return self.value.replace("_", " ")


CONFINED = frozenset({Role.CLIENT_SUCCESS, Role.TENANT_VIEWER})
"""Roles that see the tenants they are given and nothing else, so they must be given some."""


def tenants_of(role: Role, named: Iterable[str]) -> frozenset[str] | None:
    """Return the tenants a role may see; nobody but a role of all tenants ever sees `unassigned`.

    >>> tenants_of(Role.ENGINEER, []) is None, tenants_of(Role.TENANT_VIEWER, [])
    (True, frozenset())
    """
    tenants = frozenset(named) - {UNASSIGNED}
    return tenants if tenants or role in CONFINED else None
