"""Ticks called as the browser calls them, on a real store; figures and components on the way."""

import json
from typing import Any

import pytest
import sample_hour
from dash import no_update
from plotly.utils import PlotlyJSONEncoder

from dashboards.access.areas import LOCAL_ENGINEER
from dashboards.app import route
from dashboards.components.guide import agent_settings
from dashboards.components.panel import panel_update, state_block
from dashboards.components.tiles import kpi_tile, ratio_words
from dashboards.figures.chart import Frame
from dashboards.pages import call, live
from dashboards.pages.live_state import AREAS, CHARTS, GRIDS, PANELS
from dashboards.services import Services
from dashboards.settings import DashboardSettings
from dashboards.theme import TOKENS, Scheme
from dashboards.views import Kpi, PanelState, Status
from storage.seam import Scope
from telephony.kpis import Ratio

NOW_NS = sample_hour.NOW_NS
ENGINEER = Scope.everything("engineer")


def text(component: Any) -> str:
    """Return what a component would show, as JSON text."""
    return json.dumps(component, cls=PlotlyJSONEncoder, ensure_ascii=False)


def live_tick(services: Services, search: str = "", scope: Scope = ENGINEER, heard: Any = None) -> dict[str, Any]:
    """Open the page, let the background read once, and tick."""
    live.tick(services, scope, search, {"view": search, "version": -1, "digests": {}})
    services.live.refresh(NOW_NS)
    return live.tick(services, scope, search, heard)


def call_tick(services: Services, call_id: str, scope: Scope = ENGINEER) -> dict[str, Any]:
    """Open a call's page, let the background read once, and tick."""
    call.tick(services, scope, call_id, {"view": call_id})
    services.calls.refresh(NOW_NS)
    return call.tick(services, scope, call_id, None)


def test_first_tick_brings_everything(services: Services) -> None:
    """All panels, areas, charts and grids."""
    answer = live_tick(services)
    assert set(PANELS) == set(answer["panels"])
    assert (set(AREAS), set(GRIDS), set(CHARTS)) == (
        set(answer["areas"]),
        set(answer["grids"]),
        set(answer["charts"]),
    )
    assert {None} == {panel["block"] for panel in answer["panels"].values()}


def test_a_tick_without_news_is_almost_nothing(services: Services) -> None:
    """Two hundred viewers share one rendering."""
    first = live_tick(services)
    second = live.tick(services, ENGINEER, "", first["heard"])
    assert no_update is second["charts"]
    assert len(text(second["heard"])) < 1000


def test_only_changed_charts_are_sent_again(services: Services) -> None:
    """A viewer says what it has."""
    first = live_tick(services)
    heard = first["heard"] | {"version": -1, "digests": first["heard"]["digests"] | {"charts.loss": 0}}
    assert ["loss"] == list(live.tick(services, ENGINEER, "", heard)["charts"])


def test_before_the_first_answer_the_page_keeps_loading(services: Services) -> None:
    """No empty panels that fill a moment later."""
    answer = live.tick(services, ENGINEER, "?range=6h", {"view": "?range=6h"})
    assert no_update is answer["areas"]["tiles"]


def test_ticks_are_plain_json(services: Services) -> None:
    """NaN would break the browser's parser."""
    json.loads(json.dumps(live_tick(services), cls=PlotlyJSONEncoder), parse_constant=pytest.fail)


def test_the_tick_is_small(services: Services) -> None:
    """Under 300 kB for an hour of everything, and most of it only when it changes."""
    assert len(text(live_tick(services))) < 300_000


def test_figures_name_only_known_colours(services: Services) -> None:
    """A misspelt token would draw in black."""
    known = {f"@{name}" for name in TOKENS[Scheme.DARK]}

    def tokens(value: Any) -> set[str]:
        if isinstance(value, dict):
            return set().union(*(tokens(v) for v in value.values()))
        if isinstance(value, list | tuple):
            return set().union(*(tokens(v) for v in value), set())
        return {value.split("/")[0]} if isinstance(value, str) and value.startswith("@") else set()

    charts = live_tick(services)["charts"] | call_tick(services, sample_hour.TRACED_CALL)["charts"]
    assert tokens({name: chart.get("figure") for name, chart in charts.items()}) <= known


def test_charts_keep_to_the_points_budget(services: Services) -> None:
    """2,000 points per trace."""
    charts = live_tick(services, "?range=24h")["charts"]
    assert max(len(trace["x"]) for chart in charts.values() for trace in chart["figure"]["data"]) <= 2000


@pytest.mark.parametrize("name", CHARTS)
def test_tables_have_the_data_of_their_chart(services: Services, name: str) -> None:
    """One row per step, one cell per column."""
    chart = live_tick(services)["charts"][name]
    columns, rows = chart["table"]["columns"], chart["table"]["rows"]
    assert {len(columns)} == {len(row) for row in rows}
    assert chart["summary"].endswith(".")


def test_an_empty_installation_is_guided(empty_services: Services) -> None:
    """Every panel covered with a reason, and the way out on top."""
    answer = live_tick(empty_services)
    assert all(panel["block"] is not None for panel in answer["panels"].values())
    assert "127.0.0.1:9060" in text(answer["areas"]["guide"])


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("Kamailio", 'modparam("siptrace", "duplicate_uri", "sip:192.0.2.7:9061")'),
        ("rtpengine", "homer = 192.0.2.7:9061"),
        ("heplify", "-hs 192.0.2.7:9061"),
        ("Asterisk", "capture_address = 192.0.2.7:9061"),
        ("FreeSWITCH", 'value="udp:192.0.2.7:9061;hep=3;capture_id=2005"'),
    ],
)
def test_the_guide_has_the_exact_line(program: str, line: str) -> None:
    """With the configured target in it."""
    assert line in next(a.lines for a in agent_settings("192.0.2.7:9061") if a.program == program)


