"""Issued forecasts that add up: the medians of all pools and of all tenants sum to the same load.

Two views of one load, by where it is carried and by whose it is, are issued side by side. Their sums are brought
together by weighted least squares and the difference is shared out within each view (`forecast.reconcile`). It
needs every pool and tenant at the same slots; an issue that lacks some stays as it is.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from forecast.accuracy import LEVELS, NORMAL_SCORES
from forecast.horizons import Horizon
from forecast.issue import Issue, Outcome
from forecast.localtime import Floats
from forecast.reconcile import reconcile
from forecast.targets import Kind, Signal

ADDITIVE = (Signal.ARRIVALS, Signal.CONCURRENT, Signal.PACKETS, Signal.TRANSCODES)
"""Signals whose values add up; the maxima of parts need not come at the same time."""
_SPREAD_LEVEL = LEVELS.index(0.9)
_SLOTS_AT_ONCE = 200
"""Of all series: four weeks of a thousand at once would take some hundred megabytes several times over."""


def coherent(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes of one signal with pools and tenants that add up wherever all of them were issued."""
    found = list(outcomes)
    for horizon in Horizon:
        places = [place for place, outcome in enumerate(found) if _issue(outcome, horizon) is not None]
        kinds = {kind: [p for p in places if found[p].key.kind is kind] for kind in (Kind.POOL, Kind.TENANT)}
        issues = {kind: [_issued(found[p], horizon) for p in mine] for kind, mine in kinds.items()}
        if not _comparable(found, kinds, issues):
            continue
        moved = {kind: [np.empty_like(i.quantiles) for i in mine] for kind, mine in issues.items()}
        slots = len(issues[Kind.POOL][0].quantiles)
        for rows in np.array_split(np.arange(slots), -(-slots // _SLOTS_AT_ONCE)):
            pools, tenants = (np.stack([i.quantiles[rows] for i in issues[kind]]) for kind in issues)
            whole = reconcile(_sum(pools), tenants)
            fixed = np.repeat(whole.pool[:, :1], len(LEVELS), axis=1)
            for kind, values in ((Kind.POOL, reconcile(fixed, pools).tenants), (Kind.TENANT, whole.tenants)):
                for quantiles, part in zip(moved[kind], values, strict=True):
                    quantiles[rows] = part
        for kind, mine in moved.items():
            for place, quantiles in zip(kinds[kind], mine, strict=True):
                found[place] = _with(found[place], horizon, quantiles)
    return found


def _issue(outcome: Outcome, horizon: Horizon) -> Issue | None:
    return next((issue for issue in outcome.issues if issue.horizon is horizon), None)


def _issued(outcome: Outcome, horizon: Horizon) -> Issue:
    return next(issue for issue in outcome.issues if issue.horizon is horizon)


def _comparable(
    outcomes: Sequence[Outcome], kinds: dict[Kind, list[int]], issues: dict[Kind, list[Issue]]
) -> bool:
    """Tell whether every pool and every tenant among the outcomes has an issue, at the same slots."""
    for kind, places in kinds.items():
        if not places or len(places) < sum(outcome.key.kind is kind for outcome in outcomes):
            return False
    return len({(i.first_s, i.quantiles.shape) for both in issues.values() for i in both}) == 1


def _sum(parts: Floats) -> Floats:
    """Return quantiles [rows, levels] of the sum of parts [parts, rows, levels] that err independently."""
    deviation = (parts[:, :, _SPREAD_LEVEL] - parts[:, :, 0]) / NORMAL_SCORES[_SPREAD_LEVEL]
    whole = np.sqrt((deviation**2).sum(axis=0))
    return np.asarray(parts[:, :, 0].sum(axis=0)[:, None] + whole[:, None] * NORMAL_SCORES[None, :])


def _with(outcome: Outcome, horizon: Horizon, quantiles: Floats) -> Outcome:
    issues = (replace(i, quantiles=quantiles) if i.horizon is horizon else i for i in outcome.issues)
    return replace(outcome, issues=tuple(issues))
