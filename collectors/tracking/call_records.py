"""What is written of a call: its record at the end, and its state while it lives. Numbers are masked here."""

from zlib import crc32

from collectors.tracking.privacy import destination_of, mask_user
from collectors.tracking.rollups import Row
from collectors.tracking.tracked_call import CallSettings, TrackedCall
from storage.rows import shard_of
from telephony.model import CallRecord, ReleasedBy


def record_of(call: TrackedCall, settings: CallSettings, linked: tuple[str, ...]) -> CallRecord:
    """Return the record of a call that ended; MOS are of the scale that most of its intervals are on."""
    sip = call.sip
    assert call.outcome is not None
    quality = call.quality
    return CallRecord(
        labels=call.labels,
        call_id=sip.call_id,
        outcome=call.outcome,
        started_ns=sip.started_ns,
        ended_ns=call.ended_ns,
        codec=call.codec,
        sip_code=sip.sip_code or None,
        q850=sip.q850 or None,
        released_by=ReleasedBy(sip.released_by) if sip.released_by else None,
        attempts=sip.attempts,
        pdd_ms=(sip.first_response_ns - sip.started_ns) / 1e6 if sip.first_response_ns else None,
        setup_ms=(sip.answered_ns - sip.started_ns) / 1e6 if sip.answered_ns else None,
        duration_s=call.duration_s,
        from_masked=mask_user(sip.from_user, settings.privacy, settings.hash_salt),
        to_masked=mask_user(sip.to_user, settings.privacy, settings.hash_salt),
        destination=destination_of(sip.to_user, sip.to_domain),
        legs=max(sip.legs, 1),
        hops=tuple(sip.hops),
        codecs=call.codecs,
        one_way=call.one_way,
        mos_min=quality.mos_min,
        mos_avg=quality.mos_avg,
        degraded_ratio=quality.degraded_ratio,
        quality_reason=call.why_no_quality(),
        correlated=linked,
    )


def state_row(call: TrackedCall, now_ns: int, settings: CallSettings) -> Row:
    """Return the `call_now` row of a call."""
    sip = call.sip
    return {
        # Spread over the second before, so that no two calls of a shard are one point.
        "time": now_ns - crc32(sip.call_id.encode("utf-8", "replace")) % 1_000_000_000,
        **dict(zip(("tenant", "trunk", "region", "node"), call.place, strict=True)),
        "shard": shard_of(sip.call_id),
        "call_id": sip.call_id,
        "state": _state_of(call),
        "started_at": sip.started_ns,
        "answered_at": sip.answered_ns or None,
        "from_masked": mask_user(sip.from_user, settings.privacy, settings.hash_salt),
        "to_masked": mask_user(sip.to_user, settings.privacy, settings.hash_salt),
        "destination": destination_of(sip.to_user, sip.to_domain),
        "codec": call.codec,
        "outcome": call.outcome.value if call.outcome is not None else None,
        "sip_code": sip.sip_code or None,
        "r_last": call.quality.r_last,
        "r_min": call.quality.r_min,
        "reports": call.reports,
        "quality_reason": call.why_no_quality(),
    }


def _state_of(call: TrackedCall) -> str:
    if call.outcome is not None:
        return "ended"
    if call.answered:
        return "answered"
    return "ringing" if call.sip.ringing_ns else "setup"
