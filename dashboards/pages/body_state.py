"""What the cache keeps for the pages that are one block each, rendered once per refresh."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo

from dashboards.components.executive import executive_body
from dashboards.components.tenant import tenant_body
from dashboards.components.tenants import DEFAULT_SORT, SORTS, tenants_body
from dashboards.pages.rendered import Rendered
from dashboards.queries.executive import executive_view
from dashboards.queries.tenants import tenants_view
from dashboards.reports.build import build_report
from dashboards.reports.period import BadPeriod, parse_period
from dashboards.settings import DashboardSettings
from dashboards.snapshots import Key
from storage.seam import Store

DEFAULT_PERIOD = "last-7d"
_MOST_CHARACTERS = 200


def subject_of(page: str, tenant: str, search: str | None) -> str:
    """Return the canonical subject of a view: what a query string may choose, and nothing else.

    >>> subject_of("tenants", "", "?sort=-ner&x=1"), subject_of("tenant", "a b", "")
    ('sort=-ner', 'tenant=a+b&period=last-7d')
    """
    query = parse_qs((search or "").removeprefix("?"), max_num_fields=20)
    if page == "tenants":
        sort = query.get("sort", [DEFAULT_SORT])[0]
        return urlencode({"sort": sort if sort.removeprefix("-") in SORTS else DEFAULT_SORT})
    if page == "tenant":
        period = query.get("period", [DEFAULT_PERIOD])[0][:_MOST_CHARACTERS]
        return urlencode({"tenant": tenant[:_MOST_CHARACTERS], "period": period})
    return ""


def tenant_of(subject: str) -> str:
    """Return the tenant that a subject names.

    >>> tenant_of(subject_of("tenant", "a b", ""))
    'a b'
    """
    return parse_qs(subject).get("tenant", [""])[0]


def load_body(
    store: Store, settings: DashboardSettings, tenant_zone: Callable[[str], ZoneInfo] | None
) -> Callable[[Key, Rendered | None, int], Rendered]:
    """Return the loader of the cache; a key's page says which, its subject what of it."""

    def load(key: Key, before: Rendered | None, now_ns: int) -> Rendered:
        chosen = {name: values[0] for name, values in parse_qs(key.subject, keep_blank_values=True).items()}
        if key.page == "tenants":
            return _body(tenants_body(tenants_view(store, key.scope, now_ns), chosen["sort"], settings.time_zone))
        if key.page == "executive":
            view = executive_view(store, key.scope, settings.reports, now_ns)
            return _body(executive_body(view, settings.time_zone))
        tenant = chosen["tenant"]
        zone = tenant_zone(tenant) if tenant_zone else settings.time_zone
        reader = store.reader(key.scope)
        try:
            period = parse_period(chosen["period"], zone, now_ns)
        except BadPeriod as error:
            # Whether the tenant exists is not told by this either: it must be in the scope first.
            report = build_report(reader, tenant, parse_period(DEFAULT_PERIOD, zone, now_ns), now_ns=now_ns)
            return _body(tenant_body(report, chosen["period"], fault=str(error)))
        return _body(tenant_body(build_report(reader, tenant, period, now_ns=now_ns), chosen["period"]))

    return load


def _body(children: Any) -> Rendered:
    return Rendered.of(own={"body": children})
