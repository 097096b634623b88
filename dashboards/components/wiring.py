"""The few places where Dash's typing ends: attributes with a dash in their name, and functions of the browser."""

from collections.abc import Sequence
from typing import Any

from dash import ClientsideFunction, Dash, no_update

_NAMESPACE = "surgecast"


def aria(**attributes: str) -> dict[str, Any]:
    """Return ARIA attributes as keyword arguments of a component.

    >>> aria(labelledby="x")
    {'aria-labelledby': 'x'}
    """
    return {f"aria-{name}": value for name, value in attributes.items()}


def unchanged(outputs: dict[str, Any]) -> dict[str, Any]:
    """Return an answer of the same shape as these grouped outputs that changes nothing."""
    return {name: unchanged(output) if isinstance(output, dict) else no_update for name, output in outputs.items()}


def in_browser(
    app: Dash, function: str, outputs: Sequence[Any], inputs: Sequence[Any], *, at_start: bool = True
) -> None:
    """Register a function of assets/surgecast.js as a callback; a single output is given as a list of one too."""
    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction(_NAMESPACE, function), *outputs, *inputs, prevent_initial_call=not at_start
    )
