"""What the best detector could find: a likelihood-ratio test that knows what no detector can know.

It is told how far this very series strays from its profile (covariance within the day, estimated on all of it) and
the shapes of the incidents, and its threshold is that at which this very series has its budget of alerts. That is
about what any detector can reach on the profile of `alerts.baseline`; without surprises beyond that covariance
(`gaussian`) it is what volume and the wandering of the level allow at all. Run it as
`python benchmarks/alert_ceiling.py --series FILE.csv --share 1 --share 0.1`.
"""

import argparse
import json
import sys
from pathlib import Path

# A file beside this one has the name of a package: its own folder must not be looked in first.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

import numpy as np  # noqa: E402
from scipy.optimize import nnls  # noqa: E402

from alerts.baseline import baseline  # noqa: E402
from alerts.detectors import REJOIN_S  # noqa: E402
from alerts.scoring import INCIDENTS  # noqa: E402
from alerts.signals import Signal  # noqa: E402
from forecast.localtime import Floats  # noqa: E402
from forecast.points import read_csv  # noqa: E402
from forecast.series import Series  # noqa: E402
from forecast.states import mark_closed  # noqa: E402

STEPS_MINUTES = (5, 15, 30, 60, 120, 180, 240)
RAMP_MINUTES = 180
LIVES_MINUTES = (30, 60, 120, 240, 480, 960, 1e9)
DISPERSION = 1.25
"""Of counts within a slot, once the level of the day is known."""
SKIPPED_DAYS = 21
SIMULATED_DAYS = 2000


def whole_days(series: Series) -> tuple[Floats, Floats]:
    """Return [day, slot] observed and expected of the days on which all usual slots were measured."""
    known = baseline(Signal(series))
    place = series.grid.slot
    learned = known.usable & (known.day >= SKIPPED_DAYS)
    days = np.unique(known.day[learned])
    usual = np.bincount(place[learned], minlength=series.slots_per_day) >= 0.8 * days.size
    shape = int(known.day[-1]) + 1, series.slots_per_day
    seen, observed, expected = np.zeros(shape, bool), np.zeros(shape), np.zeros(shape)
    at = known.day[learned], place[learned]
    seen[at], observed[at], expected[at] = True, known.observed[learned], known.expected[learned]
    whole = seen[:, usual].all(axis=1)
    return observed[whole][:, usual], expected[whole][:, usual]


