"""Framing of messages on a byte stream."""

from __future__ import annotations

import asyncio
import io
import os
import queue
from collections.abc import Callable

import pytest

from aix_lsp.server.transport import IN_FLIGHT, StreamWriter, accept_one, pump, read_messages


def framed(body: bytes, header: bytes = b"Content-Length: %d\r\n\r\n") -> bytes:
    return header % len(body) + body


@pytest.mark.parametrize(
    ("stream", "bodies"),
    [
        (framed(b"{}") + framed(b"[1]"), [b"{}", b"[1]"]),
        (framed(b"{}", b"content-length:%d\r\nContent-Type: application/x; charset=utf-8\r\n\r\n"), [b"{}"]),
        (b"Content-Type: x\r\nContent-Length: 2\r\n\r\n{}", [b"{}"]),
        (b"", []),
        # what cannot be used is passed over
        (b"Content-Length: -1\r\n\r\n" + framed(b"{}"), [b"{}"]),
        (b"Content-Length: many\r\n\r\n" + framed(b"{}"), [b"{}"]),
        (b"Content-Length: 999999999999\r\n\r\n" + framed(b"{}"), [b"{}"]),
        (b"Content-Length: " + b"9" * 9000 + b"\r\n\r\n" + framed(b"{}"), [b"{}"]),
        # a body that nobody announced ends without a line break: the next header stands right behind it
        (b'Content-Length: x\r\n\r\n{"a": 1}' + framed(b"{}") + framed(b"[1]"), [b"{}", b"[1]"]),
        (b"x" * (64 * 1024 - 9) + framed(b"{}"), [b"{}"]),
        (b"rubbish\r\n\r\n" + framed(b"{}"), [b"{}"]),
        # a stream that ends inside a body
        (b"Content-Length: 10\r\n\r\n{}", []),
    ],
)
def test_messages_are_read_whatever_stands_between_them(stream: bytes, bodies: list[bytes]) -> None:
    assert list(read_messages(io.BytesIO(stream))) == bodies


def test_a_message_that_is_too_large_is_passed_over_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aix_lsp.server.transport.MAX_MESSAGE_BYTES", 100_000)
    told: list[int] = []
    stream = framed(b"1") + framed(b"x" * 300_000) + framed(b"2") + framed(b"y" * 200_000)
    assert list(read_messages(io.BytesIO(stream[:-1]), told.append)) == [b"1", b"2"]
    assert told == [300_000, 200_000]


class Broken(io.BytesIO):
    """A client that is gone."""

    def write(self, data: object) -> int:
        raise BrokenPipeError


def test_messages_are_written_in_order_and_all_before_the_end() -> None:
    stream = io.BytesIO()
    writer = StreamWriter(stream, lambda: None)
    for number in range(1000):
        writer.write(b"%d," % number)
    writer.close()
    assert stream.getvalue() == b"".join(b"%d," % number for number in range(1000))


def test_a_client_that_is_gone_is_told_once_and_nothing_raises() -> None:
    told: list[int] = []
    writer = StreamWriter(Broken(), lambda: told.append(1))
    writer.write(b"x")
    writer.write(b"x")
    writer.close()
    writer.write(b"x")
    assert told == [1]


def test_a_client_that_does_not_read_blocks_nobody_and_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aix_lsp.server.transport.MAX_UNREAD_BYTES", 1_000_000)
    source, sink = os.pipe()
    told: list[int] = []
    with os.fdopen(source, "rb") as reader, os.fdopen(sink, "wb") as stream:
        writer = StreamWriter(stream, lambda: told.append(1))
        for _ in range(20):
            writer.write(b"x" * 100_000)
        assert told == [1]
        writer.close(timeout=0.01)
        # let the thread end before its stream is closed
        while writer._thread.is_alive():
            reader.read1(100_000)


async def test_messages_arrive_in_order_and_the_end_is_told() -> None:
    seen: list[bytes] = []
    ended = asyncio.Event()
    bodies = [b"%d" % number for number in range(3 * IN_FLIGHT)]
    pump(io.BytesIO(b"".join(map(framed, bodies))), asyncio.get_running_loop(), seen.append, ended.set)
    await asyncio.wait_for(ended.wait(), 60)
    assert seen == bodies


async def test_a_message_that_the_memory_has_no_room_for_ends_the_server_and_not_its_reader_alone() -> None:
    class NoRoom(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise MemoryError

    ended = asyncio.Event()
    pump(NoRoom(framed(b"x")), asyncio.get_running_loop(), lambda body: None, ended.set)
    await asyncio.wait_for(ended.wait(), 60)


def test_a_flood_waits_instead_of_filling_the_memory() -> None:
    posted: queue.Queue[tuple[Callable[..., object], tuple[object, ...]]] = queue.Queue()
    seen: list[bytes] = []
    ended: list[int] = []

    class Loop:
        def call_soon_threadsafe(self, call: Callable[..., object], *arguments: object) -> None:
            posted.put((call, arguments))

    def handle(count: int) -> None:
        for _ in range(count):
            call, arguments = posted.get(timeout=60)
            call(*arguments)

    source, sink = os.pipe()
    with os.fdopen(source, "rb") as reader:
        with os.fdopen(sink, "wb", buffering=0) as writer:
            pump(reader, Loop(), seen.append, lambda: ended.append(1))  # type: ignore[arg-type]
            for _ in range(IN_FLIGHT + 50):
                writer.write(framed(b"{}"))
            held = [posted.get(timeout=60) for _ in range(IN_FLIGHT)]
            with pytest.raises(queue.Empty):
                posted.get(timeout=0.05)
            for call, arguments in held:
                call(*arguments)
            handle(50)
        # the end, so that the reading thread is done before its stream is closed
        handle(1)
    assert (len(seen), ended) == (IN_FLIGHT + 50, [1])


def test_large_messages_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aix_lsp.server.transport.IN_FLIGHT_BYTES", 1000)
    posted: queue.Queue[tuple[Callable[..., object], tuple[object, ...]]] = queue.Queue()
    seen: list[int] = []

    class Loop:
        def call_soon_threadsafe(self, call: Callable[..., object], *arguments: object) -> None:
            posted.put((call, arguments))

    sizes = [400, 600, 1, 5000, 400]
    stream = io.BytesIO(b"".join(framed(b"x" * size) for size in sizes))
    pump(stream, Loop(), lambda body: seen.append(len(body)), lambda: None)  # type: ignore[arg-type]
    # together: the first two; the third, once one of them is gone; the large one alone; the last, and the end
    for count in (2, 1, 1, 2):
        held = [posted.get(timeout=60) for _ in range(count)]
        with pytest.raises(queue.Empty):
            posted.get(timeout=0.05)
        for call, arguments in held:
            call(*arguments)
    assert seen == sizes


def test_headers_that_cannot_be_used_are_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    damaged = b"Content-Length: x\r\n" * 1000 + b"\r\n"
    assert list(read_messages(io.BytesIO(damaged + framed(b"{}") + damaged + framed(b"[]")))) == [b"{}", b"[]"]
    assert len(caplog.records) == 2


def test_an_address_that_others_reach_is_refused_unless_forced() -> None:
    with pytest.raises(ValueError, match="can be reached from other machines"):
        accept_one("0.0.0.0", 0, force=False, announce=lambda line: None)
