"""A store with the sample hour, an empty one, and services over each with a clock that stands still."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sample_hour

from dashboards.services import Services
from dashboards.settings import DashboardSettings
from storage.open import open_store
from storage.seam import Store


@pytest.fixture(scope="session")
def sample_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = open_store(str(tmp_path_factory.mktemp("sample")))
    sample_hour.fill(store)
    yield store
    store.close()


@pytest.fixture
def empty_store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(str(tmp_path))
    yield store
    store.close()


@pytest.fixture
def services(sample_store: Store) -> Services:
    return Services.of(sample_store, DashboardSettings(), lambda: sample_hour.NOW_NS)


@pytest.fixture
def empty_services(empty_store: Store) -> Services:
    return Services.of(empty_store, DashboardSettings(), lambda: sample_hour.NOW_NS)
