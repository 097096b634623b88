"""`query`, `call`, `doctor` and `config` as a contract, and all verbs as a shell sees them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cli_runner import surgecast

SPAN = ("--from", "2020-01-01", "--to", "2070-01-01")
"""When the captures were made, and more."""


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SURGECAST_CONFIG", raising=False)


@pytest.fixture(scope="module")
def store(captures: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a store into which a capture was replayed."""
    url = f"embedded:{tmp_path_factory.mktemp('contract') / 'store'}"
    config = tmp_path_factory.mktemp("contract") / "surgecast.yaml"
    config.write_text(
        "collect:\n  tenants: [{name: acme, networks: [198.18.0.0/16]}]\n"
        "  trunks: [{name: lab, networks: [198.18.3.2/32]}]\n"
    )
    paths = [captures / "hep" / f"{name}.hepbin" for name in ("21_net_loss3", "07_fail_486")]
    for path in paths:
        assert 0 == surgecast("replay", path, "--store", url, "-c", config).code
    return url


def test_query_returns_rows(store: str) -> None:
    rows = surgecast("query", "call", *SPAN, "--store", store, "--json").json["rows"]
    assert ["answered", "busy"] == sorted(row["outcome"] for row in rows)
    assert {"time", "tenant", "trunk", "call_id", "mos_min", "hops"} <= set(rows[0])
    assert all(row["time"].endswith("Z") for row in rows)


def test_query_sums_by_tag(store: str) -> None:
    rows = surgecast("query", "session_minute", *SPAN, "--by", "tenant", "--store", store, "--json").json["rows"]
    assert {"acme": (1, 1, 0), "unassigned": (1, 0, 1)} == {
        row["tenant"]: (row["attempts"], row["answered"], row["busy"]) for row in rows
    }


def test_query_sums_of_calls_only_what_is_counted(store: str) -> None:
    rows = surgecast("query", "call", *SPAN, "--by", "outcome", "--store", store, "--json").json["rows"]
    assert [{"outcome", "duration_s", "attempts", "time"}] * 2 == [set(row) for row in rows]
    assert {"answered": 1, "busy": 1} == {row["outcome"]: row["attempts"] for row in rows}


def test_query_filters_by_tag(store: str) -> None:
    where = ("--where", "outcome=busy", "--where", "outcome=rejected")
    rows = surgecast("query", "call", *SPAN, *where, "--store", store, "--json").json["rows"]
    assert ["busy"] == [row["outcome"] for row in rows]


def test_query_shows_a_tenant_its_own(store: str) -> None:
    for tenant, expected in (("acme", ["answered"]), ("initech", []), ("unassigned", [])):
        rows = surgecast("query", "call", *SPAN, "--tenant", tenant, "--store", store, "--json").json["rows"]
        assert expected == [row["outcome"] for row in rows]


def test_query_takes_so_many_newest_first(store: str) -> None:
    rows = surgecast("query", "sip_message", *SPAN, "--limit", "3", "--store", store, "--json").json["rows"]
    times = [row["time"] for row in rows]
    assert 3 == len(times)
    assert sorted(times, reverse=True) == times


@pytest.mark.parametrize(
    ("code", "arguments", "reason"),
    [
        (2, ("calls",), "no measurement 'calls'; there are stream_interval"),
        (2, ("call", "--where", "outcome"), "has no '='"),
        (2, ("call", "--where", "call_id=x"), "call has no tag 'call_id'; it has tenant"),
        (2, ("session_minute", "--by", "call_id"), "session_minute has no tag 'call_id'"),
        (
            2,
            ("load_now", "--by", "pool"),
            "--by pool: the figures of load_now do not sum; those of session_minute",
        ),
        (2, ("call", "--from", "yesterday"), "is not understood; write for example now"),
        (2, ("call", "--from", "now", "--to", "-1h"), "--from now is not before --to -1h"),
        (2, ("call", "--limit", "0"), "--limit"),
    ],
)
def test_query_faults(store: str, code: int, arguments: tuple[str, ...], reason: str) -> None:
    ran = surgecast("query", *arguments, "--store", store, "--json")
    assert (code, "") == (ran.code, ran.out)
    assert reason in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("code", "url"),
    [
        (5, "embedded:{folder}/nowhere"),
        (5, "{folder}/nowhere"),
        (2, "influx://h"),
        (2, "redis://h"),
        (2, "embedded:"),
    ],
)
def test_a_store_that_is_not_there(tmp_path: Path, code: int, url: str) -> None:
    for command in (("query", "call"), ("call", "x")):
        ran = surgecast(*command, "--store", url.format(folder=tmp_path))
        assert (code, "") == (ran.code, ran.out)
    assert [] == list(tmp_path.iterdir())


