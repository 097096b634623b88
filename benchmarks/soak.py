"""Whether memory stays flat: runs the demo for a while and watches the memory of each of its processes.

    python benchmarks/soak.py --minutes 65 --calls 500

Prints one JSON object. For each process: its anonymous memory (MB) by minute, and the slope after warm-up (MB an
hour, least squares over medians of whole minutes, with its 95 % interval) and the verdict on it. For the
collector: calls up, table entries and sealed segments by minute, so that a rise can be told from more traffic.

What reads the store holds the rows of a log until it is sealed: only whole seal periods (15 minutes) after warm-up
tell a rise from that. With three weeks of history alerts judge; with fewer they would learn, and hold less. Linux
only: it reads /proc.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from statistics import fmean, median
from typing import TextIO

from scipy.stats import t as student

from storage.settings import StorageSettings

_SAMPLE_SECONDS = 10.0
_MINUTE_SECONDS = 60.0
_KB_PER_MB = 1024
_SEALS = 2
"""After so many seals of the slow logs the working set is whole: caches are full, a second seal needs no more."""
_LEAST_MINUTES = 5
"""Whole minutes after warm-up below which no slope is told."""
_FLAT_MB_PER_HOUR = 20.0
"""The 95 % interval of a flat slope lies below this."""
_SHOWN = ("surgecast_active_calls", "surgecast_table_entries", "surgecast_store_segments_sealed_total")


@dataclass(frozen=True, slots=True)
class Slope:
    """A least-squares slope in MB an hour, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """`flat`, `rises`, or `undecided` where the interval holds both: run longer, on a quieter machine."""
        if self.high <= _FLAT_MB_PER_HOUR:
            return "flat"
        return "rises" if self.low > 0 else "undecided"


@dataclass(slots=True)
class Watched:
    """What was read of one process."""

    name: str = ""
    samples: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the start, anonymous MB."""

    def minutes(self) -> list[tuple[float, float]]:
        """Return the middle of each whole minute and its median: neighbouring samples say the same."""
        by_minute: dict[int, list[float]] = {}
        for seconds, memory in self.samples:
            by_minute.setdefault(int(seconds // _MINUTE_SECONDS), []).append(memory)
        return [((minute + 0.5) * _MINUTE_SECONDS, median(values)) for minute, values in sorted(by_minute.items())]


def slope_of(points: Sequence[tuple[float, float]]) -> Slope:
    """Return the slope of (seconds, MB).

    >>> slope = slope_of([(0.0, 100.0), (1800.0, 105.0), (3600.0, 110.0)])
    >>> (slope.value, slope.verdict)
    (10.0, 'flat')
    >>> slope_of([(0.0, 100.0), (1800.0, 150.0), (3600.0, 201.0)]).verdict
    'rises'
    """
    n = len(points)
    mean_t, mean_m = fmean(t for t, _ in points), fmean(m for _, m in points)
    spread = sum((t - mean_t) ** 2 for t, _ in points)
    slope = sum((t - mean_t) * (m - mean_m) for t, m in points) / spread
    residual = sum((m - mean_m - slope * (t - mean_t)) ** 2 for t, m in points)
    half = float(student.ppf(0.975, n - 2)) * sqrt(residual / (n - 2) / spread)
    return Slope(slope * 3600, (slope - half) * 3600, (slope + half) * 3600)


def anonymous_mb(pid: int) -> float | None:
    """Return the anonymous resident memory of a process: what mapped files hold is the kernel's to give back."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / _KB_PER_MB for line in lines if line.startswith("RssAnon:")), None)


def children_of(pid: int) -> list[int]:
    """Return the processes below a process, all generations."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:
            continue  # it ended meanwhile
        for child in children:
            found += [int(child), *children_of(int(child))]
    return found


def process_name(pid: int) -> str:
    """Return what a process calls itself; roles carry their names."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


