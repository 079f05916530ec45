"""A client that sends faster than can be answered, or does not read the answers."""

from __future__ import annotations

import asyncio
from typing import Any

from aix_lsp.cli.lsp_client import LspClient, ServerError, inline_params
from tests.faults.client_stage import GONE_S, drain, process_of, resident_mb
from tests.faults.fault import Stage, fault

_FLOOD = 10_000
_FLOOD_MB = 128
"""What a flood may add to the server's memory while it lasts."""
_WAIT_S = 240.0


async def _flood(stage: Stage, count: int) -> str:
    editor = await stage.editor()
    server = process_of(editor.client)
    before = resident_mb(server)
    uri = "untitled:flood"
    editor.mirror.open(uri, "def total(amounts):\n    return su")
    futures, numbers, most = [], [], 0.0
    for turn in range(count):
        editor.mirror.edit(uri, (0, 0, "x" if turn % 40 else "\n"))
        number, future = editor.client.start_request("textDocument/inlineCompletion", inline_params(uri, 0, 1, 2))
        numbers.append(number)
        futures.append(future)
        if turn % 250 == 0:
            await drain(editor.client)
            most = max(most, resident_mb(server))
    done: list[Any] = await asyncio.wait_for(asyncio.gather(*futures, return_exceptions=True), _WAIT_S)
    assert all(isinstance(one, dict | ServerError) for one in done)
    assert [editor.client.answers[number] for number in numbers] == [1] * count
    grown = max(most, resident_mb(server)) - before
    assert grown < _FLOOD_MB, f"the server grew by {grown:.0f} MB"
    await editor.works()
    return f"{count} edits and requests, each answered once, {grown:.0f} MB"


@fault("each request of a burst is answered once, and no edit is lost", group="client")
async def client_sends_a_burst(stage: Stage) -> str:
    """200 edits, each with a request."""
    return await _flood(stage, 200)


@fault("each request of a flood is answered once, no edit is lost, and memory is bounded", group="client", quick=False)
async def client_floods(stage: Stage) -> str:
    """10,000 edits, each with a request."""
    return await _flood(stage, _FLOOD)


@fault("a flood of whole texts is slowed down, and memory is bounded", group="client", quick=False)
async def client_floods_with_whole_texts(stage: Stage) -> str:
    """240 MB of changes, sent as fast as the pipe takes them."""
    editor = await stage.editor()
    server = process_of(editor.client)
    uri, text, most = "untitled:whole", "x = 1\n" * 350_000, 0.0
    editor.mirror.open(uri, text)
    await editor.mirror.check(editor.client)
    before = resident_mb(server)
    for turn in range(120):
        editor.mirror.replace(uri, f"{turn}\n{text}")
        await drain(editor.client)
        most = max(most, resident_mb(server))
    await editor.mirror.check(editor.client)
    grown = max(most, resident_mb(server)) - before
    assert grown < _FLOOD_MB, f"the server grew by {grown:.0f} MB"
    editor.mirror.close(uri)
    await editor.works()
    return f"120 changes of 2 MB, {grown:.0f} MB"


def _reads(client: LspClient, on: bool) -> None:
    transport: Any = getattr(client.process, "_transport").get_pipe_transport(1)  # noqa: B009
    (transport.resume_reading if on else transport.pause_reading)()


@fault("a client that does not read for a while finds every answer, in order", group="client", quick=False)
async def client_does_not_read_for_a_while(stage: Stage) -> str:
    """Until the pipe is full and 20 MB wait behind it."""
    editor = await stage.editor()
    for number in range(200):
        editor.mirror.open(f"untitled:{number}", "x")
    await editor.mirror.check(editor.client)
    _reads(editor.client, on=False)
    asked = []
    for _ in range(700):
        asked.append(editor.client.start_request("workspace/executeCommand", {"command": "aix.documents"}))
        editor.mirror.edit("untitled:0", (0, 0, "y"))
        await drain(editor.client)
    _reads(editor.client, on=True)
    done = await asyncio.wait_for(asyncio.gather(*(future for _, future in asked)), _WAIT_S)
    sizes = [next(one["characters"] for one in answer if one["uri"] == "untitled:0") for answer in done]
    assert sizes == list(range(1, 701)), "answers came out of order"
    assert all(editor.client.answers[number] == 1 for number, _ in asked)
    await editor.works()
    return "700 answers of 30 KB"


@fault("a client that never reads is given up before its answers fill the memory", group="client", quick=False)
async def client_never_reads(stage: Stage) -> str:
    """It sends on; the server ends when 64 MB wait."""
    editor = await stage.editor()
    server = process_of(editor.client)
    for number in range(200):
        editor.mirror.open(f"untitled:{number}", "x")
    await editor.mirror.check(editor.client)
    before, most = resident_mb(server), 0.0
    _reads(editor.client, on=False)
    process = editor.client.process
    assert process is not None
    asked = []
    for _ in range(6_000):
        if process.returncode is not None:
            break
        try:
            asked.append(editor.client.start_request("workspace/executeCommand", {"command": "aix.documents"})[1])
            await drain(editor.client)
            most = max(most, resident_mb(server))
        except Exception:  # noqa: BLE001  # the server is gone
            break
    # its pipe must be read to its end before asyncio sees the process end
    _reads(editor.client, on=True)
    assert await asyncio.wait_for(process.wait(), GONE_S) == 1
    await asyncio.gather(*asked, return_exceptions=True)
    grown = most - before
    assert grown < 3 * 64, f"the server grew by {grown:.0f} MB"
    return f"ended with 1 after {grown:.0f} MB"
