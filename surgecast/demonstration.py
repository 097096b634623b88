"""What the demo runs: the product's own roles beside a simulated network, wired over loopback."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from forecast.stored import Announced, record_announced
from storage.open import open_store
from storage.schema import ActionKind
from storage.seam import Scope
from surgecast.config import Settings, settings_from
from surgecast.demo_story import Story
from surgecast.processes import Role
from surgecast.simulator.arrivals import Arrivals
from surgecast.simulator.beginning import Beginning
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.history import write_history as write_simulated_history
from surgecast.simulator.incidents import (
    FAULT_NS,
    Incident,
    IncidentPlan,
    Place,
    campaign_start_ns,
    fault_start_ns,
    live_incidents,
)
from surgecast.simulator.media_rtp import PORTS as RTP_PORTS
from surgecast.simulator.network import collector_config
from surgecast.simulator.settings import SimulatorSettings
from surgecast.simulator.warm import warm_from_ns
from telephony.model import MINUTE_NS

HISTORY_WRITER = "history"
RATES = Path(__file__).parent / "simulator" / "demo_rates.yaml"
POOL, POOL_REGION = "media-eu", "eu-west"
"""The pool that the demo scales: it carries the tenant whose campaign comes."""
TRUNK, TENANT = "transit-x", "atlas-wholesale"
"""The trunk that fails, and whose calls it carries."""
LEAD_TIME_S = 60
CAMPAIGN_UPLIFT = 2.0
_PODS_NOW = 9
"""About how many pods the pool's load takes at the start, whatever the size of the demo."""
_ZONES = {"eu-west": "Europe/Amsterdam", "us-east": "America/New_York", "ap-south": "Asia/Tokyo"}
"""The clock that most calls of a region follow."""
_SECOND_NS = 1_000_000_000
_EXPECTED_START_NS = 20 * _SECOND_NS
"""More than it takes, on a busy machine too, from the end of history to live traffic, which goes on from there."""


def demo_settings(
    folder: Path,
    *,
    calls: int,
    seed: int,
    now_ns: int,
    hep_port: int,
    web_port: int,
    metrics_port: int,
    sink_port: int,
    capture: bool = False,
) -> Settings:
    """Return the configuration of the demo: an embedded store in `folder`, everything on loopback.

    Slots are a minute and the lead time is one, so that a campaign comes, is seen coming and is scaled for while
    somebody watches; on a real platform slots are a quarter of an hour.

    Args:
        folder: Holds the store.
        calls: On average in progress at the start; pods are made for about a ninth of a pool's part of them.
        seed: Of the network.
        now_ns: About when it starts, UTC.
        hep_port: Of the HEP server.
        web_port: Of the pages.
        metrics_port: Of the exporter.
        sink_port: Where alerts are sent to.
        capture: Read the simulator's RTP from the loopback; needs CAP_NET_RAW.
    """
    ports = f"{RTP_PORTS[0]}-{RTP_PORTS[1] + 1}"  # RTCP is one above RTP
    # A block goes to the reader after 20 ms, full or not: many small ones bridge longer pauses of a busy machine.
    ring = {"block_bytes": 1 << 17, "blocks": 128}
    loopback = {"name": "lo", "ports": [ports], "sip_ports": [], "hosts": ["127.0.0.0/8"], **ring}
    listener = {"transport": "udp", "host": "127.0.0.1", "port": hep_port}
    return settings_from(
        {
            "collect": {
                **collector_config(DEMO_NETWORK),
                "listeners": [listener],
                "interfaces": [loopback] if capture else [],
            },
            "storage": {"url": f"embedded:{folder}"},
            "web": {
                "host": "127.0.0.1",
                "port": web_port,
                "hep_target": f"127.0.0.1:{hep_port}",
                "reports": {"rates_file": RATES},
            },
            "metrics": {
                "port": metrics_port,
                **dict.fromkeys(("forecast_port", "scale_port", "alert_port", "web_port"), 0),
            },
            "forecast": {
                "clocks": _clocks(),
                "slot": "60s",
                "delay": "20s",
                "history": "21d",
                "signals": {"pool": ["concurrent_max"], "tenant": ["arrivals"]},
            },
            "scale": {"mode": "act", "period": "5s", "pools": [_pool(calls, seed, now_ns)]},
            "alerts": {
                "slot": "60s",
                "delay": "20s",
                "zone": _ZONES[POOL_REGION],
                "history": "15d",
                # Minutes of watching must not meet the false alerts that would do for a week.
                "budget_per_week": 0.01,
                "warning_calls": max(2.0, calls / 50),
                "critical_calls": max(10.0, 2.0 * calls),
                "routes": [{"name": "demo", "urls": [f"json://127.0.0.1:{sink_port}"]}],
                "page_url": f"http://127.0.0.1:{web_port}",
            },
        },
        origin="demo",
    )


