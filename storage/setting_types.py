"""Types of settings that several parts of storage share."""

from typing import Annotated

from pydantic import BeforeValidator

from telephony.durations import parse_duration

Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds, written as `10s`, `15m`, `4h` or `7d`."""
