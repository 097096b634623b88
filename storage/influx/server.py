"""Which server answers at an address, and what of it differs from version to version."""

import re
from dataclasses import dataclass

VERSION_HEADER = "x-influxdb-version"
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class Server:
    """What answers at the address."""

    version: str
    """As it says it; empty where it says none (VictoriaMetrics)."""
    major: int
    """0 where it is not known."""
    minor: int = 0

    @classmethod
    def told(cls, version: str) -> "Server":
        """Return the server of a version as servers tell it.

        >>> Server.told("v2.7.12").major
        2
        """
        match = _VERSION.match(version)
        # A server built from source says "dev": the first that did has the API of 2.x.
        major, minor = (int(match[1]), int(match[2])) if match else ((2, 0) if version else (0, 0))
        return cls(version, major, minor)

    @property
    def has_v2_write(self) -> bool:
        """Whether it takes `/api/v2/write`: all but InfluxDB before 1.8."""
        return self.major != 1 or self.minor >= 8

    @property
    def binds_in_v3_only(self) -> bool:
        """Whether `/query` takes no bound parameters, `/api/v3/query_influxql` does: 3.x."""
        return self.major >= 3

    @property
    def name(self) -> str:
        """What to call it."""
        return f"InfluxDB {self.version}" if self.version else "a server that speaks InfluxDB's write protocol"
