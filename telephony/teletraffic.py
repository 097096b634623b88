"""Teletraffic: offered load, Erlang B and its inverses, and Hayward's method for peaked traffic.

Dimensioning arithmetic for trunks, ports and pods. Traffic is in erlangs. It must not be used on traffic that
waits or retries: Erlang B is for lost calls.
"""

import math


def offered_erlangs(arrivals_per_second: float, holding_s: float) -> float:
    """Return the offered traffic A = arrival rate x mean holding time (ITU-T E.600).

    >>> offered_erlangs(2.0, 180.0)
    360.0
    """
    return arrivals_per_second * holding_s


def erlang_b(servers: float, offered: float) -> float:
    """Return the blocking probability of a group of servers under offered traffic (Erlang B, ITU-T E.520).

    By the recursion on 1/B, 1/B(n) = 1 + n / A x 1/B(n-1), which is stable for any size. A fractional number
    of servers is taken by the continuous extension of Jagerman, 1/B(x) = A integral exp(-A t) (1 + t)^x dt.

    >>> round(erlang_b(10, 5.0), 6)
    0.018385
    >>> round(erlang_b(100, 84.064), 4)
    0.01
    >>> erlang_b(0, 5.0)
    1.0
    """
    if servers < 0 or offered < 0:
        raise ValueError(f"{servers} servers under {offered} erlangs")
    if offered == 0:
        return 1.0 if servers == 0 else 0.0
    n = servers - math.floor(servers)
    inverse = 1.0 if n == 0 else _inverse_fractional(n, offered)
    while n < servers - 0.5:
        n += 1
        inverse = 1 + inverse * n / offered
    return 1 / inverse


def servers_for(offered: float, blocking: float) -> int:
    """Return the fewest servers that keep blocking at or below a target (Erlang B).

    >>> servers_for(84.0, 0.01), servers_for(0.0, 0.01)
    (100, 0)
    """
    if offered < 0 or not 0 < blocking <= 1:
        raise ValueError(f"{offered} erlangs at a blocking of {blocking}")
    if offered == 0:
        return 0
    n, inverse = 0, 1.0
    while inverse * blocking < 1:
        n += 1
        inverse = 1 + inverse * n / offered
    return n


def offered_for(servers: int, blocking: float) -> float:
    """Return the most traffic that `servers` carry at a blocking target (Erlang B inverted in the traffic).

    >>> round(offered_for(10, 0.01), 4)
    4.4612
    """
    if servers < 0 or not 0 < blocking < 1:
        raise ValueError(f"{servers} servers at a blocking of {blocking}")
    low, high = 0.0, servers / (1 - blocking)  # carried traffic, A (1 - B), cannot exceed the servers
    for _ in range(60):
        middle = (low + high) / 2
        if erlang_b(servers, middle) <= blocking:
            low = middle
        else:
            high = middle
    return low


def hayward(servers: float, offered: float, peakedness: float) -> float:
    """Return the blocking probability of peaked traffic by Hayward's approximation, B(n / z, A / z).

    Peakedness z is the variance-to-mean ratio of the traffic on an infinite group: 1 for Poisson arrivals,
    above it for bursty ones (campaigns, overflow).

    >>> round(hayward(30, 20.0, 1.0), 4), round(hayward(30, 20.0, 2.0), 4)
    (0.0085, 0.0365)
    """
    if peakedness <= 0:
        raise ValueError(f"peakedness {peakedness}")
    return erlang_b(servers / peakedness, offered / peakedness)


def servers_for_peaked(offered: float, blocking: float, peakedness: float) -> int:
    """Return the fewest servers that keep the blocking of peaked traffic at a target (Hayward).

    >>> servers_for_peaked(84.0, 0.01, 1.0), servers_for_peaked(84.0, 0.01, 2.0)
    (100, 110)
    """
    if offered < 0 or not 0 < blocking < 1:
        raise ValueError(f"{offered} erlangs at a blocking of {blocking}")
    if offered == 0:
        return 0
    low, high = 0, 1
    while hayward(high, offered, peakedness) > blocking:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if hayward(middle, offered, peakedness) <= blocking:
            high = middle
        else:
            low = middle
    return high


def _inverse_fractional(x: float, offered: float) -> float:
    """Return 1/B(x) for 0 < x < 1: exp(A) A^-x Gamma(x + 1, A), by series or by continued fraction."""
    s = x + 1
    if offered < s + 1:
        term = total = 1 / s
        k = s
        while term > total * 1e-16:
            k += 1
            term *= offered / k
            total += term
        lower = math.exp(s * math.log(offered) - offered) * total
        return math.exp(offered - x * math.log(offered)) * (math.gamma(s) - lower)
    # Lentz's method on Gamma(s, A) = exp(-A) A^s / (A + 1 - s - 1 (1 - s) / (A + 3 - s - ...)).
    b = offered + 1 - s
    c, d = math.inf, 1 / b
    fraction = d
    for i in range(1, 500):
        a = -i * (i - s)
        b += 2
        d = 1 / (a * d + b)
        c = b + a / c
        fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return offered * fraction
