"""What every model may know of a series, computed once and from the past alone.

Each table has a rule for how far back its entries look, and the look-ups below keep to it: a forecast made on day
D uses rows made of days before D, plus running levels up to its own origin. So one panel over a whole series
serves every origin of a backtest, and changing values after an origin cannot change what is forecast there.

Values are kept as z = sqrt(y + 3/8), which makes the noise of counts about the same at every volume.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from forecast.calendar import OWN, DayKind, day_kinds, month_places, resembled_weekday, years_before
from forecast.decay import Powers, decayed_ratios
from forecast.events import Event, EventTable, lifted
from forecast.localtime import EPOCH_WEEKDAY, Bools, Floats, Ints, local_grid, weekday_of
from forecast.profiles import TELLING, WEEK, base_profile, known_mean, smoothed, weekly_profiles
from forecast.regressor_points import Regressor
from forecast.regressors import RegressorEffect, RegressorTable
from forecast.series import Series
from forecast.states import outages, spikes

OFFSET = 0.375
POISSON_VARIANCE = 0.25
"""Variance of z for Poisson counts (Anscombe)."""
_USUAL_VARIANCE = 1.0
"""Of residuals of loads of calls, until some were seen."""
CLIP = 4.0
"""Residuals beyond the profile itself plus this are cut: one absurd slot must not lift the level for days."""
SHORT_SLOTS = (0.5, 2.0, 6.0)
LIVE_LEVELS = 2
LONG_DAYS = (0.5, 2.0, 6.0)
"""Half-lives of the running levels: slots, then days' worth of open slots."""
SHAPE_DAYS = (1.0, 5.0)
"""Half-lives of the running change of the day's shape."""
_SHRINK_DAYS = 2.0
MONTH_AHEAD_DAYS = 21
_MONTH_REACH_DAYS = 3
_SHRINK_MONTHS = 1.0
_SHRINK_YEARS = 0.5
_LEAST_YEAR_DAYS = 350
HALF_DAY, TWO_DAYS = 3, 4
"""Places of these half-lives among the levels."""
STEP_SIGMA = 3.5
_STEP_NEAR_PARTS = 4
_STEP_GAP_DAYS = 14
_STEP_PAST_DAYS = 56
_LEAST_SCATTER = 0.02
"""A step is looked for against the days that far back, over that long; scatter of z relative to the profile."""


def to_root(y: Floats) -> Floats:
    """Return counts in the scale where their noise is even."""
    return np.sqrt(np.maximum(y, 0.0) + OFFSET)


def from_root(z: Floats) -> Floats:
    """Return counts from that scale; never negative."""
    return np.maximum(np.maximum(z, 0.0) ** 2 - OFFSET, 0.0)