def _clocks() -> list[dict[str, str]]:
    """Return whose clock each tenant, trunk, pool and region follows."""
    found = [("tenant", tenant.name, tenant.zone) for tenant in DEMO_NETWORK.tenants]
    found += [("trunk", trunk.name, _ZONES[trunk.region]) for trunk in DEMO_NETWORK.trunks]
    found += [("pool", relay.pool, _ZONES[relay.region]) for relay in DEMO_NETWORK.relays]
    found += [("region", region, zone) for region, zone in _ZONES.items()]
    return [{"kind": kind, "name": name, "zone": zone} for kind, name, zone in dict.fromkeys(found)]


def _pool(calls: int, seed: int, now_ns: int) -> dict[str, object]:
    """Return the pool that is scaled: simulated pods, of a size that its load now takes `_PODS_NOW` of them."""
    arrivals = Arrivals(DEMO_NETWORK, seed=seed, calls=calls, now_ns=now_ns, plan=IncidentPlan())
    expected = arrivals.load_in_region(POOL_REGION, now_ns // MINUTE_NS)
    sessions = max(2, math.ceil(expected / _PODS_NOW))
    busy = expected + 2 * math.sqrt(expected)  # enough for most moments: nobody begins with too few pods
    return {
        "name": POOL,
        "region": POOL_REGION,
        "pod": {"sessions": sessions},
        "minimum": max(2, math.ceil(busy / sessions / 0.9)),
        "maximum": 60,
        "lead_time": f"{LEAD_TIME_S}s",
        "stabilisation": "2m",
        "cost_per_pod_hour": 0.17,
    }


def product_roles(settings: Settings) -> list[Role]:
    """Return the processes of the product itself."""
    return [
        Role("collect", "surgecast.roles.collect:run", (settings,)),
        Role("forecast", "surgecast.roles.forecast:run", (settings,)),
        Role("scale", "surgecast.roles.scale:run", (settings,)),
        Role("alert", "surgecast.roles.alert:run", (settings,)),
        Role("web", "surgecast.demo_pages:run", (settings,), restart=False),
    ]


def simulator_role(*, calls: int, rtp_calls: int, seed: int, hep_port: int, beginning: Beginning) -> Role:
    """Return the process that plays the network, once it is told to begin: then the collector has to listen."""
    simulator = SimulatorSettings(
        calls=calls, seed=seed, host="127.0.0.1", port=hep_port, speed=1.0, rtp_calls=rtp_calls
    )
    return Role("simulator", "surgecast.simulator.run:run_when_told", (simulator, beginning))


def _announced(incidents: Iterable[Incident], now_ns: int, when: str) -> list[Announced]:
    """Return the campaigns among them as their owner announces them: what one that comes will do is his guess."""
    campaigns = [i for i in incidents if i.place is Place.TENANT and i.load_factor > 1]
    return [
        Announced(
            f"e-{when}{number}",
            ActionKind.EVENT,
            incident.title,
            incident.name,
            incident.start_ns // _SECOND_NS,
            (incident.start_ns + incident.length_ns) // _SECOND_NS,
            CAMPAIGN_UPLIFT if incident.start_ns > now_ns else None,
            similar="campaign",
            author="demo",
        )
        for number, incident in enumerate(campaigns, 1)
    ]


def _end_now_ns() -> int:
    """Return where a history that is whole now should end, for a live run that starts soon; asks the clock."""
    return warm_from_ns(time.time_ns() + _EXPECTED_START_NS)


def write_history(
    settings: Settings, weeks: int, calls: int, seed: int, until_ns: int | Callable[[], int] = _end_now_ns
) -> tuple[int, int]:
    """Write the simulated past of the network up to where the live run starts; returns its rows and its end."""
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer(HISTORY_WRITER)
        try:
            summary = write_simulated_history(writer, weeks=weeks, calls=calls, seed=seed, until_ns=until_ns)
            record_announced(writer, _announced(summary.incidents, summary.until_ns, "past"), summary.until_ns)
            return sum(summary.rows.values()), summary.until_ns
        finally:
            writer.close()
    finally:
        store.close()


@contextmanager
def told_story(settings: Settings, story_ns: int, tell: Callable[[str], None]) -> Iterator[Story]:
    """Give what tells the story that begins at `story_ns` from the store."""
    store = open_store(settings.storage.url, settings.storage)
    try:
        yield Story(
            store.reader(Scope.everything("demo")),
            f"http://127.0.0.1:{settings.web.port}",
            POOL,
            TRUNK,
            TENANT,
            story_ns,
            campaign_start_ns(story_ns),
            fault_start_ns(story_ns) + FAULT_NS,
            tell,
        )
    finally:
        store.close()


def announce_campaign(settings: Settings, story_ns: int) -> int:
    """Announce the campaign of the story that begins at `story_ns`; return when it begins, UTC nanoseconds."""
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer(HISTORY_WRITER)
        try:
            coming = _announced(live_incidents(story_ns).incidents, story_ns, "coming")
            record_announced(writer, coming, story_ns)
            return campaign_start_ns(story_ns)
        finally:
            writer.close()
    finally:
        store.close()
