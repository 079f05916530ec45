"""What the generated files need to know of an option: kind, choices, limits and default, as its JSON Schema says."""

from __future__ import annotations

from functools import cache
from typing import Any

from aix_lsp.settings import Option
from aix_lsp.settings_documents import json_schema

_LIMITS = ("minimum", "exclusiveMinimum", "maximum")


@cache
def _properties() -> dict[str, Any]:
    properties: dict[str, Any] = json_schema()["properties"]
    return properties


def field_of(item: Option) -> dict[str, Any]:
    """The option's JSON Schema, numbers written without an empty fraction, as other programs write them."""
    return {name: _plain(value) for name, value in _properties()[f"aix.{item.name}"].items()}


def kind_of(item: Option) -> str:
    """boolean, integer, number, string or string[]."""
    kind: str = field_of(item)["type"]
    return "string[]" if kind == "array" else kind


def choices_of(item: Option) -> list[str]:
    """All values there are; empty when there are more than can be named."""
    choices: list[str] = field_of(item).get("enum", [])
    return choices


def limits_of(item: Option) -> dict[str, int | float]:
    """Those of minimum, exclusiveMinimum and maximum that the option has."""
    field = field_of(item)
    return {name: field[name] for name in _LIMITS if name in field}


def default_of(item: Option) -> bool | int | float | str | list[str]:
    """The default as JSON has it."""
    default: bool | int | float | str | list[str] = field_of(item)["default"]
    return default


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