class MetricsOf:
    """The collector's metrics, at the address that the demo tells."""

    def __init__(self, told: TextIO) -> None:
        self.by_minute: list[dict[str, float]] = []
        self._url = ""
        self._told = told
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._told:
            sys.stderr.write(line)
            _, found, url = line.partition("metrics: ")
            if found:
                self._url = url.strip()

    def read(self) -> None:
        """Add a minute."""
        totals: Counter[str] = Counter()
        try:
            with urllib.request.urlopen(self._url, timeout=5) as answer:  # the demo's own, on the loopback
                for line in answer.read().decode().splitlines():
                    name, _, value = line.rpartition(" ")
                    metric, _, labels = name.partition("{")
                    if metric in _SHOWN:
                        table = labels.partition('"')[2].partition('"')[0] if "table=" in labels else ""
                        totals[table or metric.removeprefix("surgecast_")] += float(value)
        except (OSError, ValueError):
            pass  # not up yet, or busy: an empty minute
        self.by_minute.append(dict(totals))


def warm_seconds(run_seconds: float) -> float:
    """Return when warm-up is over: after the second seal of logs that age seals, or a third of a short run."""
    sealed = _SEALS * StorageSettings().seal_age + _MINUTE_SECONDS
    return sealed if sealed + (_LEAST_MINUTES + 1) * _MINUTE_SECONDS <= run_seconds else run_seconds / 3


def report_of(watched: Watched, warm_s: float) -> dict[str, object]:
    """Return the figures and the verdict on one process; the last minute is not whole."""
    minutes = watched.minutes()[:-1]
    warm = [point for point in minutes if point[0] >= warm_s]
    report: dict[str, object] = {"process": watched.name, "mb_by_minute": [round(m, 1) for _, m in minutes]}
    if len(warm) < _LEAST_MINUTES:
        return report | {"verdict": "ended early, or too few minutes"}
    slope = slope_of(warm)
    return report | {
        "warm_mb": round(warm[0][1], 1),
        "end_mb": round(warm[-1][1], 1),
        "max_mb": round(max(m for _, m in watched.samples), 1),
        "slope_mb_per_hour": round(slope.value, 1),
        "slope_95_percent": [round(slope.low, 1), round(slope.high, 1)],
        "minutes_watched": len(warm),
        "verdict": slope.verdict,
    }


def main() -> None:
    """Run the demo and print what its memory did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=65.0)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--port", type=int, default=8099)
    arguments = parser.parse_args()
    run_s = arguments.minutes * 60
    command = [sys.executable, "-m", "surgecast", "demo", "--weeks", "3", "--seconds", str(run_s)]
    for name, value in (("--calls", arguments.calls), ("--port", arguments.port)):
        command += [name, str(value)]
    demo = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert demo.stderr is not None
    metrics = MetricsOf(demo.stderr)
    began, processes = time.monotonic(), dict[int, Watched]()
    while demo.poll() is None:
        time.sleep(_SAMPLE_SECONDS)
        elapsed = time.monotonic() - began
        for pid in children_of(demo.pid):
            if (memory := anonymous_mb(pid)) is not None:
                watched = processes.setdefault(pid, Watched())
                watched.name = process_name(pid) or watched.name
                watched.samples.append((elapsed, memory))
        if elapsed // _MINUTE_SECONDS >= len(metrics.by_minute) + 1:
            metrics.read()
    warm_s = warm_seconds(run_s)
    print(
        json.dumps(
            {
                "minutes": arguments.minutes,
                "calls": arguments.calls,
                "exit": demo.returncode,
                "warm_up_minutes": round(warm_s / 60, 1),
                "flat_below_mb_per_hour": _FLAT_MB_PER_HOUR,
                "processes": {str(pid): report_of(watched, warm_s) for pid, watched in processes.items()},
                "by_minute": metrics.by_minute,
            }
        )
    )


if __name__ == "__main__":
    main()
