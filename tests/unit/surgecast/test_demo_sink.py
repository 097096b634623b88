"""The demo's sink takes what apprise posts, and nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path

import apprise
import httpx
import pytest

from surgecast.demo_sink import MessageSink


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def sink(tmp_path: Path, told: list[str]) -> Iterator[MessageSink]:
    made = MessageSink(tmp_path / "messages.jsonl", told.append)
    yield made
    made.close()


def test_a_message_of_apprise_is_kept_told_and_listed(sink: MessageSink, told: list[str]) -> None:
    sender = apprise.Apprise()
    sender.add(f"json://127.0.0.1:{sink.port}")
    assert sender.notify(title="trunk x", body="answers nothing")
    assert ["trunk x"] == told
    assert {"title": "trunk x", "message": "answers nothing"} == json.loads(sink.path.read_text())
    assert "trunk x\nanswers nothing\n" == httpx.get(f"http://127.0.0.1:{sink.port}/").text


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b"x" * 70_000])
def test_what_is_no_message_is_refused(sink: MessageSink, told: list[str], body: bytes) -> None:
    assert (400, []) == (httpx.post(f"http://127.0.0.1:{sink.port}/", content=body).status_code, told)
