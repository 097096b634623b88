"""Which calls are legs of one another: X-CID (names the other leg's Call-ID) and Session-ID (RFC 7989)."""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from collectors.facts import SipCall

MAX_LEGS = 16
"""Legs joined under one key; a key that everyone sends joins nothing further."""


class CallLinks:
    """Call-IDs by what joins them; bounded, the key not used for the longest time goes first."""

    def __init__(self, max_links: int) -> None:
        self.evicted = 0
        self._limit = max_links
        self._members: OrderedDict[str, list[str]] = OrderedDict()

    def add(self, call: SipCall) -> tuple[str, ...]:
        """Take a new call and return the Call-IDs of the legs that were there before it, oldest first."""
        earlier: dict[str, None] = {}
        for key in _keys(call):
            members = self._members.setdefault(key, [])
            self._members.move_to_end(key)
            earlier.update(dict.fromkeys(members))
            if call.call_id not in members and len(members) < MAX_LEGS:
                members.append(call.call_id)
        while len(self._members) > self._limit:
            self._members.popitem(last=False)
            self.evicted += 1
        earlier.pop(call.call_id, None)
        return tuple(earlier)

    def forget(self, call: SipCall, lives: Callable[[str], bool]) -> None:
        """Let go of what joins a call once none of its legs lives any more."""
        for key in _keys(call):
            if not any(lives(member) for member in self._members.get(key, ())):
                self._members.pop(key, None)

    def of(self, call: SipCall) -> tuple[str, ...]:
        """Return the Call-IDs of the other legs of a call."""
        found = dict.fromkeys(member for key in _keys(call) for member in self._members.get(key, ()))
        found.pop(call.call_id, None)
        return tuple(found)


def _keys(call: SipCall) -> Iterator[str]:
    yield f"cid:{call.call_id}"
    if x_cid := call.headers.get("x-cid"):
        yield f"cid:{x_cid.strip()}"
    if session := call.headers.get("session-id"):
        uuid = session.split(";", 1)[0].strip().lower()
        if uuid.strip("0"):  # the nil UUID is "not known yet"
            yield f"sid:{uuid}"
