"""From observation to rating: the delay budget, what is measured and what is assumed, the explanation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.codecs import lookup
from telephony.model import Scale, Source
from telephony.quality import JITTER_BUFFER_MAX_MS, assess, delay_budget, explain

G729 = lookup("G729")


@pytest.mark.parametrize(
    ("rtt_ms", "jitter_ms", "ptime_ms", "delay_ms", "source"),
    [
        # rtt / 2 + buffer + packet + lookahead 5
        (100.0, 5.0, 20.0, 50 + 20 + 20 + 5, Source.PUBLISHED),
        (100.0, 40.0, 20.0, 50 + 80 + 20 + 5, Source.PUBLISHED),
        (100.0, 500.0, 20.0, 50 + JITTER_BUFFER_MAX_MS + 20 + 5, Source.PUBLISHED),
        (0.0, 0.0, 30.0, 0 + 30 + 30 + 5, Source.PUBLISHED),
        (None, 0.0, 20.0, 0 + 20 + 20 + 5, Source.ASSUMED),
        (None, None, None, 0 + 20 + 20 + 5, Source.ASSUMED),
        (-8.0, 0.0, 20.0, 0 + 20 + 20 + 5, Source.PUBLISHED),
        (100.0, 0.0, 5.0, 50 + 5 + 10 + 5, Source.PUBLISHED),  # a packet holds at least one frame of 10 ms
        (100.0, 0.0, 0.0, 50 + 20 + 20 + 5, Source.PUBLISHED),
    ],
)
def test_quality_delay_budget(rtt_ms, jitter_ms, ptime_ms, delay_ms, source):
    assert (delay_ms, source) == delay_budget(rtt_ms, jitter_ms, ptime_ms, G729)


def test_quality_discarded_packets_count_as_lost():
    assert assess("PCMA", 0.03).r_factor == pytest.approx(assess("PCMA", 0.01, discard_ratio=0.02).r_factor)


def test_quality_declared_lack_of_concealment_lowers_mos():
    assert assess("PCMA", 0.02, plc=False).mos < assess("PCMA", 0.02).mos - 0.9


def test_quality_rating_carries_its_sources():
    measured, blind = assess("PCMA", 0.0, rtt_ms=80.0), assess("klingon", 0.0)
    assert (Source.PUBLISHED, Source.PUBLISHED) == (measured.delay_source, measured.codec_source)
    assert (Source.ASSUMED, Source.ASSUMED) == (blind.delay_source, blind.codec_source)


def test_quality_an_unknown_codec_raises_no_alarm_by_itself():
    assert "B" == assess("klingon", 0.0).band.letter


@pytest.mark.parametrize(
    ("name", "scale"), [("PCMA", Scale.NARROWBAND), ("G722", Scale.WIDEBAND), ("opus", Scale.FULLBAND)]
)
def test_quality_rates_on_the_scale_of_the_codec(name, scale):
    assert scale is assess(name, 0.0).scale


@given(
    codec=st.sampled_from(["PCMA", "G729", "AMR-WB", "OPUS", "klingon"]),
    loss=st.floats(0, 1),
    discard=st.floats(0, 1),
    jitter=st.floats(0, 1000),
    rtt=st.none() | st.floats(0, 5000),
    burst=st.none() | st.floats(0.1, 50),
)
def test_quality_every_observation_gets_a_mos_on_its_scale(codec, loss, discard, jitter, rtt, burst):
    rating = assess(codec, loss, discard, jitter, rtt, burst, 20)
    assert 1.0 <= rating.mos <= 4.5


@given(st.floats(0, 300), st.floats(0, 300), st.floats(0, 1500), st.floats(0, 1500))
def test_quality_mos_never_rises_with_jitter_or_round_trip(jitter1, jitter2, rtt1, rtt2):
    better = assess("PCMA", 0.01, 0.0, min(jitter1, jitter2), min(rtt1, rtt2))
    worse = assess("PCMA", 0.01, 0.0, max(jitter1, jitter2), max(rtt1, rtt2))
    assert worse.mos <= better.mos


@pytest.mark.parametrize("codec", ["PCMA", "G722", "OPUS"])
def test_quality_explanation_adds_up(codec):
    rating = assess(codec, 0.02, jitter_ms=12.0, rtt_ms=220.0, burst_ratio=1.6)
    value = {line.term: line.value for line in explain(rating)}
    assert value["R"] == pytest.approx(value["Ro"] - value["Is"] - value["Id"] - value["Ie,eff"])
    assert value["Id"] == pytest.approx(value["Idte"] + value["Idle"] + value["Idd"])
    assert (rating.r_factor, rating.mos) == (value["R"], value["MOS"])


@pytest.mark.parametrize(
    ("burst_ratio", "loss", "words"),
    [
        (None, 0.0, "no packet loss"),
        (None, 0.015, "1.50 % of packets lost or discarded, random"),
        (1.8, 0.015, "in runs 1.8 times as long as random loss makes"),
        (6.0, 0.015, "beyond what the model was checked for"),
    ],
)
def test_quality_explanation_says_how_packets_were_lost(burst_ratio, loss, words):
    lines = {line.term: line.sentence for line in explain(assess("PCMA", loss, burst_ratio=burst_ratio))}
    assert words in lines["Ie,eff"]


def test_quality_explanation_says_what_was_assumed():
    lines = {line.term: line.sentence for line in explain(assess("PCMA", 0.01))}
    assert "network's part is assumed" in lines["Id"]
    assert "concealment (G.711 Appendix I) at the receiver is assumed" in lines["Ie"]
