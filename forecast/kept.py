"""What was learned up to last night, on disk: a night learns the day that ended instead of eight weeks anew.

A file a series, a cache: it may be deleted at any time, and is not believed where it cannot be read, is not as it
was written, or where the past, as known now, is not the one it was learned from. Then, or where there is no room,
all is learned anew.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from forecast.intervals import WINDOW_DAYS, LearnedBands
from forecast.localtime import DAY_S, Ints
from forecast.panel import Panel
from forecast.rolling import ORIGINS_PER_DAY, Issued, Learned
from forecast.targets import SeriesId

MOST_BYTES = 6 * 1024**3
"""Room for all files: some 1,600 series of quarter hours; those beyond are learned anew each night."""
_BYTES_PER_ORIGIN = 28_000
"""Of a file, by the slots of a day: errors of eight weeks, and forecasts whose slots come within four."""
_BYTES_PER_WEEK = 42_000
"""Of a file, by the weeks of history: training sums."""
_FORM = 6
_SUFFIX = ".learned"
_UNUSED_S = 14 * DAY_S
_NARROW = {"origins": np.int32, "targets": np.int32, "bins": np.uint8}
_MEMBER = "member"
_WIDE = dict.fromkeys(_NARROW, np.int64)


def first_day(today: int, phase: int) -> int:
    """Return the local day (from the epoch) from which what is in force today was learned: 8 to 16 weeks back.

    The same for eight weeks, so that going on and learning anew come to the same; other series' turn comes on
    other days.
    """
    return (today - WINDOW_DAYS - phase) // WINDOW_DAYS * WINDOW_DAYS + phase


def phase_of(key: SeriesId) -> int:
    """Return the day of eight weeks on which it is a series' turn to be learned anew."""
    return crc32(str(key).encode()) % WINDOW_DAYS


@dataclass(frozen=True, slots=True)
class Past:
    """What a walk looked at, told short: walks over equal pasts learn the same."""

    start_s: int
    """Where the history begins. It moves on as old slots are forgotten, which changes nothing that was learned."""
    first_day: int
    days: Ints
    """A checksum of each day."""
    told: str
    """A digest of clock, holidays, leads and the events that began by then, names of regressors."""

    def goes_on(self, before: "Past") -> bool:
        """Tell whether all days of an earlier one that are still held are as they were."""
        if self.start_s < before.start_s or self.told != before.told:
            return False
        # Of the day in which the history begins now, a part may be gone.
        partly = int(self.start_s != before.start_s)
        was = before.days[self.first_day - before.first_day + partly :]
        return was.size > 0 and np.array_equal(was, self.days[partly:])


def past_of(panel: Panel, country: str, edges: Ints, day: int) -> Past:
    """Return the past of a panel before a local day (from the epoch), for bins of leads.

    All that `forecast.issue.panel_of` gives a panel must be in it: else a change of that would go unseen.
    """
    series = panel.series
    starts = np.searchsorted(panel.day, np.arange(max(day - panel.first_day, 0) + 1)).tolist()
    until_s = series.start_s + starts[-1] * series.slot_s
    events = [event for event in panel.events.events if event.start_s < until_s]
    digest = blake2b(
        repr((_FORM, series.zone.key, series.slot_s, country, events, panel.regressors.names)).encode(),
        digest_size=16,
    )
    digest.update(edges.tobytes())
    days = [crc32(panel.observed[first:last].tobytes()) for first, last in pairwise(starts)]
    return Past(series.start_s, panel.first_day, np.array(days, np.int64), digest.hexdigest())


@dataclass(frozen=True, slots=True)
class Kept:
    """What was learned, and of what."""

    past: Past
    learned: Learned


