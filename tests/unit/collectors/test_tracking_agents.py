"""Agents are counted, and one with a wrong clock has its times shifted as a whole."""

import numpy as np
import numpy.typing as npt

from collectors.facts import DATAGRAM, Payload
from collectors.tracking.agents import ALIVE_NS, Agents

S = 1_000_000_000
NOW = 1_800_000_000 * S
LIMIT = 120 * S


def rows(*times_ns: int, node_id: int = 1, payload: Payload = Payload.SIP) -> npt.NDArray[np.void]:
    batch = np.zeros(len(times_ns), DATAGRAM)
    batch["captured_ns"], batch["node_id"], batch["payload_type"], batch["payload_len"] = (
        times_ns,
        node_id,
        payload,
        100,
    )
    return batch


def test_what_an_agent_sent_since_the_last_take() -> None:
    agents = Agents()
    agents.count(rows(NOW, NOW), NOW)
    agents.count(rows(NOW, payload=Payload.RTCP_JSON), NOW)
    first, second = dict(agents.take()), dict(agents.take())
    assert (3, 300, 2, 1) == tuple(first[1][k] for k in ("datagrams", "bytes", "sip_messages", "rtcp_reports"))
    assert 0 == second[1]["datagrams"]


def test_an_agent_falls_silent_after_a_minute() -> None:
    agents = Agents()
    agents.count(rows(NOW), NOW)
    assert (1, 0) == (agents.alive(NOW + S), agents.alive(NOW + ALIVE_NS))


def test_a_wrong_clock_is_shifted_and_keeps_the_times_between() -> None:
    agents, batch = Agents(), rows(5 * S, 7 * S)
    agents.correct_clocks(batch, NOW, LIMIT)
    assert [NOW, NOW + 2 * S] == batch["captured_ns"].tolist()
    later = rows(17 * S)
    agents.correct_clocks(later, NOW + 12 * S, LIMIT)
    assert [NOW + 12 * S] == later["captured_ns"].tolist()


def test_a_clock_that_was_set_right_is_believed_again() -> None:
    agents = Agents()
    agents.correct_clocks(rows(5 * S), NOW, LIMIT)
    batch = rows(NOW + S)
    agents.correct_clocks(batch, NOW + S, LIMIT)
    assert [NOW + S] == batch["captured_ns"].tolist()
    assert not agents.corrected


def test_one_wrong_time_among_right_ones_does_not_move_the_clock() -> None:
    agents, batch = Agents(), rows(NOW, 5 * S, NOW + S)
    agents.correct_clocks(batch, NOW, LIMIT)
    assert [NOW, NOW, NOW + S] == batch["captured_ns"].tolist()
    assert not agents.corrected


def test_other_agents_keep_their_times() -> None:
    agents = Agents()
    batch = np.concatenate([rows(5 * S, node_id=1), rows(NOW, node_id=2)])
    agents.correct_clocks(batch, NOW, LIMIT)
    assert [NOW, NOW] == batch["captured_ns"].tolist()
    assert 0 == agents.by_id[2].correction_ns


def test_agents_are_bounded() -> None:
    agents = Agents()
    for node_id in range(1, 4200):
        agents.count(rows(NOW, node_id=node_id), NOW)
    assert 4001 >= len(agents.by_id)
    assert 0 < agents.folded


def test_times_that_are_wrong_each_in_its_own_way_are_ours() -> None:
    agents, batch = Agents(), rows(5 * S, NOW, 9_000_000 * S, 2**62)
    agents.correct_clocks(batch, NOW, LIMIT)
    assert all(abs(int(at) - NOW) <= LIMIT for at in batch["captured_ns"])


def test_a_clock_that_is_shifted_is_shown_as_it_is() -> None:
    agents, batch = Agents(), rows(NOW - 3600 * S)
    agents.correct_clocks(batch, NOW, LIMIT)
    agents.count(batch, NOW)
    assert 3_600_000.0 == agents.by_id[1].clock_offset_ms
