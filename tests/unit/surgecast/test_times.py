"""Points in time as people write them."""

import pytest

from surgecast.commands.times import parse_time
from surgecast.errors import CommandError, Exit

NOW = 1_800_000_000_000_000_000


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (NOW, "now"),
        (NOW, " now "),
        (NOW - 15 * 60 * 10**9, "-15m"),
        (NOW - 500_000_000, "-500ms"),
        (NOW - 7 * 86400 * 10**9, "-7d"),
        (1_795_132_800_000_000_000, "2026-11-20"),
        (1_795_161_600_000_000_000, "2026-11-20T08:00:00Z"),
        (1_795_161_600_000_000_000, "2026-11-20T08:00:00"),
        (1_795_161_600_000_000_000, "2026-11-20T09:00:00+01:00"),
        (1_795_161_600_250_001_000, "2026-11-20T08:00:00.250001Z"),
        (0, "1970-01-01"),
    ],
)
def test_times(expected: int, text: str) -> None:
    assert expected == parse_time(text, NOW)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yesterday", "write for example now, -15m"),
        ("", "write for example"),
        ("15m", "write for example now, -15m"),
        ("-", "is not a duration"),
        ("-5 parsecs", "with a minus for the past"),
        ("1969-12-31", "is not between 1970 and 2262"),
        ("9999-12-31", "is not between 1970 and 2262"),
        ("-99999999w", "is not between 1970 and 2262"),
    ],
)
def test_what_is_no_time_says_what_is(text: str, reason: str) -> None:
    with pytest.raises(CommandError, match=reason) as caught:
        parse_time(text, NOW)
    assert Exit.USAGE == caught.value.code
