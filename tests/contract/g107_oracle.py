"""The E-model once more, written from the Recommendations' equations and sharing nothing with the product."""

import math


def rating(
    *, ie: float, bpl: float, loss_pct: float, delay_ms: float, burst_ratio: float = 1.0, scale: str = "nb"
) -> tuple[float, float]:
    """Return R and MOS; of wideband, the delay terms are those of no delay."""
    top = {"nb": None, "wb": 129.0, "fb": 148.0}[scale]
    limit = 132.0 if scale == "fb" else 95.0
    equipment = ie + (limit - ie) * loss_pct / (loss_pct / burst_ratio + bpl)
    if scale == "nb":
        r = _narrowband_connection(delay_ms) - equipment
        return r, mos_of(r)
    assert top is not None
    if scale == "wb":
        assert delay_ms == 0
        r = top - _listener_echo(top, 0.0) - equipment
        return r, mos_of(r / 1.29)
    r = top - 1.48 * _delay(delay_ms) - equipment
    return r, mos_of(r / 1.48)


def mos_of(r: float) -> float:
    """Return MOS of R (G.107 Annex B)."""
    if r <= 0:
        return 1.0
    return 4.5 if r >= 100 else max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def _db_sum(*levels: float) -> float:
    return 10 * math.log10(sum(math.pow(10, level / 10) for level in levels))


def _delay(ta: float) -> float:
    if ta <= 100:
        return 0.0
    x = math.log(ta / 100) / math.log(2)
    return 25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)


def _listener_echo(ro: float, tr: float) -> float:
    rle = 10.5 * (110 + 7) / (tr + 1) ** 0.25
    return (ro - rle) / 2 + math.sqrt((ro - rle) ** 2 / 4 + 169)


def _narrowband_connection(ta: float) -> float:
    """Return Ro - Is - Id at the default values of table 3."""
    slr, rlr, stmr, lstr, ds, telr, ps, pr = 8.0, 2.0, 15.0, 18.0, 3.0, 65.0, 35.0, 35.0
    olr = slr + rlr
    nos = ps - slr - ds - 100 + 0.004 * (ps - olr - ds - 14) ** 2
    pre = pr + 10 * math.log10(1 + 10 ** ((10 - lstr) / 10))
    nor = rlr - 121 + pre + 0.008 * (pre - 35) ** 2
    no = _db_sum(-70.0, nos, nor, -64.0 + rlr)
    ro = 15 - 1.5 * (slr + no)
    xolr = olr + 0.2 * (64 + no - rlr)
    iolr = 20 * ((1 + (xolr / 8) ** 8) ** (1 / 8) - xolr / 8)
    stmro = -10 * math.log10(10 ** (-stmr / 10) + math.exp(-ta / 4) * 10 ** (-telr / 10))
    ist = (
        12 * (1 + ((stmro - 13) / 6) ** 8) ** (1 / 8)
        - 28 * (1 + ((stmro + 1) / 19.4) ** 35) ** (1 / 35)
        - 13 * (1 + ((stmro - 3) / 33) ** 13) ** (1 / 13)
        + 29
    )
    q = 37.0
    g = 1.07 + 0.258 * q + 0.0602 * q * q
    iq = 15 * math.log10(1 + 10 ** ((ro - 100) / 15 + 46 / 8.4 - g / 9) + 10 ** (46 / 30 - g / 40))
    idte = 0.0
    if ta >= 1:
        terv = telr - 40 * math.log10((1 + ta / 10) / (1 + ta / 150)) + 6 * math.exp(-0.3 * ta * ta)
        half = (-1.5 * (no - rlr) - (80 + 2.5 * (terv - 14))) / 2
        idte = max(0.0, (half + math.sqrt(half * half + 100) - 1) * (1 - math.exp(-ta)))
    return ro - (iolr + ist + iq) - (idte + _listener_echo(ro, 2 * ta) + _delay(ta))
