"""Forecasts of Surgecast beside what one would try first, on the same origins of the same series, in one run.

    python benchmarks/forecast_peers.py SERIES_FOLDER [--tenants 1000]

The folder holds the call series named in `CASES`; those not there are left out. Peers: the same time last week,
Holt-Winters with a weekly season (statsmodels, smoothing fitted once on the eight weeks before the test, run anew
to each origin), and a newcomer's gradient boosting (scikit-learn on lags and calendar, fitted once on the same
weeks). Origins are every two hours of the test days. Figures are WAPE in percent.
"""

import argparse
import csv
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import process_time
from zoneinfo import ZoneInfo

import numpy as np
from threadpoolctl import threadpool_limits

from forecast.accuracy import LEVELS
from forecast.backtest import backtest
from forecast.calendar import holiday_days
from forecast.concurrency import forecast_concurrency, learn_survival
from forecast.leads import lead_bins
from forecast.livepath import LivePath
from forecast.localtime import Floats, Ints
from forecast.panel import Panel
from forecast.points import read_csv
from forecast.rolling import Rolling
from forecast.series import Series
from forecast.states import mark_closed

HORIZONS_S = (900, 3600, 14_400, 86_400, 604_800)
ORIGIN_STEP_S = 7200
Forecast = Callable[[int], Floats]
"""From an origin slot to the forecast of all leads up to the longest; NaN where there is none."""


@dataclass(frozen=True)
class Case:
    name: str
    file: str
    slot_s: int
    zone: str
    country: str
    test_days: int


CASES = (
    Case("bank calls", "bank_calls_5min.csv", 900, "America/New_York", "US", 28),
    Case("bank calls, 56 days", "bank_calls_5min.csv", 900, "America/New_York", "US", 56),
    Case("bank calls 24x7", "technion1999_6min.csv", 1800, "Asia/Jerusalem", "IL", 84),
    Case("bank calls 24x7, 15 min", "technion1999_6min.csv", 900, "Asia/Jerusalem", "IL", 84),
    Case("taxi rides", "nyc_taxi_halfhour.csv", 1800, "America/New_York", "US", 84),
)


def surgecast(panel: Panel, first_test: int) -> Forecast:
    longest = panel.day.size - panel.known
    rolling = Rolling(panel, lead_bins(panel.series.slot_s, longest))
    begun = max(0, first_test - 56)
    for day in range(begun, first_test):
        rolling.start_day(day)
        rolling.rehearse()
    reached = [first_test - 1]

    def forecast(origin: int) -> Floats:
        while reached[0] < panel.day[origin]:
            reached[0] += 1
            rolling.start_day(reached[0])
            rolling.rehearse()
        return rolling.quantiles(np.full(longest, origin), origin + 1 + np.arange(longest))[:, 0]

    return forecast


