"""The service: what is due is issued once, a restart goes on, nights are refitted, gaps do not stop it."""

from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from load_support import DAY_S, ENGINEER, MONDAY_S, load_batch, store_at, watched_batch, write

from forecast.announce import announce, settings_of, withdraw
from forecast.horizons import Horizon
from forecast.issue import perform
from forecast.kept import Shelf
from forecast.pool import Workers
from forecast.rolling import Rolling
from forecast.service import Service
from forecast.service_settings import ForecastServiceSettings
from forecast.signals import SECOND_NS
from forecast.targets import Kind, SeriesId, Signal
from storage.rows import batch
from storage.seam import Window

DAYS = 16
NOW_S = MONDAY_S + DAYS * DAY_S + 10 * 3600 + 61
SETTINGS = ForecastServiceSettings.model_validate(
    {"slot": "1h", "workers": 0, "signals": {"pool": ["arrivals"], "tenant": ["arrivals"]}, "delay": "60s"}
)
EVER = Window(0, 4 * 10**18)


def run(tasks):
    return map(perform, tasks)


class Town:
    """A store with load, and services on it one after another."""

    def __init__(self, path: Path) -> None:
        self.store = store_at(path)
        self.writer = self.store.writer("collect")
        self.until_s = MONDAY_S
        self.live(NOW_S + 3 * DAY_S)

    def live(self, until_s: int) -> None:
        """Let calls come until then."""
        write(self.writer, load_batch(self.until_s, until_s), watched_batch(self.until_s, until_s))
        self.until_s = until_s

    def service(self, settings: ForecastServiceSettings = SETTINGS) -> Service:
        writer = self.store.writer("forecast")
        self.forecasting = writer
        return Service(self.reader, writer, settings, run)

    @property
    def reader(self):
        return self.store.reader(ENGINEER)

    def rows(self, measurement: str = "forecast", **where: str) -> pa.Table:
        allowed = {tag: (value,) for tag, value in where.items()}
        return self.reader.select(measurement, EVER, where=allowed, limit=10**6)

    def issues(self, horizon: Horizon) -> dict[int, int]:
        """Return how many slots of media-eu were issued at each time."""
        table = self.rows(target="media-eu", horizon=horizon.value)
        times = table["issued_at"].cast(pa.int64()).to_numpy() // SECOND_NS
        return dict(zip(*(a.tolist() for a in np.unique(times, return_counts=True)), strict=True))


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    """Return a folder with a store that each test copies."""
    path = tmp_path_factory.mktemp("load")
    town = Town(path)
    town.store.close()
    return path


@pytest.fixture
def town(history, tmp_path):
    import shutil

    shutil.copytree(history, tmp_path / "store")
    town = Town.__new__(Town)
    town.store = store_at(tmp_path / "store")
    yield town
    town.store.close()


def test_every_horizon_is_issued_for_every_series_at_first(town) -> None:
    assert 4 == town.service().step(NOW_S)
    rows = town.rows().select(["target_kind", "target", "horizon"]).to_pylist()
    found = {tuple(row.values()) for row in rows}
    targets = {("pool", "media-eu"), ("pool", "media-us"), ("tenant", "acme"), ("tenant", "beta")}
    assert {(*target, horizon.value) for target in targets for horizon in Horizon} == found


def test_a_step_again_issues_nothing(town) -> None:
    service = town.service()
    service.step(NOW_S)
    assert 0 == service.step(NOW_S + 30)


def test_rows_say_what_they_stand_on(town) -> None:
    town.service().step(NOW_S)
    row = town.rows(target="acme", horizon="short")
    watermark = row["watermark"].cast(pa.int64())[0].as_py() // SECOND_NS
    assert (NOW_S // 3600 * 3600, 0, "acme", "universal") == (
        watermark, row["lead_seconds"][0].as_py(), row["tenant"][0].as_py(), row["model"][0].as_py(),
    )  # fmt: skip
    assert '"history_days":16.4' in row["inputs"][0].as_py()


def test_quantiles_rise_and_are_never_negative(town) -> None:
    town.service().step(NOW_S)
    rows = town.rows(horizon="long")
    values = np.stack([rows[name].to_numpy() for name in ("q50", "q80", "q90", "q95", "q99")], axis=1)
    assert (np.diff(values, axis=1) >= 0).all()
    assert (values >= 0).all()


