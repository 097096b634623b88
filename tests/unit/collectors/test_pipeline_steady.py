"""A collector that runs for long holds what is live, however much came before."""

from dataclasses import replace

from hep_traffic import S_NS, START_NS, HepTraffic, batch_of, pipeline_of, sdp, sip

from collectors.pipeline import PipelineSettings
from telephony.model import Endpoint

CALLS_PER_MINUTE = 30
CALL_S = 20.0


def _call(traffic: HepTraffic, number: int, at_s: float) -> None:
    """Send a call between two telephones that nobody has seen before, as telephones with random ports are."""
    caller = Endpoint(f"10.1.{number // 250}.{number % 250 + 1}", 5060)
    callee = Endpoint(f"10.2.{number // 250}.{number % 250 + 1}", 5060)
    call_id = f"call-{number}"
    offer, answer = (sdp(Endpoint(party.ip, 40_000 + number % 1000 * 2)) for party in (caller, callee))
    invite = sip("INVITE sip:b@b.example SIP/2.0", "1 INVITE", call_id=call_id, body=offer)
    ok = sip("SIP/2.0 200 OK", "1 INVITE", call_id=call_id, to_tag="to", body=answer)
    bye = sip("BYE sip:b@b.example SIP/2.0", "2 BYE", call_id=call_id, to_tag="to")
    gone = sip("SIP/2.0 200 OK", "2 BYE", call_id=call_id, to_tag="to")
    for after_s, src, dst, message in (
        (0, caller, callee, invite),
        (1, callee, caller, ok),
        (CALL_S, caller, callee, bye),
        (CALL_S + 0.01, callee, caller, gone),
    ):
        traffic.send(at_s + after_s, src, dst, message)


def _held(minutes: int, *, then_quiet_minutes: int = 0) -> list[dict[str, int]]:
    """Return what the tables held at the end of each minute: of calls, then of a single OPTIONS every second."""
    traffic = HepTraffic()
    for number in range(minutes * CALLS_PER_MINUTE):
        _call(traffic, number, number * 60 / CALLS_PER_MINUTE)
    seconds = (minutes + then_quiet_minutes) * 60
    for second in range(minutes * 60, seconds):
        ping = sip("OPTIONS sip:b SIP/2.0", f"{second} OPTIONS", call_id="ping")
        traffic.send(second, Endpoint("10.0.0.1", 5060), Endpoint("10.0.0.2", 5060), ping)
    pipeline, _ = pipeline_of(settings=PipelineSettings())
    batch = batch_of(traffic.datagrams)
    times = batch.rows["captured_ns"]
    held = []
    for second in range(seconds):
        now_ns = START_NS + second * S_NS
        due = (times >= now_ns) & (times < now_ns + S_NS)
        pipeline.feed(replace(batch, rows=batch.rows[due]), now_ns)
        pipeline.tick(now_ns)
        if second % 60 == 59:
            held.append(pipeline.sizes())
    return held


def test_tables_hold_what_is_live_however_many_calls_came_before() -> None:
    held = _held(minutes=8)
    early, late = held[3], held[7]
    filled = {name for name, count in early.items() if count}
    assert {"calls", "media_addresses", "rtp_announcements", "sip_names"} <= filled
    assert {} == {name: count for name, count in late.items() if count > 1.2 * early[name]}


def test_nothing_is_held_of_calls_that_are_over() -> None:
    (*_, last) = _held(minutes=2, then_quiet_minutes=4)
    assert last.pop("sip_names") <= 2
    assert {"agents": 1} == {name: count for name, count in last.items() if count}
