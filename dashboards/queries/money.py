"""Cost and revenue: conversation minutes at the rates of a file, and pod-hours at the price of their pool."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from dashboards.numbers import SECOND_NS, count
from dashboards.reports.model import Figure, Unit
from dashboards.reports.rates import Amount, BadRates, Rates, load_rates, priced
from dashboards.reports.settings import ReportSettings
from dashboards.tenant_views import Headline
from storage.seam import Reader, Scope, Window

from .tables import floats, strings, times_ns

_HOUR_NS = 3600 * SECOND_NS
_LONGEST_NS = 600 * SECOND_NS
"""A decision says what pods there were until the next one, but not for longer: nobody looked any more."""
_MOST_DECISIONS = 500_000
_NO_FILE = "No rates are configured: set web.reports.rates_file."
_DEFINITIONS = {
    "cost": "conversation minutes × the rate of their trunk + pod-hours × the price of their pool",
    "revenue": "conversation minutes × the rate of their tenant",
}


@dataclass(frozen=True, slots=True)
class Pods:
    """What pods ran, from the decisions about their pools."""

    known_ns: int
    """From when on all decisions were read."""
    starts_ns: npt.NDArray[np.int64]
    hours: npt.NDArray[np.float64]
    cost: npt.NDArray[np.float64]

    @classmethod
    def read(cls, reader: Reader, window: Window) -> Self:
        """Return the pods of a window. Raises StoreError."""
        table = reader.select(
            "replica_decision", window, columns=("time", "pool", "current", "final", "cost_per_hour"),
            limit=_MOST_DECISIONS, newest_first=True,
        )  # fmt: skip
        known_ns = window.since_ns
        if table.num_rows == _MOST_DECISIONS:
            known_ns = int(times_ns(table).min())
        table = table.sort_by([("pool", "ascending"), ("time", "ascending")])
        starts, pools = times_ns(table), np.array(strings(table, "pool"), dtype=object)
        if not starts.size:
            return cls(known_ns, starts, np.zeros(0), np.zeros(0))
        follows = np.append(pools[1:] == pools[:-1], False)
        ends = np.where(follows, np.append(starts[1:], 0), window.until_ns)
        hours = np.clip(ends - starts, 0, _LONGEST_NS) / _HOUR_NS
        current, final, cost_per_hour = (floats(table, name) for name in ("current", "final", "cost_per_hour"))
        # A decision has the cost of the pods decided; those that ran meanwhile are `current`.
        price = np.divide(cost_per_hour, final, out=np.zeros_like(final), where=final > 0)
        pod_hours = np.nan_to_num(hours * current)
        return cls(known_ns, starts, pod_hours, np.nan_to_num(pod_hours * price))

    def within(self, window: Window) -> tuple[float, float]:
        """Return pod-hours and their cost; decisions count where they begin."""
        mine = (self.starts_ns >= window.since_ns) & (self.starts_ns < window.until_ns)
        return float(self.hours[mine].sum()), float(self.cost[mine].sum())


def money_headlines(
    reader: Reader, scope: Scope, settings: ReportSettings, window: Window, before: Window, weeks: list[Window]
) -> tuple[Headline, Headline]:
    """Return cost and revenue of a window, compared with the one before, and week by week. Raises StoreError."""
    targets = settings.targets
    try:
        rates, why = (load_rates(settings.rates_file), "") if settings.rates_file else (None, _NO_FILE)
    except BadRates as error:
        rates, why = None, str(error)
    if rates is None:
        return _unknown("cost", targets.cost, why), _unknown("revenue", targets.revenue, why)
    pods = Pods.read(reader, Window(min(weeks[0].since_ns, before.since_ns), window.until_ns))
    hours, price = pods.within(window)
    if scope.tenants is not None:
        of_pods = "Pods serve every tenant and are not in it."
    elif price:
        of_pods = f"{count(round(price))} {rates.currency} of it are {count(round(hours))} pod-hours."
    else:
        of_pods = "No pods are in it: " + (
            "their pools have no price (cost_per_pod_hour)." if hours else "no pool has a decision in these days."
        )
    return (
        _headline("cost", targets.cost, reader, rates, (window, before, weeks), pods, of_pods),
        _headline("revenue", targets.revenue, reader, rates, (window, before, weeks), None, ""),
    )


def _headline(
    key: str,
    target: float | None,
    reader: Reader,
    rates: Rates,
    windows: tuple[Window, Window, list[Window]],
    pods: Pods | None,
    said: str,
) -> Headline:
    window, before, weeks = windows

    def amount(of: Window) -> tuple[float | None, Amount]:
        minutes = _minutes(reader, rates, key, of)
        if pods is None:
            return (minutes.value if minutes.priced_minutes else None), minutes
        if of.since_ns < pods.known_ns:
            return None, minutes
        cost = pods.within(of)[1]
        return (minutes.value + cost if minutes.priced_minutes or cost else None), minutes

    (value, now), (value_before, earlier) = amount(window), amount(before)
    figure = Figure(
        key,
        _NAMES[key],
        value,
        Unit.COUNT,
        now.priced_minutes,
        "conversation minutes with a rate",
        _DEFINITIONS[key],
        "" if value is not None else "No minute of these days has a rate.",
        before=value_before,
        before_n=earlier.priced_minutes,
    )
    sentence = f"{count(round(now.priced_minutes))} of {count(round(now.minutes))} minutes have a rate. {said}"
    trend = tuple(amount(week)[0] for week in weeks)
    return Headline(figure, target, key == "revenue", trend, sentence.strip(), money=rates.currency)


_NAMES = {"cost": "Cost of minutes and pods", "revenue": "Revenue of minutes"}


def _unknown(key: str, target: float | None, why: str) -> Headline:
    figure = Figure(key, _NAMES[key], None, Unit.COUNT, 0, "conversation minutes", _DEFINITIONS[key], why)
    return Headline(figure, target, key == "revenue", (), why)


def _minutes(reader: Reader, rates: Rates, key: str, window: Window) -> Amount:
    tag = "trunk" if key == "cost" else "tenant"
    table = reader.sums("session_minute", window, step_seconds=0, by=(tag,), fields=("minutes",))
    minutes = dict(zip(strings(table, tag), np.nan_to_num(floats(table, "minutes")).tolist(), strict=True))
    if key == "cost":
        return priced(minutes, rates.trunks, rates.cost_per_minute)
    return priced(minutes, rates.tenants, rates.revenue_per_minute)
