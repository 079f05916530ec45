"""What the server tells of itself, switching it off, and the counts that it leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from aix_lsp.cli.lsp_client import CAPABILITIES, LspClient, ServerError, inline_params
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import INVOICE, StartServer, environment_in, servers, status, trace, workspace_in
from tests.e2e.in_process import Call

PLACE = (INVOICE.count("\n"), len(INVOICE) - INVOICE.rfind("\n") - 1)
ASKS: dict[str, Any] = {**CAPABILITIES, "experimental": {"aix": {"status": True}, "others": [1]}}
WAITS = ["--set", "completion.debounce=fixed", "--set", "completion.debounce_ms=500"]
"""An automatic request is on its way for half a second at least."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


def told(client: LspClient) -> list[dict[str, Any]]:
    return [message["params"] for message in client.notifications if message["method"] == "aix/status"]


async def until(client: LspClient, state: str, contains: str = "") -> dict[str, Any]:
    """Wait until the latest that was told is this state."""
    async with asyncio.timeout(60):
        while not (params := told(client)) or params[-1]["state"] != state or contains not in params[-1]["message"]:
            await asyncio.sleep(0.02)
    return params[-1]


async def command(client: LspClient, name: str, *arguments: Any) -> Any:
    return await client.request("workspace/executeCommand", {"command": name, "arguments": list(arguments)})


def opened(client: LspClient, workspace: Path, name: str = "invoice.py", language: str = "python") -> str:
    uri = path_to_uri(workspace / "shop" / name)
    client.open(uri, INVOICE, language)
    return uri


@dataclass
class Life:
    """A server from its start to its first answer, which most tests go on with, and what it told until then."""

    client: LspClient
    uri: str
    ready: dict[str, Any]
    answered: dict[str, Any]
    told: list[dict[str, Any]]
    logged: list[str]
    status: dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("status")


@pytest.fixture(scope="module")
def workspace(folder: Path) -> Path:
    return workspace_in(folder)


@pytest.fixture(scope="module")
def shared_environment(folder: Path) -> dict[str, str]:
    return environment_in(folder)


