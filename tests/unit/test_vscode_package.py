"""What the VS Code extension declares, says and does agree with one another and with the server. Without Node.js."""

from __future__ import annotations

import importlib.util
import json
import re
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import aix_lsp
from aix_lsp.server.app import AixServer
from aix_lsp.settings import options

ROOT = Path(aix_lsp.__file__).parent.parent
EXTENSION = ROOT / "editors" / "vscode"
PACKAGE: dict[str, Any] = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))
LOCK: dict[str, Any] = json.loads((EXTENSION / "package-lock.json").read_text(encoding="utf-8"))
CONTRIBUTES = PACKAGE["contributes"]
SOURCES = {path.name: path.read_text(encoding="utf-8") for path in (EXTENSION / "src").glob("*.ts")}
DECLARED = {command["command"] for command in CONTRIBUTES["commands"]}
REGISTERED = set(re.findall(r'^    "(aix-lsp\.\w+)": ', SOURCES["commands.ts"], re.MULTILINE))
INTERNAL = {"aix-lsp.showSuggestions"}
"""Run by the menu alone."""
OWN_SETTINGS: dict[str, Any] = CONTRIBUTES["configuration"][0]["properties"]


def module(path: Path) -> ModuleType:
    """A Python file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_every_command_of_the_palette_exists() -> None:
    assert DECLARED == REGISTERED - INTERNAL
    assert all(command["category"] == "aix" for command in CONTRIBUTES["commands"])


def test_no_command_has_the_name_of_one_of_the_servers() -> None:
    # the language client registers the server's under their own names, and a second one of a name is an error
    servers = set(AixServer().protocol.fm.commands)
    assert servers
    assert all(name.startswith("aix.") for name in servers)
    assert all(name.startswith("aix-lsp.") for name in REGISTERED)


def test_the_extension_runs_commands_that_the_server_has() -> None:
    servers = set(AixServer().protocol.fm.commands)
    text = "\n".join(SOURCES.values())
    asked_for_first = set(re.findall(r'knows\("(aix\.\w+)"\)', text))
    run = set(re.findall(r'(?:execute|switchOver)\((?:server, )?"(aix\.\w+)"', text))
    assert {"aix.toggle", "aix.pause", "aix.inspect"} <= run
    assert run - asked_for_first <= servers


def test_menus_and_keys_are_for_commands_that_exist() -> None:
    for entry in CONTRIBUTES["menus"]["commandPalette"]:
        assert entry["command"] in DECLARED
    for binding in CONTRIBUTES["keybindings"]:
        assert binding["command"] in DECLARED
        assert "inlineSuggestionVisible" in binding["when"], "a key is ours only while an offer is shown"
        assert binding["key"].split("+")[-1] not in {"tab", "escape", "enter"}


def test_what_is_run_and_where_from_is_never_set_by_a_workspace() -> None:
    machine = {name for name, field in OWN_SETTINGS.items() if field["scope"] == "machine"}
    assert machine == set(OWN_SETTINGS) - {"aix.trace.server"}
    trust = PACKAGE["capabilities"]["untrustedWorkspaces"]
    assert trust["supported"] == "limited"
    assert set(trust["restrictedConfigurations"]) == machine
    read = set(re.findall(r'machineSetting(?:<[^>]+>)?\("([\w.]+)"', "\n".join(SOURCES.values())))
    assert {f"aix.{name}" for name in read} == machine


def test_the_extension_tells_its_own_settings_from_the_servers() -> None:
    listed = re.search(r"OF_THE_CLIENT = new Set\(\[(.*?)\]\)", SOURCES["settings.ts"], re.DOTALL)
    assert listed is not None
    assert {f"aix.{name}" for name in re.findall(r'"([\w.]+)"', listed[1])} == set(OWN_SETTINGS)
    assert not set(OWN_SETTINGS) & {f"aix.{item.name}" for item in options()}


def test_the_extension_knows_what_needs_a_restart() -> None:
    note = re.search(r'RESTART_NOTE = "(.*)"', SOURCES["settings.ts"])
    assert note is not None
    fields = {name: field for part in CONTRIBUTES["configuration"][1:] for name, field in part["properties"].items()}
    for item in options():
        assert (note[1] in fields[f"aix.{item.name}"]["markdownDescription"]) == item.restart, item.name


def test_the_version_is_the_servers() -> None:
    assert PACKAGE["version"] == LOCK["version"] == "0.0.0", "the version has one home: aix_lsp/__init__.py"
    packing = module(EXTENSION / "package_vsix.py")
    assert packing.manifest()["version"] == aix_lsp.__version__
    assert f"## {aix_lsp.__version__}" in (EXTENSION / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_more_than_the_language_client_asks_for_is_asked_of_vs_code() -> None:
    client = LOCK["packages"]["node_modules/vscode-languageclient"]
    assert client["version"].startswith("11.")
    assert PACKAGE["engines"]["vscode"] == client["engines"]["vscode"]
    lowest = PACKAGE["engines"]["vscode"].removeprefix("^").rpartition(".")[0]
    types = LOCK["packages"]["node_modules/@types/vscode"]["version"]
    assert types.startswith(f"{lowest}."), "newer types would allow calls that the oldest VS Code does not have"
    assert "enabledApiProposals" not in PACKAGE


def test_the_extension_runs_beside_the_files() -> None:
    assert PACKAGE["extensionKind"] == ["workspace"]
    assert "browser" not in PACKAGE


def test_nothing_says_where_packages_were_fetched_from() -> None:
    assert not any("resolved" in package for package in LOCK["packages"].values())
    assert not {"repository", "homepage", "bugs", "publishConfig"} & set(PACKAGE)


def test_all_that_the_package_needs_is_packed() -> None:
    packing = module(EXTENSION / "package_vsix.py")
    kept = {
        line.removeprefix("!") for line in (EXTENSION / ".vscodeignore").read_text().splitlines() if line[:1] == "!"
    }
    assert {"package.json", "LICENSE", "server/**", PACKAGE["icon"], PACKAGE["main"].removeprefix("./")} <= kept
    packed = {name for name in packing.FILES if not name.startswith(".")}
    for name in packed:
        assert any(rule == name or rule.startswith(f"{name}/") for rule in kept), name
    for walkthrough in CONTRIBUTES["walkthroughs"]:
        for step in walkthrough["steps"]:
            media = step["media"].get("markdown") or step["media"]["svg"]
            assert (EXTENSION / media).is_file()
            assert media.split("/")[0] in packed


def test_the_first_steps_lead_to_commands_that_exist() -> None:
    (walkthrough,) = CONTRIBUTES["walkthroughs"]
    assert f"#{walkthrough['id']}`" in SOURCES["walkthrough.ts"]
    text = json.dumps(walkthrough)
    assert set(re.findall(r"(?:command|onCommand):([\w.-]+)", text)) <= DECLARED


def test_the_icon_is_what_its_script_draws() -> None:
    # the picture, not the file: another zlib packs it differently
    file = (EXTENSION / PACKAGE["icon"]).read_bytes()
    start = file.index(b"IDAT")
    length = int.from_bytes(file[start - 4 : start])
    assert zlib.decompress(file[start + 4 : start + 4 + length]) == module(EXTENSION / "media" / "icon.py").rows()
    assert len(file) < 10_000


def test_the_constraints_name_the_pytorch_that_is_installed() -> None:
    assert re.search(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("name", ["README.md", "package.json"])
def test_documents_name_only_settings_and_commands_that_exist(name: str) -> None:
    text = (EXTENSION / name).read_text(encoding="utf-8")
    known = {f"aix.{item.name}" for item in options()} | set(OWN_SETTINGS)
    assert set(re.findall(r"`#?(aix\.[a-z_]+(?:\.[a-zA-Z_]+)?)#?`", text)) <= known
