"""The template for LSP4IJ, and the server with the messages that LSP4IJ sends. No IDE is run."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aix_lsp.cli.lsp_client import LspClient, ServerError
from aix_lsp.languages import known_files, language_id_of, language_of
from tests.e2e.conftest import INVOICE, StartServer, servers, status, until_ready
from tests.editors.conftest import SERVER
from tests.editors.lsp4ij import Lsp4ij

EDITORS = Path(__file__).resolve().parents[2] / "editors"
TEMPLATE = EDITORS / "jetbrains" / "aix-lsp"

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


@pytest_asyncio.fixture
async def start(environment: dict[str, str]) -> AsyncIterator[StartServer]:
    async with servers(environment) as start_server:
        yield start_server


async def ide(start: StartServer, workspace: Path, settings: dict[str, Any] | None = None) -> Lsp4ij:
    """An IDE with the workspace open, and a server that is ready."""
    connected = Lsp4ij(await start(arguments=["--stdio"], initialize=False), settings)
    answer = await connected.start(workspace)
    assert answer["capabilities"]["inlineCompletionProvider"] == {}
    assert answer["capabilities"]["positionEncoding"] == "utf-16"
    await until_ready(connected.client)
    return connected


async def test_typing_shows_an_offer_and_accepting_it_is_counted_without_the_command(
    start: StartServer, workspace: Path
) -> None:
    editor = await ide(start, workspace)
    path = workspace / "shop" / "invoice.py"
    path.write_text(INVOICE.removesuffix("grand_"))
    editor.open(path)
    editor.type("grand_")
    shown = await editor.offered()
    assert shown == "total(amounts), percent)"
    editor.accept(shown)
    assert editor.text == INVOICE + shown
    counts = (await status(editor.client))["counts"]
    assert (counts["offered"], counts["accepted"]) == (1, 1)


async def test_typing_through_an_offer_leaves_its_rest(start: StartServer, workspace: Path) -> None:
    editor = await ide(start, workspace)
    editor.open(workspace / "shop" / "invoice.py")
    whole = await editor.offered()
    assert whole is not None
    for typed in ("t", "ota", "l("):
        editor.type(typed)
        before = editor.text
        shown = await editor.ask()
        assert shown is not None
        # cut by length alone, so the item has to begin with what is typed
        assert before + shown == INVOICE + whole
    editor.accept(shown)
    assert editor.text == INVOICE + whole


async def test_emoji_and_han_before_the_cursor_and_in_what_is_typed_through(
    start: StartServer, workspace: Path
) -> None:
    editor = await ide(start, workspace)
    path = workspace / "shop" / "greeting.py"
    line = 'print("😀 价格 👩\u200d💻", 总价="🎉")'
    path.write_text(f"{line}\n{line}\n\n\n{line[:9]}", encoding="utf-8")
    editor.open(path)
    whole = await editor.offered()
    assert whole is not None
    assert line[9:].startswith(whole.split("\n")[0][:6])
    start_of_offer = editor.text
    editor.type(whole[:4])
    shown = await editor.ask()
    assert shown is not None
    editor.accept(shown)
    assert editor.text.startswith(start_of_offer + whole[:6])
    assert "\ufffd" not in editor.text


async def test_a_file_with_carriage_returns_keeps_them(start: StartServer, workspace: Path) -> None:
    path = workspace / "shop" / "invoice.py"
    path.write_bytes(INVOICE.replace("\n", "\r\n").encode())
    editor = await ide(start, workspace)
    editor.open(path)
    shown = await editor.offered()
    assert shown is not None
    assert "\r" not in shown
    editor.accept(shown)
    path.write_bytes(editor.saved("\r\n"))
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n") > 0


async def test_a_late_answer_for_an_old_place_is_cancelled_without_an_error_that_the_ide_would_show(
    start: StartServer, workspace: Path
) -> None:
    editor = await ide(start, workspace)
    editor.open(workspace / "shop" / "invoice.py")
    process = editor.client.process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        editor.start_asking()
        editor.type("tota")
        last = editor.start_asking()
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert editor._shown(await last)[0].startswith("l(amounts)")
    (late,) = editor.cancelled
    with pytest.raises(ServerError) as caught:
        await late
    assert caught.value.code == -32800  # LSP4IJ drops this one; of any other it tells the user


async def test_completions_are_switched_off_and_on_in_the_settings(start: StartServer, workspace: Path) -> None:
    editor = await ide(start, workspace)
    editor.open(workspace / "shop" / "invoice.py")
    assert await editor.offered()
    editor.change_settings({"aix.completion.enabled": False})
    assert await editor.ask() is None
    editor.change_settings({})
    assert await editor.ask()


async def test_initialization_options_reach_the_server(start: StartServer, workspace: Path) -> None:
    editor = Lsp4ij(await start(arguments=["--stdio"], initialize=False))
    await editor.start(workspace, {"completion": {"disabled_languages": ["python"]}})
    await until_ready(editor.client)
    editor.open(workspace / "shop" / "invoice.py")
    assert await editor.ask() is None


async def test_after_a_kill_the_next_server_offers_again(start: StartServer, workspace: Path) -> None:
    editor = await ide(start, workspace)
    editor.open(workspace / "shop" / "invoice.py")
    whole = await editor.offered()
    process = editor.client.process
    assert process is not None
    process.kill()
    await process.wait()
    again = await ide(start, workspace)
    again.open(workspace / "shop" / "invoice.py")
    assert await again.offered() == whole


async def test_the_command_of_the_template_starts_the_server(environment: dict[str, str], workspace: Path) -> None:
    program, *arguments = read("template.json")["programArgs"]["default"].split(" ")
    installed = Path(sys.executable).with_name(program)
    if not installed.is_file():
        pytest.skip("aix-lsp is not installed beside this Python")
    async with LspClient([str(installed), *arguments], environment) as client:
        answer = await Lsp4ij(client).start(workspace)
        assert answer["serverInfo"]["name"] == "aix-lsp"
