"""The body of a callback request, checked before Dash reads it: Dash takes the browser's word for its shape.

Only the shape is checked here, against the callback as it was registered; the values are checked where they are
taken (`dashboards.components.wiring.on_server`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

_WILD = "{"
"""How the id of a pattern begins, as Dash writes it."""


class BadBody(Exception):
    """No page of ours sends such a body; the message says why."""


class _Part(msgspec.Struct):
    id: str | dict[str, Any]
    property: str
    value: Any = None


class Asked(msgspec.Struct):
    """What a callback is called with, by position."""

    output: str
    outputs: _Part | list[_Part]
    inputs: list[_Part | list[_Part]]
    state: list[_Part | list[_Part]] = msgspec.field(default_factory=list)
    changedPropIds: list[str] = msgspec.field(default_factory=list)  # noqa: N815 (Dash names it)


_DECODER = msgspec.json.Decoder(Asked)


def read_body(body: bytes) -> Asked:
    """Return what a callback is called with. Raises BadBody."""
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadBody(str(error)) from error


def check_shape(asked: Asked, registered: Mapping[str, Any]) -> None:
    """Raise BadBody where inputs, state, outputs or what changed are not those of the callback registered."""
    outputs = asked.outputs if isinstance(asked.outputs, list) else [asked.outputs]
    expected = asked.output.removeprefix("..").removesuffix("..").split("...")
    if isinstance(asked.outputs, list) is not asked.output.startswith("..") or (
        [_plain(name) for name in expected] != [_plain(_name(part)) for part in outputs]
    ):
        raise BadBody("outputs are not those of the callback")
    for kind, parts in (("inputs", asked.inputs), ("state", asked.state)):
        known = registered[kind]
        if len(parts) != len(known) or not all(map(_matches, parts, known)):
            raise BadBody(f"{kind} are not those of the callback")
    if not set(asked.changedPropIds) <= {_name(part) for part in _flat(asked.inputs)}:
        raise BadBody("what changed is no input of the callback")


def _matches(sent: _Part | list[_Part], known: Mapping[str, str]) -> bool:
    id_, property_ = known["id"], known["property"]
    if not id_.startswith(_WILD):
        return isinstance(sent, _Part) and (sent.id, sent.property) == (id_, property_)
    pattern = json.loads(id_)
    return isinstance(sent, list) and all(
        isinstance(each.id, dict) and each.property == property_ and _fits(each.id, pattern) for each in sent
    )


def _fits(id_: Mapping[str, Any], pattern: Mapping[str, Any]) -> bool:
    return id_.keys() == pattern.keys() and all(
        isinstance(id_[key], str) and (isinstance(wanted, list) or id_[key] == wanted)
        for key, wanted in pattern.items()
    )


def _flat(parts: Sequence[_Part | list[_Part]]) -> Iterator[_Part]:
    for part in parts:
        yield from part if isinstance(part, list) else (part,)


def _name(part: _Part) -> str:
    written = part.id if isinstance(part.id, str) else json.dumps(part.id, sort_keys=True, separators=(",", ":"))
    return f"{written}.{part.property}"


def _plain(name: str) -> str:
    """Return the name of an output without what tells duplicates of it apart."""
    return name.partition("@")[0]
