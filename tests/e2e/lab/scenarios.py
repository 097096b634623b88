"""The sipp scenarios of the lab, put together from SIP messages, and what each must be measured as."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from telephony.model import Outcome, RegistrationOutcome

PASSWORD = "secret"
RING_SECONDS = 0.3


class Kind(StrEnum):
    """The calls the lab can make."""

    ANSWERED = "answered"
    CALLEE_RELEASES = "callee_releases"
    SECURE = "secure"
    WRONG_PASSWORD = "wrong_password"
    NOT_FOUND = "not_found"
    BUSY = "busy"
    NOT_ACCEPTABLE = "not_acceptable"
    PROXY_OVERLOADED = "proxy_overloaded"
    CALLEE_OVERLOADED = "callee_overloaded"
    CANCELLED_RINGING = "cancelled_ringing"
    CANCELLED_EARLY = "cancelled_early"
    NO_ANSWER = "no_answer"
    VANISHED = "vanished"


class Registration(StrEnum):
    """The registrations the lab can make."""

    REGISTERED = "registered"
    WRONG_PASSWORD = "wrong_password"
    GIVEN_UP = "given_up"


class Expected(NamedTuple):
    """What a call must be measured as: the outcome and the final code that the caller saw."""

    outcome: Outcome
    sip_code: int


CALLS = {
    Kind.ANSWERED: Expected(Outcome.ANSWERED, 200),
    Kind.CALLEE_RELEASES: Expected(Outcome.ANSWERED, 200),
    Kind.SECURE: Expected(Outcome.ANSWERED, 200),
    Kind.WRONG_PASSWORD: Expected(Outcome.CLIENT_ERROR, 403),
    Kind.NOT_FOUND: Expected(Outcome.CLIENT_ERROR, 404),
    Kind.BUSY: Expected(Outcome.BUSY, 486),
    Kind.NOT_ACCEPTABLE: Expected(Outcome.CLIENT_ERROR, 488),
    Kind.PROXY_OVERLOADED: Expected(Outcome.NO_FACILITY, 503),
    # the proxy's transaction layer must not pass a 503 on (RFC 3261 16.7 step 6): the caller sees 500
    Kind.CALLEE_OVERLOADED: Expected(Outcome.NO_FACILITY, 500),
    Kind.CANCELLED_RINGING: Expected(Outcome.NO_ANSWER, 487),
    Kind.CANCELLED_EARLY: Expected(Outcome.ABANDONED, 487),
    Kind.NO_ANSWER: Expected(Outcome.NO_ANSWER, 408),
    # nobody says BYE: it is answered, and alive until the collector gives it up
    Kind.VANISHED: Expected(Outcome.ANSWERED, 200),
}

REGISTRATIONS = {
    Registration.REGISTERED: RegistrationOutcome.REGISTERED,
    Registration.WRONG_PASSWORD: RegistrationOutcome.REJECTED,
    Registration.GIVEN_UP: RegistrationOutcome.CHALLENGED,
}


@dataclass(frozen=True, slots=True)
class Setup:
    """What the scenarios of one call need to know."""

    seconds: float
    """From answer to BYE."""
    caller_port: int
    """Media port of the caller, RTCP on the next."""
    callee_port: int
    caller_media: str
    """Command that sends the caller's media; `{remote}` is where to."""
    callee_media: str


class Script(NamedTuple):
    """The two ends of a call as sipp scenario files; `callee` is None where no phone is reached."""

    dialled: str
    """User part; `{port}` is the callee's SIP port."""
    caller: str
    callee: str | None


_VIA = "Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]"
_FROM = "From: <sip:caller@lab.test>;tag=[pid]-[call_number]"
_TO = "To: <sip:[service]@lab.test>"
_CALL_ID = "Call-ID: [call_id]"
_HOPS = "Max-Forwards: 70"
_CONTACT = "Contact: <sip:caller@[local_ip]:[local_port]>"
_URI = "sip:[service]@lab.test"


def _sdp(port: int, *codecs: str) -> str:
    numbers = " ".join(codec.split()[0] for codec in codecs)
    maps = "\n".join(f"a=rtpmap:{codec}" for codec in codecs)
    return (
        "v=0\no=lab 1 1 IN IP4 [local_ip]\ns=lab\nc=IN IP4 [local_ip]\nt=0 0\n"
        f"m=audio {port} RTP/AVP {numbers}\n{maps}\na=ptime:20\na=sendrecv\n"
    )


_PCMA, _PCMU, _G729 = "8 PCMA/8000", "0 PCMU/8000", "18 G729/8000"


def _message(*lines: str, body: str = "") -> str:
    length = ["Content-Type: application/sdp", "Content-Length: [len]"] if body else ["Content-Length: 0"]
    return "\n".join([*lines, *length, "", body])


def _send(message: str, *, repeat: bool = False) -> str:
    repeated = ' retrans="500"' if repeat else ""
    return f"<send{repeated}><![CDATA[\n\n{message}\n]]></send>\n"


def _pause(seconds: float) -> str:
    return f'<pause milliseconds="{round(seconds * 1000)}"/>\n'


