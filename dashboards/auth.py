"""The one place where a request becomes an actor and a scope.

Everything downstream (cache keys, queries, exports) takes the scope from here and cannot widen it. Who the actor
is was found before the request came here (`dashboards.access.guard`); without one there is no scope: it fails
closed.
"""

from flask import Request, abort

from dashboards.access.areas import Actor
from storage.seam import Scope

ACTOR = "surgecast.actor"
"""Key of the actor in the request's WSGI environment, which no header can set."""


def found_actor(request: Request) -> Actor | None:
    """Return the actor behind a request, None where nobody is."""
    actor = request.environ.get(ACTOR)
    return actor if isinstance(actor, Actor) else None


def actor_of(request: Request) -> Actor:
    """Return the actor behind a request; ends it with 401 where nobody is."""
    return found_actor(request) or abort(401)


def scope_of(request: Request) -> Scope:
    """Return what the actor behind a request may see; ends it with 401 where nobody is."""
    return actor_of(request).scope
