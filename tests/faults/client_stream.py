"""A client that breaks the framing: messages that are cut, too long, too large, or that never begin."""

from __future__ import annotations

import asyncio
import json

from aix_lsp.cli.lsp_client import LspClient
from tests.faults.client_stage import GONE_S, drain, framed, process_of, resident_mb, until_gone, write
from tests.faults.fault import Stage, fault

_MOST_MB = 48
"""What a stream of nonsense may add to the server's memory."""


@fault(
    "a message that comes in two halves is read when it is whole, and one that stays half ends with the pipe",
    group="client",
    quick=False,
)
async def client_sends_half_a_message(stage: Stage) -> str:
    """The other half comes after a while; then again half a message, and the pipe is closed."""
    editor = await stage.editor()
    _, future = editor.client.start_request("workspace/executeCommand", {"command": "aix.documents"})
    await future
    half = framed({"id": 999_999, "method": "workspace/executeCommand", "params": {"command": "aix.documents"}})
    write(editor.client, half[:60])
    await drain(editor.client)
    write(editor.client, half[60:])
    await editor.works()
    assert editor.client.answers[999_999] == 1
    write(editor.client, half[:60])
    assert editor.client.process is not None
    assert editor.client.process.stdin is not None
    editor.client.process.stdin.close()
    seconds = await until_gone([process_of(editor.client)])
    return f"and the server was gone after {seconds:.1f} s"


async def _nonsense(client: LspClient, piece: bytes, megabytes: int) -> None:
    for _ in range(megabytes):
        write(client, piece)
        await drain(client)


@fault("a length that is too long costs what it swallows, and the next message is found", group="client")
async def client_announces_more_than_it_sends(stage: Stage) -> str:
    """A Content-Length too long, too short, twice, negative, of ten thousand digits, and none at all."""
    editor = await stage.editor()
    filler = framed({"method": "$/nothing", "params": {"x": "y" * 100}})
    note = json.dumps({"jsonrpc": "2.0", "method": "$/nothing"}).encode()
    headers = [
        b"Content-Length: 300",
        b"Content-Length: 5",
        b"Content-Length: -5",
        b"Content-Length: " + b"9" * 10_000,
        b"Content-Length: 3\r\nContent-Length: 40",
        b"Content-Length:",
        b"Content-Type: x",
        b"\xff\xfe: \x00",
    ]
    for header in headers:
        write(editor.client, header + b"\r\n\r\n" + note + filler * 4)
        await editor.works()
    assert not editor.shown(), editor.shown()
    return f"{len(headers)} headers"


@fault("headers without end are read past, and memory stays as it was", group="client", quick=False)
async def client_sends_headers_without_end(stage: Stage) -> str:
    """A gigabyte without a line break, and 32 MB of header lines."""
    editor = await stage.editor()
    server = process_of(editor.client)
    before = resident_mb(server)
    await _nonsense(editor.client, b"x" * (1 << 20), 1024)
    grown = resident_mb(server) - before
    write(editor.client, b"\r\n\r\n")
    await _nonsense(editor.client, b"X-Header: y\r\n" * 80_000, 32)
    grown = max(grown, resident_mb(server) - before)
    write(editor.client, b"\r\n")
    await editor.works()
    assert grown < _MOST_MB, f"the server grew by {grown:.0f} MB"
    return f"{grown:.0f} MB"


@fault("a message that is too large is passed over and told once, the next is read", group="client", quick=False)
async def client_sends_a_message_of_300_megabytes(stage: Stage) -> str:
    """didOpen of 300 MB, twice."""
    editor = await stage.editor()
    server = process_of(editor.client)
    before = resident_mb(server)
    size = 300 << 20
    for _ in range(2):
        head = b'{"jsonrpc": "2.0", "method": "textDocument/didOpen", "params": {"textDocument": {"text": "'
        write(editor.client, b"Content-Length: %d\r\n\r\n" % (size + len(head) + 4) + head)
        await _nonsense(editor.client, b"x" * (1 << 20), 300)
        write(editor.client, b'"}}}')
    await editor.works()
    grown = resident_mb(server) - before
    told = await editor.until_shown("was not read")
    editor.was_told_once("was not read")
    assert grown < _MOST_MB, f"the server grew by {grown:.0f} MB"
    return f"{told}; {grown:.0f} MB"


@fault("a client that dies in the middle of a huge message ends the server", group="client", quick=False)
async def client_dies_in_the_middle_of_a_message(stage: Stage) -> str:
    """A megabyte of the 200 that were announced."""
    editor = await stage.editor(ready=False)
    write(editor.client, b"Content-Length: 200000000\r\n\r\n" + b"x" * (1 << 20))
    await drain(editor.client)
    assert editor.client.process is not None
    assert editor.client.process.stdin is not None
    editor.client.process.stdin.close()
    seconds = await until_gone([process_of(editor.client)])
    assert await asyncio.wait_for(editor.client.process.wait(), GONE_S) == 1
    return f"gone after {seconds:.1f} s"
