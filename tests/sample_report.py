"""A store of which every figure is known, counted on paper: one tenant's October, and what is beside it."""

from typing import Any
from zoneinfo import ZoneInfo

import sample_hour

from storage.seam import Store
from telephony.histogram import JITTER_MS, MOS, PDD_MS, R_FACTOR

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600
OCTOBER_S = 1_790_805_600
"""1 October 2026, 00:00 in Berlin."""
NOW_NS = (OCTOBER_S + 40 * 24 * HOUR) * 10**9
END_S = OCTOBER_S + 745 * HOUR
EVIL = '=HYPERLINK("http://x","y")<script>alert(1)</script>'
R_TRUTH = [40.0] * 5 + [64.0] * 5 + [82.5] * 60 + [91.0] * 30
PDD_TRUTH = [100.0 * i for i in range(1, 41)]
PLACE = {"trunk": "t1", "region": "r", "node": "n"}


def session(at_s: int, tenant: str = "acme", **counts: float) -> dict[str, Any]:
    return {"time": at_s * 10**9, "tenant": tenant, **PLACE, **counts}


def quality(at_s: int, tenant: str = "acme", codec: str = "PCMA", rated: list[float] = R_TRUTH) -> dict[str, Any]:
    return {
        "time": at_s * 10**9, "tenant": tenant, **PLACE, "codec": codec, "direction": "to_callee",
        "observer": "rtcp_rr", "stream_seconds": 10.0 * len(rated) + 50, "intervals": len(rated),
        "degraded_seconds": 10.0 * sum(r < 70 for r in rated), "expected": 10_000, "lost": 123,
        "r_histogram": [10 * n for n in R_FACTOR.of(rated)],
        "mos_histogram": [10 * n for n in MOS.of(r / 20 for r in rated)],
        "jitter_histogram": [10 * n for n in JITTER_MS.of(r / 10 for r in rated)],
    }  # fmt: skip


def alert(at_s: int, state: str, incident: str = "i1", **more: Any) -> dict[str, Any]:
    return {
        "time": at_s * 10**9, "tenant": "acme", "rule": "ner_low", "severity": "critical", "state": state,
        "scope_kind": "trunk", "scope": "t1", "incident_id": incident, "message": "NER is low", **more,
    }  # fmt: skip


def fill(store: Store) -> None:
    first = session(
        OCTOBER_S, attempts=600, answered=300, busy=100, no_answer=80, rejected=20, abandoned=40, redirected=10,
        challenged=5, no_facility=25, timeout=10, client_error=10, seer_effective=470, ineffective=35,
        completed=290, one_way=3, no_media=4, short_calls=6, minutes=750.0, pdd_ms_histogram=PDD_MS.of(PDD_TRUTH),
    )  # fmt: skip
    last = session(
        END_S - 60, attempts=400, answered=250, busy=150, minutes=625.0, seer_effective=400, completed=250
    )
    rows = [
        first,
        last,
        # The period before, on as many of its days.
        session(OCTOBER_S - 60, attempts=120, answered=80, no_facility=40, minutes=6.0),
        session(OCTOBER_S - 2 * 24 * HOUR, attempts=80, answered=70, no_facility=10, minutes=4.0),
        session(END_S, attempts=7, answered=7, minutes=7.0),  # the period after
        session(OCTOBER_S + HOUR, tenant="globex", attempts=999, answered=1, no_facility=998),
        session(OCTOBER_S + HOUR, tenant=EVIL, attempts=40, answered=40),
    ]
    sample_hour.write(store, "session_minute", rows)
    wide = quality(OCTOBER_S + HOUR, codec="G722", rated=[75.0] * 10)
    sample_hour.write(
        store, "quality_minute", [quality(OCTOBER_S), wide, quality(OCTOBER_S, "globex", rated=[20.0] * 50)]
    )
    load = [
        {"time": (OCTOBER_S + 60 * i) * 10**9, "tenant": "acme", "pool": "p", "region": "r", "node": "n",
         "concurrent_mean": 10.0 * i, "concurrent_max": 12 * i, "erlangs": 10.0 * i, "arrivals": 1}
        for i in (1, 2, 3)
    ]  # fmt: skip
    sample_hour.write(store, "load_minute", load)
    sample_hour.write(
        store, "registration_minute",
        [session(OCTOBER_S, attempts=80, registered=70, rejected=3, timeout=1, challenged=6)],
    )  # fmt: skip
    times = {"started_at": (OCTOBER_S + HOUR) * 10**9}
    ended = {**times, "ended_at": (OCTOBER_S + 2 * HOUR) * 10**9, "impact_calls": 42.0, "impact_minutes": 99.0}
    sample_hour.write(
        store, "alert_event",
        [
            alert(OCTOBER_S + HOUR, "firing", **times),
            alert(OCTOBER_S + 2 * HOUR, "resolved", cause="trunk t1", **ended),
            alert(OCTOBER_S + HOUR, "pending", "i2", **times),
            alert(OCTOBER_S + HOUR, "firing", "i3", parent_id="i1", **times),
            alert(END_S + HOUR, "firing", "i4", started_at=(END_S + HOUR) * 10**9),
            alert(OCTOBER_S + HOUR, "firing", "i5", **times) | {"tenant": "globex"},
        ],
    )  # fmt: skip
    # Ten hours of 17 pods at 0.20 an hour, decided upon every ten minutes, though 20 were wanted by the end.
    sample_hour.write(
        store, "replica_decision",
        [
            {"time": (OCTOBER_S + 600 * i) * 10**9, "tenant": "", "pool": "p", "region": "r", "mode": "act",
             "current": 17, "final": 17 if i < 30 else 20, "cost_per_hour": 3.4 if i < 30 else 4.0}
            for i in range(60)
        ],
    )  # fmt: skip
