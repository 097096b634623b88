from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.boosting import Boosting, BoostingPool
from forecast.ladder import Ladder, UnknownMember
from forecast.leads import lead_bins
from forecast.members import Fitted, members, register
from forecast.panel import Panel
from forecast.rolling import Rolling
from forecast.series import Series, State

PER_DAY = 24
MONDAY_S = 1_704_067_200


def panel(days: int = 80, mean: float = 200.0, seed: int = 1) -> Panel:
    random = np.random.default_rng(seed)
    hours = np.arange(days * PER_DAY)
    level = np.repeat(np.exp(0.08 * random.normal(size=days)), PER_DAY)
    y = random.poisson(mean * level * (1 + 0.7 * np.sin((hours % 24 / 24 - 0.3) * 2 * np.pi))).astype(np.float64)
    series = Series(MONDAY_S, 3600, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))
    return Panel(series, 2 * PER_DAY)


class Off:
    """A model whose forecast lies a factor beside what comes: it is given the truth."""

    factor = 1.0

    def __init__(self, panel: Panel) -> None:
        self.panel = panel

    def fit(self, day: int) -> Fitted:
        return self

    def predict(self, origins: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return np.nan_to_num(self.panel.z[targets], nan=1.0) * self.factor

    def on(self, panel: Panel) -> Fitted:
        return self


class Oracle(Off):
    factor = 1.001


class Fool(Off):
    factor = 2.0


@pytest.fixture
def _known_to_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.members._members", {member.name: member for member in members()})
    register("oracle", Oracle, needs_days=10, rung=100, challenger=True)
    register("fool", Fool, needs_days=10, rung=101, challenger=True)


def model_after(days: int, *challengers: str) -> str:
    whole = panel()
    rolling = Rolling(whole, lead_bins(3600, 2 * PER_DAY), challengers=challengers)
    for day in range(50, 50 + days):
        rolling.start_day(day)
        rolling.rehearse()
    return rolling.model_at(5)


@pytest.mark.usefixtures("_known_to_all")
@pytest.mark.parametrize(
    ("days", "challengers", "model"),
    [
        (20, ("oracle", "fool"), "oracle"),
        (20, ("fool", "oracle"), "oracle"),
        (20, ("fool",), "stack"),
        (10, ("oracle",), "stack"),
        (20, (), "stack"),
    ],
)
def test_a_challenger_forecasts_only_after_two_weeks_of_winning(
    days: int, challengers: tuple[str, ...], model: str
) -> None:
    assert model == model_after(days, *challengers)


def test_an_unknown_challenger_is_refused_by_name() -> None:
    with pytest.raises(UnknownMember, match="boosting, structural"):
        Ladder(panel(30), lead_bins(3600, PER_DAY), ("prophet",))


def test_one_boosting_serves_all_series_and_trains_once_a_week() -> None:
    panels = [panel(seed=seed, mean=50.0 * seed) for seed in (1, 2)]
    pool = BoostingPool(panels)
    for each in panels:
        each.shared = pool
    monday = panels[0].first_day + 70
    monday -= monday % 7
    fitted = [Boosting(each).fit(day - each.first_day) for each in panels for day in (monday, monday + 6)]
    assert 1 == len({id(each.regressor) for each in fitted})


def test_boosting_does_not_spoil_the_stack() -> None:
    whole = panel()
    boosting = Boosting(whole).fit(70)
    origins = np.repeat(np.arange(70 * PER_DAY, 71 * PER_DAY), 24)
    targets = origins + np.tile(np.arange(1, 25), PER_DAY)
    errors = [np.abs(f.predict(origins, targets) - whole.z[targets]).mean() for f in (boosting, boosting.stack)]
    assert errors[0] < 1.05 * errors[1]
