"""What the clients in `editors/` say of languages, options and commands is what the server has."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import aix_lsp
from aix_lsp.configuration import Configuration
from aix_lsp.languages import known_files, language_of

EDITORS = Path(aix_lsp.__file__).parent.parent / "editors"
NO_PROGRAMS = {"plaintext", "json", "jsonc", "go.mod"}
"""Identifiers for which the server has no language of its own."""


def test_every_identifier_of_the_table_leads_to_its_language_without_a_file_name() -> None:
    for name, language_id in known_files().items():
        named = language_of(f"name{name}" if name.startswith(".") else name)
        found = language_of("", language_id)
        # some languages are in the table under two names
        assert found.name.replace("-", " ") == named.name.replace("-", " "), (name, language_id)


def test_clients_that_name_languages_name_known_ones() -> None:
    named = {
        event.removeprefix("onLanguage:")
        for package in EDITORS.glob("vscode/package.json")
        for event in json.loads(package.read_text(encoding="utf-8")).get("activationEvents", [])
        if event.startswith("onLanguage:")
    }
    for source in EDITORS.glob("emacs/*.el"):
        table = re.search(r"\(defconst aix-lsp-document--languages\n(.*?)\)\)\n", source.read_text("utf-8"), re.DOTALL)
        named |= set(re.findall(r'\("[^"]+" \. "([^"]+)"', table[1])) if table else set()
    assert {name for name in named - NO_PROGRAMS if not language_of("", name).name} == set()


def fenced(name: str, kind: str) -> list[str]:
    """The code blocks of a kind in a page."""
    text = (EDITORS / name).read_text(encoding="utf-8")
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


def initialization_options() -> list[Any]:
    """What the examples for the other editors send."""
    (helix,) = fenced("others.md", "toml")
    zed, kate = (json.loads(block) for block in fenced("others.md", "json"))
    (sublime,) = (json.loads(block) for block in fenced("others.md", "jsonc"))
    return [
        tomllib.loads(helix)["language-server"]["aix"]["config"],
        zed["lsp"]["pylsp"]["initialization_options"],
        kate["servers"]["python"]["initializationOptions"],
        sublime["aix"]["initialization_options"],
    ]


def test_the_examples_for_other_editors_are_read_and_switch_the_fallback_on() -> None:
    for options in initialization_options():
        configuration = Configuration()
        configuration.set_layer("initializationOptions", options)
        assert configuration.settings.completion.fallback_completion
        assert configuration.origin("completion.fallback_completion") == "initializationOptions"


@pytest.mark.parametrize("page", sorted(EDITORS.glob("**/*.md")), ids=lambda page: str(page.relative_to(EDITORS)))
def test_options_that_the_pages_name_are_there(page: Path) -> None:
    if "node_modules" in page.parts:
        pytest.skip("not ours")
    schema = json.loads((EDITORS / "settings.schema.json").read_text(encoding="utf-8"))["properties"]
    sections = {name.split(".")[1] for name in schema}
    for section, option in re.findall(r"`(?:aix\.)?([a-z]+)\.([a-z_]+)`", page.read_text(encoding="utf-8")):
        if section in sections:
            assert f"aix.{section}.{option}" in schema
