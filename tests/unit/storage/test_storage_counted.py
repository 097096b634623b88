"""What the signals count stands in the minutes."""

import pytest

from storage.counted import COUNTED
from storage.schema import MEASUREMENTS


@pytest.mark.parametrize("name", COUNTED)
def test_every_field_is_of_its_measurement(name: str) -> None:
    counted = COUNTED[name]
    assert {*counted.amount, *counted.base} <= MEASUREMENTS[counted.measurement].fields.keys()
