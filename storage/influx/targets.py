"""In which database and retention policy a measurement of a tenant lies.

Servers keep whole policies for one length of time, and some allow few of them. So measurements share four, by how
long they are kept unless configured otherwise; a policy is kept as long as the longest of its measurements.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from storage.schema import MEASUREMENTS
from storage.seam import Scope
from storage.settings import StorageSettings

_DAY_SECONDS = 86_400.0


class Policy(StrEnum):
    """A retention policy (1.x), or the second half of the name of a bucket or database (2.x, 3.x)."""

    NOW = "now"
    RAW = "raw"
    RECORDS = "records"
    MINUTES = "minutes"


_UP_TO = {Policy.NOW: _DAY_SECONDS, Policy.RAW: 14 * _DAY_SECONDS, Policy.RECORDS: 180 * _DAY_SECONDS}


@dataclass(frozen=True, slots=True)
class Target:
    """Where rows are written and read."""

    database: str
    policy: Policy

    @property
    def bucket(self) -> str:
        """Its name as a bucket: what 1.8 and later understand as database and policy."""
        return f"{self.database}/{self.policy}"


@cache
def policy_of(measurement: str) -> Policy:
    """Return the policy of a measurement: by the schema's own retention, so that settings move no rows."""
    age = StorageSettings().retention_of(measurement).age
    return next((policy for policy, up_to in _UP_TO.items() if age <= up_to), Policy.MINUTES)


def age_of(policy: Policy, settings: StorageSettings) -> float:
    """Return how long a policy is kept, in seconds."""
    return max(settings.retention_of(name).age for name in MEASUREMENTS if policy_of(name) is policy)


class Databases:
    """Which database holds which tenants."""

    def __init__(self, database: str, classes: Mapping[str, Sequence[str]]) -> None:
        self._common = database
        self._of_tenant = {t: f"{database}_{name}" for name, tenants in classes.items() for t in tenants}
        self.names = [database, *(f"{database}_{name}" for name in classes)]

    @property
    def only_one(self) -> bool:
        """Whether there are no classes."""
        return len(self.names) == 1

    def of(self, tenant: str) -> str:
        """Return the database of a tenant."""
        return self._of_tenant.get(tenant, self._common)

    def holding(self, scope: Scope, tenants: Iterable[str] | None) -> list[str]:
        """Return the databases that may hold rows of a scope, narrowed to some tenants (None: all)."""
        if scope.tenants is None and tenants is None:
            return self.names
        seen = scope.tenants if tenants is None else [t for t in tenants if scope.allows(t)]
        wanted = {self.of(tenant) for tenant in seen or ()}
        return [name for name in self.names if name in wanted]
