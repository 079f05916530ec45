"""What the server tells of itself, switching it off, and the counts that it leaves."""

from __future__ import annotations

import asyncio
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.cli.lsp_client import CAPABILITIES, LspClient, ServerError, inline_params
from aix_lsp.uris import path_to_uri
from tests.e2e.conftest import INVOICE, StartServer, status, trace
from tests.e2e.in_process import Call

PLACE = (INVOICE.count("\n"), len(INVOICE) - INVOICE.rfind("\n") - 1)
ASKS: dict[str, Any] = {**CAPABILITIES, "experimental": {"aix": {"status": True}, "others": [1]}}


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


async def opened(client: LspClient, workspace: Path, name: str = "invoice.py", language: str = "python") -> str:
    uri = path_to_uri(workspace / "shop" / name)
    client.open(uri, INVOICE, language)
    return uri


async def test_a_client_that_asks_is_told_of_loading_ready_busy_and_ready(start: StartServer, workspace: Path) -> None:
    waits = ["--set", "completion.debounce=fixed", "--set", "completion.debounce_ms=500"]
    client = await start([workspace], capabilities=ASKS, arguments=waits)
    ready = await until(client, "ready")
    assert (ready["model"], ready["device"], ready["latencyMs"]) == ("aix-mini", "cpu", None)
    uri = await opened(client, workspace)
    assert await client.inline_completion(uri, *PLACE, kind=2)
    ready = await until(client, "ready")
    assert ready["latencyMs"] > 0
    assert ready["language"] == "python"
    states = [state for state, _ in groupby(params["state"] for params in told(client)) if state != "indexing"]
    assert [state for state, _ in groupby(states)] == ["loading", "ready", "busy", "ready"]
    logged = [m["params"]["message"] for m in client.notifications if m["method"] == "window/logMessage"]
    assert any(line.startswith("status: ready, aix-mini is ready") for line in logged)
    assert not any("busy" in line for line in logged)
    # the command says the same, and what it said before
    now = await status(client)
    assert now["status"] == ready
    assert (now["state"], now["model"], now["counts"]["offered"]) == ("ready", "aix-mini", 1)


async def test_a_client_that_does_not_ask_gets_no_unknown_notification(start: StartServer, workspace: Path) -> None:
    client = await start([workspace])
    await command(client, "aix.pause")
    assert (await status(client))["status"]["state"] == "paused"
    assert told(client) == []


async def test_off_is_off_for_explicit_requests_and_says_why(start: StartServer, workspace: Path) -> None:
    client = await start([workspace], capabilities=ASKS)
    uri = await opened(client, workspace)
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


async def test_settings_that_switch_it_off_are_overruled_for_the_session(start: StartServer, workspace: Path) -> None:
    client = await start([workspace], capabilities=ASKS, arguments=["--set", "completion.enabled=false"])
    uri = await opened(client, workspace)
    assert await client.inline_completion(uri, *PLACE) == []
    assert "completion.enabled" in (await until(client, "off"))["offReason"]
    assert (await command(client, "aix.toggle"))["enabled"] is True
    assert await client.inline_completion(uri, *PLACE)


async def test_a_pause_is_told_and_ends_at_zero(start: StartServer, workspace: Path) -> None:
    client = await start([workspace], capabilities=ASKS)
    uri = await opened(client, workspace)
    assert (await command(client, "aix.pause", 5))["pausedSeconds"] == 300
    assert await client.inline_completion(uri, *PLACE) == []
    assert "paused for 5 more minutes" in (await trace(client))["reason"]
    await until(client, "paused")
    assert (await command(client, "aix.pause", 0))["pausedSeconds"] == 0
    assert await client.inline_completion(uri, *PLACE)
    await until(client, "ready")
    # what is on its way is answered with nothing at once
    _, future = client.start_request("textDocument/inlineCompletion", inline_params(uri, *PLACE))
    await command(client, "aix.pause")
    assert (await asyncio.wait_for(future, 30))["items"] == []
    await command(client, "aix.pause")
    # it resumes by itself, too
    await command(client, "aix.pause", 0.02)
    await until(client, "paused")
    await until(client, "ready")
    assert await client.inline_completion(uri, *PLACE)


async def test_arguments_that_do_not_fit_get_one_line(start: StartServer, workspace: Path) -> None:
    client = await start([])
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


async def test_a_language_that_the_model_does_not_know_is_degraded_and_says_why(
    start: StartServer, workspace: Path
) -> None:
    client = await start([workspace], capabilities=ASKS)
    uri = await opened(client, workspace, "invoice.ts", "typescript")
    assert await client.inline_completion(uri, *PLACE, kind=2) == []
    degraded = await until(client, "degraded")
    assert degraded["message"] == "aix-mini knows python only: silent in typescript, ask explicitly"
    assert degraded["language"] == "typescript"
    uri = await opened(client, workspace)
    assert await client.inline_completion(uri, *PLACE, kind=2)
    await until(client, "ready")


async def test_another_model_that_answers_and_a_part_of_the_index_are_degraded(
    start: StartServer, workspace: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken").mkdir()
    arguments = ["--model", str(tmp_path / "broken"), "--set", "workspace.max_files=1"]
    client = await start([workspace], capabilities=ASKS, arguments=arguments)
    degraded = await until(client, "degraded", "workspace.max_files")
    assert "answers instead" in degraded["message"]
    assert degraded["model"] == "aix-mini"


async def test_a_server_elsewhere_that_is_away_is_degraded_and_not_failed(start: StartServer) -> None:
    options = ["model.name=remote", "remote.url=http://127.0.0.1:9", "remote.fallback=false"]
    arguments = [word for option in options for word in ("--set", option)]
    client = await start([], capabilities=ASKS, arguments=arguments, ready=False)
    degraded = await until(client, "degraded")
    assert "refuses the connection" in degraded["message"]
    assert degraded["model"] is None


async def test_the_counts_of_a_server_are_read_by_the_command(
    start: StartServer, workspace: Path, environment: dict[str, str], call: Call
) -> None:
    assert "nothing has been counted yet" in call("stats").stdout
    client = await start([workspace])
    uri = await opened(client, workspace)
    (item, *_) = await client.inline_completion(uri, *PLACE, kind=2)
    client.insert(uri, 2, *PLACE, item["insertText"])
    assert await command(client, item["command"]["command"], *item["command"]["arguments"])
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert await client.shutdown() == 0
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


async def test_without_statistics_nothing_is_left(
    start: StartServer, workspace: Path, environment: dict[str, str], call: Call
) -> None:
    client = await start([workspace], arguments=["--set", "statistics.enabled=false"])
    uri = await opened(client, workspace)
    assert await client.inline_completion(uri, *PLACE)
    assert (await status(client))["counts"]["offered"] == 1
    assert await client.shutdown() == 0
    assert "nothing has been counted yet" in call("stats").stdout
    assert not Path(environment["XDG_STATE_HOME"], "aix-lsp", "statistics.jsonl").exists()
