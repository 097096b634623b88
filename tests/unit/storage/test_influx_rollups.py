"""Which hour and day sums are used in InfluxDB, and which minutes are marked as late."""

import pyarrow as pa
import pytest
from storage_support import DAY_NS, NOW

from storage.embedded.rollups import DAY, HOUR, HOUR_NS
from storage.influx.rollups import MARK, SEAL, chosen, late_marks, mark_of, minutes_left, ranges
from storage.schema import FORECAST, SESSION_MINUTE, TIME, Measurement
from storage.seam import Window

_DAY = NOW // DAY_NS * DAY_NS
_HOURS = [Window(_DAY + i * HOUR_NS, _DAY + (i + 1) * HOUR_NS) for i in range(48)]
_DAYS = [Window(_DAY, _DAY + DAY_NS), Window(_DAY + DAY_NS, _DAY + 2 * DAY_NS)]
_TWO_DAYS = Window(_DAY, _DAY + 2 * DAY_NS)


class Server:
    """Marks and seals of `session_minute`."""

    def __init__(self) -> None:
        self.marks: dict[int, int] = {}
        self.seals: dict[tuple[str, int], int] = {}

    def seal(self) -> None:
        marks = {hour: [sent] for hour, sent in self.marks.items()}
        self.seals = {("1h", hour.since_ns): mark_of(marks, hour) for hour in _HOURS}
        self.seals |= {("1d", day.since_ns): mark_of(marks, day) for day in _DAYS}

    def read(self, measurement: Measurement, of: str, window: Window) -> pa.Table:
        if measurement is MARK:
            rows = [(hour, sent) for hour, sent in self.marks.items() if window.since_ns <= hour < window.until_ns]
            return pa.table({"time": pa.array([r[0] for r in rows], TIME), "sent_ns": [r[1] for r in rows]})
        assert measurement is SEAL
        seals = [(at, step, m) for (step, at), m in self.seals.items() if window.since_ns <= at < window.until_ns]
        return pa.table(
            {
                "time": pa.array([s[0] for s in seals], TIME),
                "step": pa.array([s[1] for s in seals], pa.string()),
                "mark": pa.array([s[2] for s in seals], pa.int64()),
            }
        )


@pytest.fixture
def server() -> Server:
    found = Server()
    found.marks = {_HOURS[3].since_ns: 7}
    found.seal()
    return found


@pytest.mark.parametrize(
    ("window", "step_seconds", "used", "minutes"),
    [
        (_TWO_DAYS, 86_400, [(DAY, _TWO_DAYS)], []),
        (_TWO_DAYS, 0, [(DAY, _TWO_DAYS)], []),
        (_TWO_DAYS, 7200, [(HOUR, _TWO_DAYS)], []),
        (_TWO_DAYS, 900, [], [_TWO_DAYS]),
        (
            Window(_DAY + 1, _TWO_DAYS.until_ns),
            86_400,
            [(HOUR, Window(_DAY + HOUR_NS, _DAYS[0].until_ns)), (DAY, _DAYS[1])],
            [Window(_DAY + 1, _DAY + HOUR_NS)],
        ),
        (
            Window(_DAY, _HOURS[1].until_ns + 1),
            0,
            [(HOUR, Window(_DAY, _HOURS[1].until_ns))],
            [Window(_HOURS[1].until_ns, _HOURS[1].until_ns + 1)],
        ),
    ],
)
def test_the_widest_rollups_within_the_window_are_used(
    server: Server, window: Window, step_seconds: int, used: list[tuple[int, Window]], minutes: list[Window]
) -> None:
    found = chosen(server.read, SESSION_MINUTE, window, step_seconds)
    assert (used, minutes) == (ranges(found), minutes_left(window, found))


def test_a_late_minute_takes_its_hour_and_day_out(server: Server) -> None:
    server.marks[_HOURS[3].since_ns] = 6  # of a machine whose clock is behind
    found = chosen(server.read, SESSION_MINUTE, _TWO_DAYS, 86_400)
    first, last = Window(_DAY, _HOURS[3].since_ns), Window(_HOURS[3].until_ns, _DAYS[0].until_ns)
    assert [(HOUR, first), (HOUR, last), (DAY, _DAYS[1])] == ranges(found)
    assert [_HOURS[3]] == minutes_left(_TWO_DAYS, found)


def test_what_does_not_sum_has_no_rollups(server: Server) -> None:
    assert [] == chosen(server.read, FORECAST, _TWO_DAYS, 86_400)


def test_hours_that_are_over_are_marked_once() -> None:
    lines = b"".join(
        b"%s,tenant=a\\ b x=1i %d\n" % (name, hour.since_ns + at)
        for name, hour in ((b"session_minute", _HOURS[0]), (b"load_minute", _HOURS[1]), (b"call", _HOURS[0]))
        for at in (0, 60_000_000_000)
    )
    now_ns = _HOURS[0].until_ns
    assert b"rollup_mark,of=session_minute sent_ns=%di %d\n" % (now_ns, _DAY) == late_marks(lines, now_ns)
    assert b"" == late_marks(lines, now_ns - 1)