@pytest.fixture
def environment(shared_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """With counts of the test's own."""
    return {**shared_environment, "XDG_STATE_HOME": str(tmp_path / "state")}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def start(shared_environment: dict[str, str]) -> AsyncIterator[StartServer]:
    async with servers(shared_environment) as start_server:
        yield start_server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def life(start: StartServer, workspace: Path) -> Life:
    client = await start([workspace], capabilities=ASKS, arguments=WAITS)
    ready = await until(client, "ready")
    uri = opened(client, workspace)
    assert await client.inline_completion(uri, *PLACE, kind=2)
    answered = await until(client, "ready")
    logged = [m["params"]["message"] for m in client.notifications if m["method"] == "window/logMessage"]
    return Life(client, uri, ready, answered, told(client), logged, await status(client))


@pytest_asyncio.fixture(loop_scope="module")
async def client(life: Life) -> AsyncIterator[LspClient]:
    """The server of all, which each test leaves switched on everywhere."""
    yield life.client
    await command(life.client, "aix.pause", 0)
    while (switch := (await status(life.client))["switch"])["languages"] or not switch["enabled"]:
        await command(life.client, "aix.toggle")
    await life.client.inline_completion(life.uri, *PLACE)
    await until(life.client, "ready")


async def test_a_client_that_asks_is_told_of_loading_ready_busy_and_ready(life: Life) -> None:
    assert (life.ready["model"], life.ready["device"], life.ready["latencyMs"]) == ("aix-mini", "cpu", None)
    assert life.answered["latencyMs"] > 0
    assert life.answered["language"] == "python"
    states = [state for state, _ in groupby(params["state"] for params in life.told) if state != "indexing"]
    assert [state for state, _ in groupby(states)] == ["loading", "ready", "busy", "ready"]
    assert any(line.startswith("status: ready, aix-mini is ready") for line in life.logged)
    assert not any("busy" in line for line in life.logged)
    # the command says the same, and what it said before
    now = life.status
    assert now["status"] == life.answered
    assert (now["state"], now["model"], now["counts"]["offered"]) == ("ready", "aix-mini", 1)


async def test_off_is_off_for_explicit_requests_and_says_why(client: LspClient, life: Life) -> None:
    uri = life.uri
    assert await client.inline_completion(uri, *PLACE)
    assert (await command(client, "aix.toggle"))["enabled"] is False
    assert await client.inline_completion(uri, *PLACE) == []
    assert "aix.toggle" in (await trace(client))["reason"]
    off = await until(client, "off")
    assert off["offReason"] == off["message"] == "completions are switched off in this session (aix.toggle)"
    assert (await command(client, "aix.toggle", None))["enabled"] is True
    assert await client.inline_completion(uri, *PLACE)
    await until(client, "ready")
    # one language alone
    state = await command(client, "aix.toggle", "go")
    assert (state["enabled"], state["languages"]) == (False, {"go": False})
    assert await client.inline_completion(uri, *PLACE)
    await command(client, "aix.toggle", "python")
    assert await client.inline_completion(uri, *PLACE) == []
    assert "for python" in (await until(client, "off"))["offReason"]


async def test_settings_that_switch_it_off_are_overruled_for_the_session(client: LspClient, life: Life) -> None:
    off = {"aix": {"completion": {"enabled": False}}}
    client.notify("workspace/didChangeConfiguration", {"settings": off})
    assert "completion.enabled" in (await until(client, "off"))["offReason"]
    assert await client.inline_completion(life.uri, *PLACE) == []
    assert (await command(client, "aix.toggle"))["enabled"] is True
    assert await client.inline_completion(life.uri, *PLACE)
    client.notify("workspace/didChangeConfiguration", {"settings": {"aix": {}}})
    await until(client, "ready")


async def test_a_pause_is_told_and_ends_at_zero(client: LspClient, life: Life, workspace: Path) -> None:
    uri = life.uri
    assert (await command(client, "aix.pause", 5))["pausedSeconds"] == 300
    assert await client.inline_completion(uri, *PLACE) == []
    assert "paused for 5 more minutes" in (await trace(client))["reason"]
    await until(client, "paused")
    assert (await command(client, "aix.pause", 0))["pausedSeconds"] == 0
    assert await client.inline_completion(uri, *PLACE)
    await until(client, "ready")
    # what is on its way is answered with nothing at once
    other = opened(client, workspace, "orders.py")
    _, future = client.start_request("textDocument/inlineCompletion", inline_params(other, *PLACE, kind=2))
    await command(client, "aix.pause")
    assert (await asyncio.wait_for(future, 30))["items"] == []
    await command(client, "aix.pause")
    # it resumes by itself, too
    await command(client, "aix.pause", 0.02)
    await until(client, "paused")
    await until(client, "ready")
    assert await client.inline_completion(uri, *PLACE)


async def test_arguments_that_do_not_fit_get_one_line(client: LspClient) -> None:
    bad: list[tuple[str, Any]] = [
        ("aix.pause", -1),
        ("aix.pause", "soon"),
        ("aix.pause", True),
        ("aix.pause", 1e300),
        ("aix.toggle", 7),
        ("aix.toggle", {"a": 1}),
    ]
    for name, argument in bad:
        with pytest.raises(ServerError, match="takes") as caught:
            await command(client, name, argument)
        assert caught.value.code == -32602
    assert (await status(client))["switch"]["enabled"]


async def test_the_models_to_choose_from_are_listed_while_completions_go_on(client: LspClient, life: Life) -> None:
    _, listing = client.start_request("workspace/executeCommand", {"command": "aix.models"})
    assert await client.inline_completion(life.uri, *PLACE)
    told = await asyncio.wait_for(listing, 150)
    assert (told["current"], told["chosen"]) == ("aix-mini", "auto")
    (own,) = [model for model in told["models"] if model["name"] == "aix-mini"]
    assert (own["onDisk"], own["fits"], own["commercial"], own["sizeGb"]) == (True, True, True, 0.03)
    (other,) = [model for model in told["models"] if model["name"] == "aixcoder-7b"]
    assert not other["commercial"]
    assert other["parameters"] > 7e9
    assert other["licence"].startswith("NON-COMMERCIAL")
    assert other["note"]


async def test_a_language_that_the_model_does_not_know_is_degraded_and_says_why(
    client: LspClient, life: Life, workspace: Path
) -> None:
    uri = opened(client, workspace, "invoice.ts", "typescript")
    assert await client.inline_completion(uri, *PLACE, kind=2) == []
    degraded = await until(client, "degraded")
    assert degraded["message"] == "aix-mini knows python only: silent in typescript, ask explicitly"
    assert degraded["language"] == "typescript"
    assert await client.inline_completion(life.uri, *PLACE, kind=2)
    await until(client, "ready")


async def test_another_model_and_a_part_of_the_index_are_degraded_and_nothing_is_kept_without_statistics(
    start: StartServer, workspace: Path, tmp_path: Path, environment: dict[str, str], call: Call
) -> None:
    (tmp_path / "broken").mkdir()
    options = ["--set", "workspace.max_files=1", "--set", "statistics.enabled=false"]
    options += ["--set", "model.share=off"]
    arguments = ["--model", str(tmp_path / "broken"), *options]
    client = await start([workspace], capabilities=ASKS, arguments=arguments, env=environment)
    await until(client, "degraded", "workspace.max_files")
    degraded = await until(client, "degraded", "answers instead")  # whichever of the two came first
    assert degraded["model"] == "aix-mini"
    uri = opened(client, workspace)
    assert await client.inline_completion(uri, *PLACE)
    assert (await status(client))["counts"]["offered"] == 1
    assert await client.shutdown() == 0
    assert "nothing has been counted yet" in call("stats").stdout
    assert not Path(environment["XDG_STATE_HOME"], "aix-lsp", "statistics.jsonl").exists()


async def test_a_server_elsewhere_that_is_away_is_degraded_and_not_failed(start: StartServer) -> None:
    options = ["model.name=remote", "remote.url=http://127.0.0.1:9", "remote.fallback=false"]
    arguments = [word for option in options for word in ("--set", option)]
    client = await start([], capabilities=ASKS, arguments=arguments, ready=False)
    degraded = await until(client, "degraded")
    assert "refuses the connection" in degraded["message"]
    assert degraded["model"] is None
    # and no display of a load is left open
    shown = [m["params"] for m in client.notifications if m["method"] == "$/progress"]
    ends = {kind: {part["token"] for part in shown if part["value"]["kind"] == kind} for kind in ("begin", "end")}
    assert ends["begin"] == ends["end"] != set()


async def test_a_client_that_does_not_ask_gets_no_unknown_notification_and_its_counts_are_read_by_the_command(
    start: StartServer, workspace: Path, environment: dict[str, str], call: Call, model_host: dict[str, str]
) -> None:
    assert "nothing has been counted yet" in call("stats").stdout
    client = await start([workspace], env={**environment, **model_host})
    await command(client, "aix.pause")
    assert (await status(client))["status"]["state"] == "paused"
    await command(client, "aix.pause")
    uri = opened(client, workspace)
    (item, *_) = await client.inline_completion(uri, *PLACE, kind=2)
    client.insert(uri, 2, *PLACE, item["insertText"])
    assert await command(client, item["command"]["command"], *item["command"]["arguments"])
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert await client.shutdown() == 0
    assert told(client) == []
    data = json.loads(call("stats", "--json").stdout)
    total = data["total"]
    assert (total["shown"], total["accepted"], total["typed_through"]) == (1, 1, 0)
    assert (total["accepted_share"], total["kept_30_share"], total["kept_120_share"]) == (1, 1, 1)
    assert total["characters_saved"] == len(item["insertText"])
    assert total["latency_ms"]["model"]["answers"] == 1
    assert list(data["languages"]) == ["python"]
    table = call("stats", "--days", "1", "--language", "python").stdout
    assert "python" in table
    assert "100%" in table
    assert "nothing has been counted for go" in call("stats", "--language", "go").stdout
    assert call("stats", "--days", "0").returncode == 2
