"""Settings while the server runs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.cli.lsp_client import LspClient
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import INVOICE, StartServer, snippets_of, until_ready

PLACE = (INVOICE.count("\n"), len(INVOICE) - INVOICE.rfind("\n") - 1)
PULLS = {"workspace": {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}}}


@pytest.fixture
def environment(environment: dict[str, str], model_host: dict[str, str]) -> dict[str, str]:
    """With one model for all servers of these tests."""
    return {**environment, **model_host}


async def opened(start: StartServer, workspace: Path, **more: Any) -> tuple[LspClient, str]:
    client = await start([workspace], **more)
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    client.open(uri, INVOICE)
    return client, uri


async def until_items(client: LspClient, uri: str, wanted: bool) -> None:
    async with asyncio.timeout(60):
        while bool(await client.inline_completion(uri, *PLACE)) != wanted:
            await asyncio.sleep(0.05)


async def test_settings_are_pulled_and_pulled_again_when_they_change(start: StartServer, workspace: Path) -> None:
    off = {"completion": {"enabled": False}}
    client, uri = await opened(start, workspace, capabilities=PULLS, configuration=off)
    await until_items(client, uri, wanted=False)
    client.configuration = None
    client.notify("workspace/didChangeConfiguration", {"settings": None})
    await until_items(client, uri, wanted=True)


async def test_settings_that_a_client_pushes_are_taken(start: StartServer, workspace: Path) -> None:
    client, uri = await opened(start, workspace)
    await until_items(client, uri, wanted=True)
    client.notify("workspace/didChangeConfiguration", {"settings": {"aix": {"completion": {"enabled": False}}}})
    await until_items(client, uri, wanted=False)


async def test_a_folder_has_its_own_settings(start: StartServer, workspace: Path, tmp_path: Path) -> None:
    other = tmp_path.resolve() / "other"
    other.mkdir()
    client = await start([], initialize=False)
    client.configuration_by_uri = {path_to_uri(other): {"completion": {"enabled": False}}}
    await client.initialize([workspace, other], capabilities=PULLS)
    for folder, wanted in ((workspace, True), (other, False)):
        uri = path_to_uri(folder / "a.py")
        client.open(uri, INVOICE)
        await until_items(client, uri, wanted)


async def test_initialization_options_count_and_bad_ones_are_told_once(start: StartServer, workspace: Path) -> None:
    options = {"completion": {"debounceMs": "soon"}, "retrieval": {"snippets": 1}}
    client, uri = await opened(start, workspace, options=options)
    message = await client.wait_for_notification("window/showMessage", "completion.debounce_ms")
    assert message["params"]["type"] == 2
    assert len(await snippets_of(client, uri, *PLACE)) <= 1


async def test_a_workspace_cannot_choose_the_model(start: StartServer, workspace: Path) -> None:
    evil = {"model": {"name": str(workspace / "evil")}}
    client, uri = await opened(start, workspace, capabilities=PULLS, configuration=evil)
    await client.wait_for_notification("window/showMessage", "model.name cannot be set by a workspace")
    await until_items(client, uri, wanted=True)


async def test_what_the_editor_says_at_the_start_counts_from_the_start(
    start: StartServer, workspace: Path, environment: dict[str, str]
) -> None:
    (workspace / "private_prices.py").write_text("compute_grand_total = compute_grand_other = 1\n" * 3)
    told = {"workspace": {"ignore": ["private_*"]}, "statistics": {"enabled": False}}
    client, uri = await opened(start, workspace, capabilities=PULLS, configuration=told)
    await until_items(client, uri, wanted=True)
    quoted = await snippets_of(client, uri, *PLACE)
    assert quoted
    assert not any(snippet["path"].startswith("private") for snippet in quoted)
    assert not any(item["method"] == "window/showMessage" for item in client.notifications)
    await client.shutdown()
    assert not Path(environment["XDG_STATE_HOME"], "aix-lsp", "statistics.jsonl").exists()


async def test_a_folder_that_comes_later_has_its_own_settings_too(
    start: StartServer, workspace: Path, tmp_path: Path
) -> None:
    other = tmp_path.resolve() / "other"
    other.mkdir()
    client = await start([], initialize=False)
    client.configuration_by_uri = {path_to_uri(other): {"completion": {"enabled": False}}}
    await client.initialize([workspace], capabilities=PULLS)
    folder = {"uri": path_to_uri(other), "name": "other"}
    client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [folder], "removed": []}})
    uri = path_to_uri(other / "a.py")
    client.open(uri, INVOICE)
    await until_items(client, uri, wanted=False)


async def test_other_servers_settings_in_a_push_are_none_of_our_business(start: StartServer, workspace: Path) -> None:
    client, uri = await opened(start, workspace)
    client.notify("workspace/didChangeConfiguration", {"settings": {"python": {"analysis": True}, "editor": 1}})
    await until_items(client, uri, wanted=True)
    assert not any(item["method"] == "window/showMessage" for item in client.notifications)


async def test_a_client_that_knows_inline_completion_gets_no_fallback(start: StartServer, workspace: Path) -> None:
    client = await start([], initialize=False)
    knows = {"textDocument": {"inlineCompletion": {"dynamicRegistration": False}}}
    fallback = {"completion": {"fallback_completion": True}}
    answer = await client.initialize([workspace], capabilities=knows, options=fallback)
    assert "completionProvider" not in answer["capabilities"]


async def test_what_needs_a_restart_says_so(start: StartServer, workspace: Path) -> None:
    client, _ = await opened(start, workspace)
    client.notify("workspace/didChangeConfiguration", {"settings": {"aix": {"workspace": {"max_files": 5}}}})
    await client.wait_for_notification("window/showMessage", "restart the server")


async def test_a_model_that_is_not_there_is_told_once_and_the_embedded_one_answers(
    start: StartServer, workspace: Path, tmp_path: Path
) -> None:
    arguments = ["--model", str(tmp_path / "no-model"), "--set", "model.share=off"]
    client, uri = await opened(start, workspace, arguments=arguments)
    message = await client.wait_for_notification("window/showMessage", "no-model")
    assert "embedded model" in message["params"]["message"]
    await until_items(client, uri, wanted=True)
    shown = [item for item in client.notifications if item["method"] == "window/showMessage"]
    assert len(shown) == 1


async def test_completion_is_a_fallback_for_those_who_ask(start: StartServer, workspace: Path) -> None:
    plain = await start([], initialize=False)
    answer = await plain.initialize([workspace])
    assert "completionProvider" not in answer["capabilities"]
    assert await plain.shutdown() == 0
    client = await start([], initialize=False)
    patient = {"completion": {"fallback_completion": True, "time_limit_ms": 60_000}}
    answer = await client.initialize([workspace], options=patient)
    assert "completionProvider" in answer["capabilities"]
    await until_ready(client)
    uri = path_to_uri(workspace / "shop" / "invoice.py")
    client.open(uri, INVOICE)
    params = {"textDocument": {"uri": uri}, "position": {"line": PLACE[0], "character": PLACE[1]}}
    (item,) = (await client.request("textDocument/completion", params))["items"]
    assert item["textEdit"]["newText"].startswith("total")
    assert item["filterText"].startswith("compute_grand_total")
