"""The view of one call from what is stored of it, whole or in part."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
import sample_hour
from hypothesis import given
from hypothesis import strategies as st

from dashboards.csv_text import csv_lines
from dashboards.figures.chart import Frame
from dashboards.figures.ladder import ladder_svg, ladder_table
from dashboards.figures.lanes import lane_chart
from dashboards.queries.call import call_view
from dashboards.trace_views import CallView, Ladder, LadderMessage
from dashboards.views import PanelState, Status
from storage.seam import CallTrace, Scope, Store
from telephony.model import Direction

UTC = ZoneInfo("UTC")
FRAME = Frame(UTC, "")
NOW_NS = sample_hour.NOW_NS
ENGINEER = Scope.everything("engineer")


@pytest.fixture(scope="module")
def trace(sample_store: Store) -> CallTrace:
    return sample_store.reader(ENGINEER).call(sample_hour.TRACED_CALL)


def view_of(trace: CallTrace) -> CallView:
    return call_view(trace, sample_hour.TRACED_CALL, NOW_NS, UTC, 400)


def keep(table: pa.Table, column: str, value: str) -> pa.Table:
    return table.filter(pa.array([found == value for found in table[column].to_pylist()]))


def test_endpoints_are_in_order_of_the_path(trace: CallTrace) -> None:
    """Caller left, callee right."""
    assert [
        "10.20.0.11:5060",
        "10.20.0.1:5060",
        "10.20.0.2:5060",
        "10.30.0.7:5060",
    ] == list(view_of(trace).ladder.endpoints)


def test_both_directions_are_always_there(trace: CallTrace) -> None:
    """With or without reports."""
    one_way = replace(trace, intervals=keep(trace.intervals, "direction", "to_caller"))
    lanes = view_of(one_way).lanes
    assert [Direction.TO_CALLEE, Direction.TO_CALLER] == [lane.direction for lane in lanes]
    assert (PanelState.EMPTY, True) == (
        lanes[0].status.state,
        "Nobody reported on this direction" in lanes[0].status.reason,
    )


def test_a_call_without_media_says_why(trace: CallTrace) -> None:
    """The reason that the collector wrote with the call."""
    call = {**(trace.call or {}), "quality_reason": "rtpengine sent no RTCP"}
    view = view_of(CallTrace(call, trace.messages, trace.intervals.slice(0, 0), trace.findings))
    assert {"No quality figure: rtpengine sent no RTCP"} == {lane.status.reason for lane in view.lanes}
    assert "rtpengine sent no RTCP" == view.why.status.reason


def test_a_live_call_has_no_row_yet(trace: CallTrace) -> None:
    """Its state comes from its messages."""
    facts = {fact.label: fact.value for fact in view_of(replace(trace, call=None)).facts}
    assert ("answered", "acme", "—") == (facts["State"], facts["Tenant"], facts["Final code"])


@pytest.mark.parametrize(("messages", "state"), [(1, "in setup"), (11, "ringing"), (0, "media seen, no SIP")])
def test_the_state_of_a_live_call(trace: CallTrace, messages: int, state: str) -> None:
    """As far as its messages have come."""
    view = view_of(CallTrace(None, trace.messages.slice(0, messages), trace.intervals, trace.findings))
    assert f"In progress: {state}" == view.headline


def test_media_without_sip_is_said(trace: CallTrace) -> None:
    """An empty ladder has its reason."""
    view = view_of(CallTrace(None, trace.messages.slice(0, 0), trace.intervals, trace.findings))
    assert (PanelState.EMPTY, True) == (view.ladder.status.state, "No SIP message" in view.ladder.status.reason)


def test_a_call_of_which_nothing_but_a_finding_is_stored(trace: CallTrace) -> None:
    """Still a page."""
    nothing = CallTrace(None, trace.messages.slice(0, 0), trace.intervals.slice(0, 0), trace.findings)
    assert 1 == len(view_of(nothing).findings)


def test_a_long_ladder_is_cut_and_says_so(trace: CallTrace) -> None:
    """The export has the rest."""
    view = call_view(trace, sample_hour.TRACED_CALL, NOW_NS, UTC, 10)
    assert (10, 14) == (len(view.ladder.messages), view.ladder.hidden)
    assert "14 more messages" in view.ladder.status.reason


def test_the_explanation_is_of_the_worst_interval(trace: CallTrace) -> None:
    """Its terms add up to its R: Ro - Is - Id - Ie,eff + A (ITU-T G.107)."""
    worst = view_of(trace).why.explanations[0]
    terms = {term.term: term.value for term in worst.terms}
    assert pytest.approx(terms["R"]) == terms["Ro"] - terms["Is"] - terms["Id"] - terms["Ie,eff"]
    assert min(r for r in trace.intervals["r_factor"].to_pylist() if r is not None) == pytest.approx(terms["R"])
    assert "" == worst.note


def test_an_r_that_its_inputs_do_not_give_is_marked(trace: CallTrace) -> None:
    """An endpoint's own rating is shown as such."""
    column = trace.intervals.schema.get_field_index("r_factor")
    told = trace.intervals.set_column(column, "r_factor", pa.array([33.0] * trace.intervals.num_rows))
    assert "The stored R is 33.0" in view_of(replace(trace, intervals=told)).why.explanations[0].note


