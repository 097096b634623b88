"""What a server tells of the store it holds: how long it keeps, how many series there are, how old they are.

For people (`surgecast store status`). What a version does not tell, or tells its administrators only, is None.
Rows are not counted: a server would have to read all that it has.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.embedded.points import times_of
from storage.influx.admin import bucket_of
from storage.influx.querier import Bound, Querier, Series
from storage.influx.server import Server
from storage.influx.source import Source
from storage.influx.targets import Databases, Policy, Target, policy_of
from storage.influx.worst import POLICY as WORST_POLICY
from storage.influx.worst import WORST
from storage.schema import MEASUREMENTS, STREAM_INTERVAL, Measurement
from storage.seam import Scope, StoreError, Window

_EVER = Window(0, 1 << 62)
_EVERYTHING = Scope.everything("status")
_DURATION = re.compile(r"(\d+)h(\d+)m(\d+)s")
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PolicyStatus:
    """A retention policy of a database (1.x), a bucket (2.x), or a database (3.x)."""

    database: str
    policy: str
    keep_seconds: float | None
    """0 is for ever."""
    bytes: int | None
    """On the server's disk, without what is in its log of writes only."""
    next_at_ns: int | None
    """When its oldest shard is deleted."""


@dataclass(frozen=True, slots=True)
class MeasurementStatus:
    """A measurement that there is something of, in all databases together."""

    measurement: str
    policy: str
    series: int | None
    oldest_ns: int
    newest_ns: int


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """What there is of a store."""

    server: str
    """The server's name and version."""
    policies: list[PolicyStatus]
    measurements: list[MeasurementStatus]


def status_of(server: Server, querier: Querier, source: Source, databases: Databases, org: str) -> ServerStatus:
    """Return the status of a store.

    Raises StoreUnavailable where the server cannot answer, StoreError where what `store init` makes is missing.
    """
    if not server.major:
        raise StoreError(f"{server.name} tells nothing of what it holds: it is only written to")
    targets = [Target(database, policy) for database in databases.names for policy in Policy]
    series: dict[str, int] = {}
    for target in targets:
        for name, count in _series_counts(querier, target) if server.major == 1 else ():
            series[name] = series.get(name, 0) + count
    known = [(measurement, policy_of(name)) for name, measurement in MEASUREMENTS.items()]
    known.insert([measurement for measurement, _ in known].index(STREAM_INTERVAL) + 1, (WORST, WORST_POLICY))
    found = (_measurement(source, measurement, policy, series) for measurement, policy in known)
    return ServerStatus(
        server=server.name,
        policies=_policies_1(querier, targets) if server.major == 1 else _policies(querier, server, targets, org),
        measurements=[measurement for measurement in found if measurement is not None],
    )


def _measurement(
    source: Source, measurement: Measurement, policy: Policy, series: dict[str, int]
) -> MeasurementStatus | None:
    asked = source.question(_EVERYTHING, measurement, _EVER, None, policy)
    ends = [
        times_of(source.rows(asked, ["time"], limit=1, newest_first=newest)["time"]) for newest in (False, True)
    ]
    if not all(len(times) for times in ends):
        return None
    name = measurement.name
    return MeasurementStatus(name, policy.value, series.get(name), int(ends[0].min()), int(ends[1].max()))


def _series_counts(querier: Querier, target: Target) -> Iterator[tuple[str, int]]:
    for series in _told(querier, target, "SHOW SERIES EXACT CARDINALITY"):
        for row in series.values:
            yield series.name, int(row[0] or 0)


def _policies_1(querier: Querier, targets: Sequence[Target]) -> list[PolicyStatus]:
    """Return what a 1.x tells: a shard of a policy is deleted as a whole."""
    keeps: dict[tuple[str, str], float] = {}
    for target in targets:
        for row in _rows(_told(querier, target, "SHOW RETENTION POLICIES")):
            if (match := _DURATION.fullmatch(str(row["duration"]))) is not None:
                hours, minutes, seconds = (int(part) for part in match.groups())
                keeps[target.database, str(row["name"])] = hours * 3600.0 + minutes * 60 + seconds
            elif row["duration"] == "0s":
                keeps[target.database, str(row["name"])] = 0.0
    ends: dict[tuple[str, str], int] = {}
    for row in _rows(_told(querier, targets[0], "SHOW SHARDS")):
        key = str(row["database"]), str(row["retention_policy"])
        at_ns = int(datetime.fromisoformat(str(row["expiry_time"])).timestamp()) * _SECOND_NS
        ends[key] = min(at_ns, ends.get(key, at_ns))
    sizes: dict[tuple[str, str], int] = {}
    for series in _told(querier, targets[0], "SHOW STATS FOR 'shard'"):
        key = series.tags.get("database", ""), series.tags.get("retentionPolicy", "")
        sizes[key] = sizes.get(key, 0) + sum(int(row["diskBytes"] or 0) for row in _rows([series]))
    return [
        PolicyStatus(
            *key,
            keep_seconds=keeps.get(key),
            bytes=sizes.get(key, 0) if sizes else None,
            next_at_ns=ends.get(key) if keeps.get(key) else None,
        )
        for key in ((target.database, target.policy.value) for target in targets)
    ]


def _policies(querier: Querier, server: Server, targets: Sequence[Target], org: str) -> list[PolicyStatus]:
    found = []
    for target in targets:
        bucket = bucket_of(querier, org, target) if server.major == 2 else None
        keep_seconds = None
        if bucket is not None:
            keep_seconds = float(sum(rule.get("everySeconds", 0) for rule in bucket.get("retentionRules", [])))
        found.append(PolicyStatus(target.database, target.policy.value, keep_seconds, None, None))
    return found


def _told(querier: Querier, target: Target, question: str) -> list[Series]:
    """Return what a question about the server brings; nothing where it does not tell us."""
    try:
        return list(querier.ask(target, question, Bound(), ()))
    except StoreError:
        return []


def _rows(told: Sequence[Series]) -> Iterator[dict[str, int | float | bool | str | None]]:
    for series in told:
        for row in series.values:
            yield dict(zip(series.columns, row, strict=True))
