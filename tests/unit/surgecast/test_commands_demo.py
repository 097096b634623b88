"""What the demo does in a process of its own is answered, ended where it is to stop, and missed where it dies."""

import threading
import time
from functools import partial

import pytest

from surgecast.commands.demo import _in_a_process
from surgecast.errors import CommandError

FOREVER_SECONDS = 600.0


def answer(rows: int) -> tuple[int, int]:
    return rows, 7


def test_its_answer_comes_back() -> None:
    assert _in_a_process(partial(answer, 3), threading.Event()) == (3, 7)


def test_who_is_to_stop_does_not_wait_for_it() -> None:
    stop = threading.Event()
    stop.set()
    assert _in_a_process(partial(time.sleep, FOREVER_SECONDS), stop) is None


def test_its_death_is_an_error_of_the_command() -> None:
    with pytest.raises(CommandError, match="history could not be written"):
        _in_a_process(partial(answer), threading.Event())  # without its argument