def test_call_is_the_trace_of_one_call(store: str) -> None:
    found = surgecast("call", "4bc441cbdcc2e5d4", "--store", store, "--json").json
    assert ["call", "messages", "intervals", "findings"] == list(found)
    assert ("answered", "acme", "lab") == tuple(found["call"][k] for k in ("outcome", "tenant", "trunk"))
    assert {"198.18.2.2", "198.18.1.1", "198.18.3.2"} == {m["src"].partition(":")[0] for m in found["messages"]}
    assert 127 == sum(i["lost"] for i in found["intervals"] if i["observer"] == "rtcp_rr")
    assert sorted(m["time"] for m in found["messages"]) == [m["time"] for m in found["messages"]]


def test_call_for_people_shows_record_messages_and_intervals(store: str) -> None:
    ran = surgecast("call", "4bc441cbdcc2e5d4", "--store", store)
    assert 0 == ran.code
    assert all(text in ran.out for text in ("outcome  answered", "INVITE", "to_caller", "rtcp_rr"))


@pytest.mark.parametrize("arguments", [("no-such-call",), ("",), ("4bc441cbdcc2e5d4", "--tenant", "initech")])
def test_a_call_that_is_not_there_or_another_tenants_is_not_found(store: str, arguments: tuple[str, ...]) -> None:
    ran = surgecast("call", *arguments, "--store", store, "--json")
    assert (3, "") == (ran.code, ran.out)
    assert "not found" in ran.err


def test_doctor_names_each_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURGECAST__STORAGE__URL", f"embedded:{tmp_path / 'nowhere'}")
    ran = surgecast("doctor", "--json")
    assert 6 == ran.code
    assert False is ran.json["ok"]
    assert {("check", "ok", "why", "fix")} == {tuple(check) for check in ran.json["checks"]}
    failed = [check["check"] for check in ran.json["checks"] if not check["ok"]]
    assert f"checks failed: {', '.join(failed)}" in ran.err


def test_config_verbs() -> None:
    assert {"ok": True} == surgecast("config", "check", "--json").json
    shown = surgecast("config", "show", "--json").json
    assert ["collect", "storage", "forecast", "alerts", "web", "scale", "metrics"] == list(shown)
    assert shown.keys() == json.loads(surgecast("config", "schema").out)["properties"].keys()


@pytest.mark.parametrize(
    "command", [("config", "check"), ("config", "show"), ("doctor",), ("query", "call"), ("up",), ("replay", "x")]
)
def test_a_wrong_configuration_is_exit_2_for_every_verb(tmp_path: Path, command: tuple[str, ...]) -> None:
    path = tmp_path / "surgecast.yaml"
    path.write_text("web: {port: many}\n")
    ran = surgecast(*command, "-c", path)
    assert (2, "") == (ran.code, ran.out)
    assert "web.port: Input should be a valid integer" in ran.err
    assert "for example port: 8050" in ran.err


def shell(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "surgecast", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_a_process_prints_data_on_stdout_and_the_rest_on_stderr(captures: Path) -> None:
    ran = shell("replay", captures / "hep/one_of_each.hepbin", "--json")
    assert (0, 1) == (ran.returncode, ran.stdout.count("\n"))
    assert 2 == json.loads(ran.stdout)["rtcp"]["reports"]
    assert "of a call whose SIP was not seen" in ran.stderr


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (0, ("mos", "--codec", "PCMA")),
        (2, ("mos",)),
        (2, ("nonsense",)),
        (2, ("config", "check", "-c", "/nonexistent")),
        (5, ("query", "call", "--store", "embedded:/nonexistent/store")),
    ],
)
def test_a_process_ends_with_the_exit_code(code: int, arguments: tuple[str, ...]) -> None:
    ran = shell(*arguments)
    assert code == ran.returncode
    assert "Traceback" not in ran.stderr


def test_a_reader_that_has_enough_is_no_failure() -> None:
    script = f'"{sys.executable}" -m surgecast config schema | head -c 1; exit ${{PIPESTATUS[0]}}'
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False, timeout=100)
    assert (0, "") == (ran.returncode, ran.stderr)
