"""Where the server is, and who we are to it: from the URL, the settings, files.

`influx://user:password@host:8086/database`, `influx://token@host/database`, `influxs://host/database` for TLS.
"""

import base64
import re
from dataclasses import dataclass, field

from storage.influx.settings import InfluxSettings
from storage.seam import BadAddress, StoreError
from storage.urls import server_of


@dataclass(frozen=True, slots=True)
class Address:
    """A server, a database on it, and credentials."""

    url: str
    """`http://host:port`"""
    database: str
    authorization: str = field(default="", repr=False)
    """The header of that name; empty where none is needed."""

    @property
    def directory(self) -> str:
        """A name for files about this store."""
        return re.sub(r"[^A-Za-z0-9._-]", "_", self.label)

    @property
    def label(self) -> str:
        """What messages call it; no secret."""
        host = self.url.split("//", 1)[1]
        return f"{host}/{self.database}"


def address_of(url: str, settings: InfluxSettings) -> Address:
    """Return the address of an `influx://` or `influxs://` URL; raises BadAddress, StoreError."""
    try:
        server = server_of(url)
    except ValueError as error:
        raise BadAddress(str(error)) from error
    user = server.username or settings.username
    password = server.password or _secret(settings, "password")
    token = _secret(settings, "token") or (user if server.username and not password else "")
    if token:
        authorization = f"Token {token}"
    elif user:
        authorization = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    else:
        authorization = ""
    return Address(server.url, server.database, authorization)


def _secret(settings: InfluxSettings, name: str) -> str:
    path = settings.token_file if name == "token" else settings.password_file
    if path is not None:
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"storage.influx.{name}_file {path}: {error}") from error
    return (settings.token if name == "token" else settings.password).get_secret_value()