@pytest.mark.parametrize(
    ("after_s", "expected"),
    [(3600, {Horizon.SHORT, Horizon.MEDIUM}), (14 * 3600, set(Horizon))],
    ids=["the next hour", "the next night"],
)
def test_each_horizon_at_its_own_pace(town, after_s, expected) -> None:
    service = town.service()
    service.step(NOW_S)
    service.step(NOW_S + after_s)
    assert expected == {horizon for horizon in Horizon if NOW_S + after_s in town.issues(horizon)}


def test_a_restart_issues_only_what_was_not(town) -> None:
    service = town.service()
    service.step(NOW_S)
    town.forecasting.close()
    town.service().step(NOW_S + 3600)
    assert {NOW_S: 28 * 24} == town.issues(Horizon.LONG)
    assert {NOW_S, NOW_S + 3600} == set(town.issues(Horizon.SHORT))


def test_a_night_missed_is_made_up_for(town) -> None:
    service = town.service()
    service.step(NOW_S)
    town.forecasting.close()
    later_s = NOW_S + 20 * 3600
    town.service().step(later_s)
    assert {NOW_S, later_s} == set(town.issues(Horizon.LONG))


def test_an_interrupted_step_goes_on_with_the_next(town) -> None:
    service = town.service()
    asked = iter([False, False, True])
    assert 2 == service.step(NOW_S, lambda: next(asked, True))
    assert 2 == service.step(NOW_S + 5)


def test_near_forecasts_do_not_wait_for_the_nightly_fits(town) -> None:
    service = town.service()
    service.step(NOW_S)
    midnight_s = NOW_S // DAY_S * DAY_S + DAY_S + 61
    issued = []

    def stopped() -> bool:
        issued.append(True)
        return len(issued) > 4

    assert 4 == service.step(midnight_s, stopped)
    assert (4, None) == (town.issues(Horizon.SHORT)[midnight_s] * 4, town.issues(Horizon.LONG).get(midnight_s))
    service.step(midnight_s + 5)
    assert 28 * 24 == town.issues(Horizon.LONG)[midnight_s + 5]
    assert midnight_s + 5 not in town.issues(Horizon.SHORT)


def test_an_event_lifts_its_tenant_and_its_pools_by_their_share(town) -> None:
    service = town.service()
    service.step(NOW_S)
    start_s, end_s = NOW_S // 3600 * 3600 + 2 * 3600, NOW_S // 3600 * 3600 + 4 * 3600
    asked = settings_of({
        "name": "sale", "start": f"{np.datetime64(start_s, 's')}Z", "end": f"{np.datetime64(end_s, 's')}Z",
        "tenants": ["acme"], "uplift": 1.0,
    })  # fmt: skip
    before = medians(town, start_s)
    operator = town.store.writer("operator")
    said = announce(town.reader, operator, asked, zone=ZoneInfo("UTC"), author="me", now_ns=NOW_S * SECOND_NS)
    assert 2 == service.step(NOW_S + 10)
    lifted = medians(town, start_s)
    assert 2.0 == pytest.approx(lifted["acme"] / before["acme"], rel=0.05)
    assert 1 + 1 / 1.5 == pytest.approx(lifted["media-eu"] / before["media-eu"], rel=0.05)
    assert before["media-us"] == lifted["media-us"]
    withdraw(town.reader, operator, said.id, author="me", now_ns=(NOW_S + 20) * SECOND_NS)
    service.step(NOW_S + 30)
    # Not to the last digit: at first all series were made to add up, now these two alone are issued.
    assert before["acme"] == pytest.approx(medians(town, start_s)["acme"], rel=1e-3)


def medians(town: Town, slot_s: int) -> dict[str, float]:
    """Return the newest median of a slot by target."""
    table = town.reader.forecasts(
        Window(slot_s * SECOND_NS, (slot_s + 1) * SECOND_NS), where={"horizon": ("long",)}
    )
    return dict(zip(table["target"].to_pylist(), table["q50"].to_pylist(), strict=True))


