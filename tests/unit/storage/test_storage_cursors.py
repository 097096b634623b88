"""Closing a store ends the queries that run, and no thread is left waiting."""

import threading
from pathlib import Path

import duckdb
import pytest
from storage_support import ENGINEER, EVER

from storage.embedded.cursors import Cursors
from storage.embedded.relation import ScopedRows
from storage.embedded.store import EmbeddedStore
from storage.schema import SESSION_MINUTE
from storage.seam import StoreError

_ENDLESS = "SELECT count(*) FROM range(1000000000000) WHERE hash(range) % 7 = 1"
_LONG_SECONDS = 60.0


def test_closing_a_store_ends_its_queries(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    database = store.reader(ENGINEER)._database
    begun, ended = threading.Event(), []

    def question(rows: ScopedRows) -> None:
        begun.set()
        rows.fetch(_ENDLESS)

    def ask() -> None:
        try:
            database.ask(ENGINEER, SESSION_MINUTE, EVER, None, question)
        except StoreError as error:
            ended.append(str(error))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(_LONG_SECONDS)
    store.close()
    for thread in threads:
        thread.join(_LONG_SECONDS)
    assert ["the store is closed"] * 2 == ended
    store.close()


def test_a_closed_store_is_not_asked(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path)
    reader = store.reader(ENGINEER)
    store.close()
    with pytest.raises(StoreError, match="the store is closed"):
        reader.calls(EVER)


def test_what_does_not_give_its_cursor_back_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.embedded.cursors._INTERRUPT_AGAIN_SECONDS", 0.001)
    cursors = Cursors(lambda: duckdb.connect(":memory:"))
    with cursors.one() as cursor:
        cursors.close()
        assert [(1,)] == cursor.execute("SELECT 1").fetchall()
    assert cursors.closed


def test_after_some_questions_another_database_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.embedded.cursors._CURSORS_A_DATABASE", 2)
    opened = []

    def connect() -> duckdb.DuckDBPyConnection:
        opened.append(duckdb.connect(":memory:"))
        return opened[-1]

    cursors = Cursors(connect)
    with cursors.one() as first:  # goes on in its own
        for _ in range(4):
            with cursors.one() as other:
                assert [(1,)] == other.execute("SELECT 1").fetchall()
        assert [(1,)] == first.execute("SELECT 1").fetchall()
    assert 3 == len(opened)
    cursors.close()
