"""Hour and day sums are those of the minutes, whatever is written late."""

import random
from pathlib import Path
from typing import Any

import pytest
from storage_support import DAY_NS, ENGINEER, NOW, sealing

from storage.embedded.rollups import HOUR_NS, spans_to_roll
from storage.embedded.store import EmbeddedStore
from storage.rows import batch
from storage.schema import QUALITY_MINUTE, SESSION_MINUTE
from storage.seam import Scope, Window
from telephony.model import MINUTE_NS

_DAY = NOW // DAY_NS * DAY_NS
_NOW = _DAY + 2 * DAY_NS + 5 * HOUR_NS + 20 * MINUTE_NS
_EVER = Window(_DAY - DAY_NS, _NOW)


def _minute(time_ns: int, chance: random.Random) -> dict[str, Any]:
    row: dict[str, Any] = {"time": time_ns, "region": "eu", "node": chance.choice("xy")}
    row |= {"tenant": chance.choice(["acme", "globex"]), "trunk": chance.choice("ab")}
    row |= {"codec": "PCMA", "direction": "to_callee", "observer": "rtp"}
    row |= {name: None if chance.random() < 0.1 else chance.randrange(9) for name in ("intervals", "expected")}
    row |= {"stream_seconds": chance.randrange(80) / 8}
    return row | {
        name: None if chance.random() < 0.1 else [chance.randrange(2**32) for _ in range(buckets.count)]
        for name, buckets in QUALITY_MINUTE.histograms.items()
    }


def _write(store: EmbeddedStore, rows: list[dict[str, Any]], *, seal: bool) -> None:
    writer = store.writer("collect")
    for row in rows:  # one by one: a late minute may be written in the same turn as its first version
        writer.write("quality_minute", batch("quality_minute", [row]))
    writer.flush()
    if seal:
        writer.close()
    else:
        writer._pending["quality_minute"].log = None  # as a process that died: the rows stay in its log
        writer._lock.release()


def _answers(store: EmbeddedStore) -> list[Any]:
    reader, client = store.reader(ENGINEER), store.reader(Scope.of("client", "acme"))
    cut = Window(_DAY + 7 * MINUTE_NS, _DAY + DAY_NS + 90 * MINUTE_NS)
    return [
        reader.sums("quality_minute", _EVER, step_seconds=0, by=["tenant", "trunk"]),
        reader.sums("quality_minute", cut, step_seconds=0),
        reader.sums("quality_minute", _EVER, step_seconds=3600),
        reader.sums("quality_minute", cut, step_seconds=7200, by=["tenant"], where={"trunk": ["a"]}),
        reader.sums("quality_minute", _EVER, step_seconds=86_400, fields=["intervals", "r_histogram"]),
        reader.sums("quality_minute", _EVER, step_seconds=300, fields=["expected", "mos_histogram"]),
        reader.sums("quality_minute", cut, step_seconds=900, by=["tenant", "node"]),
        reader.sums("quality_minute", cut, step_seconds=60, fields=["expected"]),
        client.sums("quality_minute", cut, step_seconds=3600, by=["trunk"]),
        client.sums("quality_minute", cut, step_seconds=600, by=["trunk"]),
    ]


def _rollups(root: Path) -> set[Path]:
    return set((root / "rollup").rglob("*.parquet"))


@pytest.mark.parametrize("seed", range(2))
def test_sums_from_rollups_are_those_of_minutes(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    rolled, plain = EmbeddedStore(tmp_path / "rolled", sealing(20)), EmbeddedStore(tmp_path / "plain")
    written: list[dict[str, Any]] = []
    for turn in range(4):
        times = [_DAY + chance.randrange((_NOW - _DAY) // MINUTE_NS) * MINUTE_NS for _ in range(60)]
        fresh = [_minute(time_ns, chance) for time_ns in times]
        tags = [{tag: row[tag] for tag in QUALITY_MINUTE.tags} for row in written[:9]]
        late = [_minute(row["time"], chance) | same for row, same in zip(written, tags, strict=False)]
        for store in (rolled, plain):
            _write(store, fresh + late, seal=bool(turn % 2) or store is plain)
        assert _answers(plain) == _answers(rolled)
        if turn < 3:
            rolled.maintain(_NOW)
        assert _answers(plain) == _answers(rolled)
        written = fresh
    assert 0 < rolled.stats.rollups_made
    assert _rollups(tmp_path / "rolled")
    rolled.close()
    plain.close()


def test_a_late_minute_makes_the_touched_hour_anew_and_no_other(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    today = _DAY + 2 * DAY_NS

    def write(time_ns: int, attempts: int) -> None:
        writer = store.writer("collect")
        row = {"time": time_ns, "attempts": attempts} | dict.fromkeys(SESSION_MINUTE.tags, "one")
        writer.write("session_minute", batch("session_minute", [row]))
        writer.close()

    for hour in range(5):
        write(today + hour * HOUR_NS, 1)
    store.maintain(_NOW)
    before = _rollups(tmp_path)
    write(today + 2 * HOUR_NS, 7)
    sums = store.reader(ENGINEER).sums("session_minute", Window(today, _NOW), step_seconds=3600)
    assert [1, 1, 7, 1, 1] == sums["attempts"].to_pylist()
    store.maintain(_NOW)
    after = _rollups(tmp_path)
    assert (10, 8, 10) == (len(before), len(before & after), len(after))  # in steps of 5 minutes, and of an hour
    sums = store.reader(ENGINEER).sums("session_minute", Window(today, _NOW), step_seconds=3600)
    assert [1, 1, 7, 1, 1] == sums["attempts"].to_pylist()
    store.close()


def test_a_rollup_that_is_damaged_or_goes_away_is_done_without(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    chance = random.Random(0)
    _write(store, [_minute(_DAY + i * HOUR_NS, chance) for i in range(24)], seal=True)
    expected = _answers(store)
    store.maintain(_NOW)
    for path in _rollups(tmp_path):
        path.write_bytes(b"nonsense")
    assert expected == _answers(store)
    assert 0 < store.stats.damaged_files
    store.close()


def test_rollups_of_a_step_that_is_missing_are_made(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    _write(store, [_minute(_DAY + i * HOUR_NS, random.Random(i)) for i in range(24)], seal=True)
    expected = _answers(store)
    store.maintain(_NOW)
    made = _rollups(tmp_path)
    for path in made:
        if path.name.startswith("300."):  # as a store of before there were any
            path.unlink()
    assert expected == _answers(store)
    store.maintain(_NOW)
    assert made == _rollups(tmp_path)
    assert expected == _answers(store)
    store.close()


def test_rollups_of_days_that_went_go_too(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path, sealing(1))
    _write(store, [_minute(_DAY, random.Random(0))], seal=True)
    store.maintain(_NOW)
    assert _rollups(tmp_path)
    store.maintain(_NOW + 500 * DAY_NS)
    assert set() == _rollups(tmp_path)
    store.close()


def test_an_open_day_is_rolled_up_by_hours_that_have_settled() -> None:
    hours = spans_to_roll("2026-09-21", _DAY + 2 * HOUR_NS + 15 * MINUTE_NS, 15 * MINUTE_NS)
    assert [Window(_DAY, _DAY + HOUR_NS), Window(_DAY + HOUR_NS, _DAY + 2 * HOUR_NS)] == hours
    assert [Window(_DAY, _DAY + DAY_NS)] == spans_to_roll("2026-09-21", _NOW, 15 * MINUTE_NS)
