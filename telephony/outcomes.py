"""What a session attempt came to: SIP final status to outcome, and SIP to and from Q.850 cause values.

One function classifies; KPIs, records and alerts all use its outcome, so that no two figures disagree about
what was a busy call.
"""

from telephony.model import Outcome

_BY_STATUS = {
    401: Outcome.CHALLENGED,
    402: Outcome.CHALLENGED,
    407: Outcome.CHALLENGED,
    480: Outcome.NO_ANSWER,
    486: Outcome.BUSY,
    600: Outcome.BUSY,
    603: Outcome.REJECTED,
    607: Outcome.REJECTED,
    608: Outcome.REJECTED,
}


def classify(sip_code: int | None, *, ringing: bool, cancelled: bool, reject_403: bool = False) -> Outcome:
    """Return the outcome of a session attempt from its final status, challenges folded.

    Args:
        sip_code: The final status that the caller saw; None, 0 or a provisional one where there was none.
        ringing: An 18x was seen.
        cancelled: The caller sent CANCEL.
        reject_403: Count 403 as rejected by the callee and not as a client error.

    >>> classify(487, ringing=False, cancelled=True), classify(487, ringing=True, cancelled=True)
    (<Outcome.ABANDONED: 'abandoned'>, <Outcome.NO_ANSWER: 'no_answer'>)
    >>> classify(None, ringing=True, cancelled=False)
    <Outcome.TIMEOUT: 'timeout'>
    """
    if sip_code is None or not 200 <= sip_code < 700:
        if cancelled:
            return Outcome.NO_ANSWER if ringing else Outcome.ABANDONED
        return Outcome.TIMEOUT
    if sip_code < 300:
        return Outcome.ANSWERED
    if sip_code < 400:
        return Outcome.REDIRECTED
    if sip_code == 487:
        return Outcome.NO_ANSWER if ringing else Outcome.ABANDONED
    if sip_code == 408:
        return Outcome.NO_ANSWER if ringing else Outcome.TIMEOUT
    if sip_code == 403 and reject_403:
        return Outcome.REJECTED
    if 500 <= sip_code < 600:
        return Outcome.NO_FACILITY
    return _BY_STATUS.get(sip_code, Outcome.CLIENT_ERROR)


_Q850_OF_SIP = {
    400: 41,
    401: 21,
    402: 21,
    403: 21,
    404: 1,
    405: 63,
    406: 79,
    407: 21,
    408: 102,
    410: 22,
    413: 127,
    414: 127,
    415: 79,
    416: 127,
    420: 127,
    421: 127,
    423: 127,
    480: 18,
    481: 41,
    482: 25,
    483: 25,
    484: 28,
    485: 1,
    486: 17,
    500: 41,
    501: 79,
    502: 38,
    503: 41,
    504: 102,
    505: 127,
    513: 127,
    600: 17,
    603: 21,
    604: 1,
    607: 21,
    608: 21,
}
"""RFC 3398 section 8.2.6.1; 607 and 608 (RFC 8197, RFC 8688) as the 603 they refine."""

_SIP_OF_Q850 = {
    1: 404,
    2: 404,
    3: 404,
    17: 486,
    18: 408,
    19: 480,
    20: 480,
    21: 403,
    22: 410,
    23: 410,
    26: 404,
    27: 502,
    28: 484,
    29: 501,
    31: 480,
    34: 503,
    38: 503,
    41: 503,
    42: 503,
    47: 503,
    55: 403,
    57: 403,
    58: 503,
    65: 488,
    70: 488,
    79: 501,
    87: 403,
    88: 503,
    102: 504,
    111: 500,
    127: 500,
}
"""RFC 3398 section 7.2.4.1."""

_Q850_TEXTS = {
    1: "unallocated number",
    2: "no route to specified transit network",
    3: "no route to destination",
    4: "send special information tone",
    5: "misdialled trunk prefix",
    6: "channel unacceptable",
    7: "call awarded and being delivered in an established channel",
    8: "preemption",
    9: "preemption, circuit reserved for reuse",
    14: "query on release, ported number",
    16: "normal call clearing",
    17: "user busy",
    18: "no user responding",
    19: "no answer from user (user alerted)",
    20: "subscriber absent",
    21: "call rejected",
    22: "number changed",
    23: "redirection to new destination",
    24: "call rejected due to feature at the destination",
    25: "exchange routing error",
    26: "non-selected user clearing",
    27: "destination out of order",
    28: "invalid number format (address incomplete)",
    29: "facility rejected",
    30: "response to status enquiry",
    31: "normal, unspecified",
    34: "no circuit or channel available",
    38: "network out of order",
    39: "permanent frame mode connection out of service",
    40: "permanent frame mode connection operational",
    41: "temporary failure",
    42: "switching equipment congestion",
    43: "access information discarded",
    44: "requested circuit or channel not available",
    46: "precedence call blocked",
    47: "resource unavailable, unspecified",
    49: "quality of service not available",
    50: "requested facility not subscribed",
    53: "outgoing calls barred within closed user group",
    55: "incoming calls barred within closed user group",
    57: "bearer capability not authorized",
    58: "bearer capability not presently available",
    62: "inconsistency in outgoing access information and subscriber class",
    63: "service or option not available, unspecified",
    65: "bearer capability not implemented",
    66: "channel type not implemented",
    69: "requested facility not implemented",
    70: "only restricted digital information bearer capability is available",
    79: "service or option not implemented, unspecified",
    81: "invalid call reference value",
    82: "identified channel does not exist",
    83: "a suspended call exists, but this call identity does not",
    84: "call identity in use",
    85: "no call suspended",
    86: "call having the requested call identity has been cleared",
    87: "user not member of closed user group",
    88: "incompatible destination",
    90: "non-existent closed user group",
    91: "invalid transit network selection",
    95: "invalid message, unspecified",
    96: "mandatory information element is missing",
    97: "message type non-existent or not implemented",
    98: "message not compatible with call state, or type not implemented",
    99: "information element or parameter non-existent or not implemented",
    100: "invalid information element contents",
    101: "message not compatible with call state",
    102: "recovery on timer expiry",
    103: "parameter non-existent or not implemented, passed on",
    110: "message with unrecognized parameter, discarded",
    111: "protocol error, unspecified",
    127: "interworking, unspecified",
}
"""ITU-T Q.850 table 1."""


def q850_of(sip_code: int | None) -> int | None:
    """Return the Q.850 cause of a failed INVITE's final status; None where RFC 3398 maps it to none.

    487 has no cause, and 488 and 606 take theirs from a Warning header.

    >>> q850_of(486), q850_of(487)
    (17, None)
    """
    return None if sip_code is None else _Q850_OF_SIP.get(sip_code)


def sip_of(q850: int) -> int | None:
    """Return the SIP status of a Q.850 cause (RFC 3398 section 7.2.4.1); None where it has none.

    >>> sip_of(34), sip_of(16)
    (503, None)
    """
    return _SIP_OF_Q850.get(q850)


def q850_text(q850: int) -> str:
    """Return the meaning of a Q.850 cause value.

    >>> q850_text(16), q850_text(126)
    ('normal call clearing', 'cause 126')
    """
    return _Q850_TEXTS.get(q850, f"cause {q850}")
