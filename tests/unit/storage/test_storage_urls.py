"""URLs of stores: what they name, why they name none, and what may be shown of them."""

import pytest

from storage.urls import Server, check_url, directory_of, is_server, server_of, shown_url


@pytest.mark.parametrize("url", ["embedded:data", "embedded:///var/lib/a", "/var/lib/a", "data", "influx://h/db"])
def test_what_names_a_store(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url", ["", "embedded:", "embedded://", "redis://h", "influx:", "influx://h", "influx://h/a/b"]
)
def test_what_names_none(url: str) -> None:
    with pytest.raises(ValueError, match="store"):
        check_url(url)


@pytest.mark.parametrize(
    ("url", "directory"),
    [("embedded:a/b", "a/b"), ("embedded:///a", "/a"), ("/a:b", "/a:b"), ("C:data", "C:data"), ("data", "data")],
)
def test_a_directory_may_be_any_path(url: str, directory: str) -> None:
    assert (directory, False) == (directory_of(url), is_server(url))


def test_credentials_are_unquoted() -> None:
    server = server_of("influxs://jo%40a:p%2Fw@[2001:db8::1]/voice")
    assert Server("https://[2001:db8::1]:8086", "voice", "jo@a", "p/w") == server


@pytest.mark.parametrize("url", ["influx://u:s3cret@h/db", "influx://s3cret@h/db", "influx://u:a/s3cret@h/db"])
def test_secrets_are_not_shown(url: str) -> None:
    assert "s3cret" not in shown_url(url)
    with pytest.raises(ValueError, match="store") as error:
        check_url(url.replace("/db", ""))
    assert "s3cret" not in str(error.value)
