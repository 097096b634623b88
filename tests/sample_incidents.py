"""A day with incidents in a store, for tests of pages: their minutes, their rows, and a silence.

A trunk stopped answering forty minutes ago and is the cause of two more; media of a node is bad, a tenant lost
registrations two hours ago and has them back. The rows are as the alert role writes them.
"""

import json
import random

import sample_hour
from sample_hour import NOW_NS, PLACES, write

from storage.actions import Action, record
from storage.schema import ActionKind
from storage.seam import Store
from telephony.model import MINUTE_NS

SLOT_NS = 5 * MINUTE_NS
BROKEN_NS = (NOW_NS - 40 * MINUTE_NS) // SLOT_NS * SLOT_NS
"""Since when the bad trunk hardly answers."""
CAUSE, PART, OF_TENANT, MEDIA, OVER, ODD = (f"i-00000000{n:02}" for n in range(1, 7))
TENANT = "acme"
RUNBOOK = "https://surgecast.example.com/runbooks/answer-ratio"


def fill(store: Store, now_ns: int = NOW_NS) -> None:
    """Fill a store with the sample hour, the five hours before it, incidents and what people told of them."""
    sample_hour.fill(store, now_ns)
    _minutes(store, now_ns)
    write(store, "alert_event", _rows(now_ns), writer="alert")
    writer = store.writer("web")
    record(
        writer,
        Action(
            ActionKind.SILENCE, "node", "sbc-3", "kim", "kernel upgrade of sbc-3", now_ns - 30 * MINUTE_NS,
            now_ns + 120 * MINUTE_NS,
        ),
        now_ns - 30 * MINUTE_NS,
    )  # fmt: skip
    writer.close()


def _minutes(store: Store, now_ns: int) -> None:
    dice = random.Random(11)
    first = now_ns // MINUTE_NS * MINUTE_NS - 360 * MINUTE_NS
    sessions, load = [], []
    for at in range(first, now_ns // MINUTE_NS * MINUTE_NS, MINUTE_NS):
        for place in PLACES:
            broken = place.trunk == sample_hour.BAD_TRUNK and at >= BROKEN_NS
            attempts = round(240 * place.share * dice.uniform(0.85, 1.15))
            answered = sum(dice.random() < (0.06 if broken else 0.61) for _ in range(attempts))
            sessions.append(
                {
                    "time": at, **place.tags, "attempts": attempts, "answered": answered,
                    "no_facility": attempts - answered, "minutes": answered * 3.0,
                }
            )  # fmt: skip
            load.append(
                {
                    "time": at, "tenant": place.tenant, "pool": place.trunk, "region": place.region,
                    "node": place.node, "concurrent_mean": 400 * place.share, "arrivals": attempts,
                }
            )  # fmt: skip
    write(store, "session_minute", sessions)
    write(store, "load_minute", load)


def event(at_ns: int, id_: str, **more: object) -> dict[str, object]:
    """Return one `alert_event` row of the answer ratio of the bad trunk, with what is different about it."""
    return {
        "time": at_ns, "tenant": "unassigned", "rule": "answer_ratio", "severity": "warning", "state": "firing",
        "scope_kind": "trunk", "scope": sample_hour.BAD_TRUNK, "incident_id": id_, "parent_id": "",
        "signal": more.get("rule", "answer_ratio"), "direction": "below",
        "onset_at": BROKEN_NS, "started_at": BROKEN_NS + SLOT_NS,
        "slot_seconds": 300.0, "observed": 0.071, "expected": 0.609, "low": 0.548, "high": 0.668, "score": 14.2,
        "detectable_change": 0.11, "n": 384, "impact_calls": 108.0, "impact_minutes": 5.0,
        "cause": f"trunk {sample_hour.BAD_TRUNK}", "notified": "on call",
    } | more  # fmt: skip


def _rows(now_ns: int) -> list[dict[str, object]]:
    raised_ns = BROKEN_NS + 2 * SLOT_NS
    part = {"parent_id": CAUSE, "notified": f"no: part of {CAUSE}"}
    links = json.dumps({"runbook": RUNBOOK})
    media = {
        "rule": "degraded_media", "scope_kind": "node", "scope": "sbc-3", "direction": "above", "observed": 0.19,
        "expected": 0.04, "low": 0.02, "high": 0.07, "n": 510, "impact_calls": 61.0, "cause": "node sbc-3",
        "onset_at": now_ns - 25 * MINUTE_NS, "started_at": now_ns - 20 * MINUTE_NS,
        "notified": "no: silenced by kim",
    }  # fmt: skip
    over = {
        "tenant": "globex", "rule": "registration_success", "scope_kind": "tenant", "scope": "globex",
        "onset_at": now_ns - 150 * MINUTE_NS, "started_at": now_ns - 145 * MINUTE_NS, "observed": 0.62,
        "expected": 0.97, "low": 0.93, "high": 0.99, "n": 610, "impact_calls": 214.0, "cause": "tenant globex",
    }  # fmt: skip
    return [
        event(raised_ns, CAUSE, links=links),
        event(
            raised_ns + 4 * SLOT_NS, CAUSE, severity="critical", impact_calls=612.0, observed=0.059,
            expected=0.604, low=0.551, high=0.657, n=1152, links=links,
        ),
        event(raised_ns + 1, PART, scope_kind="platform", scope="platform", observed=0.52, expected=0.61, **part),
        event(
            raised_ns + 2, OF_TENANT, scope_kind="tenant", scope=TENANT, tenant=TENANT, observed=0.43,
            expected=0.61, **part,
        ),
        event(now_ns - 15 * MINUTE_NS, MEDIA, **media),
        event(now_ns - 140 * MINUTE_NS, OVER, **over),
        event(now_ns - 95 * MINUTE_NS, OVER, **over, state="resolved", ended_at=now_ns - 100 * MINUTE_NS),
        event(now_ns - 10 * MINUTE_NS, ODD, rule="sbc_cpu", severity="info", notified="no: no route wants it"),
    ]  # fmt: skip
