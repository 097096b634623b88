"""Makes databases, retention policies, buckets and mappings: what `surgecast store init` does.

Everything may be done again: what is there is kept, and its retention set to what is configured.
"""

from dataclasses import dataclass, field
from typing import Any

import urllib3
from influxdb_client.rest import ApiException

from storage.influx.address import Address, address_of
from storage.influx.querier import Querier, quoted
from storage.influx.sender import Sender
from storage.influx.server import Server
from storage.influx.targets import Databases, Policy, Target, age_of
from storage.influx.tls import WANTS_TLS, speaks_tls, tls_fault
from storage.seam import StoreError, StoreUnavailable
from storage.settings import StorageSettings

_SHOWN = 200


@dataclass(slots=True)
class Initialised:
    """What `init` did."""

    server: str
    made: list[str] = field(default_factory=list)
    """What was not there before, and what was."""


def init(settings: StorageSettings) -> Initialised:
    """Make what the store at `settings.url` needs, with the configured retention.

    Raises StoreUnavailable where the server cannot be reached, StoreError where it refuses.
    """
    address = address_of(settings.url, settings.influx)
    querier = Querier(address, settings.influx)
    sender = Sender(address, settings.influx)
    try:
        server = detected(sender, address)
        done = Initialised(server.name)
        for database in Databases(address.database, settings.influx.tenant_classes).names:
            if server.major == 1:
                _init_policies(querier, database, settings, done)
            elif server.major == 2:
                _init_buckets(querier, database, settings, done)
            elif server.major == 0:
                raise StoreError(f"{address.label}: {server.name} makes nothing; it takes what is written")
            else:
                raise StoreError(
                    f"{address.label}: {server.name} makes databases at the first write; set the retention of "
                    + ", ".join(Target(database, policy).bucket for policy in Policy)
                    + " with its own command"
                )
        return done
    finally:
        querier.close()
        sender.close()


def detected(sender: Sender, address: Address) -> Server:
    """Return what answers at the address; raises StoreUnavailable."""
    try:
        return sender.detect()
    except (ApiException, urllib3.exceptions.HTTPError, OSError) as error:
        text = str(error).strip()
        why = tls_fault(error) or (WANTS_TLS if speaks_tls(text) else text[:_SHOWN])
        raise StoreUnavailable(f"store {address.label}: {why}") from error


def _init_policies(querier: Querier, database: str, settings: StorageSettings, done: Initialised) -> None:
    querier.command(f"CREATE DATABASE {quoted(database)}")
    for policy in Policy:
        of = f"{quoted(policy)} ON {quoted(database)} DURATION {_seconds(policy, settings)}s REPLICATION 1"
        try:
            querier.command(f"CREATE RETENTION POLICY {of}")
        except StoreUnavailable:
            raise
        except StoreError:  # it is there, of another duration
            querier.command(f"ALTER RETENTION POLICY {of}")
        done.made.append(f"{database}/{policy}: {_seconds(policy, settings)} s")


def _seconds(policy: Policy, settings: StorageSettings) -> int:
    return max(round(age_of(policy, settings)), 3600)  # the shortest that servers take


def _init_buckets(querier: Querier, database: str, settings: StorageSettings, done: Initialised) -> None:
    org_id = _org_id(querier, settings.influx.org)
    for policy in Policy:
        bucket = Target(database, policy).bucket
        found = bucket_of(querier, settings.influx.org, Target(database, policy))
        rules = [{"type": "expire", "everySeconds": _seconds(policy, settings)}]
        if found is not None:
            bucket_id = found["id"]
            _answer(querier, "PATCH", f"/api/v2/buckets/{bucket_id}", json={"retentionRules": rules})
        else:
            made = _answer(
                querier, "POST", "/api/v2/buckets", json={"orgID": org_id, "name": bucket, "retentionRules": rules}
            )
            bucket_id = made["id"]
        map_bucket(querier, settings.influx.org, Target(database, policy), bucket_id)
        done.made.append(f"{bucket}: {_seconds(policy, settings)} s")


def bucket_of(querier: Querier, org: str, target: Target) -> dict[str, Any] | None:
    """Return what a 2.x tells of the bucket of a target; None where there is none. Raises StoreError."""
    wanted = {"name": target.bucket, "orgID": _org_id(querier, org)}
    found = _answer(querier, "GET", "/api/v2/buckets", params=wanted, missing=True)
    return next(iter(found.get("buckets", [])), None)


def map_bucket(querier: Querier, org: str, target: Target, bucket_id: str | None = None) -> None:
    """Have InfluxQL find the bucket of a target (2.x: a DBRP mapping), if it does not yet.

    Raises StoreError where there is no such bucket or the token may not.
    """
    org_id = _org_id(querier, org)
    wanted = {"orgID": org_id, "db": target.database, "rp": target.policy.value}
    found = _answer(querier, "GET", "/api/v2/dbrps", params=wanted)
    if any(not mapping.get("virtual") for mapping in found.get("content", [])):
        return
    if bucket_id is None:
        bucket = bucket_of(querier, org, target)
        if bucket is None:
            raise StoreError(f"no bucket {target.bucket!r}; `surgecast store init` makes it")
        bucket_id = bucket["id"]
    mapping = {"bucketID": bucket_id, "database": target.database, "retention_policy": target.policy.value}
    _answer(querier, "POST", "/api/v2/dbrps", json=mapping | {"orgID": org_id, "default": False})


def _org_id(querier: Querier, org: str) -> str:
    found = _answer(querier, "GET", "/api/v2/orgs", params={"org": org} if org else {})
    if not found.get("orgs"):
        raise StoreError(f"no organisation {org!r}: set storage.influx.org")
    return str(found["orgs"][0]["id"])


def _answer(
    querier: Querier, method: str, path: str, *, missing: bool = False, **arguments: object
) -> dict[str, Any]:
    response = querier.call(method, path, **arguments)
    if missing and response.status_code == 404:
        return {}
    if response.status_code >= 300:
        raise StoreError(f"{method} {path}: {response.text[:_SHOWN].strip()} (status {response.status_code})")
    found: dict[str, Any] = response.json() if response.content else {}
    return found
