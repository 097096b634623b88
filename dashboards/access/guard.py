"""The guard before every request: who is asking, and whether the area asked for is theirs. Default deny.

Every callback and every address belongs to the area it was registered under (`Guard.area`); what belongs to none
is refused, so nothing is served because somebody forgot to forbid it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit

from dash import Dash
from flask import Flask, Response, jsonify, request

from dashboards.access import audit
from dashboards.access.areas import Actor, Area
from dashboards.access.asked import BadBody, check_shape, read_body
from dashboards.access.identity import Identity
from dashboards.auth import ACTOR
from dashboards.components.wiring import WrongType

SIGN_IN = "/sign-in"
_DISPATCH = "/_dash-update-component"
_STATIC = frozenset({"static", "_dash_assets.static"})
_SUITES = "/_dash-component-suites/<string:package_name>/<path:fingerprinted_path>"
_PAGES = frozenset({"/", "/<path:path>"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Made once the application exists and before anything of ours is registered with it."""

    def __init__(self, app: Dash, identity: Identity, clock: Callable[[], int]) -> None:
        self._app = app
        self._identity = identity
        self._clock = clock
        self._public = set(_STATIC)
        self._endpoints: dict[str, Area] = dict.fromkeys(set(_views(app)) - _STATIC, Area.SHELL)
        self._callbacks: dict[str, Area] = {}
        self.refused: Counter[int] = Counter({400: 0, 401: 0, 403: 0})
        """Requests refused, by status."""
        app.server.before_request_funcs.setdefault(None, []).insert(0, self._check)
        app.server.register_error_handler(WrongType, self._malformed)
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
            return self._refuse(
                403, "requests from pages of another site are not taken: let the proxy pass the Host"
            )
        actor = self._identity.of(request, self._clock())
        request.environ[ACTOR], request.environ[audit.ADDRESS] = actor, self._identity.address(request)
        if request.endpoint is None or request.endpoint in self._public:
            return None  # no such address is Flask's to say
        if actor is None:
            return self._unknown()
        if request.endpoint == _DISPATCH:
            try:
                return self._check_callback(actor)
            except BadBody as error:
                return self._malformed(error)
        area = self._endpoints.get(request.endpoint)
        roles = (
            frozenset() if area is None else area.value.roles if request.method in _SAFE else area.value.writers
        )
        asked = request.path if request.method in _SAFE else f"{request.method} {request.path}"
        return None if actor.role in roles else self._forbidden(actor, asked)

    def _check_callback(self, actor: Actor) -> Response | None:
        asked = read_body(request.get_data())
        area = self.area_of(asked.output)
        if area is None or not actor.may(area):
            return self._forbidden(actor, f"callback of {area.name.lower() if area else 'nothing'}")
        check_shape(asked, self._app.callback_map[asked.output])
        return None

    def _unknown(self) -> Response:
        if request.method in _SAFE and request.endpoint in _PAGES:
            asked = safe_path(request.full_path.rstrip("?"))
            return Response(
                "", 303, {"Location": SIGN_IN if asked == "/" else f"{SIGN_IN}?next={quote(asked, safe='')}"}
            )
        return self._refuse(401, "sign in first")

    def _forbidden(self, actor: Actor, asked: str) -> Response:
        audit.refused(request, "refused", asked=asked)
        return self._refuse(403, f"not for the role {actor.role.words}")

    def _malformed(self, error: Exception) -> Response:
        audit.refused(request, "malformed", why=str(error))
        return self._refuse(400, "no page of ours asks like that")

    def _refuse(self, status: int, why: str) -> Response:
        self.refused[status] += 1
        answer = jsonify(error=why)
        answer.status_code = status
        return answer


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


def _not_kept(response: Response) -> Response:
    """What was made for one actor stays in no cache."""
    if request.endpoint not in _STATIC | {_SUITES} and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response
