"""The schemas that JetBrains' editors complete and check the settings by, in the template for LSP4IJ."""

from __future__ import annotations

import json
from typing import Any

from option_facts import field_of

from aix_lsp.settings import Option, Settings, options

_DRAFT = "http://json-schema.org/draft-07/schema#"


def settings_schema() -> str:
    """`settings.schema.json`: what the server asks for while it runs, as flat names. Options of the machine are not
    among them: the server takes them from the initialization options alone."""
    properties = {f"aix.{item.name}": _field(item) for item in options() if item.scope != "machine"}
    return _document("settings", "Settings that hold at once", properties)


def initialization_schema() -> str:
    """`initializationOptions.schema.json`: all options, one object per section."""
    sections: dict[str, Any] = {}
    for section, outer in Settings.model_fields.items():
        inside = [item for item in options() if item.name.startswith(f"{section}.")]
        sections[section] = {
            "description": (outer.description or "").splitlines()[0],
            "type": "object",
            "properties": {item.name.partition(".")[2]: _field(item) for item in inside},
            "additionalProperties": False,
        }
    return _document("initializationOptions", "Settings that the server starts with", sections)


def _field(item: Option) -> dict[str, Any]:
    return {name: value for name, value in field_of(item).items() if name not in ("scope", "writeOnly")}


def _document(name: str, title: str, properties: dict[str, Any]) -> str:
    document = {
        "$schema": _DRAFT,
        "$id": f"LSP4IJ/aix-lsp/{name}.schema.json",
        "title": f"aix-lsp: {title}",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
