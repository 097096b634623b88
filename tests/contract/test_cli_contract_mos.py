"""`surgecast mos --json` as a contract: its keys, and an independent E-model's figures."""

import math

import g107_oracle
import pytest
from cli_runner import surgecast

CODECS = {
    # Ie and Bpl as G.113 prints them
    "PCMA": ("nb", 0.0, 25.1),
    "PCMU-NOPLC": ("nb", 0.0, 4.3),
    "G729": ("nb", 10.0, 19.0),
    "G723": ("nb", 15.0, 16.1),
    "GSM-EFR": ("nb", 5.0, 10.0),
    "AMR-WB-12.65": ("wb", 13.0, 4.3),
    "AMR-WB-23.05": ("wb", 1.0, 4.6),
    "OPUS": ("fb", 10.2, 4.3),
}


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("loss", [0, 0.5, 1, 3, 5, 10, 20, 100])
@pytest.mark.parametrize("burst_ratio", [1, 1.5, 3])
def test_mos_agrees_with_an_independent_e_model(codec: str, loss: float, burst_ratio: float) -> None:
    scale, ie, bpl = CODECS[codec]
    for delay in (0,) if scale == "wb" else (0, 20, 100, 150, 250, 400, 1000):
        ran = surgecast(
            "mos", "--codec", codec, "--loss", loss, "--delay", delay, "--burst-ratio", burst_ratio, "--json"
        )
        r, mos = g107_oracle.rating(
            ie=ie, bpl=bpl, loss_pct=loss, delay_ms=delay, burst_ratio=burst_ratio, scale=scale
        )
        found = ran.json
        assert scale == found["scale"]
        assert (pytest.approx(r, abs=0.01), pytest.approx(mos, abs=0.01)) == (found["r_factor"], found["mos"])


@pytest.mark.parametrize(
    ("codec", "scale", "ie"),
    [("PCMA", "wb", 35.8), ("G729", "wb", 45.8), ("PCMA", "fb", 54.8), ("OPUS", "wb", 0.0)],
)
def test_mos_on_another_scale(codec: str, scale: str, ie: float) -> None:
    """A codec takes its Ie along, moved by what its bandwidth lacks; Bpl is kept."""
    bpl = CODECS[codec][2]
    found = surgecast("mos", "--codec", codec, "--loss", "2", "--scale", scale, "--json").json
    r, mos = g107_oracle.rating(ie=ie, bpl=bpl, loss_pct=2, delay_ms=0, scale=scale)
    assert (scale, pytest.approx(r, abs=0.01), pytest.approx(mos, abs=0.01)) == (
        found["scale"],
        found["r_factor"],
        found["mos"],
    )


def test_mos_keys_and_that_the_terms_add_up() -> None:
    found = surgecast("mos", "--codec", "G729", "--loss", "2", "--delay", "180", "--json").json
    assert ["r_factor", "mos", "scale", "band", "terms"] == list(found)
    assert ["ro", "is", "id", "ie_eff"] == list(found["terms"])
    terms = found["terms"]
    assert pytest.approx(terms["ro"] - terms["is"] - terms["id"] - terms["ie_eff"]) == found["r_factor"]


@pytest.mark.parametrize(("band", "loss"), [("A", 0), ("B", 2), ("C", 5), ("D", 9), ("E", 14), ("F", 22)])
def test_mos_bands(band: str, loss: float) -> None:
    assert band == surgecast("mos", "--codec", "PCMA", "--loss", loss, "--json").json["band"]


def test_json_never_holds_what_is_no_number() -> None:
    found = surgecast("mos", "--codec", "PCMA", "--loss", "100", "--delay", "60000", "--json").json
    assert all(math.isfinite(found[key]) for key in ("r_factor", "mos"))
