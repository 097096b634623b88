"""Datagrams go out when they are due, through real sockets."""

import socket
import threading

import pytest
import structlog
from pydantic import ValidationError

from surgecast.simulator.engine import EXAMPLE_START_NS, Datagram, Engine
from surgecast.simulator.incidents import IncidentPlan
from surgecast.simulator.run import Punctuality, Sender, pace, run_simulator
from surgecast.simulator.settings import SimulatorSettings

START = EXAMPLE_START_NS
SECOND = 10**9


class Clock:
    """A clock that waiting moves, and that stops the run at its end."""

    def __init__(self, seconds: float) -> None:
        self.now_ns = START
        self.end_ns = START + round(seconds * SECOND)
        self.waits: list[float] = []

    def read(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now_ns += round(seconds * SECOND)
        return self.now_ns > self.end_ns


@pytest.fixture
def listener():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as received:
        received.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        received.bind(("127.0.0.1", 0))
        received.settimeout(60)
        yield received


def test_what_is_due_is_sent_and_nothing_earlier():
    clock, sent = Clock(3), []
    engine = Engine(start_ns=START, calls=20, seed=1)
    pace(
        engine,
        lambda d: sent.append((clock.now_ns, d.send_ns)),
        start_ns=START,
        speed=1.0,
        clock_ns=clock.read,
        wait=clock.wait,
    )
    assert all(due_ns <= now_ns < due_ns + 20_000_000 for now_ns, due_ns in sent if due_ns > START)
    assert sent[-1][1] > START + 2 * SECOND


def test_twice_the_speed_is_twice_the_simulated_time():
    clock, sent = Clock(2), []
    engine = Engine(start_ns=START, calls=20, seed=1)
    pace(engine, sent.append, start_ns=START, speed=2.0, clock_ns=clock.read, wait=clock.wait)
    assert START + 3.5 * SECOND < sent[-1].send_ns <= START + 4 * SECOND


def test_speed_0_never_sleeps():
    clock, sent = Clock(1), []
    engine = Engine(start_ns=START, calls=20, seed=1)
    stops = iter([False, False, False, True])

    def wait(seconds: float) -> bool:
        clock.waits.append(seconds)
        return next(stops)

    pace(engine, sent.append, start_ns=START, speed=0, clock_ns=clock.read, wait=wait)
    assert set(clock.waits) == {0}
    assert sent[-1].send_ns > START + 2 * SECOND


def test_rtp_that_the_machine_had_no_time_for_is_withheld_and_told():
    """Every second it is kept from sending for a fifth of one."""
    clock, sent = Clock(70), []
    engine = Engine(start_ns=START, calls=20, seed=1, plan=IncidentPlan(), rtp_calls=2)

    def wait(seconds: float) -> bool:
        clock.now_ns += 200_000_000 if clock.now_ns // SECOND % 2 else round(seconds * SECOND)
        clock.now_ns += 10_000_000
        return clock.now_ns > clock.end_ns

    def send_rtp(packets) -> None:
        sent.extend((clock.now_ns, packet.due_ns) for packet in packets)

    with structlog.testing.capture_logs() as said:
        pace(engine, lambda d: None, send_rtp=send_rtp, start_ns=START, speed=1.0, clock_ns=clock.read, wait=wait)
    overtaken = sum(now_ns - due_ns > 20_000_000 for now_ns, due_ns in sent)
    assert (overtaken < len(sent) / 100, engine.rtp_withheld > 100) == (True, True)
    assert [(one["behind_ms"] > 199, one["rtp_withheld"] > 0) for one in said] == [(True, True)]


def test_who_keeps_pace_says_nothing():
    punctuality = Punctuality(START)
    with structlog.testing.capture_logs() as said:
        for second in range(200):
            punctuality.note(START + second * SECOND, 3_000_000, 0)
    assert said == []


def test_each_agent_has_its_own_socket(listener):
    sender = Sender(*listener.getsockname())
    for node_id in (2001, 2001, 3001):
        sender.send(Datagram(START, node_id, b"HEP3"))
    sources = [listener.recvfrom(100)[1] for _ in range(3)]
    sender.close()
    assert sources[0] == sources[1] != sources[2]
    assert (sender.stats.datagrams, sender.stats.octets, sender.stats.refused) == (3, 12, 0)


def test_a_collector_that_is_not_there_is_counted_and_borne(listener):
    host, port = listener.getsockname()
    listener.close()
    sender = Sender(host, port)
    for _ in range(50):
        sender.send(Datagram(START, 2001, b"HEP3"))
    sender.close()
    assert sender.stats.refused > 0
    assert sender.stats.refused + sender.stats.datagrams == 50


def test_the_simulator_sends_hep_until_it_is_stopped(listener):
    host, port = listener.getsockname()
    stop = threading.Event()
    truths = []
    settings = SimulatorSettings(calls=5, seed=1, host=host, port=port)
    runner = threading.Thread(target=lambda: truths.append(run_simulator(settings, stop)))
    runner.start()
    first = listener.recv(65_535)
    stop.set()
    runner.join(timeout=60)
    assert first.startswith(b"HEP3")
    assert sum(truths[0].sightings.values()) > 0


@pytest.mark.parametrize(("ended_s_ago", "told"), [(0, []), (50, []), (400, [5])])
def test_a_start_that_is_too_late_for_its_history_says_what_is_missing(listener, ended_s_ago, told):
    """The collector would not believe capture times of more than two minutes ago."""
    host, port = listener.getsockname()
    stop = threading.Event()
    stop.set()
    settings = SimulatorSettings(
        calls=5, seed=1, host=host, port=port, history_end_ns=START - ended_s_ago * SECOND if ended_s_ago else 0
    )
    with structlog.testing.capture_logs() as said:
        run_simulator(settings, stop, lambda: START)
    assert [one["minutes"] for one in said if "missing" in one["event"]] == told


@pytest.mark.parametrize("wrong", [{"calls": 0}, {"port": 0}, {"speed": -1}, {"sped": 1}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValidationError):
        SimulatorSettings(**wrong)
