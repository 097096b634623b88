"""How values are printed: JSON that any parser takes, cells that a reader understands."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from math import inf, nan
from typing import Any

import pytest

from surgecast.commands.output import iso_time, plain, print_json, print_table, shown


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Fact:
    at: datetime
    ratio: float


BERLIN = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        (None, nan),
        (None, inf),
        (None, -inf),
        (1.5, 1.5),
        (True, True),
        ("red", Colour.RED),
        ("2026-11-20T07:00:00Z", datetime(2026, 11, 20, 8, tzinfo=BERLIN)),
        ({"at": "2026-11-20T08:00:00Z", "ratio": None}, Fact(datetime(2026, 11, 20, 8, tzinfo=UTC), nan)),
        ({"1": [1, None]}, {1: (1, nan)}),
        ([], ()),
    ],
)
def test_plain_is_what_json_can_hold(expected: Any, value: Any) -> None:
    assert expected == json.loads(json.dumps(plain(value), allow_nan=False))


def test_one_object_a_line_and_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Zürich", "value": nan})
    assert '{"name": "Zürich", "value": null}\n' == capsys.readouterr().out


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("—", None),
        ("—", ""),
        ("—", []),
        ("0", 0),
        ("0.1235", 0.123456),
        ("1234567", 1234567.2),
        ("a, —", ["a", None]),
        ("2026-11-20 08:00:00.250Z", datetime(2026, 11, 20, 8, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_cells(expected: str, value: Any) -> None:
    assert expected == shown(value)


def test_nanoseconds_survive_in_times() -> None:
    assert ["2023-11-14T22:13:20.000000001Z", None] == [iso_time(1_700_000_000_000_000_001), iso_time(None)]


def test_nothing_is_cut_in_a_table_that_goes_to_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [f"a-rather-long-cell-number-{i}" for i in range(40)]
    print_table([f"column {i}" for i in range(40)], [cells], title="wide")
    out = capsys.readouterr().out
    assert all(cell in out for cell in cells)
    assert "…" not in out
