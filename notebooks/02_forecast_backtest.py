# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # How well can this load be forecast?
#
# Takes a series of calls, forecasts its last weeks as if they were still to come with every registered model, and
# shows what came of it. Set `SURGECAST_SERIES` to a CSV file with the columns `ds,y` (`SURGECAST_ZONE` to its time
# zone); without one, ten weeks of a call centre are simulated.

# %%
import os
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from IPython.display import display

from forecast.accuracy import LEVELS, poisson_mean_deviation
from forecast.horizons import Horizon
from forecast.issue import Known, ahead_slots, panel_of, walk
from forecast.members import members
from forecast.panel import from_root
from forecast.points import read_csv
from forecast.series import Series, State
from forecast.states import mark_closed

path = os.environ.get("SURGECAST_SERIES", "")
zone = ZoneInfo(os.environ.get("SURGECAST_ZONE", "UTC"))

# %% [markdown]
# ## The series
# Without a file: a weekly shape, a level of each day that nobody can know in advance, and Poisson arrivals.


# %%
def simulated(days: int = 70, per_day: int = 96, mean: float = 120.0) -> Series:
    """Return slots of a call centre, quieter at weekends."""
    random = np.random.default_rng(1)
    slot = np.arange(days * per_day)
    shape = 1 + 0.8 * np.sin((slot % per_day / per_day - 0.3) * 2 * np.pi)
    weekend = np.where(slot // per_day % 7 > 4, 0.4, 1.0)
    level = np.repeat(np.exp(0.08 * random.normal(size=days)), per_day)
    y = random.poisson(mean * shape * weekend * level).astype(np.float64)
    return Series(1_704_067_200, 86_400 // per_day, zone, y, np.full(y.size, State.OPEN, np.uint8))


series = mark_closed(read_csv(Path(path), None, zone) if path else simulated())
for note in series.notes:
    print("note:", note)
counts = {state.name.lower(): int((series.state == state).sum()) for state in State}
print(f"{len(series)} slots of {series.slot_s // 60} minutes:", counts)


# %%
def show(traces: list[dict], y_title: str, x_title: str = "") -> None:
    """Draw with whatever the notebook is opened in; nothing is sent anywhere."""
    layout = {"yaxis": {"title": {"text": y_title}, "rangemode": "tozero"}, "xaxis": {"title": {"text": x_title}}}
    layout |= {"height": 360, "margin": {"t": 20, "r": 20}, "legend": {"orientation": "h"}}
    figure = {"data": traces, "layout": layout}
    display({"application/vnd.plotly.v1+json": figure, "text/plain": f"figure: {y_title}"}, raw=True)


def line(name: str, x, y, **style) -> dict:
    """Return a Plotly trace; what is not known is a gap."""
    values = [None if v != v else float(v) for v in y]
    return {"type": "scatter", "mode": "lines", "name": name, "x": list(x), "y": values, **style}


def stamps(slots) -> list[str]:
    """Return the times of slots."""
    return [str(t) for t in np.datetime64(series.start_s, "s") + slots * np.timedelta64(series.slot_s, "s")]


times = stamps(np.arange(len(series)))
last = slice(-21 * series.slots_per_day, None)
show([line("measured", times[last], series.y[last])], "calls per slot")

# %% [markdown]
# ## Every model on the last two weeks
# Each is fitted at every midnight on what came before and forecasts from every slot of the day. WAPE is the sum of
# absolute errors over the sum of what came; the floor is the WAPE that would remain if the mean of every slot were
# known and arrivals were Poisson.

# %%
DAYS = 14
LEADS = {"next slot": 1, "1 h": 3600, "4 h": 4 * 3600, "24 h": 86_400, "7 d": 7 * 86_400}
leads = {name: max(1, seconds // series.slot_s) for name, seconds in LEADS.items()}
panel = panel_of(series, Known(), ahead_slots(series.slot_s))
final = int(panel.day[panel.known - 1])
tested = [member for member in members() if member.needs_days < final - DAYS]


def errors(member) -> dict[str, float]:
    """Return the WAPE of a model by lead."""
    model = member.build(panel)
    off, came = dict.fromkeys(leads, 0.0), dict.fromkeys(leads, 0.0)
    for day in range(final - DAYS + 1, final + 1):
        fitted = model.fit(day)
        origins = np.flatnonzero(panel.day[: panel.known] == day)
        for name, lead in leads.items():
            targets = origins + lead
            held = targets < panel.known
            held[held] = np.isfinite(panel.observed[targets[held]])
            if held.any():
                actual = panel.observed[targets[held]]
                forecast = from_root(fitted.predict(origins[held], targets[held]))
                off[name] += float(np.abs(actual - forecast).sum())
                came[name] += float(actual.sum())
    return {name: off[name] / came[name] for name in leads if came[name]}


wape = {member.name: errors(member) for member in tested}
known = panel.observed[: panel.known]
recent = known[np.isfinite(known)][-DAYS * series.slots_per_day :]
floor = float(poisson_mean_deviation(recent).sum() / recent.sum())

# %%
print(f"{'WAPE %':16}", *(f"{name:>10}" for name in leads))
for name, row in sorted(wape.items(), key=lambda item: item[1]["24 h"]):
    print(f"{name:16}", *(f"{100 * row[lead]:10.2f}" if lead in row else f"{'-':>10}" for lead in leads))
print(f"{'Poisson floor':16}", *(f"{100 * floor:10.2f}" for _ in leads))

# %%
bars = [
    {"type": "bar", "name": name, "x": list(row), "y": [100 * v for v in row.values()]}
    for name, row in wape.items()
]
show(bars, "WAPE, %", "lead")

# %% [markdown]
# ## The forecast that would be issued now
# The ladder takes the highest rung that the history allows; quantiles are learned from its own errors.

# %%
night = walk(panel).night()
count = min(7 * series.slots_per_day, Horizon.LONG.reach_s // series.slot_s)
targets = panel.known + np.arange(count)
quantiles = night.quantiles(panel, np.full(count, panel.known - 1), targets)
print("model:", night.chosen.name)
ahead = stamps(targets)
fan = [
    line(f"{100 * level:g} %", ahead, quantiles[:, place], line={"width": 2 if place == 0 else 1})
    for place, level in enumerate(LEVELS)
]
show([line("measured", times[-7 * series.slots_per_day :], series.y[-7 * series.slots_per_day :]), *fan], "calls")

# %% [markdown]
# The same on the command line, from every slot, every lead: `surgecast forecast backtest --series calls.csv`.
