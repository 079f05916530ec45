"""README and the editors' settings say what the code says."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import aix_lsp
from aix_lsp.settings import options

ROOT = Path(aix_lsp.__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def generator(name: str) -> ModuleType:
    """A module of `docs/`, which is no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        return importlib.import_module(name)


GENERATED: dict[str, str] = generator("generate").documents()


@pytest.mark.parametrize("path", GENERATED)
def test_generated_files_say_what_the_settings_say(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == GENERATED[path], "run: make documents"


def test_every_client_gets_every_option() -> None:
    schema = json.loads(GENERATED["editors/settings.schema.json"])["properties"]
    lisp, lua = GENERATED["editors/emacs/aix-lsp-settings.el"], GENERATED["editors/neovim/lua/aix/options.lua"]
    start = json.loads(GENERATED["editors/jetbrains/aix-lsp/initializationOptions.schema.json"])["properties"]
    page = {
        name: field
        for section in generator("generate_vscode").configuration()
        for name, field in section["properties"].items()
    }
    assert list(page) == list(schema)
    for item in options():
        section, _, name = item.name.partition(".")
        assert page[f"aix.{item.name}"]["scope"] == item.scope
        assert name in start[section]["properties"]
        assert f"(defcustom aix-lsp-{section}-{name.replace('_', '-')} " in lisp
        assert f'"{item.name}" {item.scope} ' in lisp
        assert f'["{item.name}"] = {{' in lua


def test_jetbrains_offers_machine_options_only_where_the_server_takes_them() -> None:
    running = json.loads(GENERATED["editors/jetbrains/aix-lsp/settings.schema.json"])["properties"]
    assert set(running) == {f"aix.{item.name}" for item in options() if item.scope != "machine"}


def test_the_hand_written_part_of_the_vscode_package_stays() -> None:
    renew = generator("generate_vscode").with_configuration
    by_hand = {"title": "aix-lsp", "properties": {"aix.serverPath": {"type": "string"}}}
    package = {"name": "aix-lsp", "contributes": {"configuration": [by_hand, {"title": "old"}], "commands": []}, "z": 1}
    text = renew(json.dumps(package))
    written = json.loads(text)
    assert [*written] == ["name", "contributes", "z"]
    assert written["contributes"]["commands"] == []
    assert written["contributes"]["configuration"][0] == by_hand
    assert {"title": "old"} not in written["contributes"]["configuration"]
    assert renew(text) == text


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!http|#)([^)#]+)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (ROOT / target).exists()


def test_the_constraints_pin_every_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()}
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["eval"], *extras["train"]]
    for item in extras["dev"]:  # what is tested with it is pinned too
        wanted += [] if item in ("aix-lsp[eval]", "aix-lsp[train]") else [item]
    assert {"aix-lsp[eval]", "aix-lsp[train]"} <= set(extras["dev"])
    names = {re.split(r"[<>=\[ ]", item)[0].lower() for item in wanted}
    assert names <= pinned


def test_every_command_is_in_the_readme() -> None:
    from aix_lsp.cli.app import app

    for command in app.registered_commands:
        assert command.callback is not None
        assert f"aix-lsp {command.callback.__name__}" in README
