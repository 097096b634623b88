"""The burst ratio BurstR of G.107: how much longer losses run than they would if they were random.

BurstR = mean length of a run of lost packets / its mean length under random loss, 1 / (1 - p).
1 is random loss; G.107 begins there, so smaller values, which short samples produce by chance, read as 1.
"""


def from_runs(expected: int, lost: int, runs: int) -> float:
    """Return BurstR of an observation: mean observed run length x (1 - p) (G.107 clause 7.5).

    Args:
        expected: Packets expected.
        lost: Packets lost of them.
        runs: Runs of consecutive losses they fell into.

    >>> from_runs(expected=1000, lost=50, runs=10)
    4.75
    >>> from_runs(expected=1000, lost=0, runs=0)
    1.0
    """
    if lost <= 0 or runs <= 0 or expected <= 0:
        return 1.0
    return max(1.0, lost / runs * (1 - min(lost / expected, 1.0)))


def from_markov(p_loss_after_received: float, p_received_after_loss: float) -> float:
    """Return BurstR of a two-state Markov loss model, 1 / (p + q) (G.107 clause 7.5).

    >>> from_markov(0.02, 0.48)
    2.0
    """
    total = p_loss_after_received + p_received_after_loss
    return max(1.0, 1 / total) if total > 0 else 1.0


def densities(
    packets: int, *, c13: int, c14: int, c22: int, c23: int, c33: int
) -> tuple[float | None, float | None]:
    """Return the share of packets lost within bursts, and between them, from transition counts.

    Args:
        packets: Packets expected.
        c13: Losses that began a burst; these and the others as in RFC 3611 appendix A.2.
        c14: Isolated losses.
        c22: Packets received in a burst behind another received one.
        c23: Losses in a burst behind received packets.
        c33: Losses in a burst behind a loss.

    Returns:
        Burst and gap density (RFC 3611 section 4.7.2), 0..1; None for the burst density where there was no burst,
        for the gap density where there was no gap.

    >>> densities(1000, c13=1, c14=2, c22=6, c23=2, c33=1)
    (0.3333333333333333, 0.0020242914979757085)
    """
    in_burst_lost = c13 + c23 + c33
    in_burst = in_burst_lost + c22 + c23
    in_gap = packets - in_burst
    burst = in_burst_lost / in_burst if c13 > 0 and in_burst > 0 else None
    return burst, min(c14 / in_gap, 1.0) if in_gap > 0 else None


def from_burst_gap(
    burst_density: float | None,
    gap_density: float | None,
    burst_duration_ms: float | None,
    gap_duration_ms: float | None,
    ptime_ms: float = 20.0,
) -> float:
    """Return BurstR from the burst metrics of an RTCP XR VoIP metrics block (RFC 3611 section 4.7.2).

    Inside a burst, which begins with a loss, losses are taken as independent; losses in a gap are isolated,
    as RFC 3611 defines a gap. 1.0 where a metric is missing or there was no burst.

    Args:
        burst_density: Loss and discard ratio inside bursts, 0..1.
        gap_density: The same inside gaps.
        burst_duration_ms: Mean duration of bursts.
        gap_duration_ms: Mean duration of gaps.
        ptime_ms: Duration of a packet.

    >>> round(from_burst_gap(0.5, 0.0, 200.0, 9800.0), 2)  # 5 of 500 packets, in 3.25 runs
    1.52
    >>> from_burst_gap(None, 0.01, 200.0, 9800.0)
    1.0
    """
    if burst_density is None or gap_density is None or burst_duration_ms is None or gap_duration_ms is None:
        return 1.0
    if burst_duration_ms <= 0 or burst_density <= 0 or ptime_ms <= 0:
        return 1.0
    in_burst = max(1.0, burst_duration_ms / ptime_ms)
    in_gap = max(0.0, gap_duration_ms / ptime_ms)
    lost = in_burst * burst_density + in_gap * gap_density
    runs = 1 + (in_burst - 1) * burst_density * (1 - burst_density) + in_gap * gap_density
    return max(1.0, lost / runs * (1 - min(lost / (in_burst + in_gap), 1.0)))
