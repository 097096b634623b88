"""Settings of the simulator: what the demo's options become."""

from pydantic import BaseModel, ConfigDict, Field


class SimulatorSettings(BaseModel):
    """How much to simulate, and where to send it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calls: int = Field(500, ge=1, le=50_000)
    """Answered calls up on average at the start; the network's daily profiles carry it from there."""
    seed: int = Field(1, ge=0, lt=2**63)
    host: str = "127.0.0.1"
    port: int = Field(9060, ge=1, le=65_535)
    speed: float = Field(1.0, ge=0, le=1000)
    """Simulated seconds per second of the clock; 0 sends as fast as it can."""
