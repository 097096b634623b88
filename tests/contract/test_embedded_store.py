"""The embedded store passes the conformance suite."""

from pathlib import Path

import pytest
from store_conformance import StoreConformance
from store_queries_conformance import QueriesConformance


class TestEmbeddedStore(StoreConformance, QueriesConformance):
    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"embedded:{tmp_path / 'store'}"
