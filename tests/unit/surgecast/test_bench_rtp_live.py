"""The live part of `bench rtp`: it says why it cannot run, and runs where it can."""

from pathlib import Path

import pytest

from surgecast.bench import rtp_live
from surgecast.bench.rtp_live import Step


def test_without_root_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtp_live.os, "geteuid", lambda: 1000)
    assert {"missing": "not measured: network namespaces and capturing need root"} == rtp_live.run(lambda: None)


def test_without_ip_the_reason_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert {"missing": "not measured: no ip (iproute2)"} == rtp_live.run(lambda: None)


@pytest.mark.parametrize(
    ("ring_drops", "backlog_drops", "missing", "clean"),
    [(0, 0, 0, True), (1, 0, 1, False), (0, 1, 0, False), (0, 0, 1, False)],
)
def test_only_a_step_without_any_loss_is_clean(
    ring_drops: int, backlog_drops: int, missing: int, clean: bool
) -> None:
    assert clean is Step(1e5, 6000, missing, ring_drops, backlog_drops, 0.0, 0.0).clean
