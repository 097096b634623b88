"""Events over HTTP: `GET` and `POST /api/v1/events`, `DELETE /api/v1/events/ID`, as JSON, for engineers.

The scope comes from the request as everywhere (`dashboards.auth`); only a scope of every tenant may announce,
because an event moves what pools are scaled to. Writes need `Content-Type: application/json`, which no form of
another site can send.
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Request, Response, request

from dashboards.auth import scope_of
from dashboards.services import Services
from dashboards.writes import Refused, check_may_write, recorded
from forecast.announce import Announcement, announce, listed, settings_of, withdraw
from forecast.events import BadEvents
from storage.seam import OutOfScope, Scope, StoreError

PATH = "/api/v1/events"
_MOST_BYTES = 65_536
_FIELDS = ("name", "start", "end", "tenants", "kind", "uplift", "decay")


def register(server: Flask, services: Services) -> None:
    """Serve the endpoint."""
    lock = threading.Lock()

    def answered(work: Callable[[Scope], tuple[int, Any]]) -> Response:
        try:
            status, body = work(scope_of(request))
        except Refused as refused:
            status, body = refused.status, {"error": str(refused)}
        except BadEvents as error:
            status, body = 400, {"error": str(error)}
        except OutOfScope as error:
            status, body = 404, {"error": str(error)}
        except StoreError as error:
            status, body = 503, {"error": str(error)}
        text = "" if status == 204 else json.dumps(body, ensure_ascii=False)
        return Response(text, status=status, mimetype="application/json")

    @server.get(PATH)
    def list_events() -> Response:
        def work(scope: Scope) -> tuple[int, Any]:
            found = listed(services.store.reader(scope), services.clock())
            return 200, {"events": [as_json(each) for each in found]}

        return answered(work)

    @server.post(PATH)
    def add_event() -> Response:
        def work(scope: Scope) -> tuple[int, Any]:
            check_may_write(scope, request, "announce events")
            values = _body(request)
            asked, mask = settings_of({k: v for k, v in values.items() if k != "mask"}), values.get("mask", False)
            if mask and asked.uplift is not None:
                raise BadEvents("a mask has no uplift: nothing is expected of it")
            with lock:
                return 201, as_json(recorded(services.store, scope, lambda reader, writer: announce(
                    reader, writer, asked, zone=services.settings.time_zone, author=scope.actor,
                    now_ns=services.clock(), mask=bool(mask),
                )))  # fmt: skip

        return answered(work)

    @server.delete(f"{PATH}/<id_>")
    def remove_event(id_: str) -> Response:
        def work(scope: Scope) -> tuple[int, Any]:
            check_may_write(scope, request, "announce events")
            with lock:
                recorded(services.store, scope, lambda reader, writer: withdraw(
                    reader, writer, id_, author=scope.actor, now_ns=services.clock()
                ))  # fmt: skip
            return 204, None

        return answered(work)


def _body(asked: Request) -> dict[str, Any]:
    if (asked.content_length or 0) > _MOST_BYTES:
        raise Refused(413, f"at most {_MOST_BYTES} bytes")
    found = asked.get_json(silent=True)
    if not isinstance(found, dict):
        example = {"name": "spring sale", "start": "2026-03-01T09:00Z", "end": "2026-03-03T18:00Z", "uplift": 0.4}
        raise Refused(400, f"the body must be a JSON object, for example {json.dumps(example)}")
    unknown = sorted(set(found) - {*_FIELDS, "mask"})
    if unknown:
        raise Refused(400, f"unknown key {', '.join(unknown)[:200]}; known are {', '.join(_FIELDS)}, mask")
    return found


def as_json(found: Announcement) -> dict[str, Any]:
    """Return an event as the endpoint gives it; times in ISO 8601 UTC."""
    return {
        "id": found.id,
        "kind": found.kind.value,
        "name": found.name,
        "start": _iso(found.start_s),
        "end": _iso(found.end_s),
        "tenants": list(found.tenants),
        "uplift": found.uplift,
        "similar": found.similar or None,
        "decay_seconds": found.decay_s,
        "author": found.author or None,
    }


def _iso(at_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))
