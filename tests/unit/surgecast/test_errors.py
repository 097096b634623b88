"""Exit codes of the contract."""

import pytest

from storage.seam import BadQuery, OutOfScope, StoreError, StoreLocked, StoreUnavailable
from surgecast.errors import CommandError, ConfigError, Exit, exit_code


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        (1, CommandError("x")),
        (6, CommandError("x", Exit.CHECK_FAILED)),
        (2, ConfigError("x")),
        (2, BadQuery("x")),
        (3, OutOfScope("x")),
        (4, StoreLocked("x")),
        (5, StoreUnavailable("x")),
        (1, StoreError("x")),
        (None, ValueError("a bug of ours")),
    ],
)
def test_exit_codes(expected: int | None, error: Exception) -> None:
    assert expected == exit_code(error)
