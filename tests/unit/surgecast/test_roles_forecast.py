"""Where the forecast role keeps what nightly fits go on from."""

from pathlib import Path

import pytest

from storage.settings import StorageSettings
from surgecast.roles.forecast import kept_directory


@pytest.mark.parametrize(
    ("settings", "directory"),
    [
        ({"url": "embedded:/var/lib/surgecast"}, "/var/lib/surgecast/forecast-kept"),
        ({"url": "influx://localhost/calls", "spool": {"directory": "/var/spool"}}, "/var/spool/forecast-kept"),
    ],
)
def test_what_is_kept_lies_beside_the_store_or_the_spool(settings, directory) -> None:
    assert Path(directory) == kept_directory(StorageSettings.model_validate(settings))
