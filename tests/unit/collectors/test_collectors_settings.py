"""The collector's settings: what is refused, and with what words."""

import pytest
from pydantic import BaseModel, ValidationError

from collectors.settings import (
    CollectorSettings,
    InterfaceSettings,
    ListenerSettings,
    NodeSettings,
    PoolSettings,
    TenantSettings,
    TrunkSettings,
)

SECTIONS: list[type[BaseModel]] = [
    CollectorSettings,
    InterfaceSettings,
    ListenerSettings,
    NodeSettings,
    PoolSettings,
    TenantSettings,
    TrunkSettings,
]


def test_the_defaults_are_valid() -> None:
    assert [("udp", "127.0.0.1", 9060)] == [
        (listener.transport, listener.host, listener.port) for listener in CollectorSettings().listeners
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"listener": []}, "Extra inputs are not permitted"),
        ({"listeners": [{"transport": "sctp"}]}, "Input should be 'udp', 'tcp' or 'tls'"),
        ({"listeners": [{"port": 70_000}]}, "less than or equal to 65535"),
        ({"listeners": [{"transport": "tls"}]}, "transport tls needs tls_certificate and tls_key"),
        ({"listeners": [{"tls_key": "/k"}]}, "transport udp has no TLS"),
        ({"require_auth": True}, "require_auth needs hep_keys"),
        ({"tenants": [{"name": "a"}, {"name": "a"}]}, "tenants: name 'a' is given twice"),
        (
            {"tenants": [{"name": "a", "hep_keys": ["k"]}, {"name": "b", "hep_keys": ["k"]}]},
            "belong to one tenant",
        ),
        ({"tenants": [{"name": "a", "hep_keys": [""]}]}, "must be non-empty"),
        ({"tenants": [{"name": "a b"}]}, "String should match pattern"),
        ({"tenants": [{"name": "a", "networks": ["10.0.0.1/8"]}]}, "network"),
        ({"trunks": [{"name": "t", "tenant": "nobody"}]}, "tenant 'nobody' of 't' is not among tenants"),
        (
            {"nodes": [{"capture_id": 1, "name": "a"}, {"capture_id": 1, "name": "b"}]},
            "capture_id '1' is given twice",
        ),
        ({"mask_numbers": "hash"}, "needs a hash_salt"),
        ({"interfaces": [{"name": "eth0"}, {"name": "eth0"}]}, "interfaces: name 'eth0' is given twice"),
        (
            {"interfaces": [{"name": "eth0", "ports": ["20000-10000"]}]},
            "ports: '20000-10000' is no range of ports",
        ),
        ({"interfaces": [{"name": "eth0", "sip_ports": ["0"]}]}, "sip_ports: '0' is no range of ports"),
        ({"interfaces": [{"name": "eth0", "ports": ["sip"]}]}, "ports"),
        ({"interfaces": [{"name": "a name too long for it"}]}, "name"),
        ({"interfaces": [{"name": "eth0", "vlans": [4095]}]}, "vlans"),
        ({"interfaces": [{"name": "eth0", "block_bytes": 1_000_000}]}, "power of two, for example 1048576"),
        ({"interfaces": [{"name": "eth0", "rings": 64, "blocks": 4096}]}, "too much"),
        ({"max_inflated_bytes": 1 << 30}, "less than or equal to"),
    ],
)
def test_what_is_wrong_is_said(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CollectorSettings.model_validate(values)


def test_secrets_are_not_shown() -> None:
    settings = CollectorSettings.model_validate({"tenants": [{"name": "a", "hep_keys": ["s3cret"]}]})
    assert "s3cret" not in settings.model_dump_json() + repr(settings)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_is_described_with_an_example(section: type[BaseModel]) -> None:
    bare = [name for name, field in section.model_fields.items() if not field.description or not field.examples]
    assert [] == bare


@pytest.mark.parametrize("section", SECTIONS)
def test_every_example_is_valid(section: type[BaseModel]) -> None:
    required = {"name": "n", "capture_id": 1}
    base = {name: required[name] for name, field in section.model_fields.items() if field.is_required()}
    beside = {
        "tls_certificate": {"transport": "tls", "tls_key": "/k"},
        "tls_key": {"transport": "tls", "tls_certificate": "/c"},
        "tls_client_ca": {"transport": "tls", "tls_certificate": "/c", "tls_key": "/k"},
        "require_auth": {"tenants": [{"name": "a", "hep_keys": ["k"]}]},
        "mask_numbers": {"hash_salt": "salt"},
    }
    for name, field in section.model_fields.items():
        for example in field.examples or []:
            section.model_validate({**base, **beside.get(name, {}), name: example})


def test_ports_may_be_numbers_or_ranges() -> None:
    interface = InterfaceSettings.model_validate({"name": "eth0", "ports": [5004, "10000-20000"]})
    assert ((5004, 5004), (10_000, 20_000)) == interface.port_ranges()
    assert ((5060, 5060),) == interface.sip_port_ranges()
