"""A model's server that sends more than anybody asked for: what is kept of it is bounded, and so is the time."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.faults.fault import Editor, NotHere, Stage, fault
from tests.faults.remote_answers import choice, event
from tests.faults.remote_stage import fails_and_comes_back, served, until_offers
from tests.unit.remote_server import Fault, ModelServer

MOST_MB = 64
"""What a flood may add to the server's memory: the largest answer that is read (16 MB) a few times over."""
_BOMB_MB = 1024


def peak_mb(editor: Editor) -> float:
    """The most memory that the server's process ever had, in MB. Linux."""
    assert editor.client.process is not None
    status = Path(f"/proc/{editor.client.process.pid}/status")
    if not status.exists():
        raise NotHere("the kernel does not tell a process's largest size")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def bomb(megabytes: int) -> bytes:
    """A gzip file of so many megabytes of blanks, a thousandth of that in size. One compressed megabyte, repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = packer.compress(b" " * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b" " * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (megabytes - 1) + packer.flush()


def packed(encoding: str, content: bytes, kind: str) -> Fault:
    """An answer that says it is compressed."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Encoding: {encoding}\r\nConnection: close\r\n\r\n"

    async def reply(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + content)
        await writer.drain()

    return Fault(reply=reply)


@fault("a compressed answer, which nobody asked for, is refused unread, and memory stays as it was", group="remote")
async def remote_sends_a_gzip_bomb(stage: Stage) -> str:
    """A megabyte that is a gigabyte, and a few kilobytes that are the same; as a stream, a whole answer and an error."""
    content = bomb(_BOMB_MB)
    async with served(stage) as (server, editor):
        before = peak_mb(editor)
        for kind in ("text/event-stream", "application/json"):
            for encoding, sent in (("gzip", content), ("gzip, gzip", gzip.compress(content))):
                server.fault = packed(encoding, sent, kind)
                told = await fails_and_comes_back(server, editor, "sent a compressed answer")
        grown = peak_mb(editor) - before
        assert grown < MOST_MB, f"the server grew by {grown:.0f} MB"
        return f"{told}; {grown:.0f} MB"


async def endless(writer: asyncio.StreamWriter, head: str, parts: Iterator[bytes], most: int = 1 << 30) -> None:
    """Send until the client has enough, a gigabyte at most."""
    sent = 0
    writer.write(head.encode())
    for part in parts:
        writer.write(part)
        sent += len(part)
        await writer.drain()
        if sent > most:
            return


def repeated(part: bytes) -> Iterator[bytes]:
    while True:
        yield part


_STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
_WHOLE = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


async def floods(server: ModelServer, editor: Editor, head: str, part: bytes, words: str) -> float:
    """A flood that is told in these words; by how many MB the server grew."""
    before = peak_mb(editor)
    server.fault = Fault(reply=lambda writer: endless(writer, head, repeated(part)))
    try:
        await fails_and_comes_back(server, editor, words)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(f"{words}: {error}; told: {editor.shown()[-1:]}") from error
    grown = peak_mb(editor) - before
    assert grown < MOST_MB, f"{words}: the server grew by {grown:.0f} MB"
    return grown


@fault("an answer without an end is given up, and memory is bounded", group="remote")
async def remote_sends_without_end(stage: Stage) -> str:
    """A line, an event, a whole answer, a header section, that never end."""
    async with served(stage) as (server, editor):
        grown = [
            await floods(server, editor, _STREAM, b"x" * 65_536, "sent an event without an end"),
            await floods(server, editor, _STREAM, b": wait\n" * 9_000, "sent an event without an end"),
            await floods(server, editor, _WHOLE, b"[" + b"1," * 32_768, "sent more than an answer can be"),
            await floods(server, editor, "HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 5_000, "does not speak HTTP as expected"),
        ]
        return f"4 kinds, at most {max(grown):.0f} MB"


@fault("a stream of nothing ends with the time for the first token", group="remote")
async def remote_sends_empty_events_for_ever(stage: Stage) -> str:
    """Events without text, blank lines, as fast as they can be read."""
    async with served(stage, first_token_timeout_s=0.5) as (server, editor):
        empty = choice(text="") * 500
        grown = [
            await floods(server, editor, _STREAM, empty, "sent no token within 0.5 s"),
            await floods(server, editor, _STREAM, b"\n" * 65_536, "sent no token within 0.5 s"),
        ]
        return f"at most {max(grown):.0f} MB"


@fault("what goes beyond the tokens asked for is not read, and what was asked for is offered", group="remote")
async def remote_sends_more_tokens_than_asked(stage: Stage) -> str:
    """Text, tokens and candidates for ever, as fast as they can be read."""
    many = b"".join(choice(index=index) for index in range(1, 600))
    async with served(stage) as (server, editor):
        before = peak_mb(editor)
        for part in (choice(text="b" * 9) * 300, choice(text="b" * 60_000), choice(text="b", token_ids=[1500]) * 300):
            server.fault = Fault(reply=lambda writer, part=part: endless(writer, _STREAM, repeated(part)))  # type: ignore[misc]
            await editor.works(offers=False)
        server.fault = Fault(reply=lambda writer: endless(writer, _STREAM, repeated(many)))
        await editor.works(offers=False)
        server.fault = None
        await until_offers(editor)
        grown = peak_mb(editor) - before
        assert grown < MOST_MB, f"the server grew by {grown:.0f} MB"
        return f"{grown:.0f} MB"


__all__ = ["event"]
