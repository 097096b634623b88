"""Where Dash's typing ends: attributes with a dash in their name, callbacks, and functions of the browser."""

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import signature
from typing import Any, TypeVar, get_type_hints

import msgspec
from dash import ClientsideFunction, Dash, no_update

_NAMESPACE = "surgecast"

F = TypeVar("F", bound=Callable[..., Any])


def aria(**attributes: str) -> dict[str, Any]:
    """Return ARIA attributes as keyword arguments of a component.

    >>> aria(labelledby="x")
    {'aria-labelledby': 'x'}
    """
    return {f"aria-{name}": value for name, value in attributes.items()}


def unchanged(outputs: dict[str, Any]) -> dict[str, Any]:
    """Return an answer of the same shape as these grouped outputs that changes nothing."""
    return {name: unchanged(output) if isinstance(output, dict) else no_update for name, output in outputs.items()}


class WrongType(Exception):
    """A callback was sent a value of a type that no page of ours sends."""


def on_server(app: Dash, *outputs_and_inputs: Any, **options: Any) -> Callable[[F], F]:
    """Register a function as a callback; a value that is not of its annotated type raises WrongType.

    What comes from the browser may be anything at all: the annotations of a callback are what it takes.
    """

    def register(function: F) -> F:
        types = get_type_hints(function)
        names = tuple(signature(function).parameters)

        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            for name, value in (*zip(names, args, strict=False), *kwargs.items()):
                try:
                    msgspec.convert(value, types[name])
                except msgspec.ValidationError as error:
                    raise WrongType(f"{name}: {error}") from error
            return function(*args, **kwargs)

        app.callback(*outputs_and_inputs, **options)(checked)
        return function

    return register


def in_browser(
    app: Dash, function: str, outputs: Sequence[Any], inputs: Sequence[Any], *, at_start: bool = True
) -> None:
    """Register a function of assets/surgecast.js as a callback; a single output is given as a list of one too."""
    app.clientside_callback(  # type: ignore[no-untyped-call]
        ClientsideFunction(_NAMESPACE, function), *outputs, *inputs, prevent_initial_call=not at_start
    )