def seasonal_naive(panel: Panel, first_test: int) -> Forecast:
    week, longest = 7 * panel.slots_per_day, panel.day.size - panel.known

    def forecast(origin: int) -> Floats:
        targets = origin + 1 + np.arange(longest)
        return panel.observed[targets - week * -(-(targets - origin) // week)]

    return forecast


def holt_winters(panel: Panel, first_test: int) -> Forecast:
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    longest, week = panel.day.size - panel.known, 7 * panel.slots_per_day
    filled = panel.observed[: panel.known].copy()
    for slot in range(week, filled.size):
        if not np.isfinite(filled[slot]):
            filled[slot] = filled[slot - week]
    # It knows no closed hours: slots never worked leave the season.
    worked = np.isfinite(filled[: 2 * week]).reshape(2, week).any(axis=0)
    worked_at = np.tile(worked, panel.day.size // week + 1)[: panel.day.size]
    filled = np.nan_to_num(filled)
    start = int(np.searchsorted(panel.day, first_test))

    def model(last: int) -> ExponentialSmoothing:
        first = max(0, last - 8 * week)
        values = filled[first:last][worked_at[first:last]]
        return ExponentialSmoothing(
            values, seasonal="add", seasonal_periods=int(worked.sum()), initialization_method="heuristic"
        )

    fitted = model(start).fit()
    held = {k: fitted.params[k] for k in ("smoothing_level", "smoothing_seasonal")}

    def forecast(origin: int) -> Floats:
        ahead = np.flatnonzero(worked_at[origin + 1 : origin + 1 + longest])
        out = np.full(longest, np.nan)
        if ahead.size:
            found = model(origin + 1).fit(optimized=False, **held)
            out[ahead] = np.maximum(found.forecast(ahead.size), 0)
        return out

    return forecast


def newcomer_boosting(panel: Panel, first_test: int) -> Forecast:
    from sklearn.ensemble import HistGradientBoostingRegressor

    y, longest = panel.observed, panel.day.size - panel.known
    day, week = panel.slots_per_day, 7 * panel.slots_per_day
    weekday = (panel.day + panel.first_day + 3) % 7

    def columns(origins: Ints, targets: Ints) -> Floats:
        def at(slots: Ints) -> Floats:
            return np.where(slots >= 0, y[np.maximum(slots, 0)], np.nan)

        late = -(-(targets - origins) // day) * day
        late_week = -(-(targets - origins) // week) * week
        hour = np.mean([at(origins - k) for k in range(4)], axis=0)
        return np.stack([
            at(origins), hour, at(targets - late), at(targets - late_week), at(targets - late_week - week),
            panel.slot[targets], weekday[targets], targets - origins,
        ], axis=1)  # fmt: skip

    start = int(np.searchsorted(panel.day, first_test))
    leads = [max(1, h // panel.series.slot_s) for h in HORIZONS_S]
    models = {}
    random = np.random.default_rng(0)
    for first, last in zip([0, *leads[:-1]], leads):
        if last <= first:
            continue
        origins = random.integers(max(week, start - 8 * week), start - 1, 30_000)
        targets = origins + random.integers(first + 1, last + 1, origins.size)
        held = (targets < start) & np.isfinite(y[np.minimum(targets, y.size - 1)])
        model = HistGradientBoostingRegressor(loss="absolute_error", max_iter=200, random_state=0)
        models[first, last] = model.fit(columns(origins[held], targets[held]), y[targets[held]])

    def forecast(origin: int) -> Floats:
        out = np.full(longest, np.nan)
        for (first, last), model in models.items():
            targets = origin + 1 + np.arange(first, last)
            out[first:last] = model.predict(columns(np.full(targets.size, origin), targets))
        return np.maximum(out, 0)

    return forecast


METHODS = {
    "surgecast": surgecast,
    "same time last week": seasonal_naive,
    "Holt-Winters": holt_winters,
    "newcomer boosting": newcomer_boosting,
}


def compare(case: Case, series: Series) -> None:
    leads = [max(1, h // series.slot_s) for h in HORIZONS_S]
    days = series.grid.day
    last = int(days[-1] - days[0])
    holiday = holiday_days(case.country, int(days[0]), int(days[-1]) + 10)
    panel = Panel(
        mark_closed(series, history=int(np.searchsorted(days, days[-1] - case.test_days + 1))), leads[-1], holiday
    )
    first_test = last - case.test_days + 1
    origins = np.arange(int(np.searchsorted(panel.day, first_test)), panel.known, ORIGIN_STEP_S // series.slot_s)
    print(f"\n{case.name}, {series.slot_s // 60} min, last {case.test_days} days")
    print(f"  {'':22}" + "".join(f"{h:>9}" for h in ("slot", "1 h", "4 h", "24 h", "7 d")) + "   CPU s")
    for name, build in METHODS.items():
        began = process_time()
        forecast = build(panel, first_test)
        error, total = np.zeros(len(leads)), np.zeros(len(leads))
        for origin in origins:
            got = forecast(int(origin))
            targets = origin + 1 + np.arange(leads[-1])
            came = np.where(targets < panel.known, panel.observed[targets], np.nan)
            for place, (first, last) in enumerate(zip([0, *leads[:-1]], leads)):
                part = slice(min(first, last - 1), last)
                held = np.isfinite(came[part]) & np.isfinite(got[part])
                error[place] += np.abs(came[part] - got[part])[held].sum()
                total[place] += came[part][held].sum()
        shown = "".join(f"{100 * e / t:9.2f}" for e, t in zip(error, total))
        print(f"  {name:22}{shown}{process_time() - began:8.1f}", flush=True)


def dense(case: Case, series: Series) -> None:
    report = backtest(series, horizons_s=HORIZONS_S, test_days=case.test_days, country=case.country)
    figures = report.horizons.values()
    print(f"  {'every slot, over floor':22}" + "".join(f"{a.wape / a.wape_floor:9.2f}" for a in figures))
    for level in (0.9, 0.95, 0.99):
        place = LEVELS.index(level)
        print(
            f"  {f'under q{level * 100:.0f}, %':22}" + "".join(f"{100 * a.coverage[place]:9.1f}" for a in figures)
        )
    print(
        f"  refit {report.fit_seconds * 1000:.1f} ms a night, update {1000 * update_seconds(series):.2f} ms a slot"
    )


def update_seconds(series: Series) -> float:
    """Return what a forecast of 24 hours from a new slot takes: what the service does every slot."""
    panel = Panel(mark_closed(series), 7 * series.slots_per_day)
    rolling = Rolling(panel, lead_bins(series.slot_s, 7 * series.slots_per_day))
    rolling.start_day(int(panel.day[panel.known - 1]))
    ahead = np.arange(1, series.slots_per_day + 1)
    origin = np.full(ahead.size, panel.known - 1)
    began = process_time()
    for _ in range(50):
        rolling.quantiles(origin, origin + ahead)
    return (process_time() - began) / 50


def many(series: Series, tenants: int) -> None:
    """Print what fitting thinned copies of a series from nothing takes, each with eight weeks of history."""
    random = np.random.default_rng(1)
    last = series.until(min(len(series), 56 * series.slots_per_day))
    known = np.isfinite(last.y)
    began = process_time()
    for _ in range(tenants):
        y = last.y.copy()
        y[known] = random.binomial(last.y[known].astype(np.int64), random.uniform(0.02, 0.5))
        panel = Panel(Series(last.start_s, last.slot_s, last.zone, y, last.state), last.slots_per_day)
        rolling = Rolling(panel, lead_bins(last.slot_s, last.slots_per_day))
        rolling.start_day(55)
        ahead = np.arange(1, last.slots_per_day + 1)
        rolling.quantiles(np.full(ahead.size, panel.known - 1), panel.known - 1 + ahead)
    print(f"\n{tenants} tenants from nothing, 24 h ahead: {process_time() - began:.1f} s of one core")


def concurrency(name: str, arrivals: Series, start: Floats, end: Floats, first_day: int) -> None:
    """Print errors of calls in progress, mean and maximum of 5-minute slots, beside the last value."""
    slots, leads = 12, (1, 3, 6, 12)
    edges = arrivals.start_s + 15.0 * np.arange(len(arrivals) * 20 + 1)
    live = np.searchsorted(np.sort(start), edges, "right") - np.searchsorted(np.sort(end), edges, "right")
    per_slot = np.lib.stride_tricks.sliding_window_view(live, 21)[::20]
    mean, top = (per_slot[:, :-1] + per_slot[:, 1:]).mean(axis=1) / 2, per_slot.max(axis=1).astype(np.float64)
    measured = np.isfinite(arrivals.y)
    state = arrivals.state
    views = {}
    for what, y in (("arrivals", arrivals.y), ("mean", mean), ("top", top)):
        values = np.where(measured, y, np.nan)
        series = Series(arrivals.start_s, arrivals.slot_s, arrivals.zone, values, state)
        panel = Panel(mark_closed(series), slots)
        views[what] = panel, Rolling(panel, lead_bins(300, slots))
    paths = {"mean": LivePath(slots, 288), "top": LivePath(slots, 288)}
    panel = views["arrivals"][0]
    error = {what: np.zeros((len(leads), 4)) for what in paths}
    over = {what: np.zeros(len(leads)) for what in paths}
    covered = np.zeros((len(leads), 2))
    warm = max(first_day // 2, 7)
    order = np.argsort(start)
    start, end = start[order], end[order]
    for day in range(warm, int(panel.day[-1]) + 1):
        for _, rolling in views.values():
            rolling.start_day(day)
            rolling.rehearse()
        morning = arrivals.start_s + 300 * int(np.searchsorted(panel.day, day))
        past = start < morning
        ended = end[past] <= morning
        survival = learn_survival(np.where(ended, end[past], morning) - start[past], ended)
        for origin in np.flatnonzero(panel.day[: panel.known - slots] == day):
            now = arrivals.start_s + 300.0 * (origin + 1)
            recent = slice(np.searchsorted(start, now - 6 * 3600), np.searchsorted(start, now, "right"))
            ages = now - start[recent][end[recent] > now]
            seen, ahead = np.full(slots, origin), origin + 1 + np.arange(slots)
            coming = views["arrivals"][1].quantiles(seen, ahead)[:, 0]
            carried = forecast_concurrency(survival, ages, coming, 300.0, slots)
            for what, path, truth in (("mean", carried.mean, mean), ("top", carried.maximum, top)):
                paths[what].came(int(origin), float(truth[origin]))
                own = views[what][1].quantiles(seen, ahead)[:, 0]
                got = paths[what].issue(int(origin), path, own)
                if day < first_day or not measured[ahead].all():
                    continue
                for place, lead in enumerate(leads):
                    at = ahead[lead - 1]
                    error[what][place] += [
                        abs(got[lead - 1, 0] - truth[at]), abs(truth[origin] - truth[at]),
                        abs(path[lead - 1] - truth[at]), truth[at],
                    ]  # fmt: skip
                    over[what][place] += path[lead - 1] - truth[at]
                    if what == "top":
                        covered[place] += [truth[at] <= got[lead - 1, 4], 1]
        for path in paths.values():
            path.end_day()
    print(f"\ncalls in progress, {name}, mean {error['mean'][0, 3] / covered[0, 1]:.0f}: WAPE % at 5/15/30/60 min")
    for what, sums in error.items():
        ours, last, plain = (100 * sums[:, i] / sums[:, 3] for i in range(3))
        better = 100 - 100 * ours / last
        for label, figures in (
            ("surgecast", ours), ("live calls alone", plain), ("their bias", 100 * over[what] / sums[:, 3]),
            ("last value", last), ("better, %", better),
        ):  # fmt: skip
            print(f"  {what:5}{label:18}" + "".join(f"{v:8.1f}" for v in figures))
    print(f"  {'top':5}{'under q99, %':18}" + "".join(f"{100 * a / b:8.1f}" for a, b in covered))


def pools(folder: Path) -> None:
    calls, counts = folder / "technion_feb1999_calls.csv", folder / "technion_feb1999_5min.csv"
    if not calls.exists() or not counts.exists():
        return
    with calls.open() as file:
        spans = [(_at(row["vru_entry"]), _at(row["end"])) for row in csv.DictReader(file)]
    start, end = (np.array(times, np.float64) for times in zip(*spans))
    concurrency("real calls", read_csv(counts, 300), start, end, 21)
    bank = folder / "bank_calls_5min.csv"
    if not bank.exists():
        return
    series = read_csv(bank, 300)
    series = series.until(60 * series.slots_per_day)
    random = np.random.default_rng(1)
    known = np.flatnonzero(np.nan_to_num(series.y) > 0)
    begun = np.repeat(series.start_s + 300.0 * known, series.y[known].astype(np.int64))
    begun = np.sort(begun + 300 * random.random(begun.size))
    lasting = (end - start)[end > start]
    lasting = lasting * (230 / lasting.mean())
    ending = begun + random.choice(lasting, begun.size)
    concurrency("real arrivals, real durations at random", series, begun, ending, 46)
    for label, lasting in (
        ("exponential durations", random.exponential(230, begun.size)),
        ("lognormal durations", random.lognormal(np.log(230) - 1.26**2 / 2, 1.26, begun.size)),
    ):
        concurrency(f"real arrivals, {label}", series, begun, begun + lasting, 46)


def _at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--tenants", type=int, default=1000)
    arguments.add_argument("--only", default="", help="cases whose name holds this; 'pools' for calls in progress")
    asked = arguments.parse_args()
    warnings.simplefilter("ignore")
    with threadpool_limits(1):
        measure(asked)


def measure(asked: argparse.Namespace) -> None:
    for case in CASES:
        path = asked.folder / case.file
        if path.exists() and asked.only in case.name:
            series = read_csv(path, case.slot_s, ZoneInfo(case.zone))
            compare(case, series)
            dense(case, series)
    if asked.only in ("", "pools"):
        pools(asked.folder)
    if asked.only in ("", "tenants") and (asked.folder / CASES[0].file).exists():
        many(read_csv(asked.folder / CASES[0].file, 900, ZoneInfo(CASES[0].zone)), asked.tenants)


if __name__ == "__main__":
    main()
