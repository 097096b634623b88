"""What the URL of a store names, told without opening anything: settings are checked by it, and messages shown."""

import re
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

SCHEMES = {"influx": "http", "influxs": "https"}
_FORMS = "use embedded:DIRECTORY, the path of a directory, or influx://HOST:8086/DATABASE"
_INFLUX_PORT = 8086
_CREDENTIALS = re.compile(r"^([a-z]+://).*@")
"""Up to the last @: a password may hold whatever was forgotten to be escaped."""


class Server(NamedTuple):
    """The server, database and credentials that a URL names."""

    url: str
    """`http://host:port`"""
    database: str
    username: str
    """Alone, it is a token."""
    password: str


def is_server(url: str) -> bool:
    """Tell whether a store is a server, not a directory."""
    return url.partition(":")[0] in SCHEMES


def shown_url(url: str) -> str:
    """Return the URL of a store without the secrets in it, for people and logs.

    >>> shown_url("influx://user:secret@host:8086/db")
    'influx://***@host:8086/db'
    """
    return _CREDENTIALS.sub(r"\1***@", url)


def check_url(url: str) -> None:
    """Raise ValueError that says why a URL names no store."""
    if is_server(url):
        server_of(url)
    else:
        directory_of(url)


def directory_of(url: str) -> str:
    """Return the directory of `embedded:DIRECTORY` or of a path; raises ValueError.

    >>> directory_of("embedded:/var/lib/surgecast"), directory_of("data")
    ('/var/lib/surgecast', 'data')
    """
    scheme, colon, rest = url.partition(":")
    if colon and scheme != "embedded":
        if rest.startswith("//"):
            raise ValueError(f"no store of the kind {scheme[:20]!r}; {_FORMS}")
        rest = url
    path = (rest if colon else url).removeprefix("//")
    if not path:
        raise ValueError("the URL of the store names no directory; use embedded:DIRECTORY")
    return path


def server_of(url: str) -> Server:
    """Return what an `influx://` or `influxs://` URL names; raises ValueError.

    >>> server_of("influxs://token@host/voice")
    Server(url='https://host:8086', database='voice', username='token', password='')
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _INFLUX_PORT
    except ValueError as error:
        # What it says may quote a part of the password.
        raise ValueError("the URL of the store is wrong; write influx://HOST:8086/DATABASE") from error
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ValueError("the URL of the store names no host; write influx://HOST:8086/DATABASE")
    database = unquote(parts.path.strip("/"))
    if not database or "/" in database or parts.query or parts.fragment:
        raise ValueError("the URL of the store names no database; write influx://HOST:8086/DATABASE")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Server(
        f"{SCHEMES[parts.scheme]}://{host}:{port}",
        database,
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )
