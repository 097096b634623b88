"""The HEP benchmark: that what it compares does the same work."""

import pytest

from surgecast.bench.hep import RECEIVERS, _measure
from surgecast.bench.peers import parse_plainly
from surgecast.bench.traffic import datagrams


def test_the_plain_parser_finds_every_chunk() -> None:
    chunks = parse_plainly(datagrams()[0])
    assert chunks is not None
    assert [1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 14, 15, 17] == sorted(chunks)


def test_the_plain_parser_refuses_what_is_cut() -> None:
    assert parse_plainly(datagrams()[0][:-1]) is None


@pytest.mark.parametrize("kind", [kind for kind in RECEIVERS if not kind.endswith("_count")])
def test_every_receiver_parses_all_it_receives(kind: str) -> None:
    figures, _ = _measure(kind, 2000.0, 0.2)
    assert (0, True, figures.received) == (figures.drops, figures.received > 0, figures.parsed)
