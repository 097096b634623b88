"""Who is behind a request: by the proxy's headers, by a session, or, where no sign-in is set up, by being here.

Reads the request and the settings only; what the actor may do is for the guard to say.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

from flask import Request

from dashboards.access.areas import LOCAL_ENGINEER, Actor, Via
from dashboards.access.hosts import host_of, is_loopback
from dashboards.access.roles import tenants_of
from dashboards.access.sessions import Session, Sessions
from dashboards.access.settings import ProxySettings, UserSettings
from dashboards.settings import DashboardSettings

COOKIE = "surgecast_session"
_MOST_NAME = 128
_MOST_HOPS = 20


class Identity:
    """Finds the actor of a request.

    Args:
        settings: of the web role.
        sessions: of those who signed in here.
        personas: actors to choose from without a password, by key; the demo's, never of the configuration.
    """

    def __init__(self, settings: DashboardSettings, sessions: Sessions, personas: Mapping[str, Actor]) -> None:
        self._settings = settings
        self._sessions = sessions
        self._users = {user.name: user for user in settings.users}
        self.personas = personas

    def of(self, request: Request, now_ns: int) -> Actor | None:
        """Return the actor, or None: whoever is not known has no access."""
        if self.from_proxy(request):
            name = self._proxy_user(request)
            if name is not None:
                return self._granted(name, request)
        session = self._sessions.read(request.cookies.get(COOKIE), now_ns)
        if session is not None and (actor := self._signed_in(session)) is not None:
            return actor
        return None if self._settings.sign_in else self._here(request)

    def user(self, name: str) -> UserSettings | None:
        """Return a local user."""
        return self._users.get(name)

    def stamp(self, user: UserSettings) -> str:
        """Return the digest that ends a user's sessions when what is granted changes."""
        return self._sessions.stamp(user.password_hash.get_secret_value(), user.role.value, *sorted(user.tenants))

    def from_proxy(self, request: Request) -> bool:
        """Tell whether the request comes from the trusted proxy."""
        return self._trusted(request.remote_addr or "")

    def address(self, request: Request) -> str:
        """Return the client's address: the peer's, or the last before our own proxies that they tell of."""
        peer = request.remote_addr or ""
        if not self._trusted(peer):
            return peer
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
        return next((hop[:64] for hop in reversed(hops[-_MOST_HOPS:]) if hop and not self._trusted(hop)), peer)

    def encrypted(self, request: Request) -> bool:
        """Tell whether the browser came by TLS, as far as the trusted proxy says."""
        told = request.headers.get("X-Forwarded-Proto", "") if self.from_proxy(request) else ""
        return request.is_secure or told.rpartition(",")[2].strip().lower() == "https"

    def _here(self, request: Request) -> Actor | None:
        """Return the local engineer where the pages are for this machine alone, or opened to the network.

        The name in the address is looked at too: a page of another site may have its own name lead to loopback.
        """
        local = is_loopback(request.remote_addr or "") and is_loopback(host_of(request.host))
        return LOCAL_ENGINEER if local or self._settings.open_to_network else None

    def _signed_in(self, session: Session) -> Actor | None:
        if session.via is Via.PERSONA:
            return self.personas.get(session.name)
        user = self._users.get(session.name)
        if user is None or session.stamp != self.stamp(user):
            return None
        return Actor(user.name, user.role, tenants_of(user.role, user.tenants), Via.PASSWORD)

    def _proxy_user(self, request: Request) -> str | None:
        """Return the user the proxy names. A name with a comma is of two headers, one of them not the proxy's."""
        header = self._settings.proxy.user_header
        name = request.headers.get(header, "").strip() if header else ""
        sound = 0 < len(name) <= _MOST_NAME and name.isprintable() and "," not in name
        return name if sound else None

    def _granted(self, name: str, request: Request) -> Actor | None:
        proxy: ProxySettings = self._settings.proxy
        told = request.headers.get(proxy.groups_header, "") if proxy.groups_header else ""
        groups = {group.strip() for group in told.split(",")}
        for grant in proxy.grants:
            if grant.group in groups:
                return Actor(name, grant.role, tenants_of(grant.role, grant.tenants), Via.PROXY)
        return None

    def _trusted(self, address: str) -> bool:
        found = _parsed(address)
        return found is not None and any(found in network for network in self._settings.proxy.networks)


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(address)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