def test_a_tenant_is_told_that_capture_is_not_for_it(services: Services) -> None:
    """The sixth state."""
    answer = live_tick(services, scope=Scope.of("viewer", "acme"))
    assert "engineers only" in text(answer["panels"]["capture"]["block"])


@pytest.mark.parametrize("state", [s for s in PanelState if s is not PanelState.READY])
def test_every_state_shows_its_reason(state: PanelState) -> None:
    """In the chip or over the panel, and only in one of them."""
    update = panel_update(Status(state, "the moon is in the way"), "n = 1")
    shown = [part for part in (update["chip"], update["block"]) if part is not None]
    assert [True] == ["the moon is in the way" in text(part) for part in shown]


def test_ready_panels_are_not_covered() -> None:
    """Zero is drawn."""
    assert state_block(Status()) is None


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (Ratio(0, 100), ("0 %", "0 / 100 · CI 0–3.70 %", False)),
        (Ratio(29, 29), ("n = 29", "29 / 29, too few", True)),
        (Ratio(1500, 3000), ("50.0 %", "1,500 / 3,000 · CI 48.2–51.8 %", False)),
    ],
)
def test_ratios_show_their_parts(ratio: Ratio, shown: tuple[str, str, bool]) -> None:
    """Or that there are too few."""
    assert shown == ratio_words(ratio)


def test_a_kpi_of_nothing_is_unknown_not_zero() -> None:
    """A dash, and n = 0."""
    shown = text(
        kpi_tile(Kpi("ASR", "Answer-seizure ratio", Ratio(0, 0, "answered / attempts"), reason="no calls"))
    )
    assert ("—" in shown, "n = 0" in shown, "0 %" in shown) == (True, True, False)


@pytest.mark.parametrize("path", ["/", "/live", "/live/", None])
def test_the_live_page_is_home(path: str | None) -> None:
    """Whatever way one comes."""
    assert "live-page" == route(path, 2.0, LOCAL_ENGINEER).id


def test_unknown_addresses_are_not_found() -> None:
    """With a way back."""
    assert "Not found" in text(route("/nothing/here", 2.0, LOCAL_ENGINEER))


def test_call_addresses_are_decoded() -> None:
    """A Call-ID may hold a slash or a per cent sign."""
    assert '"a/b%c@host"' in text(route("/call/a%2Fb%25c%40host", 2.0, LOCAL_ENGINEER))


def test_the_traced_call_shows_its_story(services: Services) -> None:
    """Ladder, both lanes, why, findings."""
    answer = call_tick(services, sample_hour.TRACED_CALL)
    assert {"ladder", "lane-callee", "lane-caller"} == set(answer["charts"])
    head = text(answer["areas"]["head"])
    assert all(
        words in head for words in ("Answered", "1.85 s", "2 min 37 s", "callee", "carrier-blue", "reinvite")
    )
    assert "Worst interval" in text(answer["areas"]["why"])
    assert "Payload type 111" in text(answer["areas"]["found"])
    assert True is answer["unknown_lane"]


def test_the_ladder_draws_every_message(services: Services) -> None:
    """Both hops, the challenge, the dashed retransmission, times from the first INVITE."""
    ladder = call_tick(services, sample_hour.TRACED_CALL)["charts"]["ladder"]
    assert 24 == ladder["svg"].count('class="message ') == len(ladder["table"]["rows"])
    assert 1 == ladder["svg"].count('class="message request again"')
    assert "407 Proxy Authentication Re…" in ladder["svg"]
    assert "+6.430" in ladder["svg"]


def test_an_ended_call_is_not_read_at_every_tick(services: Services) -> None:
    """It hardly changes any more."""
    call_tick(services, sample_hour.TRACED_CALL)
    heard = call.tick(services, ENGINEER, sample_hour.TRACED_CALL, None)["heard"]
    services.calls.refresh(NOW_NS + 5 * 10**9)
    assert no_update is call.tick(services, ENGINEER, sample_hour.TRACED_CALL, heard)["charts"]


def test_an_unknown_call_is_not_found(services: Services) -> None:
    """With calls that look like it."""
    answer = call_tick(services, "sbc-2.acme")
    assert (True, "Call not found" in text(answer["missing"])) == (answer["hidden"], True)
    assert "/call/" in text(answer["missing"])


def test_a_call_of_another_tenant_is_as_unknown(services: Services) -> None:
    """Nobody can tell whether it exists."""
    theirs = call_tick(services, sample_hour.TRACED_CALL, Scope.of("viewer", "globex"))
    unknown = call_tick(services, "never-was", Scope.of("viewer", "globex"))
    assert text(unknown["missing"]).replace("never-was", "X") == text(theirs["missing"]).replace(
        sample_hour.TRACED_CALL, "X"
    )


def test_settings_name_the_wrong_zone() -> None:
    """With an example."""
    with pytest.raises(ValueError, match="Europe/Berlin"):
        DashboardSettings(zone="Mars/Olympus")


def test_frames_write_local_time() -> None:
    """Plotly has no zones: the axis is given local times."""
    frame = Frame(DashboardSettings(zone="Asia/Kolkata").time_zone, "")
    assert ["1970-01-01T05:30:00.000"] == frame.x([0])


def test_rows_of_a_call_in_two_tenants_stay_apart(services: Services) -> None:
    """Reports that could not be given to a tenant are still of the same Call-ID."""
    rows = live_tick(services)["grids"]["worst"]
    assert all(row["row_id"] == f"{row['tenant']}\t{row['call_id']}" for row in rows)
