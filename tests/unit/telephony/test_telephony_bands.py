"""Bands cut on R at the edges of G.109, on every scale."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.bands import R_DIVISOR, Band, band_of
from telephony.model import Scale


@pytest.mark.parametrize(
    ("r", "letter"),
    [
        (100, "A"),
        (90, "A"),
        (89.999, "B"),
        (80, "B"),
        (79.999, "C"),
        (70, "C"),
        (69.999, "D"),
        (60, "D"),
        (59.999, "E"),
        (50, "E"),
        (49.999, "F"),
        (0, "F"),
        (-40, "F"),
        (math.nan, "F"),
    ],
)
def test_bands_cut_on_r(r, letter):
    assert letter == band_of(r).letter


@given(st.floats(-50, 150), st.sampled_from(Scale))
def test_bands_of_wider_scales_are_those_of_the_scaled_rating(r, scale):
    assert band_of(r / R_DIVISOR[scale]) is band_of(r, scale)


def test_bands_have_a_letter_and_a_text_each():
    assert "ABCDEF" == "".join(band.letter for band in Band)
    assert all(band.text for band in Band)


def test_bands_are_found_by_their_letter():
    assert Band.SOME_DISSATISFIED is Band("C")
