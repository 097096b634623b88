"""`forecast run`, `forecast explain` and `event`, as a shell sees them."""

import sys
from pathlib import Path

import pytest
from cli_runner import surgecast

sys.path.append(str(Path(__file__).parents[1] / "forecast"))

from load_support import DAY_S, MONDAY_S, load_batch, store_at, watched_batch, write

DAYS = 9
NOW = "2024-01-10T10:00:00Z"
MEDIUM = ("--horizon", "medium")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store")
    opened = store_at(path)
    until_s = MONDAY_S + (DAYS + 1) * DAY_S
    write(opened.writer("collect"), load_batch(MONDAY_S, until_s), watched_batch(MONDAY_S, until_s))
    opened.close()
    return path


@pytest.fixture
def empty(tmp_path):
    opened = store_at(tmp_path / "empty")
    write(opened.writer("collect"), watched_batch(MONDAY_S, MONDAY_S + 600))
    opened.close()
    return tmp_path / "empty"


def test_run_forecasts_a_tenant(store) -> None:
    ran = surgecast(
        "forecast", "run", "--store", store, "--tenant", "acme", "--at", NOW, "--horizon", "medium", "--json"
    )
    (found,) = ran.json["series"]
    assert ("universal", "2024-01-10T10:00:00.000000000Z", 16) == (
        found["model"], found["watermark"], len(found["slots"]),
    )  # fmt: skip
    slot = found["slots"][0]
    assert slot["q50"] <= slot["q95"] <= slot["q99"]


def test_run_without_a_name_forecasts_every_pool(store) -> None:
    ran = surgecast("forecast", "run", "--store", store, "--at", NOW, "--horizon", "short", "--json")
    assert ["media-eu", "media-us"] == [found["target"] for found in ran.json["series"]]


def test_run_prints_a_table(store) -> None:
    ran = surgecast("forecast", "run", "--store", store, "--pool", "media-eu", "--at", NOW)
    assert "concurrent_max of pool media-eu (calls) by universal" in ran.out
    assert "28d" in ran.out


def test_explain_adds_up(store) -> None:
    found = surgecast("forecast", "explain", "--store", store, "--tenant", "acme", "--at", NOW, "--json").json
    for part in found["components"]:
        parts = part["profile"] + part["correction"] + part["offset"] + part["events"] + part["regressors"]
        assert part["q50"] == pytest.approx(parts)
    assert ["last-value", "day-type", "weekly-profile", "universal"] == [
        r["model"] for r in found["ladder"] if r["reached"]
    ]
    assert "not for stack (needs 28)" in found["why"]


def test_explain_prints(store) -> None:
    ran = surgecast("forecast", "explain", "--store", store, "--pool", "media-eu", "--at", NOW)
    assert (0, True) == (ran.code, "profile + correction + offset + events + regressors = q50" in ran.out)


@pytest.fixture
def with_regressors(tmp_path):
    outside = tmp_path / "outside.csv"
    outside.write_text("ds,mailings\n" + "\n".join(f"2024-01-{day:02},{day % 2}" for day in range(1, 20)))
    path = tmp_path / "surgecast.yaml"
    path.write_text(
        f"forecast:\n  regressors:\n    - {{name: mailings, file: {outside}}}\n"
        f"    - {{name: price, file: {tmp_path}/none.csv}}\n"
    )
    return path


def test_explain_names_regressors_and_what_troubles_them(store, with_regressors) -> None:
    arguments = ("--store", store, "--tenant", "acme", "--at", NOW, "--config", with_regressors, "--json")
    found = surgecast("forecast", "explain", *arguments).json
    got = [(each["name"], each["left_out"]) for each in found["regressors"]], found["components"][0]
    assert ([("mailings", "too little history: 1 of 14 days")], {"mailings": 0.0}) == (
        got[0], got[1]["regressor_effects"],
    )  # fmt: skip
    assert "regressor price: none.csv: No such file or directory" in found["history"]["notes"]


