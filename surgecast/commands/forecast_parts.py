"""How `surgecast forecast` shows what a series is made of: its decomposition, what regressors do to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import typer

from forecast.decomposition import Decomposition
from forecast.localtime import Floats
from forecast.regressors import RegressorEffect
from forecast.signals import SECOND_NS
from surgecast.commands.output import iso_time, print_table
from telephony.durations import format_duration


def decomposition_json(found: Decomposition) -> dict[str, Any]:
    """Return the keys that docs/forecast.md tells."""
    return {
        "since": iso_time(found.since_s * SECOND_NS),
        "slot_seconds": found.slot_s,
        "scale": "sqrt(y + 3/8)",
        "filled_ratio": found.filled_ratio,
        "trend_strength": found.trend_strength,
        "daily_strength": found.daily_strength,
        "weekly_strength": found.weekly_strength,
        "remainder_deviation": found.remainder_deviation,
        "remainder_autocorrelation": {
            format_duration(lag * found.slot_s): value for lag, value in found.autocorrelation.items()
        },
        "ljung_box_p": found.ljung_box_p,
        "trend": _numbers(found.trend),
        "daily": _numbers(found.daily),
        "weekly": _numbers(found.weekly),
        "remainder": _numbers(found.remainder),
    }


def _numbers(values: Floats) -> list[float | None]:
    return [None if missing else value for value, missing in zip(values.tolist(), np.isnan(values), strict=True)]


def print_decomposition(found: Decomposition) -> None:
    """Print the strengths and the diagnostics."""
    strengths = (
        ("trend", found.trend_strength), ("day", found.daily_strength), ("week", found.weekly_strength),
    )  # fmt: skip
    days = found.trend.size * found.slot_s / 86_400
    title = f"MSTL of {days:.0f} days in slots of {format_duration(found.slot_s)}, sqrt(y + 3/8)"
    print_table(["part", "strength"], [[name, value] for name, value in strengths], title)
    lags = [[format_duration(lag * found.slot_s), value] for lag, value in found.autocorrelation.items()]
    print_table(["lag", "autocorrelation of the remainder"], lags, f"Ljung-Box p {found.ljung_box_p:.3g}")
    typer.echo(
        f"remainder {found.remainder_deviation:.2f} (0.50 is pure counting noise), "
        f"{100 * found.filled_ratio:.1f} % of the slots were filled"
    )


def regressor_json(effect: RegressorEffect) -> dict[str, Any]:
    """Return the keys that docs/forecast.md tells."""
    return {
        "name": effect.name,
        "per_unit": effect.per_unit,
        "usual": effect.usual,
        "learned_days": effect.learned_days,
        "left_out": effect.left_out or None,
    }


def print_regressors(effects: Sequence[RegressorEffect]) -> None:
    """Print what each regressor does to the load."""
    rows = [
        [e.name, f"{e.per_unit:+.2%}", e.usual, e.learned_days, f"left out: {e.left_out}" if e.left_out else ""]
        for e in effects
    ]
    print_table(["regressor", "per unit", "usual", "days learned from", ""], rows)
