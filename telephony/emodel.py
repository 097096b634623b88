"""The E-model: ITU-T G.107 (06/2015) narrowband in full, G.107.1 wideband, G.107.2 fullband.

The one place in the product that computes R and MOS. It uses no curve fits and knows nothing of packets:
`telephony.quality` turns observations into its inputs. The three models have three scales; their R and MOS
are never mixed or averaged.

What is taken from where:

* Narrowband: every equation of G.107 clause 7. Mean one-way delay T, absolute delay Ta and round-trip delay
  Tr follow from one mouth-to-ear delay: T = Ta, Tr = 2 T. Idte is kept from going below zero: around T = 2 ms
  the equation gives -0.1, and MOS would rise with delay.
* Wideband (G.107.1, 06/2019): Ro 129, Is 0; Ie,eff keeps the constant 95; Idte with the K correction and the
  factor 3; Idle on Ro 129; Idd times 1.29. Equation 7-6 needs a noise power No that the text does not define
  for wideband: the sum of G.107 equation 7-3 is used with the Nfor of -96 dBmp that table 1 gives.
* Fullband (G.107.2, 06/2019): Ro 148, Is 0; constant 132; Id is Idd times 1.48 alone, echo is not modelled.
  BurstR enters as it does in the other two models; at BurstR 1 this is the published equation.

G.107 is checked against its own default rating. The texts of G.107.1 and G.107.2 were read at second hand, as
public implementations quote their equations; re-check them against the Recommendations before relying on the
third decimal.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from telephony.bands import R_DIVISOR, Band, band_of
from telephony.codecs import CodecImpairment
from telephony.model import Scale, Source


@dataclass(frozen=True, slots=True)
class Parameters:
    """The transmission parameters of G.107 table 3 with their defaults.

    T, Ta, Tr, Ie, Bpl, Ppl and BurstR are not here: they are what is measured.
    """

    slr_db: float = 8.0
    """Send loudness rating."""
    rlr_db: float = 2.0
    """Receive loudness rating."""
    stmr_db: float = 15.0
    """Sidetone masking rating."""
    ds: float = 3.0
    """D-value of the telephone, send side."""
    dr: float = 3.0
    """D-value of the telephone, receive side."""
    telr_db: float = 65.0
    """Talker echo loudness rating."""
    wepl_db: float = 110.0
    """Weighted echo path loss."""
    qdu: float = 1.0
    """Quantizing distortion units."""
    nc_dbm0p: float = -70.0
    """Circuit noise at the 0 dBr point."""
    nfor_dbmp: float = -64.0
    """Noise floor at the receive side."""
    ps_dba: float = 35.0
    """Room noise at the send side."""
    pr_dba: float = 35.0
    """Room noise at the receive side."""
    advantage: float = 0.0
    """Advantage factor A."""
    mt_ms: float = 100.0
    """Minimum perceivable delay mT (table 1)."""
    st: float = 1.0
    """Delay sensitivity sT (table 1)."""

    @property
    def lstr_db(self) -> float:
        """Listener sidetone rating: STMR + Dr, 18 dB by default."""
        return self.stmr_db + self.dr


G107_DEFAULTS = Parameters()
G107_1_DEFAULTS = Parameters(nfor_dbmp=-96.0)
"""G.107.1 table 1 differs from G.107 in the noise floor."""

DELAY_MAX_MS = 10_000.0
"""Longer delays are rated as this one: R is far below 0 long before."""

_DEFAULTS = {
    Scale.NARROWBAND: G107_DEFAULTS,
    Scale.WIDEBAND: G107_1_DEFAULTS,
    Scale.FULLBAND: G107_1_DEFAULTS,
}


class Terms(NamedTuple):
    """The terms of R, in points of R: R = `ro` - `is_` - `id_` - `ie_eff` + `advantage`."""

    ro: float
    """Basic signal-to-noise ratio."""
    is_: float
    """Simultaneous impairment: `iolr` + `ist` + `iq`."""
    iolr: float
    """Too low overall loudness rating."""
    ist: float
    """Non-optimum sidetone."""
    iq: float
    """Quantizing distortion."""
    id_: float
    """Delay impairment: `idte` + `idle` + `idd`."""
    idte: float
    """Talker echo (with `ist` folded in where STMR > 20 dB)."""
    idle: float
    """Listener echo."""
    idd: float
    """Too long absolute delay."""
    advantage: float = 0.0
    """Advantage factor A."""
    ie_eff: float = 0.0
    """Effective equipment impairment: codec and packet loss together."""

    @property
    def r_factor(self) -> float:
        """The rating these terms add up to."""
        return self.ro - self.is_ - self.id_ - self.ie_eff + self.advantage


@dataclass(frozen=True, slots=True)
class Rating:
    """A transmission rating that can explain itself: its terms add up to it."""

    r_factor: float
    """On the scale of the codec, not clamped: it falls below 0 where nothing can be understood any more."""
    mos: float
    """MOS-CQE, 1.0 to 4.5, on the scale of the codec."""
    band: Band
    terms: Terms
    codec: CodecImpairment
    loss_ratio: float
    """What went in: lost and discarded packets, 0..1."""
    burst_ratio: float
    delay_ms: float
    """One-way mouth-to-ear delay."""
    delay_source: Source

    @property
    def scale(self) -> Scale:
        """The E-model this rating belongs to."""
        return self.codec.scale

    @property
    def codec_source(self) -> Source:
        """Where the codec's numbers that were used come from: without loss Bpl plays no part."""
        return self.codec.provenance if self.loss_ratio > 0 else self.codec.ie_source


