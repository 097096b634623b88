"""What the demo runs: the product's own roles beside a simulated network, wired over loopback."""

from pathlib import Path

from storage.open import open_store
from surgecast.config import Settings, settings_from
from surgecast.processes import Role
from surgecast.simulator.demo_network import DEMO_NETWORK
from surgecast.simulator.history import write_history as write_simulated_history
from surgecast.simulator.media_rtp import PORTS as RTP_PORTS
from surgecast.simulator.network import collector_config
from surgecast.simulator.settings import SimulatorSettings

HISTORY_WRITER = "history"


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
    loopback = {"name": "lo", "ports": [ports], "sip_ports": [], "hosts": ["127.0.0.0/8"], "blocks": 16}
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
            "metrics": {"port": metrics_port},
        },
        origin="demo",
    )


def product_roles(settings: Settings) -> list[Role]:
    """Return the processes of the product itself."""
    return [
        Role("collect", "surgecast.roles.collect:run", (settings,)),
        Role("web", "surgecast.roles.web:run", (settings,), restart=False),
    ]


def simulator_role(*, calls: int, rtp_calls: int, seed: int, hep_port: int) -> Role:
    """Return the process that plays the network; start it once the collector listens."""
    simulator = SimulatorSettings(
        calls=calls, seed=seed, host="127.0.0.1", port=hep_port, speed=1.0, rtp_calls=rtp_calls
    )
    return Role("simulator", "surgecast.simulator.run:run_simulator", (simulator,))


def write_history(settings: Settings, *, weeks: int, calls: int, seed: int, until_ns: int) -> int:
    """Write the simulated past of the network up to where the live run starts; returns the rows written."""
    store = open_store(settings.storage.url, settings.storage)
    try:
        writer = store.writer(HISTORY_WRITER)
        try:
            summary = write_simulated_history(writer, weeks=weeks, calls=calls, seed=seed, until_ns=until_ns)
            return sum(summary.rows.values())
        finally:
            writer.close()
    finally:
        store.close()