def load(path: Path) -> Kept | None:
    """Return what a file keeps; None where there is none, or it cannot be read."""
    try:
        file = _unpacked(path.read_bytes())
        start_s, first, day, since = file["place"].tolist()
        past = Past(start_s, first, file["days"], file["told"].tobytes().decode())
        bands = LearnedBands(*(file[name] for name in LearnedBands.__slots__))
        kinds: dict[str, type[Any]] = {name: _WIDE.get(name, np.float32) for name in Issued.__slots__}
        waiting = Issued(*(file[f"waiting_{name}"].astype(kind, copy=False) for name, kind in kinds.items()))
        lasting: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for name, values in file.items():
            if name.startswith(f"{_MEMBER}/"):
                _, member, own = name.split("/")
                lasting.setdefault(member, {})[own] = values
        return Kept(past, Learned(day, bands, file["errors"], lasting, waiting, since))
    except (OSError, ValueError, KeyError):
        return None


def save(path: Path, kept: Kept) -> None:
    """Keep it; a disk that takes nothing costs only the time to learn it anew."""
    past, learned = kept.past, kept.learned
    arrays: dict[str, npt.NDArray[Any]] = {
        "place": np.array([past.start_s, past.first_day, learned.day, learned.since]),
        "days": past.days,
        "told": np.frombuffer(past.told.encode(), np.uint8),
        "errors": learned.errors,
        **{name: getattr(learned.bands, name) for name in LearnedBands.__slots__},
    }
    for name in Issued.__slots__:
        values = getattr(learned.waiting, name)
        arrays[f"waiting_{name}"] = values.astype(_NARROW.get(name, values.dtype))
    for member, lasting in learned.lasting.items():
        arrays.update({f"{_MEMBER}/{member}/{name}": values for name, values in lasting.items()})
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Over what was there: a new file in its place is most of the cost. One that was cut short does not fit its
        # checksum, which costs no more than one that was never written.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.writelines(_packed(arrays))
            file.truncate()
    except OSError:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _packed(arrays: Mapping[str, npt.NDArray[Any]]) -> list[memoryview]:
    """Return the parts of a file: a checksum of the rest, a line that lists the arrays, what is in them.

    An archive of as many files (`np.savez`) takes several times as long.
    """
    # The widest first, behind a line of whole words: each array then lies where its numbers can be read in place.
    ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)
    line = json.dumps([(name, values.dtype.str, values.shape) for name, values in ordered]).encode() + b"\n"
    parts = [memoryview(line.rjust(-(-len(line) // 8) * 8))]
    parts += [np.ascontiguousarray(values).reshape(-1).view(np.uint8).data for _, values in ordered]
    checksum = 0
    for part in parts:
        checksum = crc32(part, checksum)
    return [memoryview(checksum.to_bytes(8)), *parts]


def _unpacked(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a file, not to be written to. Raises ValueError where it is not as it was saved."""
    if int.from_bytes(data[:8]) != crc32(memoryview(data)[8:]):
        raise ValueError("damaged")
    at = data.index(b"\n", 8) + 1
    found = {}
    for name, kind, shape in json.loads(data[8:at]):
        count = prod(shape)
        found[name] = np.frombuffer(data, kind, count, at).reshape(shape)
        at += count * found[name].itemsize
    return found


class Shelf:
    """The files of a service; used by one thread, the files themselves by its workers."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._taken: dict[SeriesId, int] = {}
        """Bytes set aside for each series."""

    def place(self, key: SeriesId, slots_per_day: int, days: int) -> Path | None:
        """Return the file of a series of that long a history, which need not exist; None where it has no room."""
        if key not in self._taken:
            wanted = _BYTES_PER_ORIGIN * min(slots_per_day, ORIGINS_PER_DAY) + _BYTES_PER_WEEK * (days // 7 + 2)
            if sum(self._taken.values()) + wanted > MOST_BYTES:
                return None
            self._taken[key] = wanted
        return self._directory / (blake2b(str(key).encode(), digest_size=12).hexdigest() + _SUFFIX)

    def tidy(self, now_s: int) -> None:
        """Delete what no series has used for two weeks."""
        for path in self._directory.glob(f"*{_SUFFIX}"):
            with suppress(OSError):
                if path.stat().st_mtime < now_s - _UNUSED_S:
                    path.unlink()