def noise_power_dbm0p(p: Parameters) -> float:
    """Return No, the power sum of all noise at the 0 dBr point (G.107 equations 7-3 to 7-7).

    >>> round(noise_power_dbm0p(G107_DEFAULTS), 4)
    -61.1792
    """
    olr = p.slr_db + p.rlr_db
    nos = p.ps_dba - p.slr_db - p.ds - 100 + 0.004 * (p.ps_dba - olr - p.ds - 14) ** 2
    pre = p.pr_dba + 10 * math.log10(1 + 10 ** ((10 - p.lstr_db) / 10))
    nor = p.rlr_db - 121 + pre + 0.008 * (pre - 35) ** 2
    nfo = p.nfor_dbmp + p.rlr_db
    return 10 * math.log10(sum(10.0 ** (noise / 10) for noise in (p.nc_dbm0p, nos, nor, nfo)))


def _norm(x: float, power: float) -> float:
    """Return (1 + x^power)^(1/power), the soft maximum of 1 and x that G.107 is built of."""
    return math.pow(1 + math.pow(x, power), 1 / power)


def _iolr(p: Parameters, no: float) -> float:
    """Return Iolr (equations 7-9 and 7-10)."""
    x = p.slr_db + p.rlr_db + 0.2 * (64 + no - p.rlr_db)
    return 20 * (_norm(x / 8, 8) - x / 8)


def _ist(p: Parameters, t_ms: float) -> float:
    """Return Ist (equations 7-11 and 7-12); talker echo joins the sidetone while T is short."""
    stmro = -10 * math.log10(10 ** (-p.stmr_db / 10) + math.exp(-t_ms / 4) * 10 ** (-p.telr_db / 10))
    return (
        12 * _norm((stmro - 13) / 6, 8)
        - 28 * _norm((stmro + 1) / 19.4, 35)
        - 13 * _norm((stmro - 3) / 33, 13)
        + 29
    )


