"""Tenants, trunks and nodes are resolved in the documented order, and stay bounded."""

from ipaddress import ip_network

import pytest

from collectors.facts import SipCall
from collectors.tracking.labels import Labeller, NodeRule, PoolOf, TenantRule, TrunkRule
from telephony.model import UNASSIGNED, Endpoint, Labels

RULES = Labeller(
    tenants=(
        TenantRule("by-key", hep_keys=("k1",)),
        TenantRule("by-domain", sip_domains=("corp.example",)),
        TenantRule("by-header", headers={"x-tenant": ("h1",)}),
        TenantRule("by-block", networks=(ip_network("10.9.0.0/16"), ip_network("2001:db8::/32"))),
    ),
    trunks=(
        TrunkRule("carrier-a", networks=(ip_network("192.0.2.0/24"),), tenant="by-trunk", region="eu"),
        TrunkRule("carrier-b", sip_domains=("b.example",)),
    ),
    nodes=(NodeRule(7, "sbc-7", "us"),),
)


def sip_call(**changes: object) -> SipCall:
    values: dict[str, object] = {
        "call_id": "c",
        "started_ns": 0,
        "from_user": "1",
        "from_domain": "",
        "to_user": "2",
        "to_domain": "",
        "src": Endpoint("172.16.0.1", 5060),
        "dst": Endpoint("172.16.0.2", 5060),
        "node_id": 7,
        "node_name": "",
    }
    return SipCall(**(values | changes))  # type: ignore[arg-type]


TRUNK = Endpoint("192.0.2.5", 5060)
BLOCK = Endpoint("10.9.1.1", 5060)


@pytest.mark.parametrize(
    ("changes", "tenant"),
    [
        ({}, UNASSIGNED),
        ({"src": BLOCK}, "by-block"),
        ({"src": Endpoint("2001:db8::1", 5060)}, "by-block"),
        ({"src": BLOCK, "headers": {"x-tenant": "h1"}}, "by-header"),
        ({"src": BLOCK, "headers": {"x-tenant": "other"}}, "by-block"),
        ({"headers": {"x-tenant": "h1"}, "to_domain": "CORP.example"}, "by-domain"),
        ({"src": TRUNK, "to_domain": "corp.example"}, "by-trunk"),
        ({"src": TRUNK, "tenant_key": "k1"}, "by-key"),
        ({"src": TRUNK, "tenant_key": "unknown key"}, "by-trunk"),
    ],
)
def test_tenant_order(changes: dict[str, object], tenant: str) -> None:
    assert tenant == RULES.call(sip_call(**changes)).tenant


def test_trunk_region_beats_node_region() -> None:
    assert Labels("by-trunk", "carrier-a", "eu", "sbc-7") == RULES.call(sip_call(src=TRUNK))


def test_trunk_by_domain_and_by_later_hop() -> None:
    assert "carrier-b" == RULES.call(sip_call(to_domain="b.example")).trunk
    assert "carrier-a" == RULES.call(sip_call(), further=[Endpoint("192.0.2.9", 5060)]).trunk


def test_unknown_agents_are_bounded() -> None:
    labeller = Labeller()
    names = {labeller.node(i)[0] for i in range(1, 3000)}
    assert "other" in names
    assert len(names) <= 1001


def test_registration_gets_its_tenant_from_the_aor() -> None:
    labels = RULES.addresses(Endpoint("1.2.3.4", 5060), Endpoint("1.2.3.5", 5060), 7)
    assert "by-domain" == RULES.registration(labels, "sip:bob@corp.example;transport=tcp").tenant


def test_pool_by_node_then_region_then_default() -> None:
    pools = PoolOf(by_node={"n": "p1"}, by_region={"eu": "p2"})
    assert ["p1", "p2", "default"] == [
        pools.of(Labels(node="n", region="eu")),
        pools.of(Labels(node="m", region="eu")),
        pools.of(Labels()),
    ]