def test_run_says_what_troubles_a_regressor(store, with_regressors) -> None:
    arguments = ("--store", store, "--tenant", "acme", "--at", NOW, "--config", with_regressors, *MEDIUM)
    ran = surgecast("forecast", "run", *arguments)
    assert (0, True) == (ran.code, "regressor price: none.csv: No such file" in ran.err)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("run", "--tenant", "nobody"), 3, "there is acme, beta"),
        (("run", "--pool", "capture"), 3, "there is media-eu, media-us"),
        (("run", "--tenant", "acme", "--pool", "media-eu"), 2, "give one of"),
        (("run", "--trunk", "x", "--signal", "cps_max"), 2, "there is arrivals"),
        (("explain",), 2, "name what to explain"),
        (("run", "--at", "tomorrow"), 2, "not understood"),
    ],
)
def test_errors_say_what_to_do(store, arguments, code, says) -> None:
    ran = surgecast("forecast", *arguments, "--store", store, *(() if "--at" in arguments else ("--at", NOW)))
    assert (code, True) == (ran.code, says in ran.err), ran.err


def test_a_store_without_load_says_so(empty) -> None:
    ran = surgecast("forecast", "run", "--store", empty, "--at", "2024-01-01T01:00:00Z")
    assert (3, "surgecast: the store holds no load of any pool\n") == (ran.code, ran.err)


EVENT = ("--start", "2031-03-01T09:00", "--end", "2031-03-03T18:00")


def test_an_event_is_listed_until_it_is_removed(empty) -> None:
    added = surgecast(
        "event", "add", "sale", *EVENT, "--tenant", "acme", "--tenant", "beta", "--uplift", "40%", "--tz",
        "Europe/Berlin", "--decay", "12h", "--store", empty, "--json",
    ).json  # fmt: skip
    assert ("sale", "2031-03-01T08:00:00.000000000Z", ["acme", "beta"], 0.4, 43_200) == (
        added["name"], added["start"], added["tenants"], added["uplift"], added["decay_seconds"],
    )  # fmt: skip
    assert [added] == surgecast("event", "list", "--store", empty, "--json").json["events"]
    assert surgecast("event", "remove", added["id"], "--store", empty).code == 0
    assert [] == surgecast("event", "list", "--store", empty, "--json").json["events"]


def test_a_past_event_is_listed_on_request(empty) -> None:
    surgecast("event", "add", "test", "--mask", "--start", "2021-01-01", "--end", "2021-01-02", "--store", empty)
    assert [] == surgecast("event", "list", "--store", empty, "--json").json["events"]
    (found,) = surgecast("event", "list", "--past", "--store", empty, "--json").json["events"]
    assert ("mask", []) == (found["kind"], found["tenants"])


def test_events_of_the_configuration_are_listed(empty, tmp_path) -> None:
    config = tmp_path / "surgecast.yaml"
    config.write_text("forecast: {events: [{name: fair, start: 2031-05-01, end: 2031-05-02}]}")
    (found,) = surgecast("event", "list", "-c", config, "--store", empty, "--json").json["events"]
    assert (None, "fair", "configuration") == (found["id"], found["name"], found["source"])


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("add", "x", "--start", "soon", "--end", "later"), 2, "write for example 2026-03-01T09:00"),
        (("add", "x", "--start", "2031-03-02", "--end", "2031-03-01"), 2, "ends before it starts"),
        (("add", "x", *EVENT, "--uplift", "much"), 2, "write 40% or 0.4"),
        (("add", "x", *EVENT, "--uplift=-200%"), 2, "uplift"),
        (("add", "x", *EVENT, "--mask", "--uplift", "1"), 2, "takes no --uplift"),
        (("add", "x", *EVENT, "--tz", "Mars/Base"), 2, "no zone"),
        (("remove", "e-none"), 3, "no event 'e-none'"),
    ],
)
def test_wrong_events_say_what_to_do(empty, arguments, code, says) -> None:
    ran = surgecast("event", *arguments, "--store", empty)
    assert (code, True) == (ran.code, says in ran.err), ran.err
