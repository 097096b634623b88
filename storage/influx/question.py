"""What rows are asked of a server, as conditions of InfluxQL: window, scope, tags, and what narrows further.

`Question.conditions` is the choke point of tenancy. Values are bound, never text of a question.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from storage.influx.querier import Bound, quoted
from storage.influx.tagtext import as_stored
from storage.influx.targets import Databases, Policy, Target
from storage.rows import shard_of
from storage.schema import CALL, FINDING, Measurement
from storage.seam import CallMatch, Scope, Window

_FEW_SERIES = 64


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What rows must hold beside scope and tags; the server looks, so fewer come over."""

    calls: tuple[tuple[str | None, str], ...] = ()
    """Rows of these calls, each with its tenant where it is known; none is any."""
    match: CallMatch | None = None
    """Rows of `call` that may match: more may come, never fewer."""
    series: tuple[tuple[tuple[str, str], ...], ...] = ()
    """Rows of series with one of these combinations of tags (names and values); none is any."""

    def conditions(self, measurement: Measurement, bound: Bound) -> Iterator[str]:
        """Yield conditions on the rows of a measurement."""
        if self.calls and "call_id" in measurement.fields:
            # Each call with its own tags: the server then looks into few series, and for one call in each.
            yield f"({' OR '.join(_call_condition(measurement, *call, bound) for call in self.calls)})"
        if self.series:
            combinations = (
                " AND ".join(any_of(tag, "tag", [as_stored(value)], bound) for tag, value in tags)
                for tags in self.series
            )
            yield f"({' OR '.join(f'({combination})' for combination in combinations)})"
        if self.match is not None and measurement is CALL:
            yield from _match_conditions(self.match, bound)


EVERYTHING = Narrowing()


def series_of(rows: pa.Table, tags: Sequence[str]) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return what narrows to the series of rows, and few others: all tags, or the two that tell most of many."""
    series = rows.group_by(list(tags)).aggregate([])
    telling = list(tags)
    if series.num_rows > _FEW_SERIES:
        telling = sorted(tags, key=lambda tag: -pc.count_distinct(series[tag]).as_py())[:2]
    values = zip(*(series[tag].to_pylist() for tag in telling), strict=True)
    return tuple(tuple(zip(telling, found, strict=True)) for found in dict.fromkeys(values))


def _call_condition(measurement: Measurement, tenant: str | None, call_id: str, bound: Bound) -> str:
    parts = [any_of("call_id", "field", [call_id], bound)]
    if measurement is not FINDING:  # the shard of a finding is that of its subject
        parts.append(any_of("shard", "tag", [shard_of(call_id)], bound))
    if tenant is not None:
        parts.append(any_of("tenant", "tag", [as_stored(tenant)], bound))
    return f"({' AND '.join(parts)})"


def any_of(name: str, kind: str, values: Sequence[str], bound: Bound) -> str:
    """Return the condition that a tag or field has one of the values."""
    return "(" + " OR ".join(f"{quoted(name)}::{kind} = {bound.bind(value)}" for value in values) + ")"


def _match_conditions(match: CallMatch, bound: Bound) -> Iterator[str]:
    if match.sip_codes:
        yield "(" + " OR ".join(f'"sip_code"::field = {bound.bind(code)}' for code in match.sip_codes) + ")"
    if match.mos_below is not None:
        yield f'"mos_min"::field < {bound.bind(float(match.mos_below))}'
    anywhere = ("call_id", "destination", "from_masked", "to_masked")
    for text, columns in (
        (match.contains, anywhere), (match.number, anywhere[2:]), (match.destination, anywhere[1:2])
    ):  # fmt: skip
        # Letters beyond ASCII fold differently here and there: those are looked for in what comes over.
        if text and text.isascii():
            pattern = "(?i)" + "".join(c if c.isalnum() else f"\\x{ord(c):02x}" for c in text)
            yield "(" + " OR ".join(f"{quoted(column)}::field =~ /{pattern}/" for column in columns) + ")"


@dataclass(frozen=True, slots=True)
class Question:
    """What rows are asked for: the choke point of tenancy is `conditions`."""

    scope: Scope
    measurement: Measurement
    window: Window
    where: dict[str, list[str]]
    narrowing: Narrowing
    policy: Policy

    @property
    def nothing(self) -> bool:
        """Whether no row can be the answer: it is then not asked."""
        scoped = self.scope.tenants is not None
        return (
            self.window.since_ns >= self.window.until_ns
            or (scoped and not (self.scope.tenants and self.measurement.tenant_scoped))
            or not all(self.where.values())
        )

    def conditions(self, bound: Bound) -> str:
        """Return the WHERE clause: window, scope, tags, narrowing."""
        parts = [f"time >= {bound.bind(self.window.since_ns)}", f"time < {bound.bind(self.window.until_ns)}"]
        if self.scope.tenants is not None:
            parts.append(any_of("tenant", "tag", _stored(sorted(self.scope.tenants)), bound))
        parts += [any_of(tag, "tag", _stored(values), bound) for tag, values in self.where.items()]
        parts += self.narrowing.conditions(self.measurement, bound)
        return " AND ".join(parts)

    def targets(self, databases: Databases) -> list[Target]:
        """Return where such rows lie."""
        names = databases.holding(self.scope, self.where.get("tenant"))
        return [Target(name, self.policy) for name in names]


def _stored(values: Sequence[str]) -> list[str]:
    return [as_stored(value) for value in values]
