"""Dialogs: SIP messages in, session attempts and what belongs to them out.

Finds the attempt that a message belongs to, drops copies, keeps time, and tells what happened as events. What a
message means for its attempt is in `attempts`. Time is the capture clock: it goes forward with the messages and
with `advance`, never back. Every table is bounded and counts what it shed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from collectors.facts import CallAnswered, CallEnded, CallStarted, DatagramBatch, SipCall, SipSighting
from collectors.kernels.sip import scan_messages
from collectors.kernels.sip_layout import Content, MessageFlag, Method
from collectors.tracking.attempts import MAX_SEEN, Attempt, State
from collectors.tracking.dialog_facts import (
    DialogEvent,
    DialogSettings,
    DialogStats,
    QualityReportBody,
    RtpStatHeader,
)
from collectors.tracking.heartbeats import HeartbeatTracker
from collectors.tracking.messages import SDP_OR_MULTIPART, Message, Messages, describe
from collectors.tracking.names import Names, Place
from collectors.tracking.registrations import RegistrationTimers, RegistrationTracker
from collectors.tracking.timers import SLOT_NS, TimerWheel
from collectors.wire.sip import uri_parts

__all__ = [
    "DialogEvent",
    "DialogSettings",
    "DialogStats",
    "DialogTracker",
    "QualityReportBody",
    "RtpStatHeader",
]

_MAX_TEXT = 256
"""Longest user, domain or header value kept of a call."""
_MAX_DESCRIBED = 64
"""Bodies of one offer and its answers that are read; also events that wait for the INVITE."""
_MAX_REPORTED = 16_384
_CHALLENGES = frozenset({401, 407})

# Plain integers: comparing with members of an enum costs several times as much.
_INVITE, _ACK, _BYE, _CANCEL = int(Method.INVITE), int(Method.ACK), int(Method.BYE), int(Method.CANCEL)
_REGISTER, _OPTIONS = int(Method.REGISTER), int(Method.OPTIONS)
_UPDATE, _PRACK = int(Method.UPDATE), int(Method.PRACK)
_VQ_RTCPXR = int(Content.VQ_RTCPXR)
_OF_A_DIALOG = frozenset({_INVITE, _ACK, _BYE, _CANCEL, _PRACK, _UPDATE})
_METHOD_NAMES = tuple(m.name for m in Method)
_SETUP, _FAILED, _ANSWERED, _RELEASED = State.SETUP, State.FAILED, State.ANSWERED, State.RELEASED
_new: Any = tuple.__new__


def _starts(m: Message) -> bool:
    """Return whether a message is an INVITE outside a dialog."""
    return m.method == _INVITE and not m.status and not m.to_key


class DialogTracker:
    """Session attempts, registrations and heartbeats, from SIP messages. Not thread-safe."""

    def __init__(self, settings: DialogSettings) -> None:
        self.settings = settings
        self.stats = DialogStats()
        self._calls: dict[int, Attempt] = {}
        self._by_call_id: dict[str, Attempt] = {}
        self._unestablished: dict[int, Attempt] = {}
        self._ghosts: dict[int, int] = {}
        self._older_ghosts: dict[int, int] = {}
        self._ghosts_turn_ns = 0
        self._in_state = [0] * len(State)
        self._wheel: TimerWheel[Attempt] = TimerWheel()
        self._names = Names()
        self._events: list[DialogEvent] = []
        self._sightings: list[SipSighting] = []
        self._now_ns = 0
        self._next_expiry_ns = 0
        self._reported: set[tuple[int, int, int]] = set()
        timers = RegistrationTimers(
            settings.failed_linger_ns, settings.challenge_linger_ns, settings.registration_timeout_ns
        )
        self.registrations = RegistrationTracker(settings.max_registrations, timers, self._emit)
        self.heartbeats = HeartbeatTracker(settings.max_heartbeats, settings.heartbeat_timeout_ns, self._emit)

    # -- out ---------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of session attempts that have not ended."""
        return len(self._calls)

    @property
    def names_held(self) -> int:
        """Hops and texts that are remembered, decoded."""
        return len(self._names)

    @property
    def live_calls(self) -> int:
        """Answered calls that were not released."""
        return self._in_state[_ANSWERED]

    @property
    def setup_in_progress(self) -> int:
        """Session attempts without a final answer."""
        return self._in_state[_SETUP]

    def take_events(self) -> list[DialogEvent]:
        """Return what happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def take_sightings(self) -> list[SipSighting]:
        """Return the messages of session attempts seen since the last call, in order of arrival."""
        sightings, self._sightings = self._sightings, []
        return sightings

    # -- in ----------------------------------------------------------------------------------------------

    def feed(self, batch: DatagramBatch, row_indices: npt.NDArray[np.int64]) -> None:
        """Take the SIP rows of a batch; nothing of the batch is kept."""
        rows = self._usable(scan_messages(batch, row_indices, self.settings.hash_seed))
        if not len(rows):
            return
        earliest_ns = int(rows["captured_ns"].min())
        self._now_ns = self._now_ns or earliest_ns
        clock_limit_ns = max(self._now_ns + self.settings.max_clock_step_ns, earliest_ns)
        self._feed(Messages(rows, batch, self._names), clock_limit_ns)
        self._names.release(self._now_ns)

    def advance(self, now_ns: int) -> None:
        """Let time pass."""
        if now_ns > self._now_ns:
            self._now_ns = now_ns
            self._expire()

    def touch(self, call_id: str, at_ns: int) -> None:
        """Take a sign of life of a call that is no SIP: its media, or a report of it."""
        attempt = self._by_call_id.get(call_id)
        if attempt is not None and attempt.state is _ANSWERED:
            attempt.call.last_seen_ns = max(attempt.call.last_seen_ns, at_ns)
            attempt.due_ns = max(attempt.due_ns, at_ns + self.settings.idle_timeout_ns)

    def close(self, now_ns: int) -> None:
        """End of the input: end all that lives, as of what was seen of it."""
        self.advance(now_ns)
        for attempt in list(self._calls.values()):
            self._end(attempt)
        self.registrations.close()
        self.heartbeats.close()

    # -- messages ----------------------------------------------------------------------------------------

    def _usable(self, rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
        """Count messages, and return those that are neither rejected nor marked as duplicates."""
        stats = self.stats
        stats.messages += len(rows)
        rejects = rows["reject"]
        duplicates = rows["flags"] & MessageFlag.DUPLICATE != 0
        if rejects.any() or duplicates.any():
            accepted = rejects == 0
            for reason, count in enumerate(np.bincount(rejects[~accepted]).tolist()):
                stats.rejected[reason] += count
            stats.duplicates += int(np.count_nonzero(duplicates & accepted))
            rows = rows[accepted & ~duplicates]
        requests = rows["status"] == 0
        for method, count in enumerate(np.bincount(rows["method"][requests]).tolist()):
            stats.requests[method] += count
        for status_class, count in enumerate(np.bincount(rows["status"][~requests] // 100).tolist()):
            stats.responses[status_class] += count
        return rows

    def _feed(self, messages: Messages, clock_limit_ns: int) -> None:
        calls, names, stats, sightings = self._calls, self._names, self.stats, self._sightings
        places, texts, view = names.places, names.texts, names.view
        max_sightings, max_pending = self.settings.max_sightings_per_call, self.settings.max_pending
        idle_ns = self.settings.idle_timeout_ns
        for m in messages:
            (
                at_ns,
                method,
                status,
                from_key,
                to_key,
                message_key,
                place_key,
                from_tag,
                to_tag,
                branch_at,
                branch_len,
                text,
                text_at,
                text_len,
                _,
                _,
                _,
                cseq,
                vias,
                content,
                row,
                _,
            ) = m
            if self._now_ns < at_ns <= clock_limit_ns:
                self._now_ns = at_ns
                if at_ns >= self._next_expiry_ns:
                    self._expire()
            place = places.get(place_key) or names.place(place_key, row)
            attempt = calls.get(from_key)
            by_caller = attempt is not None
            if attempt is None and to_key:
                attempt = calls.get(to_key)
            if attempt is None:
                attempt = self._stranger(messages, m, place)
                if attempt is None:
                    continue
                by_caller = True
            elif attempt.state is _RELEASED and _starts(m) and cseq > attempt.cseq:
                self._end(attempt)  # the Call-ID is used again, for another call
                attempt = self._open(messages, m, place)
            call, seen = attempt.call, attempt.seen
            shown_by = seen.get(message_key)
            if attempt.sightings < max_sightings and len(sightings) < max_pending:
                attempt.sightings += 1
                far_tag = to_tag if by_caller else from_tag
                if far_tag != attempt.far_tag_hash:
                    attempt.far_tag_hash = far_tag
                    attempt.far_tag = messages.value(m, "to_tag" if by_caller else "from_tag")
                sighting: SipSighting = _new(
                    SipSighting,
                    (
                        at_ns,
                        call.call_id,
                        place.src,
                        place.dst,
                        place.node_id,
                        place.node_name,
                        _METHOD_NAMES[method] if method else messages.value(m, "method"),
                        status,
                        texts.get(text) or names.text(text, text_at, text_len),
                        cseq,
                        attempt.near_tag if by_caller else attempt.far_tag,
                        attempt.far_tag if by_caller else attempt.near_tag,
                        str(view[branch_at : branch_at + branch_len], "utf-8", "replace"),
                        vias,
                        content in SDP_OR_MULTIPART,
                        shown_by == place_key,
                    ),
                )
                sightings.append(sighting)
            else:
                stats.sightings_shed += 1
            if shown_by is None:
                if len(seen) >= MAX_SEEN:
                    seen.clear()
                seen[message_key] = place_key
                if at_ns > call.last_seen_ns:
                    call.last_seen_ns = at_ns
                if status:
                    self._response(messages, m, attempt, place, by_caller)
                else:
                    self._request(messages, m, attempt, place, by_caller)
                if attempt.state is _ANSWERED and attempt.confirmed:
                    attempt.due_ns = self._now_ns + idle_ns
            elif shown_by == place_key:
                stats.retransmissions += 1
            else:
                stats.duplicates += 1

    def _stranger(self, messages: Messages, m: Message, place: Place) -> Attempt | None:
        """Take a message that belongs to no known attempt; return the one that it starts, if it does."""
        if m.method == _REGISTER:
            self.registrations.feed(messages.view(m), m.captured_ns, self._now_ns, place)
        elif m.method == _OPTIONS:
            key = messages.hash_of(m, "transaction_key")
            if m.status:
                self.heartbeats.response(key, m.captured_ns, self._now_ns, m.status)
            elif not m.to_key:
                self.heartbeats.request(key, m.captured_ns, self._now_ns, place)
        elif m.content == _VQ_RTCPXR:
            self._quality_report(messages, m, place)
        elif m.method in _OF_A_DIALOG:
            ghost = self._ghost(m.from_key)
            starts = _starts(m)
            if (ghost is not None and (not starts or m.cseq <= ghost)) or self._ghost(m.to_key) is not None:
                self.stats.late += 1
            elif starts:
                return self._open(messages, m, place)
            elif m.method == _INVITE and m.status:
                return self._open(messages, m, place._replace(src=place.dst, dst=place.src))
            else:
                self.stats.without_invite += 1
        return None

    def _open(self, messages: Messages, m: Message, place: Place) -> Attempt:
        if len(self._calls) >= self.settings.max_calls:
            self.stats.calls_evicted += 1
            self._end(next(iter(self._unestablished.values()), None) or next(iter(self._calls.values())))
        call_id, caller, callee = messages.identity(m)
        from_user, from_domain = uri_parts(caller)
        to_user, to_domain = uri_parts(callee)
        call = SipCall(
            call_id,
            m.captured_ns,
            from_user[:_MAX_TEXT],
            from_domain[:_MAX_TEXT],
            to_user[:_MAX_TEXT],
            to_domain[:_MAX_TEXT],
            place.src,
            place.dst,
            place.node_id,
            place.node_name,
            place.tenant_key,
        )
        call.last_seen_ns = m.captured_ns
        attempt = Attempt(m.from_key, call, m.cseq, messages.value(m, "from_tag"))
        self._calls[m.from_key] = self._unestablished[m.from_key] = attempt
        self._by_call_id[call.call_id] = attempt
        self._wheel.arm(attempt, self._now_ns + self.settings.reorder_ns, self._now_ns)
        return attempt

    # -- requests ----------------------------------------------------------------------------------------

    def _request(self, messages: Messages, m: Message, attempt: Attempt, place: Place, by_caller: bool) -> None:
        method = m.method
        if method == _INVITE:
            if not m.to_key:
                self._invite(messages, m, attempt, place)
            attempt.offered = m.has_sdp
            self._offer(messages, m, attempt, by_caller, is_reinvite=bool(m.to_key))
        elif method == _ACK:
            own = by_caller and m.cseq == attempt.cseq
            if own and attempt.state is _SETUP and not attempt.ack_ns:
                attempt.ack_ns = m.captured_ns
            if m.content:
                self._describe(messages, m, attempt, by_caller, is_answer=True, is_reinvite=not own)
        elif method == _BYE:
            self._release(attempt, m, by_caller, messages.q850(m))
            self._rtp_stat(messages, m, attempt, place, by_caller)
        elif method == _CANCEL:
            attempt.cancelled(place, messages.q850(m))
        elif method == _UPDATE:
            self._offer(messages, m, attempt, by_caller, is_reinvite=attempt.state >= _ANSWERED)
        elif method == _PRACK and m.content:
            self._describe(messages, m, attempt, by_caller, is_answer=not attempt.offered, is_reinvite=False)
        elif m.content == _VQ_RTCPXR:
            self._quality_report(messages, m, place)

    def _invite(self, messages: Messages, m: Message, attempt: Attempt, place: Place) -> None:
        before = attempt.state
        credentials = m.cseq > attempt.cseq and messages.has_credentials(m)
        attempt.invited(m.captured_ns, m.cseq, m.vias, place, credentials=credentials)
        if not attempt.confirmed:
            self._confirm(messages, m, attempt)
        elif attempt.state is not before:
            self._moved(attempt, before)
            attempt.due_ns = self._now_ns + self.settings.no_response_ns

    def _confirm(self, messages: Messages, m: Message, attempt: Attempt) -> None:
        """Tell of an attempt, and of what was seen of it before its INVITE."""
        settings = self.settings
        attempt.call.headers = messages.view(m).headers(settings.wanted_headers, longest=_MAX_TEXT)
        attempt.confirmed = True
        self._in_state[attempt.state] += 1
        self._emit(CallStarted(attempt.call))
        for event in attempt.deferred or ():
            self._emit(event)
        attempt.deferred = None
        if attempt.state is _SETUP:
            attempt.due_ns = self._now_ns + settings.no_response_ns
        elif attempt.state is _FAILED:
            attempt.due_ns = self._now_ns + settings.failed_linger_ns

    def _release(self, attempt: Attempt, m: Message, by_caller: bool, q850: int) -> None:
        before = attempt.state
        if attempt.released(m.captured_ns, by_caller=by_caller, q850=q850):
            self._tell(attempt, CallAnswered(attempt.call))
        if attempt.state is not before:
            self._moved(attempt, before)
            self._wait(attempt, self.settings.bye_timeout_ns)

    # -- responses ---------------------------------------------------------------------------------------

    def _response(self, messages: Messages, m: Message, attempt: Attempt, place: Place, by_caller: bool) -> None:
        method, status = m.method, m.status
        if method == _INVITE:
            own = by_caller and m.cseq == attempt.cseq
            if m.content and status < 300:
                self._describe(messages, m, attempt, not by_caller, is_answer=attempt.offered, is_reinvite=not own)
            if own and status < 300:
                self._accepted(m, attempt, place)
            elif own:
                self._refused(messages, m, attempt, place)
        elif method == _BYE and status >= 200 and status not in _CHALLENGES:
            self._release(attempt, m, by_caller, 0)
            self._rtp_stat(messages, m, attempt, place, not by_caller)
            if attempt.state is _RELEASED:
                attempt.call.clean_end = attempt.call.clean_end or status < 300
                self._wait(attempt, self.settings.released_linger_ns)
        elif m.content and status < 300 and method in (_UPDATE, _PRACK):
            reinvite = attempt.state >= _ANSWERED
            self._describe(messages, m, attempt, not by_caller, is_answer=True, is_reinvite=reinvite)

    def _accepted(self, m: Message, attempt: Attempt, place: Place) -> None:
        """Take a 1xx or 2xx of the INVITE transaction."""
        if m.status < 200:
            if 180 <= m.status < 190:
                attempt.rang(m.captured_ns, attempt.rank(m.vias, place), m.to_tag_hash)
            if attempt.confirmed and attempt.state is _SETUP:
                attempt.due_ns = self._now_ns + self.settings.setup_timeout_ns
            return
        before = attempt.state
        if attempt.answered(m.captured_ns, m.status, attempt.rank(m.vias, place), m.to_tag_hash):
            self._moved(attempt, before)
            self._tell(attempt, CallAnswered(attempt.call))

    def _refused(self, messages: Messages, m: Message, attempt: Attempt, place: Place) -> None:
        """Take a 3xx to 6xx of the INVITE transaction."""
        before = attempt.state
        rank = attempt.rank(m.vias, place)
        attempt.refused(m.captured_ns, m.status, rank, m.vias, messages.q850(m))
        if attempt.state is _FAILED:
            self._moved(attempt, before)
            challenge = attempt.call.sip_code in _CHALLENGES and not attempt.call.cancelled
            self._wait(attempt, self.settings.challenge_linger_ns if challenge else self.settings.failed_linger_ns)

    # -- bodies and headers ------------------------------------------------------------------------------

    def _offer(
        self, messages: Messages, m: Message, attempt: Attempt, by_caller: bool, *, is_reinvite: bool
    ) -> None:
        if not m.has_sdp:
            return
        if attempt.offer != (by_caller, m.cseq):
            # Another offer: its SDP and the answers to it may be the same as before, and count again.
            attempt.offer = (by_caller, m.cseq)
            attempt.described.clear()
        self._describe(messages, m, attempt, by_caller, is_answer=False, is_reinvite=is_reinvite)

    def _describe(
        self,
        messages: Messages,
        m: Message,
        attempt: Attempt,
        from_caller: bool,
        *,
        is_answer: bool,
        is_reinvite: bool,
    ) -> None:
        """Tell of the media in a body, once; each hop may show other addresses, as relays put theirs in."""
        mark = m.body_hash ^ from_caller
        if not m.has_sdp or mark in attempt.described or len(attempt.described) >= _MAX_DESCRIBED:
            return
        attempt.described[mark] = None
        session = messages.session(m)
        self.stats.bad_sdp_lines += session.bad_lines
        for media in describe(
            session,
            m,
            attempt.call.call_id,
            from_caller=from_caller,
            is_answer=is_answer,
            is_reinvite=is_reinvite,
        ):
            self._tell(attempt, media)

    def _rtp_stat(self, messages: Messages, m: Message, attempt: Attempt, place: Place, from_caller: bool) -> None:
        mark = -2 if from_caller else -1  # no body has a negative hash
        value = messages.value(m, "rtp_stat")
        if not value or mark in attempt.described:
            return
        attempt.described[mark] = None
        self._tell(
            attempt,
            RtpStatHeader(
                m.captured_ns, attempt.call.call_id, value, from_caller, place.src, place.dst, place.node_id
            ),
        )

    def _quality_report(self, messages: Messages, m: Message, place: Place) -> None:
        mark = (messages.hash_of(m, "call_hash"), m.cseq, m.body_hash)
        if mark in self._reported:
            return  # retransmitted, or seen on another hop
        if len(self._reported) >= _MAX_REPORTED:
            self._reported.clear()
        self._reported.add(mark)
        call_id = messages.value(m, "call_id")
        body = messages.body(m)
        self._emit(QualityReportBody(m.captured_ns, call_id, body, place.src, place.dst, place.node_id))

    # -- ends --------------------------------------------------------------------------------------------

    def _emit(self, event: DialogEvent) -> None:
        if len(self._events) < self.settings.max_pending:
            self._events.append(event)
        else:
            self.stats.events_shed += 1

    def _tell(self, attempt: Attempt, event: DialogEvent) -> None:
        """Tell of an attempt that was told of, or keep it until it is."""
        if attempt.confirmed:
            self._emit(event)
        elif attempt.deferred is None:
            attempt.deferred = [event]
        elif len(attempt.deferred) < _MAX_DESCRIBED:
            attempt.deferred.append(event)

    def _moved(self, attempt: Attempt, before: State) -> None:
        """Count an attempt where it is now."""
        if attempt.confirmed:
            self._in_state[before] -= 1
            self._in_state[attempt.state] += 1
        if attempt.state > _FAILED:
            self._unestablished.pop(attempt.key, None)

    def _wait(self, attempt: Attempt, wait_ns: int) -> None:
        """Set how long an attempt waits from now; one without its INVITE keeps waiting for that alone."""
        if attempt.confirmed:
            self._wheel.arm(attempt, self._now_ns + wait_ns, self._now_ns)

    def _end(self, attempt: Attempt) -> None:
        self._wheel.cancel(attempt)
        self._calls.pop(attempt.key, None)
        self._unestablished.pop(attempt.key, None)
        call = attempt.call
        if self._by_call_id.get(call.call_id) is attempt:
            del self._by_call_id[call.call_id]
        if not attempt.confirmed:
            self.stats.without_invite += 1
            return
        self._in_state[attempt.state] -= 1
        if len(self._ghosts) >= self.settings.max_calls:
            self._turn_ghosts()
        self._ghosts[attempt.key] = attempt.cseq
        attempt.close()
        self._emit(CallEnded(call))

    def _ghost(self, key: int) -> int | None:
        """Return the CSeq of the last INVITE of an attempt that ended lately."""
        cseq = self._ghosts.get(key)
        return self._older_ghosts.get(key) if cseq is None else cseq

    def _turn_ghosts(self) -> None:
        self._older_ghosts, self._ghosts = self._ghosts, {}
        self._ghosts_turn_ns = self._now_ns + self.settings.ghost_ns

    def _expire(self) -> None:
        now_ns = self._now_ns
        self._next_expiry_ns = now_ns + SLOT_NS
        for attempt in self._wheel.expired(now_ns):
            self._end(attempt)
        self.registrations.advance(now_ns)
        self.heartbeats.advance(now_ns)
        if now_ns >= self._ghosts_turn_ns:
            self._turn_ghosts()
