"""Emptying pods: against a cluster whose controllers take pods away as the real ones do, and relays with calls."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.drain import Drained, Drainer, ReplicaSetOrder, StatefulSetOrder
from scaler.relay import NO_LIMIT, RelayUnreachable
from scaler.target import DrainMark, Pod, TargetFenced, TargetState

DEADLINE_S = 600.0


@dataclass
class Relay:
    """A pod and what its relay knows."""

    pod: Pod
    calls: int = 0
    limit: int = NO_LIMIT
    answers: bool = True


@dataclass
class Cluster:
    """Pods, their relays, and controllers that act when the test says so. It is `PodMarks` and `RelayControl`."""

    relays: dict[str, Relay] = field(default_factory=dict)
    replicas: int = 0
    stateful: bool = False
    made: int = 0
    killed: list[tuple[float, Relay]] = field(default_factory=list)
    led: bool = True

    def add(self, *calls: int, ready: bool = True, limit: int = NO_LIMIT) -> None:
        for up in calls:
            name, address = f"relay-{self.made}", f"10.0.0.{self.made}"
            pod = Pod(name, 0.0, 0.0 if ready else None, ready, address)
            self.relays[name] = Relay(pod, up, limit)
            self.made += 1
        self.replicas = len(self.relays)

    def state(self) -> TargetState:
        return TargetState(self.replicas, "", tuple(relay.pod for relay in self.relays.values()))

    def change(self, name: str, **values: object) -> None:
        self.relays[name].pod = replace(self.relays[name].pod, **values)  # type: ignore[arg-type]

    def mark_draining(self, pod: str, mark: DrainMark | None) -> None:
        self.change(pod, drain=mark)

    def prefer_to_delete(self, pod: str, prefer: bool) -> None:
        self.change(pod, preferred=prefer)

    def _at(self, address: str) -> Relay:
        relay = next(relay for relay in self.relays.values() if relay.pod.address == address)
        if not relay.answers:
            raise RelayUnreachable(address)
        return relay

    def sessions(self, address: str) -> int:
        return self._at(address).calls

    def limit(self, address: str) -> int:
        return self._at(address).limit

    def set_limit(self, address: str, limit: int) -> None:
        self._at(address).limit = limit

    def order(self) -> Iterable[str]:
        """Return names in the order in which the controller takes them away."""
        if self.stateful:
            return sorted(self.relays, key=lambda name: -int(name.split("-")[1]))
        pods = [relay.pod for relay in self.relays.values()]
        return [p.name for p in sorted(pods, key=lambda p: (p.ready, bool(p.address), not p.preferred, p.name))]

    def settle(self, now_s: float) -> list[str]:
        """Let the controllers bring pods to replicas; return who went."""
        victims = list(self.order())[: max(len(self.relays) - self.replicas, 0)]
        self.killed += [(now_s, self.relays.pop(name)) for name in victims]
        return victims

    def drainer(self) -> Drainer:
        order = StatefulSetOrder() if self.stateful else ReplicaSetOrder()
        return Drainer(self, self, order, DEADLINE_S, lambda: self.led)

    def round(self, drainer: Drainer, count: int, now_s: float) -> Drained:
        """Do what the service does: a step, and replicas lowered by what it allows."""
        state = self.state()
        drained = drainer.step(state, count, now_s)
        if drained.removable:
            self.replicas -= drained.removable
            drainer.lowered(state)
        return drained

    def marked(self) -> list[str]:
        return [name for name, relay in self.relays.items() if relay.pod.draining]

    def limits(self) -> list[int]:
        return [relay.limit for relay in self.relays.values()]


def cluster(*calls: int, stateful: bool = False) -> Cluster:
    made = Cluster(stateful=stateful)
    made.add(*calls)
    return made


def test_the_emptiest_are_chosen_and_take_no_new_calls() -> None:
    ours = cluster(5, 2, 9, 3)
    ours.round(ours.drainer(), 2, 0.0)
    assert (["relay-1", "relay-3"], [-1, 0, -1, 0]) == (ours.marked(), ours.limits())


def test_replicas_are_lowered_only_once_it_is_empty() -> None:
    ours = cluster(5, 2, 9)
    drainer, removable = ours.drainer(), []
    for now_s, calls in ((0.0, 2), (15.0, 1), (30.0, 0), (45.0, 0)):
        ours.relays["relay-1"].calls = calls
        removable.append(ours.round(drainer, 1, now_s).removable)
    assert ([0, 0, 0, 1], ["relay-1"]) == (removable, ours.settle(50.0))


def test_what_keeps_pods_is_told() -> None:
    ours = cluster(5, 2, 9)
    assert "2 of 2 being emptied, 7 calls up" == ours.round(ours.drainer(), 2, 0.0).why


def test_calls_that_outlast_the_deadline_are_given_up_and_counted() -> None:
    ours = cluster(5, 2)
    drainer = ours.drainer()
    for now_s in (0.0, DEADLINE_S - 1, DEADLINE_S, DEADLINE_S + 1):
        drained = ours.round(drainer, 1, now_s)
    assert (1, 2, 1) == (drained.removable, drainer.stats.given_up_calls, drainer.stats.removed)


def test_more_can_be_emptied_while_others_are() -> None:
    ours = cluster(5, 2, 9, 3)
    drainer = ours.drainer()
    ours.round(drainer, 1, 0.0)
    ours.round(drainer, 3, 15.0)
    assert ["relay-0", "relay-1", "relay-3"] == ours.marked()


def test_load_that_returns_takes_back_the_fullest() -> None:
    ours = cluster(5, 2, 9, 3)
    drainer = ours.drainer()
    ours.round(drainer, 3, 0.0)
    ours.round(drainer, 1, 15.0)
    assert (["relay-1"], [-1, 0, -1, -1], 2) == (ours.marked(), ours.limits(), drainer.stats.undone)


def test_the_limit_from_before_comes_back() -> None:
    ours = Cluster()
    ours.add(1, 2, limit=300)
    drainer = ours.drainer()
    ours.round(drainer, 1, 0.0)
    closed = ours.limits()
    ours.round(drainer, 0, 15.0)
    assert ([0, 300], [300, 300], []) == (closed, ours.limits(), ours.marked())


def test_an_empty_one_that_is_not_to_go_is_no_longer_preferred() -> None:
    ours = cluster(0, 2)
    drainer = ours.drainer()
    ours.round(drainer, 1, 0.0)
    preferred = ours.relays["relay-0"].pod.preferred
    ours.round(drainer, 0, 15.0)
    assert (True, False) == (preferred, ours.relays["relay-0"].pod.preferred)


def test_who_leads_next_goes_on_with_the_time_that_is_noted() -> None:
    ours = cluster(5, 2)
    ours.round(ours.drainer(), 1, 0.0)
    later = ours.drainer()
    ours.round(later, 1, DEADLINE_S)
    assert (1, ["relay-1"]) == (ours.round(later, 1, DEADLINE_S + 15).removable, ours.settle(0.0))


def test_a_relay_that_was_restarted_is_closed_again() -> None:
    ours = cluster(5, 2)
    drainer = ours.drainer()
    ours.round(drainer, 1, 0.0)
    ours.relays["relay-1"].limit = NO_LIMIT
    ours.round(drainer, 1, 15.0)
    assert [-1, 0] == ours.limits()


def test_a_ready_pod_whose_relay_does_not_answer_stays() -> None:
    ours = cluster(5, 2)
    ours.relays["relay-1"].answers = False
    drainer = ours.drainer()
    for now_s in (0.0, DEADLINE_S, 2 * DEADLINE_S):
        ours.round(drainer, 1, now_s)
    assert (["relay-0"], True) == (ours.marked(), drainer.stats.relay_errors > 0)


def test_a_pod_that_is_not_ready_goes_first_but_not_with_calls() -> None:
    """The controller would take it before any ready pod, so it has to be the one that is emptied."""
    ours = cluster(5, 2)
    drainer, removable = ours.drainer(), []
    ours.change("relay-0", ready=False)
    for now_s, calls in ((0.0, 5), (15.0, 4), (30.0, 0), (45.0, 0)):
        ours.relays["relay-0"].calls = calls
        removable.append(ours.round(drainer, 1, now_s).removable)
    assert ([0, 0, 0, 1], ["relay-0"]) == (removable, ours.settle(50.0))


def test_one_that_stops_being_ready_takes_the_place_of_an_empty_one() -> None:
    ours = cluster(5, 0, 4)
    drainer = ours.drainer()
    ours.round(drainer, 1, 0.0)
    ours.change("relay-2", ready=False)
    removable = ours.round(drainer, 1, 15.0).removable
    assert (0, ["relay-2"], [-1, -1, 0]) == (removable, ours.marked(), ours.limits())


def test_a_pod_without_an_address_can_have_no_calls() -> None:
    ours = cluster(5, 2)
    ours.change("relay-0", ready=False, address="")
    drainer = ours.drainer()
    assert [0, 1] == [ours.round(drainer, 1, now_s).removable for now_s in (0.0, 15.0)]


def test_pods_that_are_missing_need_no_emptying() -> None:
    ours = cluster(5, 2)
    ours.replicas = 3
    assert (1, []) == (ours.round(ours.drainer(), 1, 0.0).removable, ours.marked())


def test_pods_on_their_way_out_are_left_alone() -> None:
    ours = cluster(5, 0)
    drainer = ours.drainer()
    for now_s in (0.0, 15.0, 30.0):
        ours.round(drainer, max(ours.replicas - 1, 0), now_s)
    assert (1, True, 0) == (ours.replicas, ours.relays["relay-1"].pod.preferred, drainer.stats.undone)
    assert ["relay-1"] == ours.settle(40.0)


def test_a_rollout_is_waited_for() -> None:
    ours = cluster(5, 0, 3)
    drainer = ours.drainer()
    ours.round(drainer, 1, 0.0)
    ours.replicas = 2
    assert (0, "1 pods more than asked for are there") == _told(drainer.step(ours.state(), 1, 15.0))


def _told(drained: Drained) -> tuple[int, str]:
    return drained.removable, drained.why


def test_a_wrong_victim_is_told_and_the_survivor_opened_again() -> None:
    ours = cluster(5, 0)
    drainer = ours.drainer()
    for now_s in (0.0, 15.0):
        ours.round(drainer, 1, now_s)
    del ours.relays["relay-0"]
    drained = ours.round(drainer, 0, 30.0)
    assert ("wrong_victim: relay-0 went in place of relay-1", [], [-1]) == (
        drained.error, ours.marked(), ours.limits()
    )  # fmt: skip


def test_the_right_victim_is_no_error() -> None:
    ours = cluster(5, 0)
    drainer = ours.drainer()
    for now_s in (0.0, 15.0):
        ours.round(drainer, 1, now_s)
    ours.settle(20.0)
    assert "" == ours.round(drainer, 0, 30.0).error


def test_of_a_stateful_set_the_highest_ordinals_are_emptied() -> None:
    ours = cluster(0, 9, 4, stateful=True)
    drainer, removable = ours.drainer(), []
    for now_s, calls in ((0.0, 4), (15.0, 0), (30.0, 0)):
        ours.relays["relay-2"].calls = calls
        removable.append(ours.round(drainer, 1, now_s).removable)
    assert ([0, 0, 1], ["relay-2"]) == (removable, ours.settle(40.0))


@pytest.mark.parametrize("missing", ["relay-2", "relay-0"])
def test_of_a_stateful_set_with_a_pod_missing_none_goes(missing: str) -> None:
    ours = cluster(0, 0, 0, stateful=True)
    del ours.relays[missing]
    drainer = ours.drainer()
    assert [0, 0, 0] == [ours.round(drainer, 2, now_s).removable for now_s in (0.0, 15.0, 30.0)]


@pytest.mark.parametrize("count", [0, 1])
def test_who_lost_the_lease_commands_no_relay(count: int) -> None:
    ours = cluster(5, 2)
    drainer = ours.drainer()
    ours.round(drainer, 1, 0.0)
    ours.led, ours.relays["relay-1"].limit = False, 7
    with pytest.raises(TargetFenced, match="another instance leads"):
        ours.round(drainer, count, 15.0)
    assert [-1, 7] == ours.limits()


EVENT = st.tuples(
    st.sampled_from(
        ["call", "end", "ready", "unready", "silent", "answers", "restart", "settle", "address", "lost", "wait"]
    ),
    st.integers(0, 9),
    st.integers(0, 4),
    st.floats(1, 400),
)


@settings(max_examples=500)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.lists(EVENT, max_size=40), st.booleans())
def test_no_call_is_cut_before_its_deadline_and_no_more_pods_go_than_asked(
    calls: list[int], events: list[tuple[str, int, int, float]], stateful: bool
) -> None:
    ours = cluster(*calls, stateful=stateful)
    drainer, now_s = ours.drainer(), 0.0
    for what, which, count, seconds in events:
        now_s += seconds
        names = sorted(ours.relays)
        relay = ours.relays[names[which % len(names)]] if names else None
        if relay is not None:
            _happen(ours, relay, what)
        if what == "restart":
            drainer = ours.drainer()
        elif what == "settle":
            ours.settle(now_s)
        before, lowest = ours.replicas, max(ours.replicas - count, 0)
        due = ours.replicas >= len(ours.relays)
        ours.round(drainer, before - lowest, now_s)
        assert lowest <= ours.replicas <= before
        if due:
            ours.settle(now_s)
    for at_s, gone in ours.killed:
        assert gone.calls == 0 or (gone.pod.drain is not None and at_s - gone.pod.drain.since_s >= DEADLINE_S)


def _happen(ours: Cluster, relay: Relay, what: str) -> None:
    name = relay.pod.name
    if what == "call" and relay.limit != 0 and relay.pod.address:
        relay.calls += 1
    elif what == "end":
        relay.calls = max(relay.calls - 1, 0)
    elif what in ("ready", "unready"):
        ours.change(name, ready=what == "ready")
    elif what in ("silent", "answers"):
        relay.answers = what == "answers"
    elif what == "lost":
        del ours.relays[name]  # its node died, and no other has room
    elif what == "address":
        ours.change(
            name, address=relay.pod.address if relay.calls else "", ready=relay.pod.ready and relay.calls > 0
        )
