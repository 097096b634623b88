"""Hops and texts decoded once: found again, forgotten when nobody asks for them, bounded under a flood."""

import numpy as np

from collectors.facts import DATAGRAM, DatagramBatch
from collectors.tracking import names as names_module
from collectors.tracking.names import TURN_NS, Names


def _names(ports: int = 1) -> Names:
    """Return names that read a batch of so many datagrams, each from a port of its own, with one text."""
    rows = np.zeros(ports, DATAGRAM)
    rows["src_port"] = np.arange(ports) + 1
    names = Names()
    names.read(DatagramBatch(rows, np.frombuffer(b"180 Ringing", np.uint8)))
    return names


def test_what_is_asked_for_again_is_the_same_object() -> None:
    names = _names()
    assert names.place(7, 0) is names.place(7, 0)
    assert ("180 Ringing", True) == (names.text(9, 0, 11), names.text(9, 0, 11) is names.text(9, 0, 11))


def test_what_was_asked_for_in_the_last_turn_is_kept_and_the_rest_is_not() -> None:
    names = _names()
    place, text = names.place(7, 0), names.text(9, 0, 11)
    names.release(TURN_NS)
    assert (place, text) == (names.place(7, 0), names.text(9, 0, 11))
    assert names.place(7, 0) is place
    names.release(2 * TURN_NS)
    names.release(3 * TURN_NS)
    assert 0 == len(names)


def test_a_turn_takes_its_time() -> None:
    names = _names()
    names.release(TURN_NS)
    names.read(DatagramBatch(np.zeros(1, DATAGRAM), np.zeros(1, np.uint8)))
    names.place(7, 0)
    for ns in range(0, TURN_NS, TURN_NS // 10):
        names.release(TURN_NS + ns)
    assert 1 == len(names.places)


def test_a_flood_of_hops_and_texts_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(names_module, "_LIMIT", 8)
    names = _names(ports=100)
    for key in range(1, 100):
        assert key + 1 == names.place(key, key).src.port
        names.text(key, 0, 3)
    assert 0 < len(names) <= 4 * 8


def test_the_text_of_no_text_is_empty() -> None:
    assert "" == _names().text(0, 0, 11)
