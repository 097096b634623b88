"""What the forecast service costs: from nothing, every slot, and at midnight, for many tenants in a real store.

    python benchmarks/forecast_service.py [--tenants 1000] [--days 56]

Every tenant has arrivals of business days whose level wanders from day to day, between 20 and 200 a quarter of an
hour, in an embedded store in a temporary folder, one row a slot. The service runs here, in one thread and without
workers, so that its CPU seconds are those of one core. Quantiles are calibrated on eight weeks of forecasts made
before the fact, as in production. Memory is that of this process (Linux): the peak since the service began, and
what is its own after a step, given back as the role does.
"""

import argparse
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from forecast.issue import Learning, perform
from forecast.kept import Shelf
from forecast.service import Service
from forecast.service_settings import ForecastServiceSettings
from storage.embedded.giveback import give_back
from storage.embedded.store import EmbeddedStore
from storage.schema import LOAD_MINUTE
from storage.seam import Scope, Writer

MONDAY_S = 1_704_067_200
DAY_S, SLOT_S = 86_400, 900
DELAY_S = 61
_MEMORY = "VmHWM", "RssAnon"
HOURS = ((0, 2), (6, 2), (8, 28), (10, 76), (12, 60), (13.5, 48), (15, 72), (18, 36), (21, 12), (24, 2))
"""Hour of the day and relative load."""


def slot_rows(times_s: np.ndarray, tenants: list[str], counts: np.ndarray) -> pa.RecordBatch:
    """Return one row a slot and tenant, `counts` [slots, tenants]: a collector writes fifteen of the same sum."""
    size = counts.size
    given = {
        "time": np.repeat(times_s, len(tenants)) * 10**9, "tenant": tenants * times_s.size,
        "pool": ["media"] * size, "region": ["eu"] * size, "node": ["sbc"] * size, "arrivals": counts.ravel(),
    }  # fmt: skip
    arrays = [
        pa.array(given[f.name]).cast(f.type) if f.name in given
        else pa.nulls(size, f.type) if f.name == "holding_time_histogram"
        else pa.array(np.zeros(size)).cast(f.type)
        for f in LOAD_MINUTE.schema
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, schema=LOAD_MINUTE.schema)


def fill(writer: Writer, tenants: int, days: int) -> int:
    """Write the history, the day after and the first hours of the next, as time goes on; return the rows."""
    random = np.random.default_rng(7)
    slots = np.arange((days + 1) * 96 + 8)
    shape = np.interp(slots % 96 / 4, *zip(*HOURS)) * np.where(slots // 96 % 7 < 5, 1.0, 0.4)
    shape /= shape.mean()
    names, counts = [f"tenant-{number:04}" for number in range(tenants)], []
    for _ in names:
        wander = np.cumsum(random.normal(size=days + 2)) * 0.02 + 0.08 * random.normal(size=days + 2)
        mean = random.uniform(20, 200) * shape * np.exp(np.repeat(wander, 96)[: slots.size])
        counts.append(random.poisson(mean))
    table = np.array(counts).T
    for first in range(0, slots.size, 4):
        hour = slots[first : first + 4]
        minutes = MONDAY_S + hour[0] * SLOT_S + 60 * np.arange(15 * hour.size)
        writer.write("load_minute", slot_rows(MONDAY_S + hour * SLOT_S, names, table[hour]))
        writer.write("load_minute", slot_rows(minutes, ["unassigned"], np.zeros((minutes.size, 1))))
        writer.flush()
    return table.size


def measure(tenants: int, days: int) -> list[tuple[str, float, float, int, float, float]]:
    """Return of each kind of step: name, CPU seconds, those of a fit, fits anew, megabytes at most and held."""
    settings = ForecastServiceSettings.model_validate({"workers": 0, "signals": {"tenant": ["arrivals"]}})
    midnight_s = MONDAY_S + days * DAY_S + DELAY_S
    found = []
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        store = EmbeddedStore(Path(folder))
        rows = fill(store.writer("history"), tenants, days)
        store.close()
        store = EmbeddedStore(Path(folder))
        store.maintain(midnight_s * 10**9)
        print(f"{rows} rows written in {perf_counter() - began:.0f} s", flush=True)
        Path("/proc/self/clear_refs").write_text("5")  # the peak of writing is not the service's
        before_mb, kept = _memory_mb("RssAnon"), Path(folder) / "forecast-kept"
        writer, reader = store.writer("forecast"), store.reader(Scope.everything("bench"))

        def started() -> Service:
            return Service(reader, writer, settings, lambda tasks: map(perform, tasks), Shelf(kept))

        service = started()
        for label, at_s in (
            ("first fits, all horizons", midnight_s - 3 * SLOT_S),
            ("next slot", midnight_s - 2 * SLOT_S),
            ("a night", midnight_s),
            ("next slot, a day compared", midnight_s + SLOT_S),
            ("restart", midnight_s + 2 * SLOT_S),
            ("the night after", midnight_s + DAY_S),
            ("next slot, a day compared", midnight_s + DAY_S + SLOT_S),
            ("next slot", midnight_s + DAY_S + 2 * SLOT_S),
            ("next slot", midnight_s + DAY_S + 3 * SLOT_S),
            ("next slot and hour", midnight_s + DAY_S + 4 * SLOT_S),
            ("next slot, hour compared", midnight_s + DAY_S + 5 * SLOT_S),
        ):
            if label == "restart":
                service = started()
            began, fits, seconds = process_time(), service.stats.fits, service.stats.fit_seconds
            went_on = service.stats.learned[Learning.WENT_ON]
            service.step(at_s)
            fits, seconds = service.stats.fits - fits, service.stats.fit_seconds - seconds
            if fits:
                give_back()
            spent = process_time() - began
            anew = fits - (service.stats.learned[Learning.WENT_ON] - went_on)
            found.append((label, spent, seconds / fits if fits else 0.0, anew, *map(_memory_mb, _MEMORY)))
        held_mb = sum(values.nbytes for book in service.books for values in book.values.values()) / 1e6
        kept_mb = sum(path.stat().st_size for path in kept.iterdir()) / 1e6
        models = Counter(service.stats.models.values())
        print(
            f"{before_mb:.0f} MB held before the service, {held_mb:.0f} MB of slots, {kept_mb:.0f} MB kept on disk"
        )
        print(f"models {dict(models)}", flush=True)
        store.close()
    return found


def report(tenants: int, days: int) -> None:
    """Print what steps cost, apart for the first tenant (what a step costs anyway) and for each further one."""
    alone = measure(1, days)
    columns = "CPU s", "one alone", "ms a further one", "ms of it fit", "fits anew", "peak MB", "held MB"
    print(f"{'':26}" + "".join(f"{column:>{len(column) + 2}}" for column in columns))
    for (label, fixed, *_), (_, spent, fit, anew, peak_mb, held_mb) in zip(
        alone, measure(tenants, days), strict=True
    ):
        each = 1000 * (spent - fixed) / max(tenants - 1, 1)
        print(
            f"{label:26}{spent:7.1f}{fixed:11.2f}{each:18.2f}{1000 * fit:14.1f}{anew:11}"
            f"{peak_mb:9.0f}{held_mb:9.0f}"
        )


def _memory_mb(name: str) -> float:
    """Return a figure of this process, as the kernel names it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Run it from the command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tenants", type=int, default=1000)
    arguments.add_argument("--days", type=int, default=56)
    asked = arguments.parse_args()
    with threadpool_limits(1):
        report(asked.tenants, asked.days)


if __name__ == "__main__":
    main()
