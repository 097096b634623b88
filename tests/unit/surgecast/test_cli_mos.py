"""`surgecast mos`: what it prints for people; its JSON is in the contract tests."""

import pytest
from cli_runner import surgecast

from telephony.codecs import lookup
from telephony.emodel import rate


def test_the_rating_and_its_terms_are_shown() -> None:
    ran = surgecast("mos", "--codec", "G729", "--loss", "2", "--delay", "120")
    rating = rate(lookup("G729"), loss_ratio=0.02, delay_ms=120)
    first, second = ran.out.splitlines()
    assert f"MOS {rating.mos:.2f}  R {rating.r_factor:.1f}  scale nb  band {rating.band.letter}" in first
    assert f"Ie,eff {rating.terms.ie_eff:.2f}" in second


@pytest.mark.parametrize("codec", ["klingon", "", "x" * 300])
def test_an_unknown_codec_is_exit_2(codec: str) -> None:
    ran = surgecast("mos", "--codec", codec)
    assert (2, "") == (ran.code, ran.out)
    assert "for example PCMA" in ran.err
    assert len(ran.err) < 200
