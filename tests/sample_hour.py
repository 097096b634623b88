"""A believable hour in a store, made from a seed, for tests of pages.

Three tenants, four trunks of which one is bad, and one call traced in full: the same every time.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from storage.rows import call_batch, shard_of, stream_interval_batch
from storage.schema import MEASUREMENTS
from storage.seam import Store
from telephony.histogram import JITTER_MS, LOSS_RATIO, MOS, PDD_MS, R_FACTOR, RRD_MS
from telephony.model import (
    INTERVAL_NS,
    MINUTE_NS,
    CallRecord,
    Direction,
    Endpoint,
    Labels,
    Observer,
    Outcome,
    ReleasedBy,
    Source,
    StreamInterval,
)
from telephony.quality import assess

S_NS = 1_000_000_000
NOW_NS = 1_790_000_000 * S_NS
"""21 September 2026, 14:13:20 UTC."""
TRACED_CALL = "7f3a91c2-long-way@10.20.0.11"
BAD_TRUNK = "carrier-blue"


@dataclass(frozen=True)
class Place:
    """A combination of tags, with how much of the load it takes and how bad its media is."""

    tenant: str
    trunk: str
    region: str
    node: str
    share: float
    loss: float
    jitter_ms: float

    @property
    def labels(self) -> Labels:
        return Labels(self.tenant, self.trunk, self.region, self.node)

    @property
    def tags(self) -> dict[str, str]:
        return {"tenant": self.tenant, "trunk": self.trunk, "region": self.region, "node": self.node}


PLACES = (
    Place("acme", "carrier-red", "eu-west", "sbc-1", 0.30, 0.001, 3.0),
    Place("acme", BAD_TRUNK, "eu-west", "sbc-2", 0.16, 0.035, 19.0),
    Place("globex", "carrier-red", "eu-west", "sbc-1", 0.18, 0.001, 3.5),
    Place("globex", "carrier-green", "us-east", "sbc-3", 0.20, 0.004, 7.0),
    Place("initech", "carrier-grey", "us-east", "sbc-3", 0.16, 0.0015, 5.0),
)
OUTCOME_SHARES = {
    Outcome.ANSWERED: 0.61,
    Outcome.BUSY: 0.11,
    Outcome.NO_ANSWER: 0.13,
    Outcome.ABANDONED: 0.05,
    Outcome.REJECTED: 0.02,
    Outcome.REDIRECTED: 0.01,
    Outcome.CHALLENGED: 0.01,
    Outcome.CLIENT_ERROR: 0.03,
    Outcome.NO_FACILITY: 0.02,
    Outcome.TIMEOUT: 0.01,
}


def write(store: Store, measurement: str, rows: Sequence[Mapping[str, object]], writer: str = "sample") -> None:
    """Write rows given as mappings; fields left out are null, left-out histograms empty."""
    found = MEASUREMENTS[measurement]
    empty = {name: buckets.zeros() for name, buckets in found.histograms.items()}
    batch = pa.RecordBatch.from_pylist([empty | dict(row) for row in rows], schema=found.schema)
    opened = store.writer(writer)
    opened.write(measurement, batch)
    opened.close()


def fill(store: Store, now_ns: int = NOW_NS, minutes: int = 60, seed: int = 7) -> None:
    """Fill a store with the last `minutes` before `now_ns`."""
    dice = random.Random(seed)
    first = now_ns - now_ns % MINUTE_NS - (minutes - 1) * MINUTE_NS
    stamps = [first + i * MINUTE_NS for i in range(minutes)]
    write(store, "session_minute", [_sessions(dice, at, place) for at in stamps for place in PLACES])
    write(store, "quality_minute", [row for at in stamps for place in PLACES for row in _quality(dice, at, place)])
    write(store, "load_minute", [_load(dice, at, place) for at in stamps for place in PLACES])
    write(
        store, "registration_minute", [_registrations(dice, at, place) for at in stamps for place in PLACES[::2]]
    )
    write(store, "load_now", _load_now(dice, now_ns))
    write(store, "finding", _findings(now_ns))
    _calls(store, dice, now_ns)
    _traced_call(store, now_ns - 4 * MINUTE_NS)


def _level(at_ns: int) -> float:
    """Return the load at a time, 0.7 to 1.3: a slow wave, as a day would have."""
    return 1 + 0.3 * math.sin(at_ns / (47 * MINUTE_NS))


def _sessions(dice: random.Random, at: int, place: Place) -> dict[str, object]:
    n = round(240 * place.share * _level(at) * dice.uniform(0.85, 1.15))
    outcomes = dice.choices(list(OUTCOME_SHARES), list(OUTCOME_SHARES.values()), k=n)
    if place.trunk == BAD_TRUNK:
        outcomes = [Outcome.NO_FACILITY if dice.random() < 0.12 else o for o in outcomes]
    counts = {outcome.value: outcomes.count(outcome) for outcome in Outcome}
    answered = counts["answered"]
    pdd = [dice.lognormvariate(7.2, 0.45) for _ in range(n - counts["timeout"])]
    return {
        "time": at,
        **place.tags,
        "attempts": n,
        **counts,
        "seer_effective": answered + counts["busy"] + round(counts["no_answer"] * 0.8) + counts["rejected"],
        "ineffective": counts["no_facility"] + counts["timeout"],
        "completed": round(answered * 0.97),
        "one_way": sum(dice.random() < 0.012 for _ in range(answered)),
        "no_media": sum(dice.random() < 0.02 for _ in range(answered)),
        "short_calls": sum(dice.random() < 0.06 for _ in range(answered)),
        "minutes": answered * dice.uniform(2.4, 3.4),
        "pdd_ms_histogram": PDD_MS.of(pdd),
    }


def _quality(dice: random.Random, at: int, place: Place) -> list[dict[str, object]]:
    rows = []
    for direction in (Direction.TO_CALLEE, Direction.TO_CALLER):
        n = round(300 * place.share * _level(at))
        worse = 1.6 if direction is Direction.TO_CALLER else 1.0
        # The bad trunk is bad in the middle of the hour.
        storm = 1.0 + 2.2 * max(0.0, math.sin(at / (19 * MINUTE_NS))) if place.trunk == BAD_TRUNK else 1.0
        losses = [min(dice.expovariate(1 / (place.loss * worse * storm)), 0.4) for _ in range(n)]
        jitters = [dice.gammavariate(2.2, place.jitter_ms * worse / 2.2) for _ in range(n)]
        ratings = [
            assess("PCMA", loss, jitter_ms=jitter, rtt_ms=dice.uniform(20, 120), burst_ratio=1.4)
            for loss, jitter in zip(losses, jitters, strict=True)
        ]
        rows.append(
            {
                "time": at,
                **place.tags,
                "codec": "PCMA",
                "direction": direction.value,
                "observer": Observer.RTCP_RR.value,
                "stream_seconds": n * 10.0,
                "degraded_seconds": sum(10.0 for r in ratings if r.r_factor < 70),
                "intervals": n,
                "expected": n * 500,
                "lost": round(sum(losses) * 500),
                "r_histogram": [10 * c for c in R_FACTOR.of(r.r_factor for r in ratings)],
                "mos_histogram": [10 * c for c in MOS.of(r.mos for r in ratings)],
                "jitter_histogram": [10 * c for c in JITTER_MS.of(jitters)],
                "loss_histogram": [10 * c for c in LOSS_RATIO.of(losses)],
            }
        )
    return rows


def _load(dice: random.Random, at: int, place: Place) -> dict[str, object]:
    concurrent = 420 * place.share * _level(at) * dice.uniform(0.97, 1.03)
    return {
        "time": at,
        "tenant": place.tenant,
        "pool": place.trunk,
        "region": place.region,
        "node": place.node,
        "concurrent_mean": concurrent,
        "concurrent_max": round(concurrent * 1.08),
        "arrivals": round(240 * place.share * _level(at) * dice.uniform(0.85, 1.15)),
        "cps_max": 12.0 * place.share,
        "packets_per_second": concurrent * 100,
        "erlangs": concurrent,
    }


def _load_now(dice: random.Random, now_ns: int) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for i in range(450):
        at = now_ns - now_ns % (2 * S_NS) - i * 2 * S_NS
        for place in PLACES:
            concurrent = round(420 * place.share * _level(at) * dice.uniform(0.985, 1.015))
            rows.append(
                {
                    "time": at,
                    "tenant": place.tenant,
                    "pool": place.trunk,
                    "region": place.region,
                    "node": place.node,
                    "concurrent": concurrent,
                    "setup_in_progress": round(26 * place.share * dice.uniform(0.7, 1.3)),
                    "measured_calls": round(concurrent * 0.955),
                    "attempts": round(8 * place.share * _level(at) * dice.uniform(0.2, 1.8)),
                    "answered": round(5 * place.share * dice.uniform(0.2, 1.8)),
                }
            )
        for node, offset_ms, share in (("sbc-1", 0.4, 0.5), ("sbc-2", -2.1, 0.2), ("sbc-3", 131.0, 0.3)):
            rate = 3400 * share * _level(at)
            rows.append(
                {
                    "time": at,
                    "tenant": "unassigned",
                    "pool": "capture",
                    "region": "unknown",
                    "node": node,
                    "datagrams": round(rate * dice.uniform(0.96, 1.04)),
                    "bytes": round(rate * 700),
                    "sip_messages": round(rate * 0.52),
                    "rtcp_reports": round(rate * 0.45),
                    "duplicates": round(rate * 0.01),
                    "errors": int(dice.random() < 0.05),
                    "drops_kernel": 0,
                    "drops_queue": 0,
                    "drops_table": 0,
                    "unmatched_reports": int(dice.random() < 0.3),
                    "clock_offset_ms": offset_ms + dice.uniform(-0.2, 0.2),
                    "agents_alive": 1,
                }
            )
        rows.append(
            {
                "time": at,
                "tenant": "unassigned",
                "pool": "capture",
                "region": "unknown",
                "node": "collector",
                "agents_alive": 3,
                "rtp_packets": round(9000 * _level(at) * dice.uniform(0.99, 1.01)),
                "rtp_streams": round(90 * _level(at)),
                "drops_ring": 12 if i == 40 else 0,
                "drops_softnet": 5 if i == 41 else 0,
                "frames_refused": int(dice.random() < 0.2),
                "interfaces": "eth1",
                "interfaces_down": 0,
                "may_capture": True,
            }
        )
    return rows


def _registrations(dice: random.Random, at: int, place: Place) -> dict[str, object]:
    n = round(200 * place.share)
    failed, denied = round(n * 0.03), round(n * 0.02)
    return {
        "time": at,
        **place.tags,
        "attempts": n,
        "registered": n - failed - denied - 1,
        "unregistered": 1,
        "rejected": failed,
        "challenged": denied,
        "timeout": 0,
        "auth_failures": denied,
        "rrd_ms_histogram": RRD_MS.of(dice.lognormvariate(3.6, 0.5) for _ in range(n)),
    }


def _findings(now_ns: int) -> list[dict[str, object]]:
    known = (
        ("rtcp_unmatched", "10.0.0.5:30000", "RTCP seen for 10.0.0.5:30000, in no SDP", "sbc-2", 17, ""),
        (
            "codec_assumed",
            TRACED_CALL,
            "Payload type 111 is in no SDP of the call: rated as PCMU",
            "sbc-1",
            3,
            TRACED_CALL,
        ),
        (
            "clock_offset",
            "sbc-3",
            "Clock of agent sbc-3 is 131 ms ahead: one-way figures of it are not used",
            "sbc-3",
            60,
            "",
        ),
        (
            "implausible_report",
            "10.9.1.4:4012",
            "RTCP of 10.9.1.4:4012 says 255/256 lost while packets arrive",
            "sbc-3",
            2,
            "",
        ),
    )
    return [
        {
            "time": now_ns - i * 47 * S_NS,
            "tenant": "unassigned",
            "node": node,
            "kind": kind,
            "shard": shard_of(subject),
            "subject": subject,
            "text": text,
            "count": count,
            "call_id": call_id,
        }
        for i, (kind, subject, text, node, count, call_id) in enumerate(known)
    ]


def _interval(
    dice: random.Random,
    place: Place,
    call_id: str,
    ssrc: int,
    at: int,
    direction: Direction,
    loss: float,
    jitter: float,
) -> StreamInterval:
    caller, callee = Endpoint("10.20.0.11", 30_000 + ssrc % 5000), Endpoint("10.30.0.7", 40_000 + ssrc % 5000)
    lost = round(500 * loss)
    rtt_ms = dice.uniform(30, 60) + 4 * jitter
    rating = assess("PCMA", lost / 500, jitter_ms=jitter, rtt_ms=rtt_ms, burst_ratio=1.8 if lost > 5 else 1.0)
    to_callee = direction is Direction.TO_CALLEE
    return StreamInterval(
        time_ns=at - at % INTERVAL_NS,
        labels=place.labels,
        call_id=call_id,
        ssrc=ssrc,
        src=caller if to_callee else callee,
        dst=callee if to_callee else caller,
        direction=direction,
        observer=Observer.RTCP_RR,
        codec="PCMA",
        clock_rate_hz=8000,
        expected=500,
        received=500 - lost,
        lost=lost,
        jitter_ms=jitter,
        jitter_max_ms=jitter * 1.7,
        rtt_ms=rtt_ms,
        burst_ratio=1.8 if lost > 5 else 1.0,
        r_factor=rating.r_factor,
        mos=rating.mos,
        mos_scale=rating.scale,
        delay_ms=rating.delay_ms,
        delay_source=rating.delay_source,
        codec_source=Source.PUBLISHED,
        verdict="reinvite hold" if lost > 60 else "",
    )


def _calls(store: Store, dice: random.Random, now_ns: int) -> None:
    intervals: list[StreamInterval] = []
    records: list[CallRecord] = []
    states: list[dict[str, object]] = []
    for i in range(40):
        place = dice.choices(PLACES, [p.share + 5 * p.loss for p in PLACES])[0]
        call_id = f"{dice.getrandbits(48):012x}@{place.node}.{place.tenant}.example"
        length_s = dice.randint(40, 400)
        live = i % 4 == 0
        ended = now_ns if live else now_ns - dice.randint(20, 2000) * S_NS
        started = ended - length_s * S_NS
        ratings = []
        for direction in (Direction.TO_CALLEE, Direction.TO_CALLER):
            ssrc = dice.getrandbits(32)
            for at in range(started, ended, INTERVAL_NS):
                loss = min(dice.expovariate(1 / (place.loss * 1.5)), 0.3)
                jitter = dice.gammavariate(2.2, place.jitter_ms / 2)
                found = _interval(dice, place, call_id, ssrc, at, direction, loss, jitter)
                intervals.append(found)
                ratings.append((found.r_factor or 0.0, found.mos or 1.0))
        if live:
            states.append(
                {
                    "time": now_ns - dice.randint(0, 25) * S_NS,
                    **place.tags,
                    "shard": shard_of(call_id),
                    "call_id": call_id,
                    "state": "answered",
                    "started_at": started,
                    "answered_at": started + 6 * S_NS,
                    "from_masked": "+4930…12",
                    "to_masked": f"+44…{i:02}",
                    "destination": "44",
                    "codec": "PCMA",
                    "r_last": ratings[-1][0],
                    "r_min": min(r for r, _ in ratings),
                    "reports": len(ratings),
                    "quality_reason": "",
                }
            )
            continue
        records.append(
            CallRecord(
                labels=place.labels,
                call_id=call_id,
                outcome=Outcome.ANSWERED,
                started_ns=started,
                ended_ns=ended,
                codec="PCMA",
                sip_code=200,
                q850=16,
                released_by=dice.choice([ReleasedBy.CALLER, ReleasedBy.CALLEE]),
                attempts=1,
                pdd_ms=dice.uniform(600, 2600),
                setup_ms=dice.uniform(3000, 9000),
                duration_s=length_s - 6.0,
                from_masked="+4930…12",
                to_masked=f"+44…{i:02}",
                destination="44",
                legs=1,
                hops=("10.20.0.11:5060 > 10.20.0.1:5060", "10.20.0.1:5060 > 10.30.0.7:5060"),
                codecs=("PCMA",),
                one_way=False,
                mos_min=min(m for _, m in ratings),
                mos_avg=sum(m for _, m in ratings) / len(ratings),
                degraded_ratio=sum(r < 70 for r, _ in ratings) / len(ratings),
            )
        )
    for i, state in enumerate(("setup", "ringing", "answered")):
        states.append(
            {
                "time": now_ns - i * S_NS,
                **PLACES[i].tags,
                "shard": "1",
                "call_id": f"young-{i}@sbc.example",
                "state": state,
                "started_at": now_ns - (3 + i) * S_NS,
                "from_masked": "+4930…77",
                "to_masked": "+49…01",
                "destination": "49",
                "codec": "PCMA",
                "reports": 0,
                "quality_reason": "no report yet: the call is young",
            }
        )
    writer = store.writer("sample")
    writer.write("stream_interval", stream_interval_batch(intervals))
    writer.write("call", call_batch(records))
    writer.close()
    write(store, "call_now", states)


CALLER, PROXY, SBC, CALLEE = (
    Endpoint("10.20.0.11", 5060),
    Endpoint("10.20.0.1", 5060),
    Endpoint("10.20.0.2", 5060),
    Endpoint("10.30.0.7", 5060),
)


def _traced_call(store: Store, started: int) -> None:
    """Write a call over two hops: challenged, a retransmission, ringing, media that gets bad one way, BYE."""
    place = PLACES[1]
    path = (CALLER, PROXY, SBC, CALLEE)
    messages: list[dict[str, object]] = []

    def message(at_ms: float, src: Endpoint, dst: Endpoint, method: str, status: int = 0, **more: object) -> None:
        messages.append(
            {
                "time": started + round(at_ms * 1e6) + len(messages),
                "tenant": place.tenant,
                "node": "sbc-1" if PROXY in (src, dst) else "sbc-2",
                "shard": shard_of(TRACED_CALL),
                "call_id": TRACED_CALL,
                "src": str(src),
                "dst": str(dst),
                "method": method,
                "status": status,
                "reason": "",
                "cseq": 1,
                "vias": 1 + path.index(src) if status == 0 else 1,
                "has_sdp": False,
                "retransmission": False,
            }
            | more
        )

    message(0, CALLER, PROXY, "INVITE", has_sdp=True, reason="sip:+44…07@acme.example")
    message(2, PROXY, CALLER, "INVITE", 407, reason="Proxy Authentication Required")
    message(14, CALLER, PROXY, "ACK")
    message(21, CALLER, PROXY, "INVITE", has_sdp=True, cseq=2, reason="sip:+44…07@acme.example")
    message(23, PROXY, CALLER, "INVITE", 100, reason="Trying", cseq=2)
    message(26, PROXY, SBC, "INVITE", has_sdp=True, cseq=2, reason="sip:+44…07@acme.example")
    message(29, SBC, CALLEE, "INVITE", has_sdp=True, cseq=2, reason="sip:+44…07@10.30.0.7")
    message(529, SBC, CALLEE, "INVITE", has_sdp=True, cseq=2, retransmission=True)
    message(560, CALLEE, SBC, "INVITE", 100, reason="Trying", cseq=2)
    for i, (status, reason, at_ms) in enumerate(((180, "Ringing", 1840), (200, "OK", 6430))):
        for hop, (src, dst) in enumerate(((CALLEE, SBC), (SBC, PROXY), (PROXY, CALLER))):
            message(at_ms + 3 * hop, src, dst, "INVITE", status, reason=reason, cseq=2, has_sdp=i == 1)
    for hop in range(3):
        message(6470 + 3 * hop, path[hop], path[hop + 1], "ACK", cseq=2)
    for hop in range(3):
        message(163_200 + 3 * hop, path[3 - hop], path[2 - hop], "BYE", cseq=3)
    for hop in range(3):
        message(163_230 + 3 * hop, path[hop], path[hop + 1], "BYE", 200, reason="OK", cseq=3)
    write(store, "sip_message", messages)

    dice = random.Random(3)
    intervals = []
    for i, at in enumerate(range(started + 10 * S_NS, started + 163 * S_NS, INTERVAL_NS)):
        bad = 0.09 if 6 <= i <= 10 else 0.004
        intervals.append(
            _interval(
                dice,
                place,
                TRACED_CALL,
                0x1F3A77C1,
                at,
                Direction.TO_CALLER,
                bad * dice.uniform(0.6, 1.5),
                6 + 220 * bad,
            )
        )
        intervals.append(
            _interval(
                dice,
                place,
                TRACED_CALL,
                0x9B02D4E0,
                at,
                Direction.TO_CALLEE,
                0.002 * dice.random(),
                3 + dice.random(),
            )
        )
    ratings = [i.mos or 1.0 for i in intervals]
    record = CallRecord(
        labels=place.labels,
        call_id=TRACED_CALL,
        outcome=Outcome.ANSWERED,
        started_ns=started,
        ended_ns=started + 163_240_000_000,
        codec="PCMA",
        sip_code=200,
        q850=16,
        released_by=ReleasedBy.CALLEE,
        attempts=2,
        pdd_ms=1849.0,
        setup_ms=6439.0,
        duration_s=156.8,
        from_masked="+4930…12",
        to_masked="+44…07",
        destination="44",
        legs=1,
        hops=tuple(f"{path[i]} > {path[i + 1]}" for i in range(3)),
        codecs=("PCMA", "telephone-event"),
        one_way=False,
        mos_min=min(ratings),
        mos_avg=sum(ratings) / len(ratings),
        degraded_ratio=sum((i.r_factor or 0) < 70 for i in intervals) / len(intervals),
    )
    writer = store.writer("sample")
    writer.write("stream_interval", stream_interval_batch(intervals))
    writer.write("call", call_batch([record]))
    writer.close()
