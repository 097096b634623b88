"""`surgecast config`: check, show, schema."""

import json
from pathlib import Path

import pytest
import yaml
from cli_runner import surgecast

from surgecast.config import Settings, load_settings

SECRETS = """
collect:
  mask_numbers: hash
  hash_salt: pepper
  tenants: [{name: acme, hep_keys: [k1, k2], networks: [10.0.0.0/8]}]
"""


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SURGECAST_CONFIG", raising=False)


@pytest.fixture
def with_secrets(tmp_path: Path) -> Path:
    path = tmp_path / "surgecast.yaml"
    path.write_text(SECRETS)
    return path


def test_check_says_ok() -> None:
    assert [(0, "configuration ok\n"), (0, '{"ok": true}\n')] == [
        surgecast("config", "check", *extra)[:2] for extra in ((), ("--json",))
    ]


def test_check_of_a_wrong_one_is_exit_2(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("web: {port: x}")
    ran = surgecast("config", "check", "-c", path, "--json")
    assert (2, "") == (ran.code, ran.out)
    assert "web.port: " in ran.err


@pytest.mark.parametrize("as_json", [False, True])
def test_show_hides_secrets(with_secrets: Path, as_json: bool) -> None:
    ran = surgecast("config", "show", "-c", with_secrets, *(["--json"] if as_json else []))
    shown = ran.json if as_json else yaml.safe_load(ran.out)
    assert ("***", ["***", "***"]) == (shown["collect"]["hash_salt"], shown["collect"]["tenants"][0]["hep_keys"])
    assert not {"pepper", "k1"} & set(ran.out.split())


def test_show_with_secrets_is_a_configuration_that_means_the_same(with_secrets: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.yaml"
    again.write_text(surgecast("config", "show", "-c", with_secrets, "--secrets").out)
    assert load_settings(with_secrets) == load_settings(again)


def test_an_empty_secret_is_shown_as_such() -> None:
    assert "" == surgecast("config", "show", "--json").json["collect"]["hash_salt"]


def test_show_includes_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGECAST__METRICS__PORT", "9999")
    assert 9999 == surgecast("config", "show", "--json").json["metrics"]["port"]


def test_the_schema_describes_every_section() -> None:
    schema = json.loads(surgecast("config", "schema").out)
    assert set(Settings.model_fields) == set(schema["properties"])
    assert False is schema["additionalProperties"]
