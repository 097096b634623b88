"""A backtest as a page: steps where pods change, spans where they were too few, nothing fetched from elsewhere."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from dashboards.backtest_page import SupplyRun, backtest_page, supply_figure

RUN = SupplyRun(
    starts_s=1_704_067_200 + 300 * np.arange(6),
    slot_s=300,
    needed=np.array([2, 2, 4, 4, 3, 3]),
    judged=np.array([True, True, True, True, True, False]),
    ready={"reactive": np.array([2, 2, 2, 4, 4, 1]), "surgecast": np.array([3, 3, 4, 4, 3, 3])},
)


def trace(name: str, axis: str | None = None) -> dict[str, object]:
    found = [t for t in supply_figure(RUN, ZoneInfo("UTC"))["data"] if (t["name"], t.get("yaxis")) == (name, axis)]
    assert 1 == len(found)
    return dict(found[0])


def test_only_the_slots_in_which_pods_change_are_drawn() -> None:
    assert [2, 4, 3, 0, 0] == trace("needed")["y"]


@pytest.mark.parametrize(("policy", "spans"), [("reactive", ["00:10", "00:15"]), ("surgecast", [])])
def test_spans_with_too_few_pods_are_those_judged_in_which_fewer_were_ready(policy: str, spans: list[str]) -> None:
    x = trace(policy, "y2")["x"]
    assert isinstance(x, list)
    assert spans == [at[11:16] for at in x if at is not None][: len(spans)]
    assert (2 if spans else 0) == sum(at is not None for at in x) - (0 if spans else 1)


def test_text_of_the_figures_is_escaped_and_a_zone_is_named() -> None:
    page = backtest_page("<b>.csv", RUN, ZoneInfo("Europe/Berlin"), ("policy", "cost"), [("a&b", "1 < 2")])
    wanted = (
        "&lt;b&gt;.csv",
        "a&amp;b",
        "1 &lt; 2",
        "Times are of Europe/Berlin",
        "reactive 20.00%, surgecast 0.00%",
    )
    assert list(wanted) == [text for text in wanted if text in page]
