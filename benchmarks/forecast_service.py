"""What the forecast service costs: from nothing, every slot, and at midnight, for many tenants in a real store.

    python benchmarks/forecast_service.py [--tenants 1000] [--days 56]

Every tenant has arrivals of business days whose level wanders from day to day, between 20 and 200 a quarter of an
hour, in an embedded store in a temporary folder, one row a slot. The service runs here, in one thread and without
workers, so that its CPU seconds are those of one core. Quantiles are calibrated on eight weeks of forecasts made
before the fact, as in production.
"""

import argparse
import resource
import tempfile
from collections import Counter
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from forecast.issue import perform
from forecast.service import Service
from forecast.service_settings import ForecastServiceSettings
from storage.embedded.store import EmbeddedStore
from storage.schema import LOAD_MINUTE
from storage.seam import Scope, Writer

MONDAY_S = 1_704_067_200
DAY_S, SLOT_S = 86_400, 900
DELAY_S = 61
HOURS = ((0, 2), (6, 2), (8, 28), (10, 76), (12, 60), (13.5, 48), (15, 72), (18, 36), (21, 12), (24, 2))
"""Hour of the day and relative load."""


def slot_rows(tenant: str, times_s: np.ndarray, counts: np.ndarray) -> pa.RecordBatch:
    """Return one row a slot: a collector writes fifteen, which sum to the same."""
    size = times_s.size
    given = {
        "time": times_s * 10**9, "arrivals": counts, "tenant": [tenant] * size, "pool": ["media"] * size,
        "region": ["eu"] * size, "node": ["sbc"] * size,
    }  # fmt: skip
    arrays = [
        pa.array(given[f.name]).cast(f.type) if f.name in given
        else pa.nulls(size, f.type) if f.name == "holding_time_histogram"
        else pa.array(np.zeros(size)).cast(f.type)
        for f in LOAD_MINUTE.schema
    ]  # fmt: skip
    return pa.RecordBatch.from_arrays(arrays, schema=LOAD_MINUTE.schema)


def fill(writer: Writer, tenants: int, days: int) -> int:
    """Write the history, and the slots of the first hours of the day after; return the rows."""
    random = np.random.default_rng(7)
    slots = np.arange(days * 96 + 8)
    times_s = MONDAY_S + slots * SLOT_S
    shape = np.interp(slots % 96 / 4, *zip(*HOURS)) * np.where(slots // 96 % 7 < 5, 1.0, 0.4)
    shape /= shape.mean()
    rows = 0
    for number in range(tenants):
        wander = np.cumsum(random.normal(size=days + 1)) * 0.02 + 0.08 * random.normal(size=days + 1)
        mean = random.uniform(20, 200) * shape * np.exp(np.repeat(wander, 96)[: slots.size])
        batch = slot_rows(f"tenant-{number:04}", times_s, random.poisson(mean))
        writer.write("load_minute", batch)
        rows += batch.num_rows
        if number % 50 == 49:
            writer.flush()
    minutes = np.arange(times_s[0], times_s[-1] + SLOT_S, 60)
    writer.write("load_minute", slot_rows("unassigned", minutes, np.zeros(minutes.size)))
    writer.flush()
    return rows


def measure(tenants: int, days: int) -> None:
    """Print what each kind of step costs."""
    settings = ForecastServiceSettings.model_validate({"workers": 0, "signals": {"tenant": ["arrivals"]}})
    midnight_s = MONDAY_S + days * DAY_S + DELAY_S
    with tempfile.TemporaryDirectory() as folder:
        store = EmbeddedStore(Path(folder))
        writer = store.writer("history")
        began = perf_counter()
        print(f"{fill(writer, tenants, days)} rows written in {perf_counter() - began:.0f} s", flush=True)
        before_mb = _rss_mb()
        service = Service(
            store.reader(Scope.everything("bench")), store.writer("f"), settings, lambda t: map(perform, t)
        )
        print(f"{'':38}{'CPU s':>8}{'ms a series':>13}{'of it fit':>11}{'peak MB':>9}")
        # The evening before, from nothing; a quarter of an hour later; the night's refit; and on.
        for label, at_s in (
            ("from nothing, all horizons", midnight_s - 3 * SLOT_S),
            ("next slot", midnight_s - 2 * SLOT_S),
            ("next slot", midnight_s - SLOT_S),
            ("midnight: refit, all horizons", midnight_s),
            ("next slot", midnight_s + SLOT_S),
        ):
            began, fits, seconds = process_time(), service.stats.fits, service.stats.fit_seconds
            service.step(at_s)
            spent = process_time() - began
            fits, seconds = service.stats.fits - fits, service.stats.fit_seconds - seconds
            fit = f"{1000 * seconds / fits:11.1f}" if fits else f"{'-':>11}"
            print(f"{label:38}{spent:8.1f}{1000 * spent / tenants:13.2f}{fit}{_rss_mb():9.0f}", flush=True)
        held_mb = sum(values.nbytes for book in service.books for values in book.values.values()) / 1e6
        models = Counter(service.stats.models.values())
        print(f"{before_mb:.0f} MB before the service, {held_mb:.0f} MB of slots held; models {dict(models)}")
        store.close()


def _rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run it from the command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tenants", type=int, default=1000)
    arguments.add_argument("--days", type=int, default=56)
    asked = arguments.parse_args()
    with threadpool_limits(1):
        measure(asked.tenants, asked.days)


if __name__ == "__main__":
    main()
