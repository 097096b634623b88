"""What a viewer has chosen to look at; the query string of the page is its only home.

A link therefore reproduces the view and the browser's back button works. Unknown ranges and keys are
ignored: a link from another version must open something.
"""

from dataclasses import dataclass, fields
from urllib.parse import parse_qs, urlencode

from storage.seam import Window

from .numbers import SECOND_NS


@dataclass(frozen=True, slots=True)
class Range:
    """A length of time to look back over and the step its series are drawn with."""

    key: str
    seconds: int
    step_seconds: int
    words: str


RANGES: dict[str, Range] = {
    r.key: r
    for r in (
        Range("5m", 300, 60, "5 minutes"),
        Range("15m", 900, 60, "15 minutes"),
        Range("1h", 3600, 60, "hour"),
        Range("6h", 21_600, 300, "6 hours"),
        Range("24h", 86_400, 900, "24 hours"),
    )
}
DEFAULT_RANGE = "1h"
PLACES = ("tenant", "trunk", "region", "node")
"""Tags a view can be narrowed by."""
_MAX_VALUES = 50


@dataclass(frozen=True, slots=True)
class Filters:
    """A view: how far back, and which tenants, trunks, regions and nodes (empty: all)."""

    range_key: str = DEFAULT_RANGE
    tenant: tuple[str, ...] = ()
    trunk: tuple[str, ...] = ()
    region: tuple[str, ...] = ()
    node: tuple[str, ...] = ()

    @property
    def range(self) -> Range:
        """The range chosen."""
        return RANGES[self.range_key]

    def window(self, now_ns: int) -> Window:
        """Return the span looked at, from a step's start up to and including the running second."""
        step_ns = self.range.step_seconds * SECOND_NS
        since_ns = (now_ns - self.range.seconds * SECOND_NS) // step_ns * step_ns + step_ns
        return Window(since_ns, now_ns + SECOND_NS)

    def where(self, *tags: str) -> dict[str, tuple[str, ...]]:
        """Return the restrictions on these tags (all four if none is named), as readers take them."""
        return {tag: getattr(self, tag) for tag in tags or PLACES if getattr(self, tag)}

    def narrowed_to(self, place: str, value: str) -> "Filters":
        """Return this view with one value of a tag in place of those chosen for it."""
        return Filters(self.range_key, *((value,) if tag == place else getattr(self, tag) for tag in PLACES))

    @property
    def narrowed(self) -> bool:
        """Whether anything but the time range is chosen."""
        return bool(self.where())

    def words(self) -> str:
        """Say the restrictions in words: `tenant acme, trunk t1 or t2`."""
        return ", ".join(f"{tag} {' or '.join(values)}" for tag, values in self.where().items())

    def to_search(self) -> str:
        """Return the query string, without what is default; the same view always gives the same string."""
        pairs = [("range", self.range_key)] if self.range_key != DEFAULT_RANGE else []
        pairs += [(tag, value) for tag in PLACES for value in getattr(self, tag)]
        return f"?{urlencode(pairs)}" if pairs else ""

    @classmethod
    def from_search(cls, search: str | None) -> "Filters":
        """Read a query string (with or without `?`).

        >>> Filters.from_search("?range=15m&tenant=acme&nonsense=1").to_search()
        '?range=15m&tenant=acme'
        """
        query = parse_qs((search or "").removeprefix("?"), max_num_fields=500)
        chosen = query.get("range", [DEFAULT_RANGE])[0]
        places = {tag: tuple(sorted(set(query.get(tag, ())))[:_MAX_VALUES]) for tag in PLACES}
        return cls(chosen if chosen in RANGES else DEFAULT_RANGE, *(places[tag] for tag in PLACES))


assert [f.name for f in fields(Filters)] == ["range_key", *PLACES]
