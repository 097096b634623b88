"""The guard before every request: who is asking, and whether the area asked for is theirs. Default deny.

Every callback and every address belongs to the area it was registered under (`Guard.area`); what belongs to none
is refused, so nothing is served because somebody forgot to forbid it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

import structlog
from dash import Dash
from flask import Flask, Response, jsonify, request

from dashboards.access.areas import Actor, Area
from dashboards.access.identity import Identity
from dashboards.auth import ACTOR

SIGN_IN = "/sign-in"
_DISPATCH = "/_dash-update-component"
_STATIC = frozenset({"static", "_dash_assets.static"})
_SUITES = "/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>"
_PAGES = frozenset({"/", "/<path:path>"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

audit = structlog.get_logger("surgecast.audit")


class Guard:
    """Made once the application exists and before anything of ours is registered with it."""

    def __init__(self, app: Dash, identity: Identity, clock: Callable[[], int]) -> None:
        self._app = app
        self._identity = identity
        self._clock = clock
        self._public = set(_STATIC)
        self._endpoints: dict[str, Area] = dict.fromkeys(set(_views(app)) - _STATIC, Area.SHELL)
        self._callbacks: dict[str, Area] = {}
        app.server.before_request_funcs.setdefault(None, []).insert(0, self._check)
        app.server.after_request(_not_kept)

    @contextmanager
    def area(self, area: Area) -> Iterator[None]:
        """Whatever is registered meanwhile belongs to this area."""
        views, callbacks = set(_views(self._app)), set(self._app.callback_map)
        yield
        self._endpoints |= dict.fromkeys(set(_views(self._app)) - views, area)
        self._callbacks |= dict.fromkeys(set(self._app.callback_map) - callbacks, area)

    @contextmanager
    def public(self) -> Iterator[None]:
        """Whatever address is registered meanwhile is everybody's, signed in or not."""
        views = set(_views(self._app))
        yield
        self._public |= set(_views(self._app)) - views

    def check_complete(self) -> None:
        """Raise RuntimeError where something was registered under no area: it would be refused to everybody."""
        stray = set(_views(self._app)) - self._public - set(self._endpoints)
        stray |= set(self._app.callback_map) - set(self._callbacks)
        if stray:
            raise RuntimeError(f"registered under no area of dashboards.access: {', '.join(sorted(stray))[:400]}")

    def area_of(self, output: str) -> Area | None:
        """Return the area of a callback, named by its output as Dash writes it."""
        return self._callbacks.get(output)

    def _check(self) -> Response | None:
        if request.method not in _SAFE and not _of_this_site():
            return _refused(403, "requests from pages of another site are not taken: let the proxy pass the Host")
        actor = self._identity.of(request, self._clock())
        request.environ[ACTOR] = actor
        if request.endpoint is None or request.endpoint in self._public:
            return None  # no such address is Flask's to say
        if actor is None:
            return _unknown()
        allowed, of = self._allowed(actor, request.endpoint)
        if allowed:
            return None
        audit.warning(
            "refused",
            actor=actor.name,
            role=actor.role.value,
            asked=of[:200],
            address=self._identity.address(request),
        )
        return _refused(403, f"not for the role {actor.role.words}")

    def _allowed(self, actor: Actor, endpoint: str) -> tuple[bool, str]:
        """Tell whether the actor may, and what it was about."""
        if endpoint == _DISPATCH:
            body = request.get_json(silent=True)
            output = body.get("output") if isinstance(body, dict) else None
            area = self._callbacks.get(output) if isinstance(output, str) else None
            return area is not None and actor.may(area), f"callback of {area.name.lower() if area else 'nothing'}"
        area = self._endpoints.get(endpoint)
        if area is None:
            return False, request.path
        if request.method in _SAFE:
            return actor.may(area), request.path
        return actor.role in area.value.writers, f"{request.method} {request.path}"


def safe_path(text: str | None) -> str:
    """Return an address of ours to go on to; anything else is the start page.

    >>> safe_path("/live?range=15m"), safe_path("//evil.example/"), safe_path("https://evil.example")
    ('/live?range=15m', '/', '/')
    """
    if not text or not text.startswith("/") or text[1:2] in ("/", "\\") or not text.isprintable():
        return "/"
    parts = urlsplit(text)
    return "/" if parts.scheme or parts.netloc or parts.path.startswith(SIGN_IN) else text[:2000]


def _views(app: Dash) -> dict[str, object]:
    server: Flask = app.server
    return dict(server.view_functions)


def _of_this_site() -> bool:
    """Tell whether a request that changes something comes from our own page, or from no browser at all."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.host


def _unknown() -> Response:
    if request.method in _SAFE and request.endpoint in _PAGES:
        asked = safe_path(request.full_path.rstrip("?"))
        return Response(
            "", 303, {"Location": SIGN_IN if asked == "/" else f"{SIGN_IN}?next={quote(asked, safe='')}"}
        )
    return _refused(401, "sign in first")


def _refused(status: int, why: str) -> Response:
    answer = jsonify(error=why)
    answer.status_code = status
    return answer


def _not_kept(response: Response) -> Response:
    """What was made for one actor stays in no cache."""
    if request.endpoint not in _STATIC | {_SUITES} and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response
