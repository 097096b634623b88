"""The configuration: file under environment, each fault with key, reason and example, secrets kept."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from surgecast.config import Settings, load_settings, settings_from
from surgecast.errors import ConfigError, Exit


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SURGECAST_CONFIG", raising=False)


def written(folder: Path, text: str) -> Path:
    path = folder / "surgecast.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def fault_of(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(written(folder, text))
    assert Exit.USAGE == caught.value.code
    return str(caught.value)


def test_without_a_file_the_defaults_hold() -> None:
    assert Settings() == load_settings()


def test_the_environment_beats_the_file_key_by_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, "web: {port: 8100, threads: 3}\n")
    monkeypatch.setenv("SURGECAST__WEB__PORT", "8200")
    monkeypatch.setenv("SURGECAST__STORAGE__SEAL_AGE", "5m")
    settings = load_settings(path)
    assert (8200, 3, 300.0) == (settings.web.port, settings.web.threads, settings.storage.seal_age)


def test_the_file_may_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGECAST_CONFIG", str(written(tmp_path, "web: {port: 8100}\n")))
    assert 8100 == load_settings().web.port


def test_a_section_whose_keys_are_all_commented_out_is_the_default(tmp_path: Path) -> None:
    assert Settings() == load_settings(written(tmp_path, "collect:\n#  require_auth: true\nstorage:\n"))


@pytest.mark.parametrize(
    ("text", "key", "reason", "example"),
    [
        pytest.param("web: {port: abc}", "web.port", "valid integer", "port: 8050", id="type"),
        pytest.param("web: {port: 70000}", "web.port", "less than or equal to 65535", "port: 8050", id="range"),
        pytest.param("web: {prot: 1}", "web.prot", "unknown key; known here: ", "port", id="unknown key"),
        pytest.param("wbe: {}", "wbe", "unknown key; known here: alerts, collect, ", "web", id="unknown section"),
        pytest.param("web: 3", "web", "valid dictionary", "", id="section that is none"),
        pytest.param(
            "storage: {seal_age: soon}", "storage.seal_age", "'soon' is not a duration", "15m", id="duration"
        ),
        pytest.param(
            "storage: {retention: {call: {age: 1x}}}",
            "storage.retention.call.age",
            "'1x'",
            "age: 7d",
            id="in a map",
        ),
        pytest.param(
            "storage: {retention: {calls: {age: 1d}}}",
            "storage.retention",
            "no measurement calls",
            "",
            id="map key",
        ),
        pytest.param(
            "collect: {trunks: [{name: 'a b'}]}",
            "collect.trunks.0.name",
            "pattern",
            "name: carrier-a",
            id="in a list",
        ),
        pytest.param(
            "collect: {tenants: [{name: a, networks: [10.0.0.300]}]}",
            "collect.tenants.0.networks.0",
            "not a valid IPv4 network / Input is not a valid IPv6 network",
            "192.0.2.0/24",
            id="union",
        ),
        pytest.param(
            "collect: {require_auth: true}", "collect", "require_auth needs hep_keys in tenants", "", id="together"
        ),
        pytest.param(
            "collect: {listeners: [{transport: tls}]}",
            "collect.listeners.0",
            "transport tls needs tls_certificate and tls_key",
            "",
            id="validator in a list",
        ),
        pytest.param(
            "storage: {url: redis://host}",
            "storage.url",
            "no store of the kind 'redis'",
            "url: embedded:/var/lib/surgecast",
            id="store of no kind",
        ),
        pytest.param("web: {zone: Mars/Base}", "web.zone", "Mars/Base", "Europe/Berlin", id="zone"),
    ],
)
def test_a_fault_names_key_reason_and_example(
    tmp_path: Path, text: str, key: str, reason: str, example: str
) -> None:
    (line,) = [line for line in fault_of(tmp_path, text).splitlines() if line.startswith("  ")]
    assert line.startswith(f"  {key}: ")
    assert reason in line
    assert example in line


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    message = fault_of(tmp_path, "web: {port: x, threads: 0}\nmetrics: {port: -1}\n")
    assert ["  web.port:", "  web.threads:", "  metrics.port:"] == [
        " ".join(["", "", line.split()[0]]) for line in message.splitlines()[1:]
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("web: [", "is not YAML", id="syntax"),
        pytest.param("- web", "the top level must be sections", id="list"),
        pytest.param("1: {}", "the top level must be sections", id="keys that are no text"),
    ],
)
def test_what_is_no_configuration_at_all(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in fault_of(tmp_path, text)


def test_a_file_that_cannot_be_read_or_decoded(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"web: {zone: \xfc}")
    for name, reason in (("latin", "is not YAML"), ("missing", "No such file"), (".", "Is a directory")):
        with pytest.raises(ConfigError, match=reason):
            load_settings(tmp_path / name)


@pytest.mark.parametrize(
    "text",
    [
        "collect: {tenants: [{name: a, hep_keys: s3cret}]}",
        "collect: {tenants: [{name: a, hep_keys: [[s3cret]]}]}",
        "collect: {hash_salt: [s3cret]}",
        "collect: {require_auth: x, tenants: [{name: a, hep_keys: [s3cret]}]}",
        "storage: {url: 'influx://user:s3cret@host:8086/'}",
        "storage: {url: 'influx://user:half/s3cret@host:8086/voice'}",
        "storage: {url: 'redis://:s3cret@host'}",
    ],
)
def test_faults_do_not_show_secrets(tmp_path: Path, text: str) -> None:
    message = fault_of(tmp_path, text)
    assert "s3cret" not in message.replace("hep_keys: ['s3cret']", "")  # the example of the documentation


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SURGECAST__WBE__PORT", "1", "SURGECAST__WBE__PORT names no section; there are SURGECAST__COLLECT__"),
        ("SURGECAST__WEB__PROT", "1", "web.prot: unknown key"),
        ("SURGECAST__WEB", "x", "SURGECAST__WEB__PORT=8050"),
        ("SURGECAST__WEB__PORT", "x", "web.port: "),
    ],
)
def test_a_variable_of_ours_that_sets_nothing_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=reason):
        load_settings()


def models(model: type[BaseModel], at: str = "") -> dict[str, type[BaseModel]]:
    """Return every model of the settings by where it is."""
    found = {at: model}
    for name, info in model.model_fields.items():
        stack: list[Any] = [info.annotation]
        while stack:
            annotation = stack.pop()
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                found |= models(annotation, f"{at}.{name}".strip("."))
            stack.extend(getattr(annotation, "__args__", ()))
    return found


def test_every_key_is_described_and_has_an_example_that_is_valid() -> None:
    """An example that a message shows must work."""
    wrong = []
    for at, model in models(Settings).items():
        assert "forbid" == model.model_config.get("extra"), f"{at} takes unknown keys"
        for name, info in model.model_fields.items():
            if not info.description:
                wrong.append(f"{at}.{name}: no description")
            if at and not info.examples:
                wrong.append(f"{at}.{name}: no example")
    assert [] == wrong


@pytest.mark.parametrize("section", list(Settings.model_fields))
def test_the_examples_together_are_a_configuration(section: str) -> None:
    model = Settings.model_fields[section].annotation
    assert isinstance(model, type)
    for name, info in model.model_fields.items():
        if name not in ("require_auth", "mask_numbers"):  # need others beside them
            values = yaml.safe_load(yaml.safe_dump({section: {name: (info.examples or [None])[0]}}))
            settings_from(values, origin="examples")
