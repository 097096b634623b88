"""The examples in the docstrings hold."""

import doctest

import pytest

from alerts import detectors, limits, scoring, signals


@pytest.mark.parametrize("module", [detectors, limits, scoring, signals])
def test_examples(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]
