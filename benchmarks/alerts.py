"""Which incidents are found, how fast and at what price, beside the rules that people use; and the Numenta score.

Incidents are put into a real series at random places: calls taken away by binomial thinning, calls added by a
Poisson draw, so that the noise stays right. Every contestant sets its threshold on the same history for the same
budget of false alerts, and is then frozen on the rest. Run it as `python benchmarks/alerts.py --series FILE.csv`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

# This file has the name of the package it measures: its own folder must not be looked in first.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

import numpy as np  # noqa: E402

from alerts.backtest import backtest  # noqa: E402
from alerts.detectors import REJOIN_S, pooled  # noqa: E402
from alerts.scoring import INCIDENTS, Found, judge, nab_score  # noqa: E402
from forecast.localtime import Bools, Floats  # noqa: E402
from forecast.points import read_csv  # noqa: E402
from forecast.series import Series, State  # noqa: E402
from forecast.states import mark_closed  # noqa: E402

NAB_TAXI = (
    ("2014-10-30T15:30", "2014-11-03T22:30"),
    ("2014-11-25T12:00", "2014-11-29T19:00"),
    ("2014-12-23T11:30", "2014-12-27T18:30"),
    ("2014-12-29T21:30", "2015-01-03T04:30"),
    ("2015-01-24T20:30", "2015-01-29T03:30"),
)
"""The benchmark's windows: marathon, Thanksgiving, Christmas, New Year, blizzard."""

Incident = tuple[str, int, int]


