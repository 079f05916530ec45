"""The server with the messages that LSP4IJ sends. No IDE is run."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from aix_lsp.cli.lsp_client import LspClient, ServerError
from tests.e2e.conftest import INVOICE, environment_in, servers, status, trace, until_ready, workspace_in
from tests.editors.lsp4ij import Lsp4ij

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEMPLATE = Path(__file__).resolve().parents[2] / "editors" / "jetbrains" / "aix-lsp" / "template.json"

WHOLE = {"aix.completion.confidence": "off"}
"""Settings with which the embedded model says more than it is sure of: offers are longer."""

SPEECH = 'print("😀 价格 👩\u200d💻", 总价="🎉")'


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, model_host: dict[str, str]) -> dict[str, str]:
    return {**environment_in(tmp_path_factory.mktemp("jetbrains-home")), **model_host}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return workspace_in(tmp_path_factory.mktemp("jetbrains"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ide(environment: dict[str, str], workspace: Path) -> AsyncIterator[Lsp4ij]:
    """An IDE with the workspace open, and a server that is ready."""
    async with servers(environment) as start:
        connected = Lsp4ij(await start(arguments=["--stdio"], initialize=False), WHOLE)
        answer = await connected.start(workspace)
        assert answer["capabilities"]["inlineCompletionProvider"] == {}
        assert answer["capabilities"]["positionEncoding"] == "utf-16"
        await until_ready(connected.client)
        yield connected


@pytest_asyncio.fixture(loop_scope="module")
async def editor(ide: Lsp4ij, workspace: Path) -> AsyncIterator[Lsp4ij]:
    """The file with the invoice, the cursor at its end."""
    path = workspace / "shop" / "invoice.py"
    path.write_text(INVOICE)
    ide.open(path)
    yield ide
    ide.close()


async def until(holds: Callable[[str | None], bool], editor: Lsp4ij) -> None:
    """Ask until what is offered is as expected."""
    async with asyncio.timeout(60):
        while not holds(await editor.ask()):
            await asyncio.sleep(0.02)


async def test_typing_shows_an_offer_and_accepting_it_is_counted_without_the_command(editor: Lsp4ij) -> None:
    before = (await status(editor.client))["counts"]
    editor.delete(len("grand_"))
    editor.type("grand_")
    shown = await editor.offered()
    assert shown is not None
    assert shown.startswith("total(amounts)")
    editor.accept(shown)
    assert editor.text == INVOICE + shown
    after = (await status(editor.client))["counts"]
    for count in ("offered", "accepted"):
        assert after[count] == before.get(count, 0) + 1


async def test_typing_through_an_offer_leaves_its_rest(editor: Lsp4ij) -> None:
    whole = await editor.ask()
    assert whole is not None
    for typed in ("t", "ota", "l("):
        editor.type(typed)
        shown = await editor.ask()
        assert shown is not None
        assert editor.text + shown == INVOICE + whole
    editor.accept(shown)
    assert editor.text == INVOICE + whole


async def test_emoji_and_han_stand_before_the_cursor_and_are_typed_through(editor: Lsp4ij, workspace: Path) -> None:
    path = workspace / "shop" / "greeting.py"
    path.write_text(f"def f(total):\n{SPEECH}\n    print(label)\n\n\ndef g(total):\n{SPEECH[:9]}", encoding="utf-8")
    editor.open(path)
    whole = await editor.ask()
    assert whole is not None
    assert SPEECH[9:].startswith(whole)
    before = editor.text
    for key in whole[:5]:  # up to the middle of the joined emoji
        editor.type(key)
        shown = await editor.ask()
        assert shown is not None
        assert editor.text + shown == before + whole


async def test_a_file_with_carriage_returns_keeps_them(editor: Lsp4ij, workspace: Path) -> None:
    path = workspace / "shop" / "invoice.py"
    path.write_bytes(INVOICE.replace("\n", "\r\n").encode())
    editor.open(path)
    shown = await editor.ask()
    assert shown is not None
    assert "\r" not in shown
    editor.accept(shown)
    path.write_bytes(editor.saved("\r\n"))
    assert path.read_bytes().count(b"\n") == path.read_bytes().count(b"\r\n") > 0


async def test_a_late_request_is_answered_with_the_one_error_that_the_ide_does_not_show(editor: Lsp4ij) -> None:
    process = editor.client.process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        late = editor.start_asking()
        editor.type("tota")
        last = editor.start_asking()
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert editor.shown(await last)[0].startswith("l(amounts)")
    with pytest.raises(ServerError) as caught:
        await late
    assert caught.value.code == -32800


async def test_a_request_that_overtakes_its_change_is_answered_without_an_error(editor: Lsp4ij) -> None:
    # LSP4IJ hands each message to a pool of threads, so two may change places
    overtaking = editor.start_asking(ahead=2)
    editor.type("to")
    assert editor.shown(await overtaking) is not None
    shown = await editor.ask()
    assert shown is not None
    assert shown.startswith("tal(amounts)")


async def test_completions_are_switched_off_and_on_in_the_settings(editor: Lsp4ij) -> None:
    assert await editor.ask()
    editor.change_settings({**WHOLE, "aix.completion.enabled": False})
    await until(lambda offer: offer is None, editor)  # the server has to ask for the settings first
    editor.change_settings(WHOLE)
    await until(lambda offer: offer is not None, editor)


async def test_initialization_options_reach_the_server(environment: dict[str, str], workspace: Path) -> None:
    async with servers(environment) as start:
        editor = Lsp4ij(await start(arguments=["--stdio"], initialize=False))
        await editor.start(workspace, {"completion": {"disabled_languages": ["python"]}})
        editor.open(workspace / "shop" / "invoice.py")
        assert await editor.ask() is None
        assert "completion.disabled_languages" in (await trace(editor.client))["reason"]


async def test_the_templates_command_starts_a_server_that_offers_again_after_a_kill(
    environment: dict[str, str], workspace: Path
) -> None:
    program, *arguments = json.loads(TEMPLATE.read_text(encoding="utf-8"))["programArgs"]["default"].split(" ")
    installed = Path(sys.executable).with_name(program)
    if not installed.is_file():
        pytest.skip("aix-lsp is not installed beside this Python")
    async with LspClient([str(installed), *arguments], environment) as first:
        editor = Lsp4ij(first, WHOLE)
        await editor.start(workspace)
        editor.open(workspace / "shop" / "pricing.py")
        waiting = editor.start_asking()
        assert first.process is not None
        first.process.kill()
        with pytest.raises(ServerError):
            await waiting
    async with LspClient([str(installed), *arguments], environment) as second:
        editor = Lsp4ij(second, WHOLE)
        await editor.start(workspace)
        await until_ready(second)
        (workspace / "shop" / "invoice.py").write_text(INVOICE)
        editor.open(workspace / "shop" / "invoice.py")
        assert await editor.ask()