def test_verdicts_are_counted_per_interval(trace: CallTrace) -> None:
    """Beside the figures, not in them."""
    verdicts = view_of(trace).verdicts
    assert verdicts["hold"] == verdicts["reinvite"] > 0


def test_lanes_share_one_time_axis(trace: CallTrace) -> None:
    """So that cause and effect line up."""
    view = view_of(trace)
    ranges = [
        lane_chart(lane, FRAME, view.since_ns, view.until_ns).figure["layout"]["xaxis"]["range"]
        for lane in view.lanes
    ]
    assert ranges[0] == ranges[1]


def test_lane_tables_have_a_row_per_interval(trace: CallTrace) -> None:
    """The text alternative."""
    view = view_of(trace)
    assert [lane.intervals for lane in view.lanes] == [
        len(lane_chart(lane, FRAME, view.since_ns, view.until_ns).rows) for lane in view.lanes
    ]


hostile = st.text(max_size=60)


@given(endpoint=hostile, label=hostile, detail=hostile, node=hostile)
def test_ladders_are_well_formed_whatever_is_in_them(endpoint: str, label: str, detail: str, node: str) -> None:
    """SIP comes from strangers: no value may become markup."""
    message = LadderMessage(0, 0.0, 0, 0, label, "request", "1 INVITE", detail, node, True, True)
    for standalone in (False, True):
        root = ET.fromstring(ladder_svg(Ladder(Status(), (endpoint,), (message,)), FRAME, standalone=standalone))
        assert not {e.tag for e in root.iter()} & {
            "{http://www.w3.org/2000/svg}script",
            "{http://www.w3.org/2000/svg}a",
        }


def test_control_characters_do_not_break_the_drawing() -> None:
    """XML 1.0 has no way to write them."""
    message = LadderMessage(0, 0.0, 0, 1, "INV\x00ITE\x0b", "request", "1", "", "", False, False)
    root = ET.fromstring(ladder_svg(Ladder(Status(), ("a:1", "b:2"), (message,)), FRAME))
    assert "INV\ufffdITE\ufffd" in "".join(root.itertext())


def test_the_table_says_what_the_drawing_shows(trace: CallTrace) -> None:
    """One row per message, the retransmission marked."""
    columns, rows = ladder_table(view_of(trace).ladder, FRAME)
    again = columns.index("Retransmission")
    assert (24, 1) == (len(rows), sum(row[again] == "yes" for row in rows))


def test_csv_cells_cannot_become_formulas() -> None:
    """A spreadsheet would run them."""
    assert "'=HYPERLINK(1)\r\n" == csv_lines((), ()).lstrip("\r\n") + csv_lines(("=HYPERLINK(1)",), ())


def test_what_was_seen_of_packets_is_in_the_table_of_a_lane(trace: CallTrace) -> None:
    told = {"payload_types": "8 101", "markers": 3, "dscp": 46, "spacing_min_ms": 0.5, "spacing_max_ms": 41.0}
    table = trace.intervals
    for name, value in told.items():
        column = pa.array([value] * table.num_rows, table.schema.field(name).type)
        table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
    lane = view_of(replace(trace, intervals=table)).lanes[0]
    chart = lane_chart(lane, FRAME, NOW_NS - 60 * 10**9, NOW_NS)
    assert {"payload types 8 101 · spacing 0.500–41.0 ms · markers 3 · DSCP 46"} == {row[-1] for row in chart.rows}
