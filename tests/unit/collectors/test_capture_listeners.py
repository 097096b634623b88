"""Sources made from the settings."""

import socket

import pytest
from ports import free_port

from collectors.capture.base import CaptureError
from collectors.capture.hepstream import HepStreamSource
from collectors.capture.hepudp import HepUdpSource
from collectors.capture.listeners import hep_parser, open_listeners
from collectors.settings import CollectorSettings


def test_each_listener_becomes_its_source() -> None:
    settings = CollectorSettings.model_validate({"listeners": [{"port": 0}, {"port": 0, "transport": "tcp"}]})
    sources = open_listeners(settings)
    for source in sources:
        assert isinstance(source, HepUdpSource | HepStreamSource)
        source.close()
    assert ["udp", "tcp"] == [source.name.partition(":")[0] for source in sources]


def test_no_listener_stays_open_where_one_fails() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = CollectorSettings.model_validate(
            {"listeners": [{"port": port}, {"port": taken.getsockname()[1], "transport": "tcp"}]}
        )
        with pytest.raises(CaptureError, match="Address already in use"):
            open_listeners(settings)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))


def test_missing_tls_files_are_a_capture_error() -> None:
    listener = {
        "port": 0,
        "transport": "tls",
        "tls_certificate": "/nonexistent.crt",
        "tls_key": "/nonexistent.key",
    }
    with pytest.raises(CaptureError, match=r"/nonexistent\.crt"):
        open_listeners(CollectorSettings.model_validate({"listeners": [listener]}))


def test_the_parser_enforces_the_keys_of_the_tenants() -> None:
    settings = CollectorSettings.model_validate(
        {"require_auth": True, "tenants": [{"name": "acme", "hep_keys": ["k"]}]}
    )
    assert ({b"k": "acme"}, 0) == (settings.tenant_by_hep_key(), hep_parser(settings).accepted)
