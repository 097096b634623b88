"""The README's configuration is one that works."""

import re
from pathlib import Path

import pytest
import yaml

from surgecast.config import settings_from

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_configuration_is_accepted(example: str) -> None:
    settings = settings_from(yaml.safe_load(example), origin="README")
    assert [tenant.name for tenant in settings.collect.tenants] == ["acme"]
