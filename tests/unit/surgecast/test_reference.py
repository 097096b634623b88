"""The reference pages say what the code does; the example configuration works."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from cli_runner import surgecast

from surgecast.config import Settings, load_settings

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "deploy" / "surgecast.yaml"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "configuration_reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SURGECAST_CONFIG", raising=False)


def test_the_configuration_reference_is_up_to_date(generator: ModuleType) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert generator.render() == page, "run: python scripts/configuration_reference.py"


def test_the_example_configuration_is_accepted() -> None:
    ran = surgecast("config", "check", "-c", EXAMPLE)
    assert (0, "configuration ok\n", "") == ran


def test_the_example_configuration_is_complete(generator: ModuleType) -> None:
    """Every key of the settings stands in the example, if only as a comment."""
    text = EXAMPLE.read_text(encoding="utf-8")
    names = {key.rpartition(".")[2] for key in generator.keys()}  # noqa: SIM118 (a module's function)
    missing = {name for name in names if not re.search(rf"(^|[\s{{,]){name}:(\s|$)", text, re.MULTILINE)}
    assert set() == missing


def test_what_is_commented_out_of_the_example_works_too() -> None:
    text = re.sub(
        r"^(\s*)# ((  )?- transport: tls|  \w+: .*|hash_salt: .*)$", r"\1\2", EXAMPLE.read_text(), flags=re.M
    )
    settings = Settings(**yaml.safe_load(text))
    assert ("udp", "tcp", "tls") == tuple(listener.transport for listener in settings.collect.listeners)
    assert settings.collect.hash_salt.get_secret_value()


def test_the_examples_comments_are_short_enough_for_a_terminal() -> None:
    assert [] == [line for line in EXAMPLE.read_text().splitlines() if len(line) > 120]


def test_the_example_means_what_its_comments_say() -> None:
    settings = load_settings(EXAMPLE)
    assert 14 * 86_400 == settings.storage.retention_of("stream_interval").age
    assert ["acme", "initech"] == [tenant.name for tenant in settings.collect.tenants]


def test_the_index_links_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\]\(([\w./-]+)\)", index))
    assert [] == [link for link in links if not (ROOT / "docs" / link).exists()]
    assert {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} <= links
