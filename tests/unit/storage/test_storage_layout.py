"""What file names say."""

from pathlib import Path

import pytest

from storage.embedded.layout import DAY_NS, Layout, day_of, day_start_ns, is_writer_name, without_superseded

T = 1_790_000_040_000_000_000


def _touch(layout: Layout, span: tuple[int, int], generations: tuple[int, int], writer: str = "collect") -> Path:
    path = layout.segment_path("call", writer, generations, span, 7, "rewrites")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_segment_is_listed_as_it_was_named(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    path = _touch(layout, (T, T + 5), (3, 9), "my-collector_1")
    (segment,) = layout.list_segments("call", T, T + 1)
    assert (path, "my-collector_1", 3, 9, T, T + 5, 7, True) == (
        segment.path,
        segment.writer,
        segment.first,
        segment.last,
        segment.min_ns,
        segment.max_ns,
        segment.rows,
        segment.rewrites,
    )


@pytest.mark.parametrize("name", ["x.tmp", "notes.txt", "1-2.w.1-1.5.new.parquet.tmp", "1-2.W.1-1.5.new.parquet"])
def test_other_files_are_not_segments(tmp_path: Path, name: str) -> None:
    layout = Layout(tmp_path)
    _touch(layout, (T, T), (1, 1)).rename(tmp_path / "data" / "call" / day_of(T) / name)
    assert layout.list_segments("call", T, T + 1) == []


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        (T, T + 1, 1),
        (T + DAY_NS, T + 2 * DAY_NS, 0),
        (T - DAY_NS, T, 1),
        (T - 2 * DAY_NS, T - DAY_NS, 0),
        (T, T, 0),
    ],
)
def test_segments_are_chosen_by_day(tmp_path: Path, since: int, until: int, found: int) -> None:
    layout = Layout(tmp_path)
    _touch(layout, (T, T), (1, 1))
    assert found == len(layout.list_segments("call", since, until))


def test_a_segment_that_covers_others_of_its_writer_replaces_them(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    kept = [_touch(layout, (T, T), g, w) for g, w in [((1, 4), "a"), ((5, 5), "a"), ((2, 2), "b")]]
    for generation in (1, 2, 4):
        _touch(layout, (T, T), (generation, generation), "a")
    everything = layout.list_segments("call", T, T + 1, superseded=True)
    assert 6 == len(everything)
    assert sorted(kept) == sorted(s.path for s in without_superseded(everything))


def test_logs_are_listed_in_the_order_of_their_generations(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for generation in (10, 9, 100):
        path = layout.log_path("call", "collect", generation)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert [9, 10, 100] == [log.generation for log in layout.list_logs("call")]


def test_a_store_without_files_lists_nothing(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "absent")
    assert ([], [], []) == (layout.measurements(), layout.list_logs("call"), layout.list_segments("call", 0, T))


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("collect", True),
        ("a-b_1", True),
        ("", False),
        ("A", False),
        ("a.b", False),
        ("../x", False),
        ("a" * 65, False),
    ],
)
def test_writer_names_are_safe_in_file_names(name: str, allowed: bool) -> None:
    assert allowed == is_writer_name(name)


def test_days_start_at_midnight_utc() -> None:
    assert T // DAY_NS * DAY_NS == day_start_ns(day_of(T))
