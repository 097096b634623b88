"""What the demo runs: the product's own roles beside a simulated network, wired over loopback."""

from collections.abc import Iterable
from pathlib import Path

from forecast.stored import Announced, announced_batch
from storage.open import open_store
from storage.schema import ActionKind
from surgecast.config import Settings, settings_from
from surgecast.processes import Role
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.history import write_history as write_simulated_history
from surgecast.simulator.incidents import Incident, Place, live_incidents
from surgecast.simulator.media_rtp import PORTS as RTP_PORTS
from surgecast.simulator.network import collector_config
from surgecast.simulator.settings import SimulatorSettings

HISTORY_WRITER = "history"
START_AFTER_HISTORY_NS = 75_000_000_000
"""History ends 45 to 105 s before the live run starts (`warm_from_ns`)."""
_SECOND_NS = 1_000_000_000


def demo_settings(
    folder: Path, *, hep_port: int, web_port: int, metrics_port: int, capture: bool = False
) -> Settings:
    """Return the configuration of the demo: an embedded store in `folder`, everything on loopback.

    Args:
        folder: Holds the store.
        hep_port: Of the HEP server.
        web_port: Of the pages.
        metrics_port: Of the exporter.
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
            "web": {"host": "127.0.0.1", "port": web_port, "hep_target": f"127.0.0.1:{hep_port}"},
            "metrics": {"port": metrics_port, "forecast_port": 0, "scale_port": 0, "alert_port": 0},
            "forecast": {
                "clocks": [{"name": tenant.name, "zone": tenant.zone} for tenant in DEMO_NETWORK.tenants]
            },
        },
        origin="demo",
    )


def product_roles(settings: Settings) -> list[Role]:
    """Return the processes of the product itself."""
    return [
        Role("collect", "surgecast.roles.collect:run", (settings,)),
        Role("forecast", "surgecast.roles.forecast:run", (settings,)),
        Role("web", "surgecast.demo_pages:run", (settings,), restart=False),
    ]


def simulator_role(*, calls: int, rtp_calls: int, seed: int, hep_port: int) -> Role:
    """Return the process that plays the network; start it once the collector listens."""
    simulator = SimulatorSettings(
        calls=calls, seed=seed, host="127.0.0.1", port=hep_port, speed=1.0, rtp_calls=rtp_calls
    )
    return Role("simulator", "surgecast.simulator.run:run_simulator", (simulator,))


def _announced(incidents: Iterable[Incident], now_ns: int) -> list[Announced]:
    """Return the campaigns among them, past and to come, as their owner would announce them: uplift unknown."""
    campaigns = [i for i in incidents if i.place is Place.TENANT and i.load_factor > 1]
    return [
        Announced(
            f"e-demo{number}",
            ActionKind.EVENT,
            incident.title,
            incident.name,
            incident.start_ns // _SECOND_NS,
            (incident.start_ns + incident.length_ns) // _SECOND_NS,
            similar="campaign",
            author="demo",
            recorded_ns=now_ns,
        )
        for number, incident in enumerate(campaigns, 1)
    ]


def write_history(settings: Settings, *, weeks: int, calls: int, seed: int, until_ns: int) -> int:
    """Write the simulated past of the network up to where the live run starts; returns the rows written."""
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer(HISTORY_WRITER)
        try:
            summary = write_simulated_history(writer, weeks=weeks, calls=calls, seed=seed, until_ns=until_ns)
            coming = live_incidents(until_ns + START_AFTER_HISTORY_NS).incidents
            writer.write("operator_action", announced_batch(_announced((*summary.incidents, *coming), until_ns)))
            writer.flush()
            return sum(summary.rows.values())
        finally:
            writer.close()
    finally:
        store.close()
