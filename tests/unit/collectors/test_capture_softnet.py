"""Backlog drops of the machine."""

from pathlib import Path

import pytest

from collectors.capture.softnet import SoftnetDrops, read_softnet_drops

TWO_CPUS = "0001f0a2 0000000a 00000003 00000000\n0000b0b2 000000f0 00000001 00000000\n"


@pytest.mark.parametrize(("text", "drops"), [(TWO_CPUS, 250), ("", 0), ("nonsense\n", 0)])
def test_drops_of_all_cpus_add_up(tmp_path: Path, text: str, drops: int) -> None:
    path = tmp_path / "softnet_stat"
    path.write_text(text, encoding="ascii")
    assert drops == read_softnet_drops(path)


def test_without_the_file_nothing_is_known_to_be_dropped(tmp_path: Path) -> None:
    assert 0 == read_softnet_drops(tmp_path / "missing")


def test_drops_count_from_the_start_on_and_never_fall() -> None:
    readings = iter([100, 103, 50, 53])  # a CPU went off line, and its line with it
    softnet = SoftnetDrops(lambda: next(readings))
    assert [3, 3, 6] == [softnet.total(at_ns) for at_ns in (10**9, 2 * 10**9, 3 * 10**9)]


def test_within_a_tenth_of_a_second_it_is_read_once() -> None:
    readings = iter([0, 1])
    softnet = SoftnetDrops(lambda: next(readings))
    assert [1, 1] == [softnet.total(at_ns) for at_ns in (10**9, 10**9 + 99_999_999)]
