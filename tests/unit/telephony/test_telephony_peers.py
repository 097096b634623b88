"""What we say of a call beside what other tools say of it: G.711, random loss, RTT 100 ms, jitter 5 ms.

The other tools' formulas are written down here, as their sources have them, and nowhere in the product.
"""

import math

import pytest

from telephony.codecs import lookup
from telephony.emodel import rate

RTT_MS, JITTER_MS = 100.0, 5.0
NETWORK_DELAY_MS = RTT_MS / 2 + JITTER_MS

TABLE = {
    # loss %: ours without and with PLC, rtpengine, rtpengine legacy, heplify, SIP3, VoIPmonitor, sipnab
    0: (4.38, 4.38, 4.30, 4.34, 4.50, 4.41, 4.50, 4.38),
    1: (3.77, 4.29, 4.13, 4.28, 4.50, 3.83, 4.09, 4.14),
    3: (2.72, 4.08, 3.74, 4.12, 4.50, 2.79, 3.80, 3.59),
    5: (2.10, 3.86, 3.34, 3.93, 4.00, 2.17, 3.59, 3.11),
    10: (1.43, 3.34, 2.58, 3.36, 3.50, 1.48, 3.28, 2.28),
    20: (1.09, 2.56, 2.44, 2.07, 3.00, 1.12, 2.99, 1.55),
}
LONG_DELAY = (2.82, 3.55, 3.26, 2.10, 4.50, 3.83, 4.09, 1.00)
"""1 % of loss at 300 ms one way."""


def annex_b(r):
    if r <= 0:
        return 1.0
    return 4.5 if r >= 100 else 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6


def cole_rosenbluth_id(delay_ms, power=1.0):
    over = max(0.0, delay_ms - 177.3)
    return 0.024 * delay_ms + 0.11 * over**power


def ie_eff(loss_pct, bpl):
    return 95 * loss_pct / (loss_pct + bpl)


def rtpengine_default(loss_pct, delay_ms):
    """A parabola in R that bottoms near R = 77.5 and rises again: not monotone in loss."""
    r = 93.2 - loss_pct
    return annex_b(0.18 * r * r - 27.9 * r + 1126.62 - cole_rosenbluth_id(delay_ms))


def rtpengine_legacy(loss_pct, rtt_ms, jitter_ms):
    effective = rtt_ms + 2 * jitter_ms + 10
    r = 93.2 - (effective / 40 if effective < 160 else (effective - 120) / 10) - 2.5 * loss_pct
    return annex_b(r)


def heplify(loss_pct):
    fraction = math.floor(256 * loss_pct / 100)
    return next(mos for edge, mos in ((10, 4.5), (25, 4.0), (50, 3.5), (100, 3.0), (256, 2.5)) if fraction < edge)


def sip3(loss_pct):
    return annex_b(93.2 - ie_eff(loss_pct, 4.3))


def voipmonitor(loss_pct):
    r = 93.2062 - 95 * loss_pct / (loss_pct + 17.2647)
    return min(4.5, 2.06405 + 0.031738 * r - 0.000356641 * r * r + 2.93143e-6 * r**3) if loss_pct else 4.5


def sipnab(loss_pct, delay_ms):
    return max(1.0, annex_b(93.2 - cole_rosenbluth_id(delay_ms, power=1.5) - ie_eff(loss_pct, 10.0)))


def ours(variant, loss_pct, delay_ms):
    return rate(lookup(variant), loss_ratio=loss_pct / 100, delay_ms=delay_ms).mos


@pytest.mark.parametrize("loss_pct", TABLE)
def test_peers_our_columns_are_true_g107(loss_pct):
    no_plc, plc = TABLE[loss_pct][:2]
    assert no_plc == pytest.approx(ours("PCMA-NOPLC", loss_pct, NETWORK_DELAY_MS), abs=0.02)
    assert plc == pytest.approx(ours("PCMA", loss_pct, NETWORK_DELAY_MS), abs=0.02)


def test_peers_our_columns_are_true_g107_at_a_long_delay():
    no_plc, plc = LONG_DELAY[:2]
    assert no_plc == pytest.approx(ours("PCMA-NOPLC", 1, 300.0), abs=0.02)
    assert plc == pytest.approx(ours("PCMA", 1, 300.0), abs=0.02)


@pytest.mark.parametrize("loss_pct", TABLE)
def test_peers_say_what_the_table_says(loss_pct):
    said = (
        rtpengine_default(loss_pct, NETWORK_DELAY_MS),
        rtpengine_legacy(loss_pct, RTT_MS, JITTER_MS),
        heplify(loss_pct),
        sip3(loss_pct),
        voipmonitor(loss_pct),
        sipnab(loss_pct, NETWORK_DELAY_MS),
    )
    assert TABLE[loss_pct][2:] == pytest.approx(said, abs=0.02)


def test_peers_of_one_call_span_the_whole_scale():
    said = (
        rtpengine_default(1, 300.0 + JITTER_MS),
        rtpengine_legacy(1, 600.0, JITTER_MS),
        heplify(1),
        sip3(1),
        voipmonitor(1),
        sipnab(1, 300.0 + JITTER_MS),
    )
    assert LONG_DELAY[2:] == pytest.approx(said, abs=0.02)
    assert (1.0, 4.5) == (min(said), max(said))


def test_peers_a_dead_call_is_excellent_to_a_parabola_but_not_to_us():
    assert rtpengine_default(20, 55.0) < rtpengine_default(40, 55.0) == 4.5
    assert ours("PCMA", 40, 55.0) < ours("PCMA", 20, 55.0)
