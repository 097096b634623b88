"""The calls that a search finds, from the scoped reader to the view of a page of them."""

from dataclasses import dataclass

from dashboards.call_search import MOST_PAGES, PAGE_ROWS, CallSearch
from dashboards.numbers import count
from dashboards.views import READY, PanelState, Status
from storage.seam import Reader

from .tables import optional, rows, times_ns


@dataclass(frozen=True, slots=True)
class FoundCall:
    """One call that was found."""

    call_id: str
    tenant: str
    ended_ns: int
    outcome: str
    sip_code: int | None
    from_masked: str
    to_masked: str
    destination: str
    trunk: str
    codec: str
    duration_s: float | None
    pdd_ms: float | None
    mos_min: float | None
    released_by: str


@dataclass(frozen=True, slots=True)
class FoundCalls:
    """A page of what was found, and what there is to choose from."""

    status: Status
    search: CallSearch
    at_ns: int
    rows: tuple[FoundCall, ...] = ()
    total: int = 0
    tenants: tuple[str, ...] = ()
    trunks: tuple[str, ...] = ()

    @property
    def pages(self) -> int:
        """Pages that can be opened."""
        return min(-(-self.total // PAGE_ROWS), MOST_PAGES)

    @property
    def first(self) -> int:
        """Number of the first row shown, from 1."""
        return (self.search.page - 1) * PAGE_ROWS + 1


def found_calls(reader: Reader, search: CallSearch, now_ns: int) -> FoundCalls:
    """Return a page of the calls that match; raises StoreError."""
    window = search.window(now_ns)
    page = reader.calls(
        window,
        where=search.where(),
        match=search.match(),
        limit=PAGE_ROWS,
        offset=(search.page - 1) * PAGE_ROWS,
    )
    found = tuple(
        FoundCall(
            call_id=str(row["call_id"]),
            tenant=str(row["tenant"] or ""),
            ended_ns=ended_ns,
            outcome=str(row["outcome"] or ""),
            sip_code=None if row["sip_code"] is None else int(row["sip_code"]),
            from_masked=str(row["from_masked"] or ""),
            to_masked=str(row["to_masked"] or ""),
            destination=str(row["destination"] or ""),
            trunk=str(row["trunk"] or ""),
            codec=str(row["codec"] or ""),
            duration_s=optional(row["duration_s"]),
            pdd_ms=optional(row["pdd_ms"]),
            mos_min=optional(row["mos_min"]),
            released_by=str(row["released_by"] or ""),
        )
        for row, ended_ns in zip(rows(page.rows), times_ns(page.rows).tolist(), strict=True)
    )
    chosen = {
        tag: tuple(sorted({*reader.tag_values("session_minute", tag, window), *getattr(search, tag)}))
        for tag in ("tenant", "trunk")
    }
    status = _status(search, len(found), page.total)
    return FoundCalls(status, search, now_ns, found, page.total, chosen["tenant"], chosen["trunk"])


def _status(search: CallSearch, shown: int, total: int) -> Status:
    if total > MOST_PAGES * PAGE_ROWS:
        reach = count(MOST_PAGES * PAGE_ROWS)
        return Status(PanelState.PARTIAL, f"the newest {reach} can be opened: narrow the search for the others")
    if shown:
        return READY
    if total:
        return Status(PanelState.EMPTY, f"There are {count(total)} calls, but not as many pages.")
    told = search.words()
    why = f" with {told}" if told else "; calls in progress are on the live page"
    return Status(PanelState.EMPTY, f"No call ended in the last {search.span.words}{why}.")