def _receive(
    code: int, *, optional: bool = False, challenge: bool = False, routes: bool = False, do: str = ""
) -> str:
    flags = (' optional="true"' if optional else "") + (' auth="true"' if challenge else "")
    flags += ' rrs="true"' if routes else ""
    return f'<recv response="{code}"{flags}>{do}</recv>\n'


def _await(method: str, *, do: str = "") -> str:
    routes = ' rrs="true"' if method == "INVITE" else ""
    return f'<recv request="{method}"{routes}>{do}</recv>\n'


_TRYING = _receive(100, optional=True)
_PROVISIONAL = _TRYING + _receive(180, optional=True)


def _start_media(command: str) -> str:
    """Read the other end's media address out of the SDP just received and start sending to it."""
    find_ip = '<ereg regexp="c=IN IP4 +([0-9.]+)" search_in="body" assign_to="whole_ip,ip"/>'
    find_port = '<ereg regexp="m=audio +([0-9]+)" search_in="body" assign_to="whole_port,port"/>'
    find_from = '<ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/>'
    run = f"<exec command={quoteattr(command.format(remote='[$ip]:[$port]'))}/>"
    return f"<action>{find_ip}{find_port}{find_from}{run}</action>"


def _scenario(*steps: str) -> str:
    body = "".join(steps)
    # sipp refuses variables that are set and never read
    used = '<Reference variables="whole_ip,whole_port,from"/>\n' if "assign_to" in body else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="lab">\n{body}{used}</scenario>\n'


def _invite(sdp: str, cseq: int = 1, *headers: str) -> str:
    request = f"INVITE {_URI} SIP/2.0"
    numbered = f"CSeq: {cseq} INVITE"
    return _send(
        _message(request, _VIA, _FROM, _TO, _CALL_ID, numbered, _CONTACT, _HOPS, *headers, body=sdp), repeat=True
    )


def _ack_failure(cseq: int = 1) -> str:
    """ACK of a non-2xx answer: same branch, same hop (RFC 3261 17.1.1.3)."""
    to = _TO + "[peer_tag_param]"
    return _send(_message(f"ACK {_URI} SIP/2.0", "[last_Via:]", _FROM, to, _CALL_ID, f"CSeq: {cseq} ACK", _HOPS))


def _in_dialog(method: str, cseq: int, *, repeat: bool) -> str:
    to = _TO + "[peer_tag_param]"
    request = f"{method} [next_url] SIP/2.0"
    return _send(
        _message(request, _VIA, "[routes]", _FROM, to, _CALL_ID, f"CSeq: {cseq} {method}", _HOPS), repeat=repeat
    )


def _cancel() -> str:
    request = f"CANCEL {_URI} SIP/2.0"
    return _send(_message(request, "[last_Via:]", _FROM, _TO, _CALL_ID, "CSeq: 1 CANCEL", _HOPS), repeat=True)


def _answer(
    code: int,
    reason: str,
    sdp: str = "",
    *,
    tagged: bool = False,
    repeat: bool = False,
    cseq: str = "[last_CSeq:]",
) -> str:
    to = "[last_To:]" if tagged else "[last_To:];tag=[pid]-[call_number]"
    contact = "Contact: <sip:callee@[local_ip]:[local_port]>"
    lines = (
        f"SIP/2.0 {code} {reason}",
        "[last_Via:]",
        "[last_Record-Route:]",
        "[last_From:]",
        to,
        "[last_Call-ID:]",
    )
    return _send(_message(*lines, cseq, contact, body=sdp), repeat=repeat)


_AWAIT_BYE = _await("BYE") + _answer(200, "OK", tagged=True) + _pause(0.1)


def _caller_is_answered(setup: Setup, cseq: int = 1) -> str:
    media = _start_media(setup.caller_media)
    return _PROVISIONAL + _receive(200, routes=True, do=media) + _in_dialog("ACK", cseq, repeat=False)


def _caller_hangs_up(setup: Setup, cseq: int = 2) -> str:
    return _pause(setup.seconds) + _in_dialog("BYE", cseq, repeat=True) + _receive(200)


def _callee_answers(setup: Setup) -> str:
    ringing = (
        _await("INVITE", do=_start_media(setup.callee_media)) + _answer(180, "Ringing") + _pause(RING_SECONDS)
    )
    return ringing + _answer(200, "OK", _sdp(setup.callee_port, _PCMA), repeat=True) + _await("ACK")


def _callee_hangs_up(setup: Setup) -> str:
    """BYE of the callee: From and To of the INVITE turned round (RFC 3261 12.2.1.1)."""
    mine = "From: <sip:callee@lab.test>;tag=[pid]-[call_number]"
    request = "BYE [next_url] SIP/2.0"
    bye = _message(request, _VIA, "[routes]", mine, "To:[$from]", "[last_Call-ID:]", "CSeq: 1 BYE", _HOPS)
    return _pause(setup.seconds) + _send(bye, repeat=True) + _receive(200)


