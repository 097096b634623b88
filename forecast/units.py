"""In which unit an amount that is no count is forecast.

Forecasts take counting noise for granted: about the root of the amount, in units of one call. A demand in
gigawatts has nothing of it, and one in watts has numbers beyond what errors are kept in. A change of unit is no
change of load, so what varies far less than counts would is brought to a unit in which it varies about as much.
"""

import numpy as np

from forecast.localtime import Floats

_LARGEST_MEDIAN = 2.0**22
_USUAL_MEDIAN = 2.0**20
_ZEROS = 0.01
"""Share of zeros from which the unit is small enough for some to be natural."""
_QUIETER = 0.5
"""Variance over that of counts under which the amounts are none."""
_MEDIAN_SQUARE = 0.455
"""Median of the square of a standard normal."""


def unit_of(y: Floats, week: int) -> float:
    """Return the unit, a power of two, that values [slots] are divided by; 1 for counts. NaN is unknown.

    `week` is the number of slots of a week.
    """
    known = y[np.isfinite(y)]
    above = known[known > 0]
    if not above.size:
        return 1.0
    usual = float(np.median(above))
    if usual > _LARGEST_MEDIAN:
        return _power_of_two(usual / _USUAL_MEDIAN)
    if above.size < (1 - _ZEROS) * known.size:
        return 1.0
    # From slot to slot and from week to week: what is left of Poisson counts varies by four times their mean.
    change = np.diff(y)
    change = change[week:] - change[:-week]
    change = change[np.isfinite(change)]
    over_counts = float(np.median(change**2)) / (_MEDIAN_SQUARE * 4 * usual) if change.size else 0.0
    return _power_of_two(over_counts) if 0 < over_counts < _QUIETER else 1.0


def _power_of_two(value: float) -> float:
    return float(2.0 ** np.round(np.log2(value)))