def _iq(p: Parameters, ro: float) -> float:
    """Return Iq (equations 7-13 to 7-17)."""
    q = 37 - 15 * math.log10(p.qdu)
    g = 1.07 + 0.258 * q + 0.0602 * q * q
    y = (ro - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    return 15 * math.log10(1 + 10**y + 10**z)


def _echo_path_loss(p: Parameters, t_ms: float) -> float:
    """Return TERV (equation 7-22)."""
    return p.telr_db - 40 * math.log10((1 + t_ms / 10) / (1 + t_ms / 150)) + 6 * math.exp(-0.3 * t_ms * t_ms)


def _idte(roe: float, re: float, t_ms: float) -> float:
    """Return Idte (equation 7-19), 0 for T < 1 ms where echo is sidetone, and never below 0."""
    if t_ms < 1:
        return 0.0
    half = (roe - re) / 2
    return max(0.0, (half + math.sqrt(half * half + 100) - 1) * (1 - math.exp(-t_ms)))


def _idle(p: Parameters, ro: float, tr_ms: float) -> float:
    """Return Idle (equations 7-25 and 7-26)."""
    half = (ro - 10.5 * (p.wepl_db + 7) * math.pow(tr_ms + 1, -0.25)) / 2
    return half + math.sqrt(half * half + 169)


def _idd(p: Parameters, ta_ms: float) -> float:
    """Return Idd (equations 7-27 and 7-28) on the narrowband scale."""
    if ta_ms <= p.mt_ms:
        return 0.0
    x, power = math.log2(ta_ms / p.mt_ms), 6 * p.st
    return 25 * (_norm(x, power) - 3 * _norm(x / 3, power) + 2)


def _narrowband(p: Parameters, delay_ms: float) -> Terms:
    no = noise_power_dbm0p(p)
    ro = 15 - 1.5 * (p.slr_db + no)
    iolr, ist, iq = _iolr(p, no), _ist(p, delay_ms), _iq(p, ro)
    terv = _echo_path_loss(p, delay_ms)
    if p.stmr_db < 9:
        terv += ist / 2  # TERVs, equation 7-23
    idte = _idte(-1.5 * (no - p.rlr_db), 80 + 2.5 * (terv - 14), delay_ms)
    if p.stmr_db > 20:
        idte = math.sqrt(idte * idte + ist * ist)  # Idtes, equation 7-24
    idle, idd = _idle(p, ro, 2 * delay_ms), _idd(p, delay_ms)
    return Terms(ro, iolr + ist + iq, iolr, ist, iq, idte + idle + idd, idte, idle, idd, p.advantage)


def _wideband(p: Parameters, delay_ms: float) -> Terms:
    ro = 129.0
    k = min(0.08 * delay_ms + 10, 18)  # equations 7-9 and 7-10, which meet at 100 ms
    re = 80 + 3 * (_echo_path_loss(p, delay_ms) + k - 14)
    idte = _idte(-1.5 * (noise_power_dbm0p(p) - p.rlr_db), re, delay_ms)
    idle, idd = _idle(p, ro, 2 * delay_ms), 1.29 * _idd(p, delay_ms)
    return Terms(ro, 0.0, 0.0, 0.0, 0.0, idte + idle + idd, idte, idle, idd, p.advantage)


def _fullband(p: Parameters, delay_ms: float) -> Terms:
    idd = 1.48 * _idd(p, delay_ms)
    return Terms(148.0, 0.0, 0.0, 0.0, 0.0, idd, 0.0, 0.0, idd, p.advantage)


_MODELS = {Scale.NARROWBAND: _narrowband, Scale.WIDEBAND: _wideband, Scale.FULLBAND: _fullband}


def connection_terms(scale: Scale, delay_ms: float, parameters: Parameters | None = None) -> Terms:
    """Return the terms of a connection of this one-way delay, without codec and loss (`ie_eff` 0), uncached.

    >>> terms = connection_terms(Scale.NARROWBAND, 0.0)
    >>> round(terms.ro, 4), round(terms.is_, 4), round(terms.id_, 4), round(terms.r_factor, 4)
    (94.7688, 1.4136, 0.149, 93.2062)
    """
    return _MODELS[scale](parameters or _DEFAULTS[scale], delay_ms)


def _cached(scale: Scale) -> Callable[[int], Terms]:
    @lru_cache(maxsize=8192)
    def terms(tenths_of_ms: int) -> Terms:
        return connection_terms(scale, tenths_of_ms / 10)

    return terms


_CACHED_TERMS = {scale: _cached(scale) for scale in Scale}


def r_to_mos(r_factor: float, scale: Scale = Scale.NARROWBAND) -> float:
    """Return MOS-CQE of a rating (G.107 Annex B; G.107.1 and G.107.2 Annex A), between 1.0 and 4.5.

    The cubic dips to 0.99 between R = 0 and 6.5: it is cut at 1.0, so that MOS never falls as R rises.

    >>> [round(r_to_mos(r), 3) for r in (-5, 3, 50, 80, 93.2062, 100)]
    [1.0, 1.0, 2.575, 4.024, 4.409, 4.5]
    >>> round(r_to_mos(116.0, Scale.WIDEBAND), 3)
    4.337
    """
    return _annex_b(r_factor / R_DIVISOR[scale])


def _annex_b(r: float) -> float:
    if r >= 100:
        return 4.5
    if r <= 0:
        return 1.0
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def mos_to_r(mos: float, scale: Scale = Scale.NARROWBAND) -> float:
    """Return the rating of a MOS: the inverse of `r_to_mos` (G.107 Appendix I), by bisection.

    A MOS of 1.0 or less gives the largest R that has it, one of 4.5 or more the smallest.

    >>> round(mos_to_r(4.409), 1), round(mos_to_r(1.0), 2)
    (93.2, 6.52)
    """
    low, high = 6.5, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        if _annex_b(middle) <= max(mos, 1.0):
            low = middle
        else:
            high = middle
    return low * R_DIVISOR[scale]


def rate(
    codec: CodecImpairment,
    *,
    loss_ratio: float,
    delay_ms: float,
    burst_ratio: float = 1.0,
    delay_source: Source = Source.DECLARED,
    parameters: Parameters | None = None,
) -> Rating:
    """Return the rating of a connection on the scale of its codec.

    Args:
        codec: From `telephony.codecs.lookup`.
        loss_ratio: Packets lost or discarded, 0..1 (cut to it); Ppl is 100 times this.
        delay_ms: One-way mouth-to-ear delay, cut to 0..10 s. With default parameters the delay terms are
            cached by 0.1 ms, which moves R by less than 0.02 and MOS by less than 0.0005.
        burst_ratio: BurstR; below 1 counts as 1, the range of G.107 begins there.
        delay_source: Where the delay comes from; carried along.
        parameters: Other transmission parameters than the defaults of the scale; not cached.

    Raises:
        ValueError: An input is not a number.

    >>> from telephony.codecs import lookup
    >>> rating = rate(lookup("PCMA-NOPLC"), loss_ratio=0.01, delay_ms=50)
    >>> round(rating.r_factor, 2), round(rating.mos, 2), rating.band.letter, round(rating.terms.ie_eff, 2)
    (73.83, 3.77, 'C', 17.92)
    """
    loss = loss_ratio if 0.0 <= loss_ratio <= 1.0 else _cut("loss ratio", loss_ratio, 0.0, 1.0)
    delay = delay_ms if 0.0 <= delay_ms <= DELAY_MAX_MS else _cut("delay", delay_ms, 0.0, DELAY_MAX_MS)
    burst = burst_ratio if burst_ratio >= 1.0 else _cut("burst ratio", burst_ratio, 1.0, math.inf)
    scale = codec.scale
    if parameters is None:
        connection = _CACHED_TERMS[scale](round(delay * 10))
    else:
        connection = connection_terms(scale, delay, parameters)
    ie_eff = codec.ie
    if loss > 0:
        limit = 132.0 if scale is Scale.FULLBAND else 95.0
        ppl = 100 * loss
        ie_eff += (limit - ie_eff) * ppl / (ppl / burst + codec.bpl)
    # _make on a slice: _replace costs three times as much, on a path taken for every interval.
    terms = Terms._make((*connection[:-1], ie_eff))
    r_factor = connection.r_factor - ie_eff
    r_narrowband = r_factor / R_DIVISOR[scale]
    return Rating(
        r_factor,
        _annex_b(r_narrowband),
        band_of(r_narrowband),
        terms,
        codec,
        loss,
        burst,
        delay,
        delay_source,
    )


def _cut(what: str, value: float, low: float, high: float) -> float:
    if math.isnan(value):
        raise ValueError(f"{what} is not a number")
    return min(max(value, low), high)
