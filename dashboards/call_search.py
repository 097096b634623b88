"""What calls are looked for; the query string of the page is its only home.

Whatever cannot be read is left out: a link from another version must open something.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlencode

from dashboards.filters import Range
from dashboards.numbers import SECOND_NS
from storage.seam import CallMatch, Window
from telephony.model import Outcome

SPANS: dict[str, Range] = {
    r.key: r
    for r in (
        Range("1h", 3600, 60, "hour"),
        Range("6h", 21_600, 300, "6 hours"),
        Range("24h", 86_400, 900, "24 hours"),
        Range("7d", 604_800, 3600, "7 days"),
        Range("30d", 2_592_000, 21_600, "30 days"),
    )
}
DEFAULT_SPAN = "24h"
PAGE_ROWS = 50
MOST_PAGES = 200
"""Beyond ten thousand calls one narrows the search: nobody reads on, and every page before costs."""
_TAGS = ("tenant", "trunk", "outcome")
_MOST_VALUES = 50
_MOST_TEXT = 100
_CODE = re.compile(r"[1-6](\d\d|xx)")


@dataclass(frozen=True, slots=True)
class CallSearch:
    """A search: how far back, which tags and values, and which page of it."""

    span_key: str = DEFAULT_SPAN
    tenant: tuple[str, ...] = ()
    trunk: tuple[str, ...] = ()
    outcome: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    """SIP codes or classes: `486`, `5xx`."""
    mos_below: float | None = None
    number: str = ""
    destination: str = ""
    page: int = 1
    until_s: int | None = None
    """End of the span, so that later pages do not shift while calls end; None is now."""

    @property
    def span(self) -> Range:
        """How far back."""
        return SPANS[self.span_key]

    def window(self, now_ns: int) -> Window:
        """Return the span looked at."""
        until_ns = now_ns if self.until_s is None else min(self.until_s * SECOND_NS, now_ns)
        return Window(until_ns - self.span.seconds * SECOND_NS, until_ns + SECOND_NS)

    def where(self) -> dict[str, tuple[str, ...]]:
        """Return the restrictions on tags, as readers take them."""
        return {tag: getattr(self, tag) for tag in _TAGS if getattr(self, tag)}

    def match(self) -> CallMatch:
        """Return the restrictions on values."""
        codes: list[int] = []
        for code in self.codes:
            codes += range(int(code[0]) * 100, int(code[0]) * 100 + 100) if code.endswith("xx") else (int(code),)
        return CallMatch(
            number=self.number, destination=self.destination, sip_codes=tuple(codes), mos_below=self.mos_below
        )

    def words(self) -> str:
        """Say the restrictions in words; empty where there are none."""
        said = [f"{tag} {' or '.join(values).replace('_', ' ')}" for tag, values in self.where().items()]
        said += [f"code {' or '.join(self.codes)}"] if self.codes else []
        said += [f"MOS below {self.mos_below:g}"] if self.mos_below is not None else []
        said += [f"number with {self.number}"] if self.number else []
        said += [f"destination with {self.destination}"] if self.destination else []
        return ", ".join(said)

    def at_page(self, page: int, now_ns: int) -> "CallSearch":
        """Return another page of this search, whose end is held where it is."""
        return replace(self, page=page, until_s=self.until_s or now_ns // SECOND_NS)

    def to_search(self) -> str:
        """Return the query string, without what is default; the same search always gives the same string."""
        pairs: list[tuple[str, object]] = [("range", self.span_key)] if self.span_key != DEFAULT_SPAN else []
        pairs += [(tag, value) for tag in _TAGS for value in getattr(self, tag)]
        pairs += [("code", ",".join(self.codes))] if self.codes else []
        pairs += [("mos", f"{self.mos_below:g}")] if self.mos_below is not None else []
        pairs += [(name, value) for name, value in (("number", self.number), ("to", self.destination)) if value]
        pairs += [("page", self.page)] if self.page > 1 else []
        pairs += [("until", self.until_s)] if self.until_s is not None else []
        return f"?{urlencode(pairs)}" if pairs else ""

    @classmethod
    def from_search(cls, search: str | None) -> "CallSearch":
        """Read a query string (with or without `?`).

        >>> CallSearch.from_search("?code=486,5XX,nonsense&mos=3.5&page=2&outcome=busy&outcome=odd").to_search()
        '?outcome=busy&code=486%2C5xx&mos=3.5&page=2'
        """
        query = parse_qs((search or "").removeprefix("?"), max_num_fields=500)

        def first(name: str) -> str:
            return query.get(name, [""])[0].strip()[:_MOST_TEXT]

        def tags(name: str) -> tuple[str, ...]:
            return tuple(sorted(set(query.get(name, ())))[:_MOST_VALUES])

        span = first("range")
        codes = [code for code in re.split(r"[,\s]+", first("code").lower()) if _CODE.fullmatch(code)]
        return cls(
            span_key=span if span in SPANS else DEFAULT_SPAN,
            tenant=tags("tenant"),
            trunk=tags("trunk"),
            outcome=tuple(o for o in tags("outcome") if o in {known.value for known in Outcome}),
            codes=tuple(sorted(set(codes))),
            mos_below=_mos(first("mos")),
            number=first("number"),
            destination=first("to"),
            page=min(max(_whole(first("page")) or 1, 1), MOST_PAGES),
            until_s=_whole(first("until")),
        )


def _mos(text: str) -> float | None:
    """Read a MOS.

    >>> _mos("3,5"), _mos("nan"), _mos("9"), _mos("")
    (3.5, None, None, None)
    """
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if 1.0 <= value <= 5.0 else None


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None
