"""Ratios of sums that decay from slot to slot: of a whole history at once, or one slot more, bit for bit the same.

A sum is y = keep * y + x at slots that count; the others leave it as it is. So that a history needs no loop over
its slots, they are taken in blocks within a local day: y = (carried + sum of x / keep^c) * keep^c, c the slots of
the block that count so far and `carried` the sum at its beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from forecast.localtime import Floats, Ints

BLOCK = 64
"""Slots of a block: a sum that is halved twice a slot stays within what a number can hold."""


class Powers:
    """The powers of what is kept from one slot that counts to the next."""

    def __init__(self, half_life: float) -> None:
        keep = 0.5 ** (1 / half_life)
        self.down: Floats = keep ** np.arange(BLOCK + 1)
        self.up: Floats = 1 / self.down
        self.each_down: list[float] = self.down.tolist()
        self.each_up: list[float] = self.up.tolist()


@dataclass(slots=True)
class Running:
    """Two decaying sums up to a slot."""

    powers: Powers
    carried: tuple[float, float]
    inside: tuple[float, float]
    """Of the block so far."""
    counted: int
    """Slots of the block so far that count."""

    def add(self, place: int, over: float, under: float) -> float:
        """Take in the slot at a place in its local day, which counts if `under` is above 0; return the ratio."""
        if place % BLOCK == 0:
            down = self.powers.each_down[self.counted]
            self.carried = (self.carried[0] + self.inside[0]) * down, (self.carried[1] + self.inside[1]) * down
            self.inside, self.counted = (0.0, 0.0), 0
        if under > 0.0:
            self.counted += 1
            up = self.powers.each_up[self.counted]
            self.inside = self.inside[0] + over * up, self.inside[1] + under * up
        down = self.powers.each_down[self.counted]
        total, mass = (self.carried[0] + self.inside[0]) * down, (self.carried[1] + self.inside[1]) * down
        return total / mass if mass > 0.0 else 0.0


def decayed_ratios(
    over: Floats, under: Floats, day: Ints, lives: Sequence[Powers], last: int
) -> tuple[Floats, list[Running]]:
    """Return [lives, slots] of the ratio of two decaying sums, and how they stand at the slot `last`.

    `over` and `under` are [slots], those with `under` above 0 count; `day` [slots] is the local day, rising.
    """
    column = (np.arange(day.size) - np.searchsorted(day, day)) % BLOCK
    block = np.cumsum(column == 0) - 1
    blocks = int(block[-1]) + 1
    place = block * BLOCK + column
    flat, counts = np.zeros((2, blocks * BLOCK)), np.zeros(blocks * BLOCK, np.int64)
    flat[0, place], flat[1, place], counts[place] = over, under, under > 0
    sums, counted = flat.reshape(2, blocks, BLOCK), np.cumsum(counts.reshape(blocks, BLOCK), axis=1)
    ratios, states = np.zeros((len(lives), day.size)), []
    for number, powers in enumerate(lives):
        down = powers.down.take(counted)
        inside = np.cumsum(sums * powers.up.take(counted), axis=2)
        carried = np.array([_carried(each.tolist(), down[:, -1].tolist()) for each in inside[:, :, -1]])
        total, mass = ((carried[:, :, None] + inside) * down).reshape(2, -1).take(place, axis=1)
        np.divide(total, mass, out=ratios[number], where=mass > 0)
        here, where = int(block[last]), int(column[last])
        (top, bottom), (own, weight) = carried[:, here].tolist(), inside[:, here, where].tolist()
        states.append(Running(powers, (top, bottom), (own, weight), int(counted[here, where])))
    return ratios, states


def _carried(inside: Sequence[float], down: Sequence[float]) -> list[float]:
    """Return the sum at the beginning of each block, from what blocks add at their ends."""
    sums = accumulate(
        zip(inside, down, strict=True), lambda sum_, block: (sum_ + block[0]) * block[1], initial=0.0
    )
    return list(sums)[:-1]
