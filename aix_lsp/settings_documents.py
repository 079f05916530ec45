"""Documents generated from settings.py: the JSON Schema that editors use, and README's table."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from aix_lsp.settings import Settings, options

_SCOPE_TEXT = {"machine": "machine", "window": "window", "resource": "folder"}


def json_schema() -> dict[str, Any]:
    """A flat schema of `aix.section.option` keys, as VS Code's `contributes.configuration` has them."""
    properties: dict[str, Any] = {}
    for item in options():
        section, _, name = item.name.partition(".")
        group: Any = Settings.model_fields[section].annotation
        field = dict(TypeAdapter(group).json_schema()["properties"][name])
        field.pop("title", None)
        field.pop("restart", None)
        field.pop("secret", None)
        field["scope"] = item.scope
        properties[f"aix.{item.name}"] = field
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "aix-lsp",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }


def markdown_table() -> str:
    """All options as a Markdown table: name, default, scope, meaning."""
    lines = ["| option | default | scope | meaning |", "| --- | --- | --- | --- |"]
    for item in options():
        meaning = item.doc + (" *Restart.*" if item.restart else "")
        default = json.dumps(item.default)
        lines.append(f"| `{item.name}` | `{default}` | {_SCOPE_TEXT[item.scope]} | {meaning} |")
    return "\n".join(lines) + "\n"
