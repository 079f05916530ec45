"""The template for LSP4IJ, by which JetBrains' editors start the server: its descriptor with all file types, and the
schemas of the settings."""

from __future__ import annotations

import json
from typing import Any

from option_facts import field_of

from aix_lsp.languages import known_files
from aix_lsp.settings import Option, Settings, options

_COMMAND = {
    "default": "aix-lsp serve --stdio",
    "windows": "aix-lsp.exe serve --stdio",
    "mac": "aix-lsp serve --stdio",
    "unix": "aix-lsp serve --stdio",
}
_DRAFT = "http://json-schema.org/draft-07/schema#"


def template() -> str:
    """`template.json`: the name, the command line by system, and which files the server is for, by patterns alone: IDEs
    differ in the file types that they know."""
    by_language: dict[str, list[str]] = {}
    for name, language in known_files().items():
        by_language.setdefault(language, []).append(_pattern(name))
    document = {
        "id": "aix-lsp",
        "name": "aix-lsp",
        "programArgs": _COMMAND,
        "expandConfiguration": True,
        "fileTypeMappings": [
            {"fileType": {"patterns": _once(patterns)}, "languageId": language}
            for language, patterns in sorted(by_language.items())
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


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


def _pattern(name: str) -> str:
    return f"*{name}" if name.startswith(".") else name


def _once(patterns: list[str]) -> list[str]:
    """The patterns less those that differ from an earlier one in upper and lower case alone: endings match in either,
    whole names as they are written."""
    kept: dict[str, str] = {}
    for pattern in patterns:
        kept.setdefault(pattern.lower() if pattern.startswith("*") else pattern, pattern)
    return list(kept.values())


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
