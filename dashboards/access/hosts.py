"""Which hosts are this machine alone."""

from ipaddress import ip_address


def host_of(authority: str) -> str:
    """Return the host of a `host:port`.

    >>> host_of("localhost:8050"), host_of("[::1]:8050"), host_of("pages.example")
    ('localhost', '::1', 'pages.example')
    """
    if authority.startswith("["):
        return authority[1:].partition("]")[0]
    return authority.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine as only itself can reach it.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("")
    (True, True, False, False)
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
