"""A model's server that sends more than anybody asked for: what is kept of it is bounded, and so is the time."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path

from tests.faults.fault import Editor, NotHere, Stage, fault
from tests.faults.remote_answers import choice
from tests.faults.remote_stage import fails_and_comes_back, served
from tests.unit.remote_server import Fault, ModelServer

MOST_MB = 64
"""What a flood may add to the server's memory: the largest answer that is read (16 MB) a few times over."""
MOST_READ_MB = 128
"""Of one flood: the largest answer, and what is in the sockets' buffers, several times over."""
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


@fault(
    "a compressed answer, which nobody asked for, is refused unread, and memory stays as it was",
    group="remote",
    quick=False,
)
async def remote_sends_a_gzip_bomb(stage: Stage) -> str:
    """A megabyte that is a gigabyte, and a few kilobytes that are the same; as a stream and as a whole answer."""
    content = bomb(_BOMB_MB)
    async with served(stage) as (server, editor):
        before = peak_mb(editor)
        for kind in ("text/event-stream", "application/json"):
            for encoding, sent in (("gzip", content), ("gzip, gzip", gzip.compress(content))):
                server.fault = packed(encoding, sent, kind)
                told = await fails_and_comes_back(server, editor, "compresses its answers")
        grown = peak_mb(editor) - before
        assert grown < MOST_MB, f"the server grew by {grown:.0f} MB"
        return f"{told}; {grown:.0f} MB"


class Flood:
    """An answer that sends the same bytes until the client has enough, `MOST_READ_MB` at most."""

    def __init__(self, head: str, part: bytes) -> None:
        self._head, self._part = head.encode(), part
        self.sent = 0

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        writer.write(self._head)
        while self.sent < MOST_READ_MB << 20:
            writer.write(self._part)
            self.sent += len(self._part)
            await writer.drain()

    def was_given_up(self) -> None:
        """Raises AssertionError where the client read on."""
        assert self.sent < MOST_READ_MB << 20, f"more than {MOST_READ_MB} MB of one answer were read"


_STREAM = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
_WHOLE = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


async def floods(server: ModelServer, editor: Editor, head: str, part: bytes, words: str) -> float:
    """A flood that is told in these words; by how many MB the server grew."""
    before, flood = peak_mb(editor), Flood(head, part)
    server.fault = Fault(reply=flood)
    try:
        await fails_and_comes_back(server, editor, words)
    except (AssertionError, TimeoutError) as error:
        raise AssertionError(f"{words}: {error}; told: {editor.shown()[-1:]}") from error
    flood.was_given_up()
    grown = peak_mb(editor) - before
    assert grown < MOST_MB, f"{words}: the server grew by {grown:.0f} MB"
    return grown


@fault("an answer without an end is given up, and memory is bounded", group="remote", quick=False)
async def remote_sends_without_end(stage: Stage) -> str:
    """A line, an event, a whole answer, a header section, that never end."""
    async with served(stage) as (server, editor):
        grown = [
            await floods(server, editor, _STREAM, b"x" * 65_536, "sent more than an answer can be"),
            await floods(server, editor, _STREAM, b": wait\n" * 9_000, "sent more than an answer can be"),
            await floods(server, editor, _WHOLE, b"[" + b"1," * 32_768, "sent more than an answer can be"),
            await floods(server, editor, "HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 5_000, "does not speak HTTP as expected"),
        ]
        return f"4 kinds, at most {max(grown):.0f} MB"


@fault("a stream of nothing is given up", group="remote", quick=False)
async def remote_sends_empty_events_for_ever(stage: Stage) -> str:
    """Events without text, blank lines, as fast as they can be read."""
    async with served(stage) as (server, editor):
        grown = [
            await floods(server, editor, _STREAM, choice(text="") * 500, "sent more than an answer can be"),
            await floods(server, editor, _STREAM, b"\n" * 65_536, "sent more than an answer can be"),
        ]
        return f"at most {max(grown):.0f} MB"


_BEYOND = {
    "short texts": choice(text="b" * 9) * 300,
    "long texts": choice(text="b" * 60_000),
    "a very long text": choice(text="b " * 400_000),
    "tokens": choice(text="b", token_ids=[1500]) * 300,
    "many tokens at once": choice(text="b", token_ids=[1500] * 9_000),
    "scores that no number holds": choice(text="b", logprobs={"tokens": ["b"], "token_logprobs": [-(10**400)]}),
}


@fault(
    "what goes beyond the tokens asked for is not read, and what was asked for is offered", group="remote", quick=False
)
async def remote_sends_more_tokens_than_asked(stage: Stage) -> str:
    """Text, tokens and candidates for ever, as fast as they can be read."""
    async with served(stage) as (server, editor):
        before = peak_mb(editor)
        for name, part in _BEYOND.items():
            flood = Flood(_STREAM, part)
            server.fault = Fault(reply=flood)
            await editor.works(offers=False)
            flood.was_given_up()
            assert not editor.shown(), f"{name}: {editor.shown()}"
        others = Flood(_STREAM, b"".join(choice(index=index) for index in range(1, 600)))
        server.fault = Fault(reply=others)
        await fails_and_comes_back(server, editor, "sent more than an answer can be")
        others.was_given_up()
        grown = peak_mb(editor) - before
        assert grown < MOST_MB, f"the server grew by {grown:.0f} MB"
        return f"{len(_BEYOND) + 1} kinds, {grown:.0f} MB"
