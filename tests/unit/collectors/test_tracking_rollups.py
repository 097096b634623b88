"""Minute rows sum, are given whole again when they change, and are bounded."""

from collectors.tracking.rollups import MinuteTable, Rollups
from storage.schema import LOAD_MINUTE, REGISTRATION_MINUTE
from telephony.model import MINUTE_NS

PLACE = ("t", "trunk", "r", "n")


def table(**changes: int) -> MinuteTable:
    return MinuteTable(REGISTRATION_MINUTE, **({"keep_minutes": 5, "max_rows_per_minute": 10} | changes))


def test_a_changed_row_is_given_whole_again() -> None:
    minutes = table()
    minutes.row(5, *PLACE).add("attempts")
    assert [1] == [row["attempts"] for row in minutes.take()]
    assert [] == minutes.take()
    minutes.row(7, *PLACE).add("attempts")
    assert [2] == [row["attempts"] for row in minutes.take()]


def test_histogram_rows_are_snapshots() -> None:
    minutes = table()
    minutes.row(0, *PLACE).count("rrd_ms_histogram", 12.0)
    first = minutes.take()[0]["rrd_ms_histogram"]
    minutes.row(0, *PLACE).count("rrd_ms_histogram", 12.0)
    assert isinstance(first, list)
    assert 1 == sum(first)


def test_late_facts_count_until_the_watermark_and_are_counted_after_it() -> None:
    minutes = table()
    minutes.close(10 * MINUTE_NS)
    minutes.row(6 * MINUTE_NS, *PLACE).add("attempts")
    minutes.row(4 * MINUTE_NS, *PLACE).add("attempts")
    assert [6 * MINUTE_NS] == [row["time"] for row in minutes.take()]
    assert 1 == minutes.stats.late


def test_a_dropped_minute_never_opens_again() -> None:
    minutes = table()
    now_ns = 10 * MINUTE_NS + MINUTE_NS // 2
    minutes.row(5 * MINUTE_NS, *PLACE).add("attempts", 7)
    minutes.take()
    minutes.close(now_ns)
    minutes.row(5 * MINUTE_NS + 1, *PLACE).add("attempts")
    assert [8] == [row["attempts"] for row in minutes.take()]


def test_combinations_of_tags_are_bounded_per_minute() -> None:
    minutes = table()
    for i in range(20):
        minutes.row(0, f"tenant-{i}", "", "", "").add("attempts")
    assert (10, 10) == (len(minutes.take()), minutes.stats.overflowed)


def test_every_row_fits_its_schema() -> None:
    rollups = Rollups()
    for minute_table in rollups.tables:
        minute_table.row(0, *(tag for tag in minute_table.measurement.tags))
    for name, rows in rollups.take().items():
        measurement = next(t.measurement for t in rollups.tables if t.measurement.name == name)
        assert set(measurement.schema.names) == set(rows[0])
    assert LOAD_MINUTE.name in {t.measurement.name for t in rollups.tables}
