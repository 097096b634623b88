"""The described network is whole, and the collector can be told of it."""

from ipaddress import IPv4Address, IPv4Network
from itertools import combinations

import pytest

from collectors.settings import CollectorSettings
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.network import Flow, collector_config
from telephony.model import Outcome

TENANTS = DEMO_NETWORK.tenants


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda t: t.name)
def test_every_name_a_tenant_uses_is_described(tenant):
    proxies = [DEMO_NETWORK.proxy(name) for name in tenant.proxies]
    assert all(DEMO_NETWORK.relays_of(proxy.region) for proxy in proxies)
    assert all(DEMO_NETWORK.trunk(name) for name, _ in tenant.trunks)
    assert all(DEMO_NETWORK.client(name) for name, _ in tenant.clients)


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda t: t.name)
def test_the_outcomes_of_a_tenant_are_all_there_and_sum_to_one(tenant):
    assert {outcome for outcome, _ in tenant.outcomes} == set(Outcome)
    assert sum(share for _, share in tenant.outcomes) == pytest.approx(1)
    assert all(share > 0 for _, share in tenant.outcomes)


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda t: t.name)
def test_devices_live_in_the_block_of_their_tenant(tenant):
    assert IPv4Address(tenant.device_ip(tenant.devices - 1)) in IPv4Network(tenant.network)


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda t: t.name)
def test_every_pair_of_ends_agrees_on_a_codec(tenant):
    clients = [DEMO_NETWORK.client(name) for name, _ in tenant.clients]
    far_ends = [DEMO_NETWORK.trunk(name).codecs for name, _ in tenant.trunks]
    if Flow.INTERNAL in dict(tenant.flows):
        far_ends += [client.codecs for client in clients]
    assert all(set(client.codecs) & set(codecs) for client in clients for codecs in far_ends)


def test_address_blocks_do_not_overlap():
    blocks = [IPv4Network(thing.network) for thing in (*TENANTS, *DEMO_NETWORK.trunks)]
    assert not any(a.overlaps(b) for a, b in combinations(blocks, 2))


def test_devices_are_spread_over_their_kinds_by_weight():
    tenant = DEMO_NETWORK.tenant("harbour-ucaas")
    names = [DEMO_NETWORK.client_of(tenant, device).name for device in range(tenant.devices)]
    for name, weight in tenant.clients:
        assert names.count(name) / tenant.devices == pytest.approx(weight, abs=0.01)


def test_the_collector_can_be_configured_for_the_network():
    settings = CollectorSettings(**collector_config(DEMO_NETWORK))
    assert {t.name for t in settings.tenants} == {t.name for t in TENANTS}
    assert {n.capture_id for n in settings.nodes} == {
        n.node_id for n in (*DEMO_NETWORK.proxies, *DEMO_NETWORK.relays)
    }


def test_a_name_that_is_not_described_is_an_error():
    with pytest.raises(KeyError, match="nowhere"):
        DEMO_NETWORK.trunk("nowhere")
