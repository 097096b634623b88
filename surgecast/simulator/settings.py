"""Settings of the simulator: what the demo's options become."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


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
    story_ns: int = Field(default=0, ge=0)
    """From when on incidents happen as planned, UTC; 0: from the start."""
    history_end_ns: int = Field(default=0, ge=0)
    """Where a written past of the same calls and seed ends, UTC: traffic goes on from there; 0: there is none."""
    rtp_calls: int = Field(0, ge=0, le=100)
    """Calls at a time whose RTP is really sent, on the loopback: 100 packets a second each."""

    @model_validator(mode="after")
    def _rtp_keeps_time(self) -> Self:
        if self.rtp_calls and self.speed != 1:
            raise ValueError("rtp_calls: RTP has a clock of its own, so it goes with speed 1 only")
        return self
