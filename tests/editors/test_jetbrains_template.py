"""The template for LSP4IJ has what LSP4IJ reads, and names every file that the server knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aix_lsp.languages import known_files, language_id_of, language_of
from tests.editors.conftest import SERVER

TEMPLATE = Path(__file__).resolve().parents[2] / "editors" / "jetbrains" / "aix-lsp"

DESCRIPTOR = {
    "id": str,
    "name": str,
    "url": str,
    "programArgs": dict,
    "workingDir": str,
    "env": dict,
    "expandConfiguration": bool,
    "disablePromotionFor": list,
    "languageMappings": list,
    "fileTypeMappings": list,
}
"""The fields of template.json that LSP4IJ reads."""

FILES = {
    "template.json",
    "settings.json",
    "settings.schema.json",
    "initializationOptions.json",
    "experimental.json",
    "clientSettings.json",
    "workspaceFolderSettings.json",
    "installer.json",
    "README.md",
}
"""What LSP4IJ reads of a template's folder."""

OURS = {"initializationOptions.schema.json"}
"""For readers: LSP4IJ has no schema for these."""


def read(name: str) -> Any:
    return json.loads((TEMPLATE / name).read_text(encoding="utf-8"))


def test_the_template_has_only_files_and_fields_that_lsp4ij_reads() -> None:
    assert {path.name for path in TEMPLATE.iterdir()} <= FILES | OURS
    descriptor = read("template.json")
    for name, value in descriptor.items():
        assert isinstance(value, DESCRIPTOR[name]), name
    for mapping in descriptor["fileTypeMappings"]:
        assert set(mapping) == {"fileType", "languageId"}
        assert set(mapping["fileType"]) == {"patterns"}
        assert all(isinstance(pattern, str) for pattern in mapping["fileType"]["patterns"])


def test_there_is_a_command_line_for_each_system() -> None:
    commands = read("template.json")["programArgs"]
    assert set(commands) == {"default", "windows", "mac", "unix"}
    for system, command in commands.items():
        # LSP4IJ splits at spaces outside double quotes
        program, *arguments = command.split(" ")
        assert program == ("aix-lsp.exe" if system == "windows" else "aix-lsp")
        assert arguments == list(SERVER[-2:])


def test_no_default_is_sent_that_would_hide_the_users_own_files() -> None:
    assert read("settings.json") == read("initializationOptions.json") == {}


def test_settings_have_a_schema_that_the_ide_reads() -> None:
    schema = read("settings.schema.json")
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert schema["additionalProperties"] is False
    assert schema["properties"]["aix.completion.amount"]["enum"] == ["auto", "line", "block"]


def test_every_file_of_the_language_table_goes_to_the_server() -> None:
    mapped = {
        pattern: mapping["languageId"]
        for mapping in read("template.json")["fileTypeMappings"]
        for pattern in mapping["fileType"]["patterns"]
    }
    for pattern, language_id in mapped.items():
        assert language_id_of(pattern.replace("*", "name")) == language_id
    covered = {pattern.lower() for pattern in mapped}
    for name in known_files():
        assert (f"*{name}" if name.startswith(".") else name).lower() in covered
    assert language_of("name.py", mapped["*.py"]).name == "python"
