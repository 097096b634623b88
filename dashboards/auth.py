"""The one place where a request becomes a scope.

Everything downstream (cache keys, queries, exports) takes the scope from here and cannot widen it.
There is no sign-in yet: whoever reaches the server is the local engineer, which is why it listens on
the loopback address unless it is told otherwise.
"""

from flask import Request

from storage.seam import Scope

LOCAL_ENGINEER = "engineer"


def scope_of(request: Request) -> Scope:
    """Return what the actor behind a request may see."""
    return Scope.everything(LOCAL_ENGINEER)
