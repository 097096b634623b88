"""Signing in and out: a form that needs no script, and, in the demo, its personas.

Whoever fails learns nothing of why: an unknown user and a wrong password look and last alike.
"""

import secrets
from collections import Counter
from collections.abc import Callable
from enum import StrEnum

from flask import Flask, Response, request

from dashboards.access.areas import Actor, Via
from dashboards.access.audit import log as audit
from dashboards.access.guard import SIGN_IN, safe_path
from dashboards.access.identity import COOKIE, Identity
from dashboards.access.passwords import matches
from dashboards.access.sessions import Sessions
from dashboards.access.sign_in_page import page
from dashboards.access.throttle import Throttle
from dashboards.settings import DashboardSettings

FORM_COOKIE = "surgecast_form"
SIGN_OUT = "/sign-out"
_WRONG = "That name and password do not go together."
_STALE = "This form was open for too long, or comes from elsewhere. Please try again."
_MOST_BYTES = 16_384


class Tried(StrEnum):
    """What came of a try to sign in."""

    SIGNED_IN = "signed_in"
    WRONG = "wrong"
    """Name and password do not go together, or there is no such persona."""
    TOO_MANY = "too_many"
    """Not even looked at, after too many wrong ones."""
    STALE = "stale"
    """The form was too old, too large, or not ours."""


class SignIn:
    """The addresses /sign-in and /sign-out."""

    def __init__(
        self, settings: DashboardSettings, identity: Identity, sessions: Sessions, clock: Callable[[], int]
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._sessions = sessions
        self._clock = clock
        self._throttle = Throttle()
        self.tries: Counter[str] = Counter(dict.fromkeys(Tried, 0))
        """Tries to sign in, by what came of them."""

    def register(self, server: Flask) -> None:
        """Serve them."""
        server.add_url_rule(SIGN_IN, "sign-in", self.form, methods=["GET"])
        server.add_url_rule(SIGN_IN, "sign-in-answer", self.answer, methods=["POST"])
        server.add_url_rule(SIGN_OUT, "sign-out", self.out, methods=["POST"])

    def form(self) -> Response:
        """Show the form; whoever is signed in already may change over."""
        return self._page(safe_path(request.args.get("next")))

    def answer(self) -> Response:
        """Take the form."""
        if (request.content_length or 0) > _MOST_BYTES:
            return self._failed(Tried.STALE, "/", _STALE, 413)
        after = safe_path(request.form.get("next"))
        if not self._sessions.form_is_ours(request.cookies.get(FORM_COOKIE), request.form.get("token")):
            return self._failed(Tried.STALE, after, _STALE, 400)
        if "persona" in request.form:
            return self._as_persona(request.form["persona"], after)
        return self._with_password(request.form.get("name", ""), request.form.get("password", ""), after)

    def out(self) -> Response:
        """End the session, for every copy of its cookie."""
        now_ns = self._clock()
        session = self._sessions.read(request.cookies.get(COOKIE), now_ns)
        if session is not None:
            self._sessions.end(session, now_ns)
            audit.info("sign-out", actor=session.name, address=self._identity.address(request))
        answer = Response("", 303, {"Location": SIGN_IN})
        answer.delete_cookie(COOKIE, httponly=True, samesite="Lax")
        return answer

    def _with_password(self, name: str, password: str, after: str) -> Response:
        now_ns, address = self._clock(), self._identity.address(request)
        wait_s = self._throttle.wait_seconds(name, address, now_ns)
        if wait_s:
            audit.warning("sign-in refused: too many tries", actor=name[:128], address=address)
            answer = self._failed(Tried.TOO_MANY, after, "Too many tries. Please wait a few minutes.", 429)
            answer.headers["Retry-After"] = str(wait_s)
            return answer
        user = self._identity.user(name)
        if not matches(password, user.password_hash.get_secret_value() if user else None) or user is None:
            audit.warning("sign-in failed", actor=name[:128], address=address)
            return self._failed(Tried.WRONG, after, _WRONG, 401)
        self._throttle.succeeded(name, address)
        audit.info(
            "sign-in", actor=name, role=user.role.value, tenants=list(user.tenants) or "all", address=address
        )
        return self._begin(name, Via.PASSWORD, self._identity.stamp(user), after)

    def _as_persona(self, key: str, after: str) -> Response:
        persona = self._identity.personas.get(key)
        if persona is None:
            return self._failed(Tried.WRONG, after, _WRONG, 401)
        audit.info("sign-in", actor=persona.name, role=persona.role.value, address=self._identity.address(request))
        return self._begin(key, Via.PERSONA, "", after)

    def _failed(self, tried: Tried, after: str, problem: str, status: int) -> Response:
        self.tries[tried] += 1
        return self._page(after, problem, status)

    def _begin(self, name: str, via: Via, stamp: str, after: str) -> Response:
        self.tries[Tried.SIGNED_IN] += 1
        now_ns = self._clock()
        before = self._sessions.read(request.cookies.get(COOKIE), now_ns)
        if before is not None:
            self._sessions.end(before, now_ns)
        answer = Response("", 303, {"Location": after})
        answer.set_cookie(
            COOKIE,
            self._sessions.begin(name, via, stamp, now_ns),
            max_age=self._sessions.lifetime_s,
            secure=self._identity.encrypted(request),
            httponly=True,
            samesite="Lax",
        )
        return answer

    def _page(self, after: str, problem: str = "", status: int = 200) -> Response:
        browser = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(16)
        personas: tuple[tuple[str, Actor], ...] = tuple(self._identity.personas.items())
        answer = Response(
            page(
                token=self._sessions.form_token(browser),
                after=after,
                problem=problem,
                passwords=bool(self._settings.users),
                proxy=bool(self._settings.proxy.user_header),
                personas=personas,
            ),
            status,
            mimetype="text/html",
        )
        answer.set_cookie(
            FORM_COOKIE, browser, secure=self._identity.encrypted(request), httponly=True, samesite="Strict"
        )
        return answer
