"""The capture agents: what each sent, when it was last heard, and how far its clock is off."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from collectors.facts import DATAGRAM_DUPLICATE, IS_REPORT, MAX_PAYLOAD_TYPE, Payload

ALIVE_NS = 60_000_000_000
"""An agent not heard of for this long is silent."""
_MAX_AGENTS = 4_000
COUNTS = ("datagrams", "bytes", "sip_messages", "rtcp_reports", "duplicates")
"""The `load_now` fields that add up over agents."""

_RTCP = frozenset(
    {Payload.RTCP_JSON, Payload.RTCP, Payload.RTP_REPORT_JSON_OLD, Payload.RTP_REPORT_JSON, Payload.VQ_RTCPXR}
)


@dataclass(slots=True)
class Agent:
    """Totals of one agent since start."""

    datagrams: int = 0
    payload_bytes: int = 0
    sip_messages: int = 0
    rtcp_reports: int = 0
    duplicates: int = 0
    clock_skewed: int = 0
    """Datagrams whose capture time was shifted, being too far from the receipt."""
    correction_ns: int = 0
    """What is added to its capture times, because its clock is off by more than can be believed."""
    last_seen_ns: int = 0
    taken: tuple[int, ...] = (0, 0, 0, 0, 0)
    """The totals at the last `take`."""
    clock_offset_ms: float = 0.0
    """Receipt time minus capture time of the newest datagrams: network delay plus clock error."""

    def alive(self, now_ns: int) -> bool:
        """Tell whether it was heard of in the last minute."""
        return now_ns - self.last_seen_ns < ALIVE_NS


def by_node(rows: npt.NDArray[np.void]) -> Iterator[tuple[int, npt.NDArray[np.void]]]:
    """Yield each capture agent of a batch with its rows; most batches are one agent's, and are not copied."""
    ids = rows["node_id"]
    first = ids[0]
    if (ids == first).all():
        yield int(first), rows
        return
    for node_id in np.unique(ids):
        yield int(node_id), rows[ids == node_id]


class Agents:
    """Counts per capture agent id; bounded, what does not fit is counted under id 0."""

    def __init__(self) -> None:
        self.by_id: dict[int, Agent] = {}
        self.corrected = False
        """Some agent's clock is being corrected."""
        self.folded = 0
        """Looks at agents for which there was no room, counted as agent 0."""

    def count(self, rows: npt.NDArray[np.void], received_ns: int) -> None:
        """Count a batch of `DATAGRAM` rows received at about this time."""
        for node_id, mine in by_node(rows):
            agent = self._agent(node_id)
            types = np.minimum(mine["payload_type"], MAX_PAYLOAD_TYPE)
            agent.datagrams += len(mine)
            agent.payload_bytes += int(mine["payload_len"].sum(dtype=np.int64))
            agent.sip_messages += int(np.count_nonzero(types == Payload.SIP))
            agent.rtcp_reports += int(np.count_nonzero(IS_REPORT[types]))
            agent.duplicates += int(np.count_nonzero(mine["flags"] & DATAGRAM_DUPLICATE))
            agent.last_seen_ns = received_ns
            agent.clock_offset_ms = (received_ns - int(mine["captured_ns"][-1]) + agent.correction_ns) / 1e6

    def correct_clocks(self, rows: npt.NDArray[np.void], received_ns: int, limit_ns: int) -> None:
        """Shift the capture times of agents whose clock is further off than `limit_ns`, in place.

        One shift per agent, learnt from the first datagram that is too far off and kept while it fits: the
        times between an agent's messages stay what they were, only its date is ours.
        """
        ids, times = rows["node_id"], rows["captured_ns"]
        for node_id in np.unique(ids):
            agent, mine = self._agent(int(node_id)), ids == node_id
            wrong = np.abs(received_ns - times[mine] - agent.correction_ns) > limit_ns
            # A single wrong time among right ones is that datagram's fault, not the clock's.
            if wrong.any() and (wrong[-1] or agent.correction_ns):
                off_ns = received_ns - int(times[mine][int(np.argmax(wrong))])
                agent.correction_ns = off_ns if abs(off_ns) > limit_ns else 0
            if agent.correction_ns or wrong.any():
                shifted = times[mine] + agent.correction_ns
                # Times that are wrong each in its own way are no clock's.
                times[mine] = np.where(np.abs(received_ns - shifted) > limit_ns, received_ns, shifted)
                agent.clock_skewed += int(mine.sum() if agent.correction_ns else wrong.sum())
        self.corrected = any(agent.correction_ns for agent in self.by_id.values())

    def _agent(self, node_id: int) -> Agent:
        agent = self.by_id.get(node_id)
        if agent is None:
            key = node_id
            if len(self.by_id) >= _MAX_AGENTS:
                key = 0
                self.folded += 1
            agent = self.by_id.setdefault(key, Agent())
        return agent

    def take(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Yield each agent's id with its `load_now` fields: what came since the last take, and its clock."""
        for node_id, agent in self.by_id.items():
            totals = (
                agent.datagrams,
                agent.payload_bytes,
                agent.sip_messages,
                agent.rtcp_reports,
                agent.duplicates,
            )
            new = [now - before for now, before in zip(totals, agent.taken, strict=True)]
            agent.taken = totals
            yield node_id, {**dict(zip(COUNTS, new, strict=True)), "clock_offset_ms": agent.clock_offset_ms}

    def alive(self, now_ns: int) -> int:
        """Return how many agents were heard of in the last minute."""
        return sum(agent.alive(now_ns) for agent in self.by_id.values())
