"""A session whose start fails still answers."""

from __future__ import annotations

import asyncio
import io
import json
import os
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from aix_lsp.engine.base import Engine, EngineError, ModelError
from aix_lsp.engine.scripted import ScriptedEngine
from aix_lsp.server.app import AixServer


class Client:
    """Talks to a server in this process over pipes."""

    def __init__(self, engine_factory: Any) -> None:
        self.server = AixServer(
            {"statistics.enabled": False, "inspect.socket": False, "workspace.watch": "off"}, engine_factory
        )
        source, self._sink = os.pipe()
        self._source = os.fdopen(source, "rb")
        self.output = io.BytesIO()
        self.capabilities: dict[str, Any] = {}
        self.before_then: Callable[[], Awaitable[None]] | None = None

    def send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        os.write(self._sink, b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def messages(self) -> list[dict[str, Any]]:
        parts = self.output.getvalue().split(b"Content-Length: ")[1:]
        return [json.loads(part.partition(b"\r\n\r\n")[2]) for part in parts]

    async def run(self, *sent: dict[str, Any], then: Sequence[dict[str, Any]] = ()) -> list[dict[str, Any]]:
        """Send all these at once, and `then` those, to a server that has started by then."""
        serving = asyncio.ensure_future(self.server.serve(self._source, self.output))
        params = {"processId": None, "rootUri": None, "capabilities": self.capabilities}
        initialize = {"id": 0, "method": "initialize", "params": params}
        self.send(initialize)
        for message in sent:
            self.send(message)
        await self.answers(initialize, *sent)
        if then:
            await asyncio.wait_for(self.server.session.started.wait(), 60)
            if self.before_then is not None:
                await self.before_then()
        for message in then:
            self.send(message)
        await self.answers(*then)
        self.send({"id": 98, "method": "shutdown"})
        self.send({"method": "exit"})
        assert await asyncio.wait_for(serving, 60) == 0
        os.close(self._sink)
        self._source.close()
        return self.messages()

    def reply(self, method: str, answer: Any) -> None:
        """Answer the server's request of this method."""
        (asked_for,) = [message for message in self.messages() if message.get("method") == method]
        self.send({"id": asked_for["id"], "result": answer})

    async def answers(self, *sent: dict[str, Any]) -> None:
        """Wait until the requests among these are answered."""
        wanted = {message["id"] for message in sent if "id" in message and "method" in message}
        async with asyncio.timeout(120):
            while not wanted <= {message.get("id") for message in self.messages() if "method" not in message}:
                await asyncio.sleep(0.02)


def opened(text: str) -> dict[str, Any]:
    document = {"uri": "file:///a.py", "languageId": "python", "version": 1, "text": text}
    return {"method": "textDocument/didOpen", "params": {"textDocument": document}}


def asked(number: int, character: int, kind: int = 1) -> dict[str, Any]:
    return {
        "id": number,
        "method": "textDocument/inlineCompletion",
        "params": {
            "textDocument": {"uri": "file:///a.py"},
            "position": {"line": 0, "character": character},
            "context": {"triggerKind": kind},
        },
    }


def result(messages: list[dict[str, Any]], number: int) -> Any:
    (found,) = [message for message in messages if message.get("id") == number]
    return found["result"]


def broken(settings: Any, on_event: Any) -> Engine:
    raise RuntimeError("no engine today, and this text is private")


def scripted(settings: Any, on_event: Any) -> Engine:
    engine = ScriptedEngine("b + c")
    engine.start(asyncio.get_running_loop())
    return engine


async def test_a_start_that_fails_is_told_and_requests_are_answered(capsys: pytest.CaptureFixture[str]) -> None:
    messages = await Client(broken).run(opened("a = "), asked(1, 4))
    assert result(messages, 1) == {"items": []}
    (shown,) = [message for message in messages if message.get("method") == "window/showMessage"]
    assert "could not start" in shown["params"]["message"]
    assert "private" not in json.dumps(messages)


async def test_a_session_that_cannot_be_closed_keeps_no_process(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    class Stubborn(ScriptedEngine):
        asked = 0

        def close(self) -> None:
            super().close()
            self.asked += 1
            if self.asked == 1:
                raise RuntimeError("this text is private")

    client = Client(lambda settings, on_event: Stubborn("b + c"))
    await client.run(opened("a = "), then=[asked(1, 4)])
    assert "closing the session failed: RuntimeError" in caplog.text
    assert "private" not in caplog.text


async def test_a_wrong_setting_that_keeps_it_from_starting_is_named() -> None:
    def unfit(settings: Any, on_event: Any) -> Engine:
        raise ModelError("remote.url is no address")

    messages = await Client(unfit).run(opened("a = "), asked(1, 4))
    (shown,) = [message for message in messages if message.get("method") == "window/showMessage"]
    assert shown["params"]["message"].startswith("aix: the server could not start: remote.url is no address; run")


async def test_positions_are_utf_16_unless_agreed_otherwise() -> None:
    messages = await Client(scripted).run(opened("x = '\U0001f600漢' + "), asked(1, 12))
    (item,) = result(messages, 1)["items"]
    assert item["insertText"] == "b + c"
    assert item["range"]["start"] == item["range"]["end"] == {"line": 0, "character": 12}


async def test_a_model_that_fails_while_it_runs_is_told_once() -> None:
    def failing(settings: Any, on_event: Any) -> Engine:
        engine = ScriptedEngine([EngineError("the GPU ran out of memory")])
        engine.start(asyncio.get_running_loop())
        return engine

    messages = await Client(failing).run(opened("a = "), asked(1, 4), asked(2, 4))
    assert result(messages, 1) == result(messages, 2) == {"items": []}
    shown = [message for message in messages if message.get("method") == "window/showMessage"]
    assert [message["params"]["message"] for message in shown] == ["aix: the GPU ran out of memory"]


async def test_line_breaks_are_sent_as_line_feeds_whatever_the_document_has() -> None:
    """Neovim takes a carriage return for a character of the line."""

    def body(settings: Any, on_event: Any) -> Engine:
        engine = ScriptedEngine("\n    x = 1\n    return x\n\n\ny")
        engine.start(asyncio.get_running_loop())
        return engine

    messages = await Client(body).run(opened("def f():\r\n"), asked(1, 8))
    (item,) = result(messages, 1)["items"]
    assert item["insertText"] == "\n    x = 1\n    return x"


async def test_of_a_document_with_a_secret_the_trace_holds_no_text_whatever_kept_it_silent() -> None:
    client = Client(scripted)
    secret = "password = 'hX9kQ2mZ7vB4nT6wY1pL'"
    # within a word, behind it, and switched off: the reasons differ, and only one of them is the secret
    toggle = {"id": 3, "method": "workspace/executeCommand", "params": {"command": "aix.toggle"}}
    await client.run(opened(secret), asked(1, 3, kind=2), asked(2, len(secret)), toggle, asked(4, 3))
    records = list(client.server.session.trace)
    assert records
    assert "hX9kQ2mZ7vB4nT6wY1pL" not in repr(records)


async def test_requests_that_were_overtaken_or_cancelled_are_counted() -> None:
    client = Client(scripted)
    several = [asked(number, 4) for number in (1, 2, 3)]
    cancel = {"method": "$/cancelRequest", "params": {"id": 3}}
    messages = await client.run(opened("a = "), *several, cancel, asked(4, 4))
    assert result(messages, 4)["items"]
    session = client.server.session
    assert (session.given_up, session.trace.asked) == (3, 1)


async def test_a_warning_that_comes_back_is_shown_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    client = Client(scripted)
    await client.run()
    before = len(client.messages())
    for seconds in (9, 8, 7):
        client.server.session.messages.warn(f"too many requests (429); it asks to wait {seconds} s")
    assert [record.levelname for record in caplog.records if "429" in record.message] == ["WARNING"]
    assert len(client.messages()) <= before + 1


PULLS = {"workspace": {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": False}}}


async def test_settings_that_an_editor_tells_late_count_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aix_lsp.server.session._ANSWER_SECONDS", 0.01)
    client = Client(scripted)
    client.capabilities = PULLS

    async def tell() -> None:
        client.reply("workspace/configuration", [{"completion": {"enabled": False}}])
        async with asyncio.timeout(60):
            while client.server.session.settings.completion.enabled:
                await asyncio.sleep(0.01)

    client.before_then = tell
    messages = await client.run({"method": "initialized", "params": {}}, opened("a = "), then=[asked(1, 4)])
    assert result(messages, 1) == {"items": []}


@pytest.mark.parametrize(
    ("pushed", "wanted"),
    [
        ({"aix": {"completion": {"enabled": False}}, "python": {"enabled": True}}, False),
        ({"aix": {"completion.enabled": False}}, False),
        ({"aix.completion.enabled": False, "python.enabled": True}, False),
        ({"completion": {"enabled": False}}, False),
        ({"completion.enabled": False}, False),
        ({"aix": None}, True),
        ({"python": {"completion": {"enabled": False}}}, True),
        ([{"aix": {"completion": {"enabled": False}}}], True),
        (None, True),
    ],
    ids=repr,
)
async def test_pushed_settings_are_found_under_our_name_or_alone(pushed: Any, wanted: bool) -> None:
    client = Client(scripted)
    change = {"method": "workspace/didChangeConfiguration", "params": {"settings": pushed}}
    messages = await client.run(opened("a = "), change, then=[asked(1, 4)])
    assert bool(result(messages, 1)["items"]) is wanted
    assert not [message for message in messages if message.get("method") == "window/showMessage"]


async def test_a_watcher_that_is_still_setting_its_watches_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = Client(lambda settings, on_event: ScriptedEngine("done"))
    released, done = threading.Event(), list[str]()

    async def hold() -> None:
        session = client.server.session
        monkeypatch.setattr(session._watcher, "close", lambda: released.wait(60))
        monkeypatch.setattr(session, "save_statistics", lambda: done.append("statistics"))
        close = session.context.close

        async def closed() -> None:
            await close()
            done.append("context")

        monkeypatch.setattr(session.context, "close", closed)

    client.before_then = hold
    try:
        await client.run(then=[{"id": 1, "method": "workspace/executeCommand", "params": {"command": "aix.status"}}])
        assert not released.is_set()
        assert done[-2:] == ["statistics", "context"]  # shutdown has saved them too
    finally:
        released.set()
