"""What every write of the web goes through: who may, from where, and the one writer that it shares.

Pages never act on anything: what people ask for is recorded in the store, where forecast, scaler and alerts read
it.
"""

import time
from collections.abc import Callable
from typing import TypeVar

from flask import Request

from storage.seam import Reader, Scope, Store, StoreLocked, Writer

WRITER_NAME = "web"
_PATIENCE_SECONDS = 5.0

T = TypeVar("T")


class Refused(Exception):
    """The request cannot be served; carries the status and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def check_may_write(scope: Scope, request: Request, what: str) -> None:
    """Raise Refused unless this actor may write, asked from a page of ours; `what` says what is refused.

    JSON alone is taken (a form of another site cannot send it), and an Origin of another site is refused.
    """
    if scope.tenants is not None:
        raise Refused(403, f"only engineers and operators {what}")
    if request.method != "DELETE" and not request.is_json:
        raise Refused(415, "send Content-Type: application/json")
    origin = request.headers.get("Origin")
    if origin and origin.partition("://")[2] != request.host:
        raise Refused(403, "requests from pages of another site are not taken")


def recorded(store: Store, scope: Scope, work: Callable[[Reader, Writer], T]) -> T:
    """Record with the web's own writer, open only meanwhile: most processes never write anything."""
    writer = _writer(store)
    try:
        return work(store.reader(scope), writer)
    finally:
        writer.close()


def _writer(store: Store) -> Writer:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return store.writer(WRITER_NAME)
        except StoreLocked:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
