"""Which days a report is of: `2026-11`, `2026-W47`, `2026-11-01..2026-11-20`, `last-month`, `last-7d`, `today`.

A period is whole days of a zone's calendar: its ends are local midnights, so that a day of a change to or from
summer time has its 23 or 25 hours. Nothing here reads a clock; `now_ns` is a parameter.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from storage.seam import Window

SECOND_NS = 1_000_000_000
MOST_DAYS = 400
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS
LATE_NS = 15 * MINUTE_NS
"""How long after its end the last minutes of a period may still change."""
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_WEEK = re.compile(r"(\d{4})-W(\d{2})")
_SPAN = re.compile(r"(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})")
_LAST_DAYS = re.compile(r"last-(\d{1,3})d")
_EXAMPLES = "2026-11, 2026-W47, 2026-11-01..2026-11-20, last-month, last-7d, this-month, this-week or today"
_YEARS = (1971, 2261)


class BadPeriod(ValueError):
    """The text names no period that a report can be of; the message shows how one is written."""


@dataclass(frozen=True, slots=True)
class Period:
    """Whole local days, from `first` up to but not including `until`."""

    first: date
    until: date
    zone: ZoneInfo

    @property
    def text(self) -> str:
        """The period as it is written: a month, a week, or the first and last day.

        >>> Period(date(2026, 11, 1), date(2026, 12, 1), ZoneInfo("UTC")).text
        '2026-11'
        """
        if self._is_month:
            return f"{self.first:%Y-%m}"
        if self.days == 7 and self.first.isoweekday() == 1:
            return f"{self.first:%G-W%V}"
        return f"{self.first}..{self.until - timedelta(days=1)}"

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.until - self.first).days

    @property
    def _is_month(self) -> bool:
        return self.first.day == 1 and self.until == _next_month(self.first)

    @property
    def window(self) -> Window:
        """Its span in UTC nanoseconds."""
        return Window(_midnight_ns(self.first, self.zone), _midnight_ns(self.until, self.zone))

    def midnights_ns(self) -> tuple[int, ...]:
        """Return the start of each day and the end of the last."""
        return tuple(_midnight_ns(self.first + timedelta(days=i), self.zone) for i in range(self.days + 1))

    @property
    def by_hour(self) -> bool:
        """Whether it is told in hours: one day has no course in days."""
        return self.days == 1

    def parts_ns(self) -> tuple[int, ...]:
        """Return the start of each part it is told in, the hours of one day and else the days, and its end."""
        if not self.by_hour:
            return self.midnights_ns()
        window = self.window
        return (*range(window.since_ns, window.until_ns, HOUR_NS), window.until_ns)

    def runs(self, now_ns: int) -> bool:
        """Tell whether it has not ended yet."""
        return now_ns < self.window.until_ns

    def elapsed(self, now_ns: int) -> Window:
        """Return the part of it that has been, in whole minutes: the store counts in minutes, and a minute that
        runs would be held against a whole one of the period before.
        """
        window = self.window
        until_ns = now_ns // MINUTE_NS * MINUTE_NS if self.runs(now_ns) else window.until_ns
        return Window(window.since_ns, max(window.since_ns, until_ns))

    def previous(self) -> "Period":
        """Return the month before a month, the same day of the week before a day, else as many days before."""
        if self.days == 1:
            return Period(self.first - timedelta(days=7), self.until - timedelta(days=7), self.zone)
        if self._is_month:
            return Period((self.first - timedelta(days=1)).replace(day=1), self.first, self.zone)
        return Period(self.first - timedelta(days=self.days), self.first, self.zone)

    def compared_with(self, now_ns: int) -> Window:
        """Return what it is compared with: the previous period, up to the same local time while this one runs."""
        before = self.previous()
        window = before.window
        if not self.runs(now_ns):
            return window
        into = _local(self.elapsed(now_ns).until_ns, self.zone).replace(tzinfo=None) - datetime.combine(
            self.first, time()
        )
        reached = datetime.combine(before.first, time(), self.zone) + max(into, timedelta())
        reached_ns = int(reached.timestamp()) * SECOND_NS
        return Window(window.since_ns, max(window.since_ns, min(window.until_ns, reached_ns)))


def parse_period(text: str, zone: ZoneInfo, now_ns: int) -> Period:
    """Return the period that a text names; raises BadPeriod, also for one that has not begun.

    `last-7d` is the seven days before today, `last-month` the month before this; both ends of `A..B` are in it.
    `today`, `this-week` and `this-month` are those that run.

    >>> parse_period("2026-W47", ZoneInfo("UTC"), 1_800_000_000 * SECOND_NS).first
    datetime.date(2026, 11, 16)
    """
    text = text.strip()
    try:
        first, until = _days(text, _local(now_ns, zone).date())
    except (ValueError, OverflowError) as error:
        raise BadPeriod(f"period {text[:40]!r} is not understood; write for example {_EXAMPLES}") from error
    if until <= first:
        raise BadPeriod(f"period {text[:40]!r} ends before it starts; write for example {_EXAMPLES}")
    if (until - first).days > MOST_DAYS:
        raise BadPeriod(f"period {text[:40]!r} is longer than {MOST_DAYS} days")
    if not _YEARS[0] <= first.year <= until.year <= _YEARS[1]:
        raise BadPeriod(f"period {text[:40]!r} is not between {_YEARS[0]} and {_YEARS[1]}")
    found = Period(first, until, zone)
    if found.window.since_ns >= now_ns:
        raise BadPeriod(f"period {text[:40]!r} has not begun in {zone.key}")
    return found


def _days(text: str, today: date) -> tuple[date, date]:
    if match := _MONTH.fullmatch(text):
        first = date(int(match[1]), int(match[2]), 1)
        return first, _next_month(first)
    if match := _WEEK.fullmatch(text):
        first = date.fromisocalendar(int(match[1]), int(match[2]), 1)
        return first, first + timedelta(days=7)
    if match := _SPAN.fullmatch(text):
        return date.fromisoformat(match[1]), date.fromisoformat(match[2]) + timedelta(days=1)
    if match := _LAST_DAYS.fullmatch(text):
        return today - timedelta(days=int(match[1])), today
    if text == "last-month":
        return (today.replace(day=1) - timedelta(days=1)).replace(day=1), today.replace(day=1)
    if text == "this-month":
        return today.replace(day=1), _next_month(today.replace(day=1))
    if text == "this-week":
        monday = today - timedelta(days=today.weekday())
        return monday, monday + timedelta(days=7)
    if text == "today":
        return today, today + timedelta(days=1)
    raise ValueError(text)


def _next_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _midnight_ns(day: date, zone: ZoneInfo) -> int:
    # Where a day has no midnight (its first hour was skipped), this is the moment of the change: its start.
    return int(datetime.combine(day, time(), zone).timestamp()) * SECOND_NS


def _local(at_ns: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).astimezone(zone)
