"""The URL and the settings of a store."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from storage.open import open_store
from storage.seam import BadQuery, StoreError, StoreUnavailable
from storage.settings import Retention, StorageSettings


@pytest.mark.parametrize("form", ["{path}", "embedded:{path}", "embedded://{path}"])
def test_a_directory_is_opened(tmp_path: Path, form: str) -> None:
    open_store(form.format(path=tmp_path / "store")).close()
    assert (tmp_path / "store" / "data").is_dir()


def test_a_relative_directory_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    open_store("embedded:my-data").close()
    assert (tmp_path / "my-data" / "data").is_dir()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("influx://user:secret@host:8086/", "names no database"),
        ("influx:///db", "names no host"),
        ("influxs://host/db/more", "names no database"),
        ("influx://host:no/db", "the URL of the store is wrong"),
        ("postgres://host/db", "no store of the kind 'postgres'"),
        ("embedded:", "names no directory"),
        ("", "names no directory"),
    ],
)
def test_what_cannot_be_opened_says_why(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        open_store(url)


def test_a_file_in_the_way_makes_the_store_unavailable(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(StoreUnavailable):
        open_store(str(tmp_path / "store"))


def test_a_closed_store_gives_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.writer("collect")


@pytest.mark.parametrize("name", ["", "A", "../x", "a.b"])
def test_a_name_that_is_no_file_name_is_no_writers(tmp_path: Path, name: str) -> None:
    store = open_store(str(tmp_path))
    with pytest.raises(BadQuery):
        store.writer(name)
    store.close()


def test_retention_has_defaults_by_measurement() -> None:
    kept = StorageSettings(retention={"call": Retention(age="2w")})  # type: ignore[arg-type]
    ages = [kept.retention_of(name).age for name in ("call", "load_now", "quality_minute")]
    assert [14 * 86400.0, 3600.0, 400 * 86400.0] == ages


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"rows": 1}, "rows"),
        ({"seal_age": "soon"}, "'soon' is not a duration"),
        ({"retention": {"weather": {"age": "1d"}}}, "no measurement weather"),
        ({"retention": {"call": {"age": "1d", "rows": 5}}}, "retention.call.rows"),
        ({"seal_rows": 0}, "seal_rows"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        StorageSettings.model_validate(values)


def test_every_setting_is_described() -> None:
    assert all(
        field.description for model in (StorageSettings, Retention) for field in model.model_fields.values()
    )


def test_a_server_that_is_not_there_is_unavailable_to_who_reads_only() -> None:
    with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:9/db"):
        open_store("influx://user:secret@127.0.0.1:9/db", existing=True)
