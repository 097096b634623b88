"""When marks of the worst intervals tell the worst calls, and when they must not be believed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec
import pyarrow as pa
import pytest
from storage_support import NOW

from storage.checks import Where
from storage.influx.question import EVERYTHING, Question
from storage.influx.ranking import by_marks
from storage.influx.source import Source
from storage.influx.targets import Policy
from storage.influx.worst import WORST
from storage.schema import Measurement
from storage.seam import Scope, Window
from telephony.model import INTERVAL_NS

_START = NOW // INTERVAL_NS * INTERVAL_NS
_WINDOW = Window(_START, _START + 30 * INTERVAL_NS)
_ENGINEER = Scope.everything("engineer")
Mark = tuple[int, int | None, str]


@dataclass
class Server:
    """Marks, one an interval, and the intervals (by number) that have rows without any."""

    marks: dict[int, Mark]
    unmarked: set[int] = field(default_factory=set)

    def question(
        self,
        scope: Scope,
        measurement: Measurement,
        window: Window,
        where: Where | None,
        policy: Policy = Policy.RAW,
    ) -> Question:
        wanted = {tag: list(values) for tag, values in (where or {}).items()}
        return Question(scope, measurement, window, wanted, EVERYTHING, policy)

    def times_with_rows(self, asked: Question, step_ns: int) -> set[int]:
        assert (WORST, INTERVAL_NS) == (asked.measurement, step_ns)
        return {_START + number * INTERVAL_NS for number in self.marks}

    def lowest(self, asked: Question, name: str, count: int, beside: Sequence[str]) -> list[list[object]]:
        assert asked.measurement is WORST
        if name == "beyond":
            return [[beyond] for _, beyond, _ in list(self.marks.values())[:count]]
        rows: list[list[object]] = [[lowest, calls, "acme"] for lowest, _, calls in self.marks.values()]
        return sorted(rows, key=lambda row: cast("int", row[0]))[:count]

    def rows(self, asked: Question, columns: Sequence[str], *, limit: int) -> pa.Table:
        times = [_START + number * INTERVAL_NS for number in self.unmarked]
        return pa.table(
            {"time": [at for at in times if asked.window.since_ns <= at < asked.window.until_ns][:limit]}
        )


def _mark(number: int, beyond: int | None = 7_000) -> Mark:
    """Return a mark of two calls of 60.xx."""
    calls = {f"c{number}": 6_000 + number, f"d{number}": 6_000 + number}
    return 6_000 + number, beyond, msgspec.json.encode(calls).decode()


def _told(server: Server, limit: int = 3, where: Where | None = None, window: Window = _WINDOW) -> list[list[str]]:
    found = by_marks(cast("Source", server), _ENGINEER, window, where, limit)
    return [sorted(call_id for _, call_id in candidates.calls) for candidates in found]


def test_candidates_are_the_lowest_and_all_that_tie() -> None:
    server = Server({number: _mark(number) for number in range(30)})
    assert [f"{side}{number}" for side in "cd" for number in range(4)] == _told(server)[0]


def test_no_candidate_is_beyond_what_was_left_out() -> None:
    server = Server({number: _mark(number, 6_002) for number in range(30)})
    assert [["c0", "c1", "d0", "d1"]] == _told(server)
    assert [] == _told(server, limit=5)


@pytest.mark.parametrize(
    ("paused", "unmarked", "believed"),
    [
        (range(5, 11), {7}, True),  # a minute
        (range(5, 15), {7}, False),
        (range(5, 15), set(), True),
        (range(20, 30), {29}, False),
        (range(10), {0}, False),
        (range(31), set(), True),
    ],
)
def test_marks_are_believed_where_no_rows_are_without(paused: range, unmarked: set[int], believed: bool) -> None:
    marks = {number: _mark(number) for number in range(30) if number not in paused}
    assert (believed and bool(marks)) == bool(_told(Server(marks, unmarked)))


def test_of_many_pauses_none_is_looked_into() -> None:
    window = Window(_START, _START + 100 * INTERVAL_NS)
    marks = {number: _mark(number) for number in range(0, 100, 10)}
    assert [] == _told(Server(marks), window=window)


@pytest.mark.parametrize("where", [{"trunk": ["one"]}, {"tenant": ["acme"], "node": ["x"]}, {"tenant": []}])
def test_what_marks_do_not_tell_is_not_asked_of_them(where: Where) -> None:
    assert [] == _told(Server({number: _mark(number) for number in range(30)}), where=where)


def test_marks_of_other_makes_are_not_believed() -> None:
    marks = {number: _mark(number) for number in range(30)} | {3: (1, None, "no JSON")}
    assert [] == _told(Server(marks))
