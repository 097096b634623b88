"""Final statuses to outcomes, and the RFC 3398 maps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.model import Outcome
from telephony.outcomes import classify, q850_of, q850_text, sip_of


@pytest.mark.parametrize(
    ("sip_code", "ringing", "cancelled", "outcome"),
    [
        (200, True, False, Outcome.ANSWERED),
        (202, False, False, Outcome.ANSWERED),
        (200, True, True, Outcome.ANSWERED),  # CANCEL crossed the 200
        (301, False, False, Outcome.REDIRECTED),
        (302, False, False, Outcome.REDIRECTED),
        (401, False, False, Outcome.CHALLENGED),
        (402, False, False, Outcome.CHALLENGED),
        (407, False, False, Outcome.CHALLENGED),
        (403, False, False, Outcome.CLIENT_ERROR),
        (404, False, False, Outcome.CLIENT_ERROR),
        (408, True, False, Outcome.NO_ANSWER),
        (408, False, False, Outcome.TIMEOUT),
        (480, False, False, Outcome.NO_ANSWER),
        (480, True, False, Outcome.NO_ANSWER),
        (484, False, False, Outcome.CLIENT_ERROR),
        (486, False, False, Outcome.BUSY),
        (486, True, False, Outcome.BUSY),
        (487, True, True, Outcome.NO_ANSWER),
        (487, True, False, Outcome.NO_ANSWER),
        (487, False, True, Outcome.ABANDONED),
        (487, False, False, Outcome.ABANDONED),
        (488, False, False, Outcome.CLIENT_ERROR),
        (500, False, False, Outcome.NO_FACILITY),
        (503, True, False, Outcome.NO_FACILITY),
        (504, False, False, Outcome.NO_FACILITY),
        (580, False, False, Outcome.NO_FACILITY),
        (600, False, False, Outcome.BUSY),
        (603, True, False, Outcome.REJECTED),
        (604, False, False, Outcome.CLIENT_ERROR),
        (606, False, False, Outcome.CLIENT_ERROR),
        (607, False, False, Outcome.REJECTED),
        (608, False, False, Outcome.REJECTED),
        (None, False, False, Outcome.TIMEOUT),
        (None, True, False, Outcome.TIMEOUT),
        (None, False, True, Outcome.ABANDONED),
        (None, True, True, Outcome.NO_ANSWER),
        (0, False, False, Outcome.TIMEOUT),
        (180, True, False, Outcome.TIMEOUT),
        (999, False, False, Outcome.TIMEOUT),
    ],
)
def test_outcomes_classify(sip_code, ringing, cancelled, outcome):
    assert outcome is classify(sip_code, ringing=ringing, cancelled=cancelled)


def test_outcomes_403_is_rejected_where_configured():
    assert Outcome.REJECTED is classify(403, ringing=False, cancelled=False, reject_403=True)


@given(st.none() | st.integers(-10, 1000), st.booleans(), st.booleans(), st.booleans())
def test_outcomes_every_status_has_one(sip_code, ringing, cancelled, reject_403):
    outcome = classify(sip_code, ringing=ringing, cancelled=cancelled, reject_403=reject_403)
    assert (outcome is Outcome.ANSWERED) == (sip_code is not None and 200 <= sip_code < 300)


@pytest.mark.parametrize(
    ("sip_code", "q850"),
    [
        (404, 1),
        (408, 102),
        (480, 18),
        (486, 17),
        (503, 41),
        (600, 17),
        (603, 21),
        (487, None),
        (488, None),
        (200, None),
    ],
)
def test_outcomes_q850_of_a_status(sip_code, q850):
    assert q850 == q850_of(sip_code)


def test_outcomes_no_status_has_no_cause():
    assert q850_of(None) is None


@pytest.mark.parametrize(
    ("q850", "sip_code"), [(1, 404), (17, 486), (18, 408), (19, 480), (21, 403), (34, 503), (102, 504), (16, None)]
)
def test_outcomes_status_of_a_q850_cause(q850, sip_code):
    assert sip_code == sip_of(q850)


def test_outcomes_every_mapped_cause_has_a_text():
    causes = {cause for code in range(400, 700) if (cause := q850_of(code))} | {c for c in range(128) if sip_of(c)}
    assert not [cause for cause in causes if q850_text(cause).startswith("cause ")]
