"""The audit log: who signed in, what was refused, and what left the application as a file."""

import structlog
from flask import Request

from dashboards.auth import found_actor

ADDRESS = "surgecast.address"
"""Key of where a request comes from in its WSGI environment, as the guard found it."""
_LONGEST = 200

log = structlog.get_logger("surgecast.audit")


def refused(request: Request, event: str, **details: str) -> None:
    """Record that a request was not served, and whose it was."""
    log.warning(event, **_whose(request), **_short(details))


def exported(request: Request, what: str, **details: str) -> None:
    """Record that a file was given to the actor behind a request."""
    log.info("export", what=what, **_whose(request), **_short(details))


def _whose(request: Request) -> dict[str, str]:
    actor = found_actor(request)
    return {
        "actor": actor.name if actor else "",
        "role": actor.role.value if actor else "",
        "address": str(request.environ.get(ADDRESS, "")),
    }


def _short(details: dict[str, str]) -> dict[str, str]:
    return {name: text[:_LONGEST] for name, text in details.items()}
