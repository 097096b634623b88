"""Whatever an actor asks, and however tenants are named, nothing of a foreign tenant comes back."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_support import EVER, NOW

from storage.embedded.store import EmbeddedStore
from storage.rows import batch, shard_of
from storage.schema import CALL, FINDING, FORECAST, MEASUREMENTS, SIP_MESSAGE, STREAM_INTERVAL
from storage.seam import CallMatch, OutOfScope, Scope
from telephony.model import UNASSIGNED

HOSTILE = [
    "acme",
    "ACME",
    "acme ",
    "",
    "' OR '1'='1",
    "acme'; DROP TABLE tail; --",
    '"',
    "$p0",
    "%",
    "_",
    "\\",
    "a\0b",
    "a",
    "ünï",
    "ü",
    "u\u0308",
    "租户",
    "🙂",
    "NULL",
    "../../etc",
    UNASSIGNED,
]
_TENANTS = st.sets(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=8)), min_size=1, max_size=8)
_CALLS = (STREAM_INTERVAL, CALL, SIP_MESSAGE, FINDING)


def _row(name: str, tenant: str, number: int) -> dict[str, Any]:
    measurement = MEASUREMENTS[name]
    row: dict[str, Any] = {"time": NOW + number} | dict.fromkeys(measurement.tags, tenant)
    if measurement in _CALLS:
        row |= {"call_id": tenant, "shard": shard_of(tenant)}
    if measurement is FORECAST:
        row |= {"slot": NOW, "issued_at": NOW}
    if measurement is STREAM_INTERVAL:
        row |= {"r_factor": 50.0, "expected": 5, "lost": 1}
    return row


def _fill(store: EmbeddedStore, tenants: list[str]) -> None:
    """Write a row of every measurement for each tenant, half to segments and half to the log."""
    for last, half in enumerate((tenants[::2], tenants[1::2])):
        writer = store.writer("collect")
        for name in MEASUREMENTS:
            writer.write(name, batch(name, [_row(name, t, tenants.index(t)) for t in half]))
        writer.flush()
        if not last:
            writer.close()


@settings(max_examples=12, deadline=None)
@given(tenants=_TENANTS, granted=st.sets(st.sampled_from(HOSTILE), max_size=4), data=st.data())
def test_no_query_returns_a_foreign_tenant(tenants: set[str], granted: set[str], data: st.DataObject) -> None:
    granted |= set(data.draw(st.lists(st.sampled_from(sorted(tenants)), max_size=3)))
    sees = (granted - {UNASSIGNED}) & tenants
    asked = data.draw(st.lists(st.one_of(st.sampled_from(sorted(tenants)), st.text(max_size=4)), max_size=4))
    with tempfile.TemporaryDirectory() as directory:
        store = EmbeddedStore(Path(directory))
        _fill(store, sorted(tenants))
        reader = store.reader(Scope.of("client", *granted))
        where = {"tenant": asked}
        name = data.draw(st.sampled_from(sorted(MEASUREMENTS)))
        assert sees == _tenants(reader.select(name, EVER))
        assert sees & set(asked) == _tenants(reader.select(name, EVER, where=where))
        assert sees & set(asked) == _tenants(reader.sums(name, EVER, step_seconds=0, by=["tenant"], where=where))
        assert sees == _tenants(reader.latest(name, EVER, by=["tenant"]))
        assert sees & set(asked) == _tenants(reader.latest(name, EVER, by=["tenant"], where=where))
        assert sees == _tenants(reader.forecasts(EVER))
        assert sees & set(asked) == _tenants(reader.forecasts(EVER, where=where))
        assert sees == _tenants(reader.load(EVER, step_seconds=3600, by=["tenant"]))
        assert sees & set(asked) == _tenants(reader.load(EVER, step_seconds=0, by=["tenant"], where=where))
        assert len(sees & set(asked)) == reader.calls(EVER, where=where, limit=1).total
        assert sees == set(reader.tag_values(name, MEASUREMENTS[name].tags[1], EVER))
        assert sees == _tenants(reader.worst_calls(EVER)) | (sees & {""})
        assert sees & set(asked) == _tenants(reader.worst_calls(EVER, where=where)) | (sees & {""} & set(asked))
        for text in (*asked[:2], data.draw(st.sampled_from(HOSTILE))):
            assert _tenants(reader.calls(EVER, match=CallMatch(contains=text)).rows) <= sees
        for tenant in data.draw(st.lists(st.sampled_from(sorted(tenants)), max_size=3)):
            try:
                trace = reader.call(tenant)
            except OutOfScope:
                assert tenant not in sees or not tenant  # no Call-ID is no call
            else:
                assert tenant in sees
                assert {tenant} == _tenants(trace.messages) | _tenants(trace.intervals) | _tenants(trace.findings)
        store.close()


def test_a_scope_of_no_tenant_sees_nothing(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    _fill(store, ["", "acme", UNASSIGNED])
    for scope in (Scope.of("nobody"), Scope.of("sneaky", UNASSIGNED), Scope(frozenset(), "nobody")):
        reader = store.reader(scope)
        assert all(reader.select(name, EVER).num_rows == 0 for name in MEASUREMENTS)
    store.close()


def test_readers_of_several_threads_see_each_their_own(tmp_path: Path) -> None:
    tenants = ["acme", "globex", "initech", "umbrella"]
    store = EmbeddedStore(tmp_path)
    _fill(store, tenants)

    def ask(number: int) -> set[str]:
        tenant, name = tenants[number % 4], sorted(MEASUREMENTS)[number % len(MEASUREMENTS)]
        return _tenants(store.reader(Scope.of("client", tenant)).select(name, EVER))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(40)))
    store.close()
    assert [{tenants[number % 4]} for number in range(40)] == found


def _tenants(table: pa.Table) -> set[str]:
    return set(table["tenant"].to_pylist())
