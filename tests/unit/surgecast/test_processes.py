"""Roles run as processes of their own, are started again when they die, and end together."""

import threading
import time
from importlib import import_module
from pathlib import Path

import pytest

from dashboards.reports.rates import load_rates
from surgecast import demonstration
from surgecast.commands.up import ROLES
from surgecast.config import Settings
from surgecast.processes import Role, Supervisor, run_role, supervise
from surgecast.simulator.beginning import Beginning
from surgecast.simulator.demo_network import DEMO_NETWORK

HERE = __name__
PATIENCE_SECONDS = 60.0


def mark_and_wait(folder: Path, stop: threading.Event) -> None:
    """Leave a mark of having been started, and run until stopped."""
    _mark(folder)
    stop.wait(PATIENCE_SECONDS)
    (folder / "ended").touch()


def mark_and_die(folder: Path, stop: threading.Event) -> None:
    """Leave a mark and end with a failure."""
    _mark(folder)
    raise SystemExit(7)


def begin(folder: Path, beginning: Beginning, stop: threading.Event) -> None:
    """Leave what was told as the name of a mark."""
    (folder / f"told-{beginning.wait(stop)}").touch()


def lose_the_store(folder: Path, stop: threading.Event) -> None:
    """End as a role does whose store another one holds."""
    from storage.seam import StoreLocked

    raise StoreLocked("another collector writes there")


def _mark(folder: Path) -> None:
    (folder / f"start-{time.monotonic_ns()}").touch()


def starts(folder: Path) -> int:
    return len(list(folder.glob("start-*")))


def eventually(condition: object) -> bool:
    """Wait for other processes, which have their own pace; the bound only ends a test that fails."""
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def role(name: str, folder: Path, *, restart: bool = True) -> Role:
    return Role(name, f"{HERE}:{name}", (folder,), restart=restart)


def test_every_role_there_is_can_be_found() -> None:
    settings = Settings()
    roles = [
        *ROLES.values(),
        *(role.function for role in demonstration.product_roles(settings)),
        demonstration.simulator_role(calls=1, rtp_calls=0, seed=1, hep_port=9060, beginning=Beginning()).function,
    ]
    for function in roles:
        module, _, name = function.partition(":")
        assert callable(getattr(import_module(module), name))


def test_a_single_role_runs_in_this_process(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    run_role(role("mark_and_wait", tmp_path), stop)
    assert (1, True) == (starts(tmp_path), (tmp_path / "ended").exists())


def test_roles_are_asked_to_end_and_do(tmp_path: Path) -> None:
    supervisor = Supervisor([role("mark_and_wait", tmp_path)])
    supervisor.start()
    assert eventually(lambda: starts(tmp_path) == 1)
    supervisor.stop()
    assert (tmp_path / "ended").exists()
    assert supervisor.failed() is None


def test_a_role_that_dies_is_started_again_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("surgecast.processes._BACKOFF_SECONDS", (0.01,))
    supervisor = Supervisor([role("mark_and_die", tmp_path)])
    supervisor.start()

    def twice() -> bool:
        supervisor.watch()
        return starts(tmp_path) >= 2

    assert eventually(twice)
    assert supervisor.failed() is None, "what is started again has not failed"
    supervisor.stop()


def test_a_role_that_shall_not_be_restarted_is_told_of(tmp_path: Path) -> None:
    supervisor = Supervisor([role("mark_and_die", tmp_path, restart=False)])
    supervisor.start()
    assert eventually(lambda: supervisor.failed() == "mark_and_die")
    supervisor.watch()
    supervisor.stop()
    assert 1 == starts(tmp_path)


def test_a_role_can_be_added_to_those_that_run(tmp_path: Path) -> None:
    supervisor = Supervisor([])
    supervisor.start()
    supervisor.add(role("mark_and_wait", tmp_path))
    assert eventually(lambda: starts(tmp_path) == 1)
    supervisor.stop()


def test_a_role_ends_with_the_exit_code_of_its_error_and_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    supervisor = Supervisor([role("lose_the_store", tmp_path, restart=False)])
    supervisor.start()
    assert eventually(lambda: supervisor.failed() is not None)
    supervisor.stop()
    assert "surgecast: lose_the_store: another collector writes there\n" == capfd.readouterr().err


def test_supervise_ends_with_its_stop_event(tmp_path: Path) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=supervise, args=([role("mark_and_wait", tmp_path)], stop))
    thread.start()
    assert eventually(lambda: starts(tmp_path) == 1)
    stop.set()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert (tmp_path / "ended").exists()


def test_the_demo_captures_the_simulators_rtp_where_it_may(tmp_path: Path) -> None:
    def interfaces(capture: bool) -> list[tuple[str, object]]:
        settings = demonstration.demo_settings(
            tmp_path,
            calls=10,
            seed=1,
            now_ns=1_800_000_000_000_000_000,
            hep_port=1,
            web_port=2,
            metrics_port=3,
            sink_port=4,
            capture=capture,
        )
        return [(interface.name, interface.port_ranges()) for interface in settings.collect.interfaces]

    assert [("lo", ((40_000, 49_999),))] == interfaces(capture=True)
    assert [] == interfaces(capture=False)


def test_the_demos_rates_are_of_its_network() -> None:
    """A renamed trunk or tenant would silently fall back to the price of the unnamed."""
    rates = load_rates(demonstration.RATES)
    assert rates.trunks.keys() <= {trunk.name for trunk in DEMO_NETWORK.trunks}
    assert rates.tenants.keys() <= {tenant.name for tenant in DEMO_NETWORK.tenants}


def test_another_process_begins_when_it_is_told_to_and_with_what(tmp_path: Path) -> None:
    """A role that is started again finds it told."""
    beginning = Beginning()
    supervisor = Supervisor([Role("begin", f"{HERE}:begin", (tmp_path, beginning))])
    supervisor.start()
    before = list(tmp_path.iterdir())
    beginning.tell(17, 5)
    found = eventually(lambda: any(tmp_path.iterdir()))
    supervisor.stop()
    assert (before, found, [path.name for path in tmp_path.iterdir()]) == ([], True, ["told-(17, 5)"])


def test_who_is_stopped_before_it_was_told_to_begin_does_not() -> None:
    stop = threading.Event()
    stop.set()
    assert Beginning().wait(stop) is None