def _callee_refuses(code: int, reason: str) -> str:
    ringing = _await("INVITE") + _answer(180, "Ringing") + _pause(RING_SECONDS)
    return _scenario(ringing, _answer(code, reason, repeat=True), _await("ACK"))


def _caller_is_refused(setup: Setup, code: int, *codecs: str) -> str:
    offer = _sdp(setup.caller_port, *codecs or (_PCMA,))
    return _scenario(_invite(offer), _PROVISIONAL, _receive(code), _ack_failure())


def _caller_with_password(setup: Setup, password: str, *then: str) -> str:
    offer = _sdp(setup.caller_port, _PCMA)
    credentials = f"[authentication username=caller password={password}]"
    challenged = _invite(offer) + _TRYING + _receive(407, challenge=True) + _ack_failure()
    return _scenario(challenged, _invite(offer, 2, credentials), *then)


def _caller_cancels(setup: Setup, *, once_ringing: bool) -> str:
    heard = _TRYING + _receive(180) if once_ringing else _receive(100)
    cancelled = _pause(0.5) + _cancel() + _receive(200) + _receive(487) + _ack_failure()
    return _scenario(_invite(_sdp(setup.caller_port, _PCMA)), heard, cancelled)


def _callee_is_cancelled(*, rings: bool) -> str:
    heard = _await("INVITE") + (_answer(180, "Ringing") if rings else _answer(100, "Trying"))
    ended = _answer(487, "Request Terminated", repeat=True, cseq="CSeq: 1 INVITE")
    return _scenario(heard, _await("CANCEL"), _answer(200, "OK"), ended, _await("ACK"))


def script(kind: Kind, setup: Setup) -> Script:
    """Return what both ends of a call of this kind do."""
    offer = _invite(_sdp(setup.caller_port, _PCMA, _PCMU))
    to_phone = "callee-{port}"
    answering = _callee_answers(setup)
    match kind:
        case Kind.ANSWERED:
            caller = _scenario(offer, _caller_is_answered(setup), _caller_hangs_up(setup))
            return Script(to_phone, caller, _scenario(answering, _AWAIT_BYE))
        case Kind.CALLEE_RELEASES:
            caller = _scenario(offer, _caller_is_answered(setup), _AWAIT_BYE)
            return Script(to_phone, caller, _scenario(answering, _callee_hangs_up(setup)))
        case Kind.SECURE:
            talk = _caller_is_answered(setup, 2) + _caller_hangs_up(setup, 3)
            caller = _caller_with_password(setup, PASSWORD, talk)
            return Script(f"secure-{to_phone}", caller, _scenario(answering, _AWAIT_BYE))
        case Kind.VANISHED:
            caller = _scenario(offer, _caller_is_answered(setup), _pause(setup.seconds))
            return Script(to_phone, caller, _scenario(answering, _pause(setup.seconds)))
        case Kind.WRONG_PASSWORD:
            refused = _TRYING + _receive(403) + _ack_failure(2)
            return Script("secure-nobody", _caller_with_password(setup, "wrong", refused), None)
        case Kind.NOT_FOUND:
            return Script("nobody", _caller_is_refused(setup, 404), None)
        case Kind.PROXY_OVERLOADED:
            return Script("overload", _caller_is_refused(setup, 503), None)
        case Kind.BUSY:
            return Script(to_phone, _caller_is_refused(setup, 486), _callee_refuses(486, "Busy Here"))
        case Kind.NOT_ACCEPTABLE:
            refuses = _callee_refuses(488, "Not Acceptable Here")
            return Script(to_phone, _caller_is_refused(setup, 488, _G729), refuses)
        case Kind.CALLEE_OVERLOADED:
            refuses = _callee_refuses(503, "Service Unavailable")
            return Script(to_phone, _caller_is_refused(setup, 500), refuses)
        case Kind.CANCELLED_RINGING:
            return Script(to_phone, _caller_cancels(setup, once_ringing=True), _callee_is_cancelled(rings=True))
        case Kind.CANCELLED_EARLY:
            return Script(to_phone, _caller_cancels(setup, once_ringing=False), _callee_is_cancelled(rings=False))
        case Kind.NO_ANSWER:
            return Script(to_phone, _caller_is_refused(setup, 408), _callee_is_cancelled(rings=True))


def registration(kind: Registration) -> str:
    """Return what a phone does to register."""

    def register(cseq: int, *headers: str) -> str:
        mine = "From: <sip:[service]@lab.test>;tag=[pid]-[call_number]"
        contact = "Contact: <sip:[service]@[local_ip]:[local_port]>;expires=120"
        request = "REGISTER sip:lab.test SIP/2.0"
        lines = (request, _VIA, mine, _TO, _CALL_ID, f"CSeq: {cseq} REGISTER", contact, _HOPS, *headers)
        return _send(_message(*lines), repeat=True)

    asked = register(1) + _receive(401, challenge=True)
    if kind is Registration.GIVEN_UP:
        return _scenario(asked)
    good = kind is Registration.REGISTERED
    credentials = f"[authentication username=phone password={PASSWORD if good else 'wrong'}]"
    return _scenario(asked, register(2, credentials), _receive(200 if good else 403))
