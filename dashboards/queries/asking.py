"""A question to the store whose failure is the state of one panel, not of the page."""

from collections.abc import Callable
from typing import TypeVar

from dashboards.views import PanelState, Status
from storage.seam import OutOfScope, StoreError

Answer = TypeVar("Answer")


def asked(question: Callable[[], Answer]) -> Answer | Status:
    """Return the answer, or why there is none."""
    try:
        return question()
    except OutOfScope:
        return Status(PanelState.NOT_ALLOWED, "This is outside of what you may see.")
    except StoreError as error:
        return Status(PanelState.ERROR, str(error) or type(error).__name__)
