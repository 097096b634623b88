"""Loads with a daily and weekly shape, made up, with or without incidents."""

from zoneinfo import ZoneInfo

import numpy as np

from forecast.series import Series, State

SLOT_S = 900
PER_DAY = 96
MONDAY_S = 1_704_067_200  # 2024-01-01


def load(days: int, mean: float = 200.0, seed: int = 1) -> Series:
    """Return Poisson counts with a quiet night and a quieter weekend."""
    rng = np.random.default_rng(seed)
    slot = np.arange(days * PER_DAY)
    shape = 1 + 0.6 * np.sin(2 * np.pi * (slot % PER_DAY) / PER_DAY - 1.5)
    weekend = np.where((slot // PER_DAY) % 7 >= 5, 0.6, 1.0)
    y = rng.poisson(mean * shape * weekend).astype(np.float64)
    return Series(MONDAY_S, SLOT_S, ZoneInfo("UTC"), y, np.full(y.size, State.OPEN, np.uint8))
