"""Who we are to a real InfluxDB 2: token of the environment or a file, organisation, buckets of tenant classes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runner import surgecast
from influx_servers import ORG, PATIENCE, TOKEN, InfluxServer, influxd2, require_influxd2, set_up

from storage.influx.admin import init
from storage.influx.store import InfluxStore
from storage.rows import batch
from storage.schema import MEASUREMENTS
from storage.seam import Scope, StoreError, Window
from storage.settings import StorageSettings

NOW = 1_790_000_040_000_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    found = influxd2(require_influxd2(), tmp_path_factory.mktemp("influxd2"))
    found.start()
    set_up(found)
    yield found
    found.kill()


def settings_of(server: InfluxServer, spool: Path, database: str, **influx: object) -> StorageSettings:
    return StorageSettings.model_validate(
        {
            "url": f"influx://127.0.0.1:{server.port}/{database}",
            "retention": {name: {"age": "36500d"} for name in MEASUREMENTS},
            "influx": PATIENCE | influx,
            "spool": {"directory": str(spool)},
        }
    )


@pytest.mark.parametrize("source", ["file", "environment"])
def test_the_token_is_of_a_file_or_the_environment(
    server: InfluxServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("token").write_text(f"{TOKEN}\n")
    Path("surgecast.yaml").write_text(
        f"storage:\n  url: influx://127.0.0.1:{server.port}/{source}\n  influx:\n    org: {ORG}\n"
        + ("    token_file: token\n" if source == "file" else "")
    )
    asked = ("query", "call", "-c", "surgecast.yaml", "--json")
    if source == "environment":
        assert (5, "") == (surgecast(*asked).code, surgecast(*asked).out)
        monkeypatch.setenv("SURGECAST__STORAGE__INFLUX__TOKEN", TOKEN)
    assert 0 == surgecast("store", "init", "-c", "surgecast.yaml").code
    assert {"rows": []} == {"rows": surgecast(*asked).json["rows"]}


def test_an_organisation_that_is_not_there_is_named(server: InfluxServer, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nobody"):
        init(settings_of(server, tmp_path, "astray", org="nobody", token=TOKEN))


def test_classes_of_tenants_have_buckets_of_their_own(server: InfluxServer, tmp_path: Path) -> None:
    classes = {"regulated": ("bank",)}
    settings = settings_of(server, tmp_path, "classes", org=ORG, token=TOKEN, tenant_classes=classes)
    made = init(settings).made
    assert ["classes/minutes", "classes_regulated/minutes"] == [
        name.partition(":")[0] for name in made if "minutes" in name
    ]
    store = InfluxStore(settings.url, settings)
    writer = store.writer("collect")
    place = {"trunk": "carrier", "region": "eu", "node": "edge-1"}
    rows = [{"time": NOW, "attempts": i, "tenant": t, **place} for i, t in enumerate(("bank", "shop"))]
    writer.write("session_minute", batch("session_minute", rows))
    writer.flush()
    window = Window(NOW, NOW + 1)
    seen = {
        name: store.reader(scope).select("session_minute", window, columns=["tenant"])["tenant"].to_pylist()
        for name, scope in (("all", Scope.everything("engineer")), ("bank", Scope.of("client", "bank")))
    }
    store.close()
    alone = settings_of(server, tmp_path, "classes", org=ORG, token=TOKEN)
    other = InfluxStore(alone.url, alone)
    common = other.reader(Scope.everything("engineer")).select("session_minute", window)["tenant"].to_pylist()
    other.close()
    assert ({"all": ["bank", "shop"], "bank": ["bank"]}, ["shop"]) == (
        {name: sorted(found) for name, found in seen.items()},
        common,
    )