def test_a_series_with_regressors_is_gone_on_with_until_their_figures_change(town, tmp_path) -> None:
    days, path = np.arange(DAYS + 8), tmp_path / "mailings.csv"

    def told(values: np.ndarray) -> None:
        stamps = np.datetime_as_string(np.datetime64(MONDAY_S, "s") + days * np.timedelta64(1, "D"))
        path.write_text("\n".join(["ds,n", *(f"{at}Z,{n}" for at, n in zip(stamps, values, strict=True))]))

    told(days % 3)
    changed = {"signals": {"tenant": ["arrivals"]}, "regressors": [{"name": "n", "file": str(path)}]}
    settings = ForecastServiceSettings.model_validate(SETTINGS.model_dump() | changed)
    whole: list[int] = []

    def counting(tasks):
        for task in tasks:
            whole.append(int(task.followed is None))
            yield perform(task)

    service = Service(town.reader, town.store.writer("forecast"), settings, counting)
    for hour in range(3):
        if hour == 2:
            told(days % 4)
        service.step(NOW_S + hour * 3600)
    assert [1, 1, 0, 0, 1, 1] == whole


def test_a_silent_store_is_forecast_from_what_was_known(town) -> None:
    service = town.service()
    assert 4 == service.step(NOW_S + 4 * DAY_S)
    assert {0} != set(town.rows(target="acme", horizon="short")["lead_seconds"].to_pylist())


def test_what_came_is_compared_with_what_was_issued(town) -> None:
    service = town.service()
    for hour in range(31):
        service.step(NOW_S + hour * 3600)
    table = town.rows("forecast_accuracy", target="acme", horizon="short")
    sums = table.select(["n", "actual", "absolute_error"]).to_pydict()
    assert 14 + 15 == sum(sums["n"])
    assert sum(sums["absolute_error"]) < 0.15 * sum(sums["actual"])
    assert 4 * (14 + 15) == service.stats.compared["1h"]


def test_rehearsed_accuracy_is_there_from_the_first_step(town) -> None:
    town.service().step(NOW_S)
    table = town.rows("forecast_accuracy", target="acme", horizon="rehearsed")
    assert {"universal", "weekly-profile"} <= set(table["model"].to_pylist())


def test_lost_capture_is_masked(town) -> None:
    hour_s = NOW_S // 3600 * 3600
    row = {
        "time": (hour_s - 600) * SECOND_NS, "tenant": "unassigned", "pool": "capture", "region": "eu",
        "node": "sbc", "datagrams": 90, "drops_kernel": 10, "drops_queue": 0, "frames": 0,
    }  # fmt: skip
    writer = town.store.writer("collect-2")
    writer.write("load_now", batch("load_now", [row]))
    writer.flush()
    service = town.service()
    service.step(NOW_S)
    assert ["capture loss 10.0 %"] == town.rows("operator_action")["reason"].to_pylist()


def test_worker_processes_give_what_this_one_gives(town) -> None:
    alone = SETTINGS.model_copy(update={"signals": {Kind.TENANT: (Signal.ARRIVALS,)}})
    service = town.service(alone)
    with Workers(1) as workers:
        service._run = workers.run
        service.step(NOW_S)
    many = town.rows(target="acme", horizon="long")["q90"].to_pylist()
    town.forecasting.close()
    key = SeriesId(Kind.TENANT, "acme", Signal.ARRIVALS)
    again = town.service(alone)
    again._read(NOW_S - 60)
    knowledge = again._knowledge(NOW_S)
    again._last = {}
    task = again._task(key, knowledge, tuple(Horizon), None, NOW_S)
    assert task is not None
    here = perform(replace(task, horizons=(Horizon.LONG,))).issues[0].quantiles[:, 2]
    np.testing.assert_allclose(here, many)


def test_medians_of_pools_and_tenants_add_up(town) -> None:
    town.service().step(NOW_S)
    found = medians(town, NOW_S // 3600 * 3600 + 5 * 3600)
    assert found["acme"] + found["beta"] == pytest.approx(found["media-eu"] + found["media-us"])


def test_a_restarted_service_goes_on_from_what_was_kept(town, tmp_path, monkeypatch) -> None:
    shelf = Shelf(tmp_path / "kept")
    first = Service(town.reader, town.store.writer("first"), SETTINGS, run, shelf)
    for later_s in (0, 3600, 7200):
        first.step(NOW_S + later_s)
    rehearsed = []
    monkeypatch.setattr(Rolling, "rehearse", lambda self: rehearsed.append(self))
    Service(town.reader, town.store.writer("second"), SETTINGS, run, Shelf(tmp_path / "kept")).step(NOW_S + 10_800)
    assert (4, []) == (len(list((tmp_path / "kept").iterdir())), rehearsed)
