"""Quality bands on the rating R (G.107 Annex B, G.109), defined once.

Bands are cut on R, never on MOS: the formula gives MOS 4.024 at R = 80 where the tables print 4.03, so that
cutting on MOS would flip calls at the edges. A band always has a letter and a text, never a colour alone.
"""

from bisect import bisect_right
from enum import StrEnum

from telephony.model import Scale

R_DIVISOR = {Scale.NARROWBAND: 1.0, Scale.WIDEBAND: 1.29, Scale.FULLBAND: 1.48}
"""What R is divided by before Annex B applies (G.107.1 Annex A, G.107.2 Annex A)."""

DEGRADED_R = 70.0
"""Below this R on the narrowband scale (bands D to F) an interval counts as degraded."""


class Band(StrEnum):
    """User satisfaction by R on the narrowband scale; the value is the letter, A best.

    >>> Band.MANY_DISSATISFIED, Band.MANY_DISSATISFIED.text, Band.MANY_DISSATISFIED.r_min
    (<Band.MANY_DISSATISFIED: 'D'>, 'many users dissatisfied', 60.0)
    """

    text: str
    r_min: float

    def __new__(cls, letter: str, text: str, r_min: float) -> "Band":
        """Make the member: its value is the letter."""
        member = str.__new__(cls, letter)
        member._value_ = letter
        member.text = text
        member.r_min = r_min
        return member

    VERY_SATISFIED = "A", "very satisfied", 90.0
    SATISFIED = "B", "satisfied", 80.0
    SOME_DISSATISFIED = "C", "some users dissatisfied", 70.0
    MANY_DISSATISFIED = "D", "many users dissatisfied", 60.0
    NEARLY_ALL_DISSATISFIED = "E", "nearly all users dissatisfied", 50.0
    NOT_RECOMMENDED = "F", "not recommended", float("-inf")

    @property
    def letter(self) -> str:
        """The letter, A to F."""
        return self.value


_ASCENDING = tuple(reversed(Band))
_EDGES = tuple(band.r_min for band in _ASCENDING[1:])


def band_of(r_factor: float, scale: Scale = Scale.NARROWBAND) -> Band:
    """Return the band of a rating; wideband and fullband R are brought to the narrowband scale first.

    >>> band_of(79.99).letter, band_of(80.0).letter
    ('C', 'B')
    >>> band_of(116.1, Scale.WIDEBAND).letter
    'A'
    """
    r = r_factor if scale is Scale.NARROWBAND else r_factor / R_DIVISOR[scale]
    return _ASCENDING[bisect_right(_EDGES, r)] if r == r else Band.NOT_RECOMMENDED
