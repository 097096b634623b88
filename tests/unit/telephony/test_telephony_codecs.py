"""The codec table: names in any spelling, published values as published, everything else marked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.codecs import (
    FALLBACK,
    canonical_name,
    is_known,
    lookup,
    on_scale,
    pinned_bitrate_kbps,
    static_codec,
)
from telephony.model import Scale, Source

PUBLISHED = [
    # name, scale, Ie, Bpl: ITU-T G.113 Appendix I, IV and V
    ("PCMU-NOPLC", Scale.NARROWBAND, 0.0, 4.3),
    ("PCMA-NOPLC", Scale.NARROWBAND, 0.0, 4.3),
    ("G711-NOPLC", Scale.NARROWBAND, 0.0, 4.3),
    ("PCMU", Scale.NARROWBAND, 0.0, 25.1),
    ("PCMA", Scale.NARROWBAND, 0.0, 25.1),
    ("G711", Scale.NARROWBAND, 0.0, 25.1),
    ("G729", Scale.NARROWBAND, 10.0, 19.0),
    ("G729-VAD", Scale.NARROWBAND, 11.0, 19.0),
    ("G723-6.3", Scale.NARROWBAND, 15.0, 16.1),
    ("GSM-EFR", Scale.NARROWBAND, 5.0, 10.0),
    ("EVS-48", Scale.FULLBAND, 10.2, 9.6),
    ("EVS-32", Scale.FULLBAND, 8.7, 9.3),
    ("EVS-24.4", Scale.FULLBAND, 7.2, 11.4),
    ("EVS-9.6", Scale.FULLBAND, 22.7, 13.0),
]
PUBLISHED_IE = [
    ("G726-40", 2.0),
    ("G726-32", 7.0),
    ("G726-24", 25.0),
    ("G726-16", 50.0),
    ("G728", 7.0),
    ("GSM", 20.0),
    ("GSM-HR", 23.0),
    ("G723-5.3", 19.0),
    ("G722", 13.0),
    ("AMR-WB-6.6", 41.0),
    ("AMR-WB-8.85", 26.0),
    ("AMR-WB-12.65", 13.0),
    ("AMR-WB-14.25", 10.0),
    ("AMR-WB-15.85", 7.0),
    ("AMR-WB-18.25", 5.0),
    ("AMR-WB-19.85", 3.0),
    ("AMR-WB-23.05", 1.0),
    ("AMR-WB-23.85", 8.0),
]


@pytest.mark.parametrize(("name", "scale", "ie", "bpl"), PUBLISHED)
def test_codecs_published_rows_are_as_published(name, scale, ie, bpl):
    codec = lookup(name)
    assert (name, scale, ie, bpl, Source.PUBLISHED) == (
        codec.name,
        codec.scale,
        codec.ie,
        codec.bpl,
        codec.provenance,
    )


@pytest.mark.parametrize(("name", "ie"), PUBLISHED_IE)
def test_codecs_without_a_published_bpl_are_assumed_under_loss_only(name, ie):
    codec = lookup(name)
    assert (ie, Source.PUBLISHED, Source.ASSUMED) == (codec.ie, codec.ie_source, codec.provenance)


@pytest.mark.parametrize("name", ["ILBC", "OPUS", "AMR", "AMR-12.2", "SPEEX", "SILK", "AMR-WB", "EVS", "G723"])
def test_codecs_without_a_row_or_a_mode_are_assumed(name):
    codec = lookup(name)
    assert Source.ASSUMED is codec.ie_source
    assert "assumed" in codec.source


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("pcma", "PCMA"),
        ("PCMU/8000", "PCMU"),
        ("G.711", "G711"),
        ("G711u", "PCMU"),
        ("alaw", "PCMA"),
        ("g.729a", "G729"),
        ("G729AB", "G729-VAD"),
        ("G.723.1", "G723"),
        ("G.722", "G722"),
        ("G.722.2", "AMR-WB"),
        ("G.726-32", "G726-32"),
        ("AAL2-G726-24", "G726-24"),
        ("opus/48000/2", "OPUS"),
        ("AMRWB", "AMR-WB"),
        ("gsm_efr", "GSM-EFR"),
        ("iLBC", "ILBC"),
        ("telephone-event", "TELEPHONE-EVENT"),
        ("t38", "T38"),
        ("CN", "CN"),
    ],
)
def test_codecs_are_known_by_any_spelling(spelling, name):
    assert is_known(spelling)
    assert name == lookup(spelling).name


@pytest.mark.parametrize("name", ["", "-", "UNKNOWN", "QCELP", "G.719", "klingon", "PCMU-5", "PCMA-WB", "amr-"])
def test_codecs_unknown_names_get_the_fallback(name):
    assert not is_known(name)
    assert lookup(name) is FALLBACK


@given(st.text(max_size=60), st.none() | st.booleans(), st.none() | st.floats())
def test_codecs_lookup_never_fails(name, plc, bitrate):
    assert lookup(name, plc, bitrate).bpl > 0
    assert canonical_name(name) == canonical_name(canonical_name(name))


@pytest.mark.parametrize(
    ("name", "plc", "expected"),
    [
        ("PCMA", None, "PCMA"),
        ("PCMA", True, "PCMA-PLC"),
        ("PCMA", False, "PCMA-NOPLC"),
        ("G729", False, "G729"),
        ("PCMA-NOPLC", True, "PCMA-NOPLC"),
        ("klingon", False, "UNKNOWN"),
    ],
)
def test_codecs_concealment_matters_to_g711_alone(name, plc, expected):
    assert expected == lookup(name, plc).name


def test_codecs_assumed_concealment_is_said():
    assert "assumed" in lookup("PCMA").source
    assert "assumed" not in lookup("PCMA", plc=True).source


@pytest.mark.parametrize(
    ("name", "bitrate", "expected"),
    [
        ("AMR-WB", 23.85, "AMR-WB-23.85"),
        ("AMR-WB", 99.0, "AMR-WB"),
        ("EVS", 24.4, "EVS-24.4"),
        ("G723", 5.3, "G723-5.3"),
        ("G726", 40.0, "G726-32"),
        ("PCMA", 64.0, "PCMA"),
    ],
)
def test_codecs_bitrate_picks_the_row(name, bitrate, expected):
    assert expected == lookup(name, bitrate_kbps=bitrate).name


@pytest.mark.parametrize(
    ("fmtp", "bitrate"),
    [
        ("octet-align=1; mode-set=2", 12.65),
        ("mode-set=8", 23.85),
        ("mode-set=0,2,4", None),
        ("mode-set=9", None),
        ("mode-set=" + "9" * 6000, None),
        ("octet-align=1", None),
        ("", None),
    ],
)
def test_codecs_one_mode_pins_the_bitrate(fmtp, bitrate):
    assert bitrate == pinned_bitrate_kbps("AMR-WB", fmtp)


def test_codecs_without_modes_have_no_pinned_bitrate():
    assert (12.2, None) == (pinned_bitrate_kbps("amr", "mode-set=7"), pinned_bitrate_kbps("PCMA", "mode-set=7"))


@pytest.mark.parametrize(
    ("payload_type", "name", "clock"),
    [
        (0, "PCMU", 8000),
        (3, "GSM", 8000),
        (8, "PCMA", 8000),
        (9, "G722", 8000),
        (13, "CN", 8000),
        (18, "G729", 8000),
    ],
)
def test_codecs_static_payload_types(payload_type, name, clock):
    codec = static_codec(payload_type)
    assert (name, clock) == (codec.name, codec.clock_rate_hz)


@pytest.mark.parametrize("payload_type", [-1, 1, 2, 19, 34, 96, 101, 128])
def test_codecs_other_payload_types_are_not_static_audio(payload_type):
    assert static_codec(payload_type) is None


def test_codecs_signals_carry_no_voice():
    assert [False, False, False, True] == [lookup(n).voice for n in ("telephone-event", "CN", "T38", "PCMA")]


@pytest.mark.parametrize(
    ("name", "scale", "ie"),
    [
        ("PCMA", Scale.NARROWBAND, 0.0),
        ("PCMA", Scale.WIDEBAND, 35.8),
        ("G729", Scale.FULLBAND, 64.8),
        ("G722", Scale.FULLBAND, 32.0),
        ("G722", Scale.NARROWBAND, 0.0),
    ],
)
def test_codecs_on_another_scale_lose_for_the_missing_bandwidth(name, scale, ie):
    moved = lookup(name, scale=scale)
    assert (scale, pytest.approx(ie)) == (moved.scale, moved.ie)


def test_codecs_on_a_narrower_scale_are_assumed():
    moved = on_scale(lookup("EVS-24.4"), Scale.WIDEBAND)
    assert Source.ASSUMED is moved.ie_source
    assert "-19.0" in moved.source
