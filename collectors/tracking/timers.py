"""Deadlines of many small things, cheaply: slots of a quarter of a second, and a deadline may move for nothing.

An item that is asked to wait longer stays in its slot and is looked at again when that comes round. A cancelled
item is let go at once, so that a flood of short-lived items leaves nothing behind. No clock is read here.
"""

from typing import Generic, Protocol, TypeVar

_SHIFT = 28
"""A slot is 2**28 ns = 268 ms."""
_HORIZON_NS = 30_000_000_000
"""Farthest slot: items with later deadlines are looked at that often, and there are few slots."""
SLOT_NS = 1 << _SHIFT


class Timed(Protocol):
    """What the wheel keeps on an item."""

    due_ns: int
    """May be moved later by anybody; use `TimerWheel.arm` to move it earlier."""
    slot: int
    """Slot that will look at it; 0 = none."""


ItemT = TypeVar("ItemT", bound=Timed)


class TimerWheel(Generic[ItemT]):
    """Items by the slot in which they are to be looked at."""

    def __init__(self) -> None:
        self._slots: dict[int, dict[int, ItemT]] = {}

    def arm(self, item: ItemT, due_ns: int, now_ns: int) -> None:
        """Set the deadline of an item."""
        item.due_ns = due_ns
        slot = min(due_ns, now_ns + _HORIZON_NS) >> _SHIFT
        if not item.slot or slot < item.slot:
            if item.slot:
                del self._slots[item.slot][id(item)]
            item.slot = slot
            items = self._slots.get(slot)
            if items is None:
                self._slots[slot] = {id(item): item}
            else:
                items[id(item)] = item

    def cancel(self, item: ItemT) -> None:
        """Forget an item."""
        if item.slot:
            del self._slots[item.slot][id(item)]
            item.slot = 0

    def expired(self, now_ns: int) -> list[ItemT]:
        """Take out the items whose deadline has passed, the earliest slot first."""
        current = now_ns >> _SHIFT
        found: list[ItemT] = []
        for slot in sorted(s for s in self._slots if s < current):
            for item in self._slots.pop(slot).values():
                item.slot = 0
                if item.due_ns > now_ns:
                    self.arm(item, item.due_ns, now_ns)
                else:
                    found.append(item)
        return found