def inject(series: Series, first: int, per_week: float, rng: np.random.Generator) -> tuple[Series, list[Incident]]:
    """Return the series with incidents after slot `first`, at most one a day, and where they are."""
    y = series.y.copy()
    worked = series.state == State.OPEN
    usual = np.convolve(np.where(worked, y, 0.0), np.ones(5) / 5, "same")
    day = series.grid.day
    days = np.unique(day[first:][worked[first:]])[1:]
    count = max(1, round(per_week * days.size / 7))
    chosen = np.sort(rng.choice(days, min(count, days.size), replace=False))
    names = list(INCIDENTS) * (chosen.size // len(INCIDENTS) + 1)
    kinds = rng.permutation(names[: chosen.size])
    incidents: list[Incident] = []
    for on, kind in zip(chosen, kinds, strict=True):
        change, minutes = INCIDENTS[kind]
        length = max(2, round(minutes * 60 / series.slot_s))
        open_slots = np.flatnonzero(worked & (day == on))
        if open_slots.size <= length + 2:
            continue
        at = int(open_slots[rng.integers(0, open_slots.size - length)])
        span = slice(at, at + length)
        if change < 0:
            y[span] = rng.binomial(np.nan_to_num(y[span]).astype(np.int64), 1 + change)
        else:
            grown = change * (np.arange(1, length + 1) / length if kind == "creep" else np.ones(length))
            y[span] += rng.poisson(grown * usual[span])
        incidents.append((str(kind), at, at + length - 1))
    return replace(series, y=y), incidents


def thinned(series: Series, share: float) -> Series:
    """Return the series of a line that gets this share of the calls."""
    kept = np.random.default_rng(9).binomial(np.nan_to_num(series.y).astype(np.int64), share)
    return series if share == 1 else replace(series, y=np.where(np.isfinite(series.y), kept, np.nan))


def surgecast(series: Series, train_days: int, budget: float) -> list[int]:
    """Return the slots at which the product alerts."""
    return [alert.start for alert in backtest(series, train_days=train_days, budget_per_week=budget).alerts]


def static(y: Floats, worked: Bools, slot_s: int) -> Floats:
    """Score: distance from the middle of all that was seen."""
    middle = np.median(y[worked])
    return np.abs(y - middle) / max(float(np.std(y[worked])), 1e-9)


def rolling_sigma(y: Floats, worked: Bools, slot_s: int) -> Floats:
    """Score: standard deviations from the mean of the 24 hours before."""
    span = 86_400 // slot_s
    known, amount = worked.astype(np.float64), np.where(worked, y, 0.0)
    n = np.maximum(np.r_[0, pooled(known, span)[:-1]], 1)
    mean = np.r_[0, pooled(amount, span)[:-1]] / n
    spread = np.sqrt(np.maximum(np.r_[0, pooled(amount**2, span)[:-1]] / n - mean**2, 1e-9))
    return np.abs(y - mean) / spread


def week_over_week(y: Floats, worked: Bools, slot_s: int) -> Floats:
    """Score: change of the sum of three slots against the same time a week ago."""
    week = 7 * 86_400 // slot_s
    now = pooled(np.where(worked, y, 0.0), 3)
    before = np.r_[np.full(week, np.nan), now[:-week]]
    with np.errstate(invalid="ignore"):
        return np.abs(np.log((now + 1) / (before + 1)))


def grafana_adaptive(y: Floats, worked: Bools, slot_s: int) -> Floats:
    """Score: distance from the 1 h mean in bands of the 26 h smoothed deviation, at least half the mean."""
    hour, long = max(1, 3600 // slot_s), 26 * 3600 // slot_s
    known, amount = worked.astype(np.float64), np.where(worked, y, 0.0)
    mean = pooled(amount, hour) / np.maximum(pooled(known, hour), 1)
    deviation = np.sqrt(np.maximum(pooled(amount**2, hour) / np.maximum(pooled(known, hour), 1) - mean**2, 0.0))
    smooth = pooled(deviation * known, long) / np.maximum(pooled(known, long), 1)
    return np.abs(y - mean) / np.maximum(2 * smooth, 0.5 * mean + 1e-9)


RULES: dict[str, Callable[[Floats, Bools, int], Floats]] = {
    "static": static,
    "rolling 3 sigma": rolling_sigma,
    "week over week": week_over_week,
    "grafana adaptive": grafana_adaptive,
}


def onsets(score: Floats, worked: Bools, threshold: float, rejoin: int) -> list[int]:
    """Return the slots at which two in a row are over the threshold, none within `rejoin` of the last."""
    places = np.flatnonzero(worked & np.isfinite(score))
    over = score[places] >= threshold
    found: list[int] = []
    last = -rejoin - 1
    for at in places[over & np.r_[False, over[:-1]]].tolist():
        if at - last > rejoin:
            found.append(at)
        last = at
    return found


def rule_threshold(score: Floats, worked: Bools, first: int, budget: float, slot_s: int) -> float:
    """Return the least threshold that keeps the budget on the history."""
    seen = score[:first][worked[:first] & np.isfinite(score[:first])]
    allowed = budget * first * slot_s / 604_800
    low, high = float(np.median(seen)), float(seen.max()) + 1
    for _ in range(40):
        middle = (low + high) / 2
        if len(onsets(score[:first], worked[:first], middle, REJOIN_S // slot_s)) <= allowed:
            high = middle
        else:
            low = middle
    return high


def contest(series: Series, train_days: int, budget: float, seeds: int, per_week: float) -> dict[str, object]:
    """Return per contestant: recall, delays and false alerts a week, clean and around incidents."""
    first = int(np.searchsorted(series.grid.day - series.grid.day[0], train_days))
    worked = series.state == State.OPEN
    weeks = (len(series) - first) * series.slot_s / 604_800
    rules: dict[str, Callable[[Series], list[int]]] = {"surgecast": lambda s: surgecast(s, train_days, budget)}
    for name, rule in RULES.items():
        limit = rule_threshold(rule(series.y, worked, series.slot_s), worked, first, budget, series.slot_s)

        def run(s: Series, rule: Callable[..., Floats] = rule, limit: float = limit) -> list[int]:
            score = rule(s.y, worked, s.slot_s)
            return [a for a in onsets(score, worked, limit, REJOIN_S // s.slot_s) if a >= first]

        rules[name] = run
    injected = [inject(series, first, per_week, np.random.default_rng(seed)) for seed in range(seeds)]
    figures: dict[str, object] = {}
    for name, alerts_of in rules.items():
        began = time.process_time()
        clean = len(alerts_of(series)) / weeks
        kinds: dict[str, Found] = {}
        outside = 0
        for changed, incidents in injected:
            one, stray = judge(alerts_of(changed), incidents)
            outside += stray
            for kind, found in one.items():
                old = kinds.get(kind, Found(0, 0, ()))
                kinds[kind] = Found(
                    old.incidents + found.incidents, old.found + found.found, old.delays + found.delays
                )
        delays = [d * series.slot_s / 60 for found in kinds.values() for d in found.delays]
        figures[name] = {
            "incidents": sum(f.incidents for f in kinds.values()),
            "recall": sum(f.found for f in kinds.values()) / max(1, sum(f.incidents for f in kinds.values())),
            "median_delay_minutes": median(delays) if delays else None,
            "false_alerts_per_week_clean": clean,
            "false_alerts_per_week_around": outside / (weeks * seeds),
            "kinds": {
                kind: {
                    "incidents": found.incidents,
                    "found": found.found,
                    "recall": found.found / found.incidents,
                    "median_delay_minutes": median(found.delays) * series.slot_s / 60 if found.delays else None,
                }
                for kind, found in sorted(kinds.items())
            },
            "cpu_seconds": time.process_time() - began,
        }
        print(f"{name}: done", file=sys.stderr)
    return figures


def nab(path: Path, budget: float) -> dict[str, object]:
    """Return the standard Numenta score of the alerts on the taxi rides; learning ends with the probation."""
    series = read_csv(path, None, finest_s=300)
    windows = [(_row(series, first), _row(series, last)) for first, last in NAB_TAXI]
    report = backtest(series, train_days=16, budget_per_week=budget)
    starts = [alert.start for alert in report.alerts]
    return {
        "standard_score": nab_score(starts, windows, len(series)),
        "windows_found": sum(any(a <= s <= b for s in starts) for a, b in windows),
        "alerts_per_week": len(starts) / report.test_weeks,
        "false_alerts_per_week": sum(not any(a <= s <= b for a, b in windows) for s in starts) / report.test_weeks,
    }


def _row(series: Series, stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp() - series.start_s) // series.slot_s


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=Path, action="append", default=[], help="CSV with the columns ds,y")
    parser.add_argument("--share", type=float, default=1.0, help="keep each call with this chance: a smaller line")
    parser.add_argument("--nab-taxi", type=Path, help="the Numenta benchmark's taxi series as ds,y")
    parser.add_argument("--train-days", type=int, default=56)
    parser.add_argument("--budget-per-week", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--per-week", type=float, default=3.5, help="incidents put in")
    asked = parser.parse_args()
    figures: dict[str, object] = {}
    for path in asked.series:
        series = thinned(mark_closed(read_csv(path, None, finest_s=300)), asked.share)
        figures[path.stem] = contest(series, asked.train_days, asked.budget_per_week, asked.seeds, asked.per_week)
    if asked.nab_taxi:
        figures["nab_taxi"] = nab(asked.nab_taxi, asked.budget_per_week)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
