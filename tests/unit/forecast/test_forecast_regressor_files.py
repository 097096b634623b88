"""Configured regressors: read when they change, given to whom they concern, named in what is issued."""

import json
import os
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.explain import explain
from forecast.horizons import Horizon
from forecast.issue import Known, Outcome, Task, perform
from forecast.knowledge import Knowledge
from forecast.regressor_files import RegressorFiles
from forecast.series import Series, State
from forecast.service_settings import ForecastServiceSettings, RegressorSettings
from forecast.targets import Kind, SeriesId, Signal

MONDAY_S = 1_704_067_200
UTC = ZoneInfo("UTC")
DAYS = 60
MAILINGS = (np.random.default_rng(5).random(DAYS + 30) < 0.4).astype(np.float64)
KEY = SeriesId(Kind.TENANT, "acme", Signal.ARRIVALS)


def write(path: Path, values: np.ndarray, name: str = "mailings", at_s: int = 1) -> None:
    days = np.datetime64("2024-01-01") + np.arange(values.size)
    path.write_text(f"ds,{name}\n" + "\n".join(f"{day},{value}" for day, value in zip(days, values)))
    os.utime(path, (at_s, at_s))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write(tmp_path / "outside.csv", MAILINGS)
    return tmp_path / "outside.csv"


@pytest.fixture
def files(path: Path) -> RegressorFiles:
    return RegressorFiles([RegressorSettings(name="mailings", file=path)], UTC)


def first_value(files: RegressorFiles) -> float | None:
    (found,) = files.current()
    return None if found.regressor is None else float(found.regressor.values[0])


def test_a_file_that_changed_is_read_again(files: RegressorFiles, path: Path) -> None:
    before = first_value(files)
    write(path, MAILINGS + 5, at_s=2)
    assert (MAILINGS[0], MAILINGS[0] + 5) == (before, first_value(files))


def test_one_that_did_not_is_not(files: RegressorFiles) -> None:
    assert files.current()[0].regressor is files.current()[0].regressor


@pytest.mark.parametrize("content", [None, "no table"], ids=["gone", "bad"])
def test_what_cannot_be_read_anew_stays_and_says_why(
    files: RegressorFiles, path: Path, content: str | None
) -> None:
    before = first_value(files)
    path.unlink()
    if content is not None:
        path.write_text(content)
    (found,) = files.current()
    assert (before, True) == (first_value(files), found.trouble.startswith("outside.csv: "))


def test_and_is_read_once_it_can_be(files: RegressorFiles, path: Path) -> None:
    path.unlink()
    files.current()
    write(path, MAILINGS)
    assert "" == files.current()[0].trouble


def test_a_column_that_is_not_there_is_named(path: Path) -> None:
    (found,) = RegressorFiles([RegressorSettings(name="price", file=path)], UTC).current()
    assert "outside.csv: no column 'price'; there is mailings" == found.trouble


@pytest.mark.parametrize(
    ("tenants", "kind", "name", "expected"),
    [
        ([], Kind.TRUNK, "carrier", 1),
        (["acme"], Kind.TENANT, "acme", 1),
        (["acme"], Kind.TENANT, "beta", 0),
        (["acme"], Kind.POOL, "media-eu", 1),
        (["acme"], Kind.POOL, "media-us", 0),
    ],
)
def test_a_regressor_concerns_its_tenants_and_their_pools(
    path: Path, tenants: list[str], kind: Kind, name: str, expected: int
) -> None:
    given = {"name": "mailings", "file": path, "tenants": tenants}
    settings = ForecastServiceSettings.model_validate({"regressors": [given]})
    shares = {(Kind.POOL, "media-eu"): {"acme": 0.5}, (Kind.POOL, "media-us"): {"beta": 1.0}}
    knowledge = Knowledge(settings, shares=shares, outside=RegressorFiles(settings.regressors, UTC).current())
    assert expected == len(knowledge.of(SeriesId(kind, name, Signal.ARRIVALS)).regressors)


def task(files: RegressorFiles | None) -> Task:
    slots = np.arange(DAYS * 24)
    mean = 100 * (1 + 0.7 * np.sin((slots % 24 / 24 - 0.3) * 2 * np.pi)) * 1.5 ** MAILINGS[slots // 24]
    y = np.random.default_rng(3).poisson(mean).astype(np.float64)
    series = Series(MONDAY_S, 3600, UTC, y, np.full(y.size, State.OPEN, np.uint8))
    known = Known() if files is None else Known(
        regressors=tuple(each.regressor for each in files.current() if each.regressor is not None)
    )  # fmt: skip
    return Task(KEY, series, known, (Horizon.LONG,), None)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    path = tmp_path_factory.mktemp("outside") / "outside.csv"
    write(path, MAILINGS)
    return perform(task(RegressorFiles([RegressorSettings(name="mailings", file=path)], UTC)))


def test_what_is_issued_follows_the_regressor(issued: Outcome) -> None:
    days = issued.issues[0].quantiles[: 28 * 24, 0].reshape(28, 24).sum(axis=1)
    sent = MAILINGS[DAYS : DAYS + 28] > 0
    assert 1.5 == pytest.approx(days[sent].mean() / days[~sent].mean(), abs=0.12)


def test_inputs_name_the_regressor_and_its_effect(issued: Outcome) -> None:
    assert json.loads(issued.inputs)["regressors"]["mailings"] == pytest.approx(0.5, abs=0.1)


def test_inputs_without_regressors_name_none() -> None:
    assert "regressors" not in json.loads(perform(task(None)).inputs)


def test_explain_says_what_a_regressor_adds_to_each_slot(files: RegressorFiles) -> None:
    found = explain(task(files))
    part = found.parts[0]
    adds_up = part.profile + part.correction + part.offset + part.events + part.regressors
    assert (part.median, np.sign(part.moved["mailings"])) == (pytest.approx(adds_up), np.sign(part.regressors))