def covariance(relative: Floats, noise: Floats, slot_s: int) -> Floats:
    """Return the covariance of a day of relative deviations: a level that wanders, and counts."""
    step = max(1, 900 // slot_s)
    slots = relative.shape[1] // step * step
    coarse = relative[:, :slots].reshape(len(relative), -1, step).mean(axis=2)
    parts = coarse.shape[1]
    spread = np.array([1.4826 * np.median(np.abs(coarse[:, max(0, n - 2) : n + 3])) for n in range(parts)])
    chance = noise[:slots].reshape(-1, step).mean(axis=1) / step
    level = np.sqrt(np.maximum(spread**2 - chance, 0.02**2))
    scaled = np.clip(coarse, -3 * spread, 3 * spread) / level
    lags = np.arange(1, min(parts, 50))
    measured = np.array([np.mean(scaled[:, :-lag] * scaled[:, lag:]) for lag in lags])
    lives = np.array(LIVES_MINUTES) * 60
    weights, _ = nnls(np.exp(-lags[:, None] * step * slot_s / lives), measured)
    apart = np.abs(np.subtract.outer(np.arange(relative.shape[1]), np.arange(relative.shape[1]))) * slot_s
    kernel = sum(weight * np.exp(-apart / life) for weight, life in zip(weights, lives, strict=True))
    fine = np.interp(np.arange(relative.shape[1]), (np.arange(parts) + 0.5) * step - 0.5, level)
    return np.asarray(kernel * np.outer(fine, fine) + np.diag(noise))


def filters(cholesky: Floats, slot_s: int) -> Floats:
    """Return [shape, slot, slot before]: weights that make a day a likelihood ratio (its root) at each slot."""
    slots = len(cholesky)
    whiten = np.linalg.inv(cholesky)
    shapes = [np.ones(max(1, round(minutes * 60 / slot_s))) for minutes in STEPS_MINUTES]
    ramp = max(2, round(RAMP_MINUTES * 60 / slot_s))
    shapes.append(np.arange(1, ramp + 1) / ramp)
    out = np.zeros((len(shapes), slots, slots))
    for number, shape in enumerate(shapes):
        for end in range(slots):
            change = np.zeros(slots)
            first = max(0, end - shape.size + 1)
            change[first : end + 1] = shape[shape.size - (end + 1 - first) :]
            white = whiten @ change
            white[end + 1 :] = 0  # what comes later is not known yet
            out[number, end] = (white / np.sqrt(white @ white)) @ whiten
    return out


def ratios(relative: Floats, weights: Floats) -> Floats:
    """Return [side, day, slot]: the greatest likelihood ratio over the shapes, two slots in a row."""
    every = np.stack([relative @ one.T for one in weights])
    best = np.stack([every.max(axis=0), (-every).max(axis=0)])
    best[..., 1:] = np.minimum(best[..., 1:], best[..., :-1])
    best[..., 0] = -np.inf
    return np.asarray(best)


def threshold(ratio: Floats, allowed: float, rejoin: int) -> float:
    """Return the least threshold at which there are no more alerts than allowed."""
    low, high = 1.0, 40.0
    while high - low > 0.01:
        middle = (low + high) / 2
        count = 0
        for day in (ratio >= middle).reshape(-1, ratio.shape[-1]):
            at = np.flatnonzero(day)
            count += int((np.diff(at) > rejoin).sum()) + 1 if at.size else 0
        low, high = (low, middle) if count <= allowed else (middle, high)
    return high


def recall(relative: Floats, usual: Floats, weights: Floats, limit: float, slot_s: int) -> dict[str, object]:
    """Return per kind the share found and the median delay, one incident of each kind into each day."""
    rng = np.random.default_rng(5)
    slots = usual.size
    figures: dict[str, object] = {}
    for kind, (change, minutes) in INCIDENTS.items():
        length = max(2, round(minutes * 60 / slot_s))
        delays: list[float] = []
        for day in relative:
            first = int(rng.integers(0, slots - length))
            shift = np.zeros(slots)
            shift[first : first + length] = change * (
                np.arange(1, length + 1) / length if kind == "creep" else 1.0
            )
            # Thinning keeps a share of the day's own noise; added calls bring their own.
            chance = np.where(shift < 0, -shift * (1 + shift), shift) / usual
            moved = (1 + day) * (1 + np.minimum(shift, 0)) + np.maximum(shift, 0) - 1
            moved += rng.standard_normal(slots) * np.sqrt(chance)
            side = ratios(moved[None], weights)[0 if change > 0 else 1, 0, first : first + length]
            over = np.flatnonzero(side >= limit)
            if over.size:
                delays.append((over[0] + 1) * slot_s / 60)
        figures[kind] = {
            "recall": len(delays) / len(relative),
            "median_delay_minutes": float(np.median(delays)) if delays else None,
        }
    return figures


def ceiling(series: Series, share: float, budget: float) -> dict[str, object]:
    """Return what could be found of a series of which each unit is kept with this chance."""
    observed, expected = whole_days(series)
    if share < 1:
        observed = np.random.default_rng(9).binomial(observed.astype(np.int64), share).astype(np.float64)
        expected = expected * share
    slot_s = series.slot_s
    relative = observed / expected - 1
    relative = (1 + relative) / (1 + np.median(relative, axis=0)) - 1
    usual = expected.mean(axis=0)
    cholesky = np.linalg.cholesky(covariance(relative, DISPERSION / usual, slot_s))
    weights = filters(cholesky, slot_s)
    days_a_week = len(np.unique(series.grid.weekday[np.nan_to_num(series.y) > 0]))
    made_up = np.random.default_rng(1).standard_normal((SIMULATED_DAYS, usual.size)) @ cholesky.T
    figures: dict[str, object] = {"days": len(relative), "mean_per_slot": float(usual.mean())}
    for name, days in (("gaussian", made_up), ("this series", relative)):
        limit = threshold(ratios(days, weights), budget * len(days) / days_a_week, REJOIN_S // slot_s)
        kinds = recall(days[:300], usual, weights, limit, slot_s)
        mean = float(np.mean([one["recall"] for one in kinds.values()]))  # type: ignore[index]
        figures[name] = {"threshold": limit, "recall": mean, "kinds": kinds}
    return figures


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=Path, required=True, help="CSV with the columns ds,y")
    parser.add_argument("--share", type=float, action="append", help="keep each unit with this chance; 1")
    parser.add_argument("--budget-per-week", type=float, default=1.0)
    asked = parser.parse_args()
    series = mark_closed(read_csv(asked.series, None, finest_s=300))
    figures = {str(share): ceiling(series, share, asked.budget_per_week) for share in asked.share or [1.0]}
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
