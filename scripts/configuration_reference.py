"""Writes docs/configuration.md from the settings' own descriptions, so that the reference cannot be wrong.

A test compares the page with `render()`; `python scripts/configuration_reference.py` writes it anew.
"""

from collections.abc import Iterator
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import AwareDatetime, BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from surgecast.config import Settings
from telephony.durations import format_duration, parse_duration

PAGE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"

_HEAD = """\
# Configuration

One YAML file, named by `-c` or by `SURGECAST_CONFIG`; without one the defaults below hold. A complete example is
[`deploy/surgecast.yaml`](../deploy/surgecast.yaml).

* `surgecast config check -c FILE` names every fault with its key, the reason and an example; exit code 2.
* `surgecast config show -c FILE` prints what is in force, defaults and environment included, secrets as stars
  (`--secrets` shows them).
* `surgecast config schema` prints a JSON Schema for editors.
* Unknown keys are errors.

**Environment.** `SURGECAST__SECTION__KEY` overrides the file, for example `SURGECAST__WEB__PORT=8080` or
`SURGECAST__COLLECT__HASH_SALT=…`; lists are JSON. A variable that names no section is an error.

**Durations** are `500ms`, `10s`, `15m`, `4h`, `7d` or `2w`; a bare number is seconds. Other units are in names.

This page is made by `scripts/configuration_reference.py` from the settings themselves; do not edit it.
"""

_WORDS = {
    AwareDatetime: "time with zone",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret",
    BaseModel: "mapping",
}
_LIMITS = ((Ge, "ge", "≥ "), (Gt, "gt", "> "), (Le, "le", "≤ "), (Lt, "lt", "< "))


def render() -> str:
    """Return the page."""
    parts = [_HEAD]
    for section, info in Settings.model_fields.items():
        parts.append(f"\n## {section}\n\n{info.description}\n")
        model = _model_in(info.annotation)
        assert model is not None
        parts += _tables(model, section)
    return "\n".join(parts)


def keys() -> list[str]:
    """Return every key there is; `[]` stands for an item of a list, `*` for a key of a mapping."""
    return [
        f"{at}.{name}"
        for section, info in Settings.model_fields.items()
        for at, model in _models(_model_in(info.annotation), section)
        for name in map(_key, model.model_fields.items())
    ]


def _models(model: type[BaseModel] | None, at: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield a model and those within, each with where it is."""
    assert model is not None
    yield at, model
    for name, info in model.model_fields.items():
        inner = _model_in(info.annotation)
        if inner is not None:
            item = "" if inner is info.annotation else ".*" if get_origin(info.annotation) is dict else "[]"
            yield from _models(inner, f"{at}.{name}{item}")


def _tables(model: type[BaseModel], section: str) -> Iterator[str]:
    for at, inner in _models(model, section):
        if at != section:
            yield f"\n### {at}\n\n{(inner.__doc__ or '').strip().splitlines()[0]}\n"
        yield "| key | what it takes | default | meaning | example |\n|---|---|---|---|---|"
        yield "\n".join(_row(_key((name, info)), info) for name, info in inner.model_fields.items())


def _key(field: tuple[str, FieldInfo]) -> str:
    """Return how a field is written: some keys are words of Python."""
    name, info = field
    return info.alias or name


def _row(name: str, info: FieldInfo) -> str:
    example = f"`{_yaml(info.examples[0])}`" if info.examples else ""
    cells = (f"`{name}`", _takes(info), _default(info), info.description or "", example)
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _takes(info: FieldInfo) -> str:
    word = "duration" if _is_duration(info) else _word(info.annotation)
    limits = [
        f"{sign}{getattr(marker, attribute):,}"
        for kind, attribute, sign in _LIMITS
        for marker in info.metadata
        if isinstance(marker, kind)
    ]
    return ", ".join([word, *limits])


def _word(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _word(inner[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is tuple:
        return f"list of {_word(inner[0])}"
    if origin is dict:
        return f"mapping of {_word(inner[0])} to {_word(inner[1])}"
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_word(part) for part in inner if part is not NoneType))
    if annotation in (IPv4Network, IPv6Network):
        return "network"
    if issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    return next(word for kind, word in _WORDS.items() if issubclass(annotation, kind))


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return f"one {type(value[0]).__name__.removesuffix('Settings').lower()} of its defaults"
    if isinstance(value, BaseModel):
        return "its defaults"
    if value in ("", (), {}) or value is None:
        return "—"
    return f"`{format_duration(value) if _is_duration(info) else _yaml(value)}`"


def _yaml(value: Any) -> str:
    """Return a value as it is written in the file, on one line."""
    text = yaml.safe_dump(to_jsonable_python(value), default_flow_style=True, sort_keys=False, width=1_000)
    return text.removesuffix("\n").removesuffix("\n...")


def _is_duration(info: FieldInfo) -> bool:
    return any(getattr(marker, "func", None) is parse_duration for marker in info.metadata)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