class Panel:
    """A series with room for `ahead` slots after its end; slots are numbered from the series' first.

    Days are numbered from the series' first local day. `holiday` holds local days counted from the epoch; `events`
    those that move this load, `regressors` what is known ahead and may move it.
    """

    def __init__(
        self,
        series: Series,
        ahead: int,
        holiday: frozenset[int] = frozenset(),
        events: Sequence[Event] = (),
        regressors: Sequence[Regressor] = (),
    ) -> None:
        self.series = series
        self.shared: object = None
        """What a model that learns over several series keeps in common; set by whoever has them all."""
        self.known = len(series)
        grid = local_grid(series.start_s, series.slot_s, self.known + ahead, series.zone)
        self.first_day = int(grid.day[0])
        self.day: Ints = grid.day - self.first_day
        self.slot: Ints = grid.slot
        self.slots_per_day = series.slots_per_day
        self.days = int(self.day[-1]) + 1
        self._made: Ints = self.day[: self.known]
        """Local days of the slots that are known: what is learned of slots ends with them."""
        self._last_made = int(self.day[min(self.known, self.day.size - 1)])
        """The last day on which anything can be forecast: that of the next slot."""
        self.kinds = day_kinds(np.arange(self.days) + self.first_day, holiday)
        self._has_holidays = bool((self.kinds == DayKind.HOLIDAY).any())
        self.observed: Floats = np.full(self.day.size, np.nan)
        self.observed[: self.known] = series.learned
        self.spikes = spikes(self.observed, self.day)
        self.absurd: Bools = self.spikes.absurd
        self.events = EventTable(events, series.start_s, series.slot_s, self.day)
        self.usual: Floats = np.where(self.events.inside | self.absurd, np.nan, self.observed)
        """What would have been measured without events; NaN in short ones."""
        self.plain: Floats = self.usual
        """The same, with the short ones divided by what was believed of them."""
        self._like_rows = self._rows_like()
        if self.events.events:
            self._take_out_events()
        self.regressors = RegressorTable(regressors, series.start_s, series.slot_s, self.day)
        if regressors:
            self._take_out_regressors()
        self.y: Floats = self.usual.copy()
        self.closed: Bools = np.zeros(self.day.size, np.bool_)
        if series.closed_times is not None:
            self.closed = series.closed_times[grid.weekday, grid.slot]
        self._build_profiles()
        self.suspected: Floats = self._over_all(from_root(self._usual_of(self.day)))
        """What outages are judged by: the profile that has not forgotten them yet."""
        dead = outages(self.y, self.suspected)
        self.outage: Bools = dead | self.absurd
        """Slots that are not believed, for too little or too much: shown, not learned from."""
        if dead.any():
            self.y[dead] = np.nan
            self._build_profiles()
        self._build_residuals()

    @classmethod
    def none(cls) -> "Panel":
        """Return what stands in where a fit is kept without the history it came from; it knows nothing."""
        return cls.__new__(cls)

    def _take_out_events(self) -> None:
        """Learn what events do from what was seen beyond the profile and the level of the days before."""
        self.y = self.usual.copy()
        self._build_profiles()
        self._build_residuals()
        evening = np.maximum(np.searchsorted(self._made, self._made) - 1, 0)
        moved = (1 + self.year_shift[self._made]) * (1 + self.levels[TWO_DAYS][evening])
        expected = self._expected_then() * moved
        believable = np.where(self.absurd, np.nan, self.observed)
        self.events.learn(believable, self._over_all(from_root(expected)))
        self.plain = believable * np.exp(-self.events.log_factor(self.day, np.arange(self.day.size)))
        self.usual = np.where(self.events.inside, np.nan, self.plain)

    def _take_out_regressors(self) -> None:
        """Learn what regressors do from what was seen beyond the profile, and divide the load by it."""
        self.y = self.usual.copy()
        self._build_profiles()
        expected = self._over_all(self._usual_of(self._made))
        usual = np.isin(self.kinds[self.day], (DayKind.HOLIDAY, DayKind.EVE, DayKind.AFTER), invert=True)
        self.regressors.learn(np.where(usual, clipped(self.z - expected, expected), np.nan), expected, self.slot)
        factor = np.exp(self.regressors.log_factor(self.day, np.arange(self.day.size)))
        self.usual, self.plain = self.usual / factor, self.plain / factor

    def regressors_now(self) -> tuple[RegressorEffect, ...]:
        """Return what regressors are believed to do on the day of the next slot."""
        return self.regressors.effects(int(self.day[min(self.known, self.day.size - 1)]))

    def _build_profiles(self) -> None:
        table = np.full((self.days, self.slots_per_day), np.nan)
        self.z: Floats = to_root(self.y)
        # Of the two slots that share a key on the day of 25 hours, the later one stays: either would do.
        table[self.day, self.slot] = self.z
        self.table: Floats = table
        plain = np.where((self.kinds == DayKind.HOLIDAY)[:, None], np.nan, table)
        # A forecast looks up rows of the week that begins on its day, whatever its lead: see `rows_plain`.
        self.profiles: Floats = weekly_profiles(plain[: self._last_made + WEEK])
        self.base: Floats = base_profile(self.profiles)
        # Without history a memory says nothing beyond the base.
        self.spread: Floats = np.nan_to_num(self.profiles[list(TELLING)] - self.base)

    def _usual_of(self, day: Ints) -> Floats:
        """Return the profile in z of the slots from the first on whose days are given, as far as it goes."""
        reach = int(np.searchsorted(day, len(self.base)))
        return looked_up(self.base, day[:reach], self.slot[:reach])

    def _expected_then(self) -> Floats:
        """Return the profile in z of the slots that are known, as used on their own days."""
        return looked_up(self.base, self.rows(self._made, self._made), self.slot[: self.known])

    def _over_all(self, values: Floats) -> Floats:
        """Return what is known of the first slots, and NaN for the others."""
        found = np.full(self.day.size, np.nan)
        found[: values.size] = values
        return found

    def _build_residuals(self) -> None:
        self.holiday_like: Ints = self._learn_holidays()
        expected = self._expected_then()
        self.residual: Floats = clipped(self.z[: self.known] - expected, expected)
        self.year_shift: Floats = self._year_shifts(*self._day_levels(expected))
        if self.year_shift.any():
            expected = expected * (1 + self.year_shift[self._made])
            self.residual = clipped(self.z[: self.known] - expected, expected)
        usual = self.kinds[self._made] != DayKind.HOLIDAY
        self.levels, self.today = self._running_levels(expected)
        self.shapes: Floats = self._running_shapes(np.where(usual, self.residual, np.nan))
        day_level, seen = self._day_levels(expected)
        self.day_level: Floats = np.where(seen & (self.kinds == DayKind.PLAIN), day_level, np.nan)
        """How far each plain day lay from its profile, relative; NaN for others."""
        self.day_shift: Floats = self._day_shifts(day_level, seen)
        self.month_level: Floats = self._month_levels(day_level, seen)
        self.step, self.step_weight = self._steps(day_level, seen)

    def _learn_holidays(self) -> Ints:
        """Return for each day on which a forecast is made which weekday (or OWN) holidays are like."""
        like = np.full(self.days, OWN, np.int64)
        holidays = np.flatnonzero(self.kinds == DayKind.HOLIDAY)
        if not holidays.size:
            return like
        errors = np.full((holidays.size, 8), np.nan)
        for place, day in enumerate(holidays[holidays < len(self.base)]):
            for like_weekday in range(8):
                gap = np.abs(self.table[day] - self.base[self._like_rows[day, like_weekday]])
                errors[place, like_weekday] = np.nanmean(gap) if np.isfinite(gap).any() else np.nan
        weekday = np.array([weekday_of(d + self.first_day) for d in range(self.days)])
        amount = np.nansum(from_root(self.table), axis=1)
        for made in range(self.days):
            recent = np.arange(max(0, made - 8 * WEEK), made)
            volumes = np.array([amount[recent[weekday[recent] == w]].mean() if (weekday[recent] == w).any()
                                else np.nan for w in range(7)])  # fmt: skip
            like[made] = resembled_weekday(errors, holidays < made, volumes)
        return like

    def rows(self, made: Ints, target: Ints) -> Ints:
        """Return which profile rows a forecast made on days `made` may use for days `target`."""
        if not self._has_holidays:
            return self.rows_plain(made, target)
        row = np.where(
            self.kinds[target] == DayKind.HOLIDAY, self._like_rows[target, self.holiday_like[made]], target
        )
        return self.rows_plain(made, row)

    def _rows_like(self) -> Ints:
        """Return [day, weekday or OWN]: the last day with that weekday; the day itself before the beginning."""
        days = np.arange(self.days)
        rows = np.tile(days[:, None], (1, 8))
        for weekday in range(7):
            rows[:, weekday] -= (days + self.first_day + EPOCH_WEEKDAY - weekday) % 7
        return np.asarray(np.where(rows < 0, days[:, None], rows))

    def _running_levels(self, expected: Floats) -> tuple[Floats, Floats]:
        """Return [half-life, slot] of the level relative to the profile, and the level of the day so far.

        A level of 0.1 lifts z by a tenth of the profile. Slots count by the square of the profile, as in a
        regression of the residual on it; time stands still while nothing is known. The two shortest levels follow
        an outage too, and forget it within the hour; the others do not learn from it.
        """
        made, known = self._made, np.isfinite(self.residual)
        # Of the first week, which every forecast that looks at levels has behind it.
        open_per_day = max(1.0, float(np.isfinite(self.z[: self.known])[made < WEEK].sum()) / (2 * WEEK))
        lives = [*SHORT_SLOTS, *(days * open_per_day for days in LONG_DAYS)]
        weight = np.where(known, expected, 0.0)
        top, bottom = (np.nan_to_num(self.residual) * weight), weight * weight
        live_residual = clipped(to_root(self.plain[: self.known]) - expected, expected)
        live_weight = np.where(np.isfinite(live_residual), expected, 0.0)
        live = np.nan_to_num(live_residual) * live_weight, live_weight**2
        powers, last = [Powers(life) for life in lives], self.known - 1
        followed, following = decayed_ratios(*live, made, powers[:LIVE_LEVELS], last)
        levels, states = decayed_ratios(top, bottom, made, powers[LIVE_LEVELS:], last)
        self.running = (*following, *states)
        total, mass = np.cumsum(top), np.cumsum(bottom)
        self.totals = total, mass
        start = np.searchsorted(made, made)
        before = np.r_[0.0, total][start], np.r_[0.0, mass][start]
        return np.concatenate([followed, levels]), (total - before[0]) / (
            mass - before[1] + self._usual_square(mass)
        )

    def _usual_square(self, mass: Floats) -> Floats:
        """Return what a day's level is shrunk by: two usual slots, as known at each slot."""
        self.counted = np.cumsum(np.diff(np.r_[0.0, mass]) > 0)
        return np.asarray(2 * mass / np.maximum(self.counted, 1) + 1e-9)

    def _running_shapes(self, residual: Floats) -> Floats:
        """Return [half-life, day, slot]: mean residual of a time of day over the days before, any weekday."""
        days = self._last_made + 1
        table = np.full((days, self.slots_per_day), np.nan)
        table[self._made, self.slot[: self.known]] = residual
        table = smoothed(table, 2)
        shapes = np.zeros((len(SHAPE_DAYS), days, self.slots_per_day))
        seen, table = np.isfinite(table), np.nan_to_num(table)
        keep = 0.5 ** (1 / np.array(SHAPE_DAYS))[:, None]
        total, mass = np.zeros((2, len(SHAPE_DAYS), self.slots_per_day))
        for day in range(days):
            shapes[:, day] = total / (mass + 0.5)
            if seen[day].any():
                total = np.where(seen[day], total * keep + table[day], total)
                mass = np.where(seen[day], mass * keep + 1, mass)
        return shapes

    def _day_levels(self, expected: Floats) -> tuple[Floats, Bools]:
        """Return each day's level relative to the profile, and on which days anything was measured."""
        weight = np.where(np.isfinite(self.residual), expected, 0.0)
        top = np.bincount(self._made, weights=np.nan_to_num(self.residual) * weight, minlength=self.days)
        bottom = np.bincount(self._made, weights=weight * weight, minlength=self.days)
        return np.where(bottom > 0, top / np.maximum(bottom, 1e-9), 0.0), bottom > 0

    def _year_shifts(self, level: Floats, seen: Bools) -> Floats:
        """Return for each day how far the same holiday (eve, day after) of earlier years lay from its profile.

        Relative, shrunk to none, and 0 for other days. A year ago is known to every forecast.
        """
        shifts = np.zeros(self.days)
        for day in np.flatnonzero(self.kinds[_LEAST_YEAR_DAYS:] != DayKind.PLAIN) + _LEAST_YEAR_DAYS:
            levels = [level[other] for other in years_before(self.kinds, int(day)) if seen[other]]
            shifts[day] = sum(levels) / (len(levels) + _SHRINK_YEARS)
        return shifts

    def _day_shifts(self, level: Floats, seen: Bools) -> Floats:
        """Return [day made, kind]: how far such days lay from the profile so far, relative, shrunk to none."""
        shifts = np.zeros((self.days, len(DayKind)))
        for kind in (DayKind.EVE, DayKind.HOLIDAY, DayKind.AFTER):
            of_kind = (self.kinds == kind) & seen
            count = np.r_[0, np.cumsum(of_kind)[:-1]]
            total = np.r_[0.0, np.cumsum(np.where(of_kind, level, 0.0))[:-1]]
            shifts[:, kind] = total / (count + _SHRINK_DAYS)
        return shifts

    def _month_levels(self, level: Floats, seen: Bools) -> Floats:
        """Return for each day the mean level of days at that place in earlier months, relative, shrunk to none.

        Places are counted from the nearer end of the month: pay and bills come at either. Only days
        `MONTH_AHEAD_DAYS` and more before are taken in, so that forecasts up to that far ahead may use it.
        """
        place = month_places(np.arange(self.days) + self.first_day)
        plain = seen & (self.kinds == DayKind.PLAIN)
        out = np.zeros(self.days)
        for of_month in np.unique(place):
            weight = np.clip(1 - np.abs(place - of_month) / (_MONTH_REACH_DAYS + 1), 0.0, None) * plain
            mass, total = np.cumsum(weight), np.cumsum(weight * level)
            here = np.flatnonzero((place == of_month) & (np.arange(self.days) >= MONTH_AHEAD_DAYS))
            before = here - MONTH_AHEAD_DAYS
            out[here] = total[before] / (mass[before] + _SHRINK_MONTHS * (_MONTH_REACH_DAYS + 1))
        return out

    def _steps(self, level: Floats, seen: Bools) -> tuple[Floats, Floats]:
        """Return for each slot the level to follow if the load has stepped, and how sure that is, 0 to 1.

        A step is a level far outside what whole days showed in the weeks before. Up is believed after half a day,
        because too little capacity is worse than too much; down, which a day off looks like, after two.
        """
        before = np.r_[0.0, np.cumsum(np.where(seen, level**2, 0.0))]
        count = np.r_[0, np.cumsum(seen)]
        days = np.arange(self.days)
        last, first = np.maximum(days - _STEP_GAP_DAYS, 0), np.maximum(days - _STEP_GAP_DAYS - _STEP_PAST_DAYS, 0)
        known = count[last] - count[first]
        scatter = np.sqrt((before[last] - before[first]) / np.maximum(known, 1))
        self.scatter: Floats = np.where(known >= WEEK, np.maximum(scatter, _LEAST_SCATTER), np.inf)
        scatter = self.scatter[self._made]
        # The day so far is the better measure once it is long; the running level carries over midnight.
        up = np.maximum(np.maximum(self.levels[HALF_DAY], self.today), 0.0)
        down = np.minimum(self.levels[TWO_DAYS], 0.0)
        step: Floats = np.where(self.levels[HALF_DAY] > 0, up, down)
        return step, np.clip(np.abs(step) / scatter - STEP_SIGMA, 0.0, 1.0)

    def follow_step(self, origins: Ints, targets: Ints, base: Floats, forecast: Floats) -> Floats:
        """Return forecasts in z moved towards the profile at the new level where the load has stepped.

        A regression cannot have learned this: steps are rare, and between them yesterday's level may tell nothing.
        Near leads follow the load by themselves and are left alone.
        """
        far = np.minimum((targets - origins) * _STEP_NEAR_PARTS / self.slots_per_day, 1.0)
        weight = self.step_weight[origins] * far
        stepped = base * (1 + self.step[origins])
        outward = np.abs(stepped - base) > np.abs(forecast - base)
        followed: Floats = np.where(outward, forecast + weight * (stepped - forecast), forecast)
        return followed

    def expected(self, made: Ints, target: Ints) -> tuple[Ints, Floats]:
        """Return the rows and the profile in z, holidays included, for target slots seen from days `made`."""
        day = self.day[target]
        row, slot = self.rows(made, day), self.slot[target]
        base = looked_up(self.base, row, slot)
        if self._has_holidays:
            own = looked_up(self.base, self.rows_plain(made, day), slot)
            base = np.where(np.isfinite(base), base, own)
        year = self.year_shift[day]
        moved = base * (1 + np.where(year == 0.0, self.day_shift[made, self.kinds[day]], year))
        return row, np.where(np.isfinite(moved), moved, np.sqrt(OFFSET))

    def rows_plain(self, made: Ints, target: Ints) -> Ints:
        """Return the profile rows of the targets' own weekdays."""
        late: Ints = np.maximum(target - made, 0) // WEEK
        row: Ints = np.maximum(target - WEEK * late, 0)
        return row

    def counts(self, origins: Ints, targets: Ints, quantiles: Floats) -> Floats:
        """Return quantiles of counts from those in z [rows, levels]: with events and regressors, 0 while closed.

        Closed slots were never learned from, and get no borrowed level.
        """
        log, variance = self.effects(self.day[origins], targets)
        return np.where(self.closed[targets, None], 0.0, lifted(from_root(quantiles), log, variance))

    def effects(self, made: Ints, targets: Ints) -> tuple[Floats, Floats]:
        """Return by what log of a factor events and regressors move target slots, and its variance."""
        log = self.events.log_factor(made, targets) + self.regressors.log_factor(made, targets)
        return log, self.events.log_variance(made, targets) + self.regressors.log_variance(made, targets)

    @cached_property
    def measured_days(self) -> Ints:
        """Return for each day how many earlier days have measured slots."""
        seen = np.isfinite(self.table).any(axis=1)
        earlier: Ints = np.r_[0, np.cumsum(seen)[:-1]].astype(np.int64)
        return earlier

    @cached_property
    def last_known(self) -> Floats:
        """Return for each slot the last z measured up to and with it, NaN before the first."""
        place = np.maximum.accumulate(np.where(np.isfinite(self.plain), np.arange(self.day.size), -1))
        return np.where(place >= 0, to_root(self.plain[np.maximum(place, 0)]), np.nan)

    def day_type_rows(self, back: int = 5) -> Floats:
        """Return [day, slot]: mean z of the last `back` days before, smoothed; for series younger than a week."""
        near = smoothed(self.table, 1)
        earlier = np.full((back, *near.shape), np.nan)
        for step in range(1, back + 1):
            earlier[step - 1, step:] = near[:-step]
        return known_mean(earlier)


def looked_up(table: Floats, row: Ints, column: Ints) -> Floats:
    """Return [..., places] of a table [..., rows, columns]; faster than by two indices."""
    found: Floats = table.reshape(*table.shape[:-2], -1).take(row * table.shape[-1] + column, axis=-1)
    return found


def signal_ratio(residual: Floats) -> float:
    """Return how much of residuals in z is more than counting noise, 0 to 1; NaN is unknown.

    Where none is known, that of most loads of calls.
    """
    known = residual[np.isfinite(residual)]
    variance = float(np.mean(known**2)) if known.size else _USUAL_VARIANCE
    return max(0.0, 1 - POISSON_VARIANCE / variance) if variance > 0 else 0.0


def clipped(residual: Floats, expected: Floats) -> Floats:
    """Return residuals in z cut to what one slot may say, whatever was measured."""
    return np.clip(residual, -expected - CLIP, expected + CLIP)
