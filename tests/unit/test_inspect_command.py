"""The command `aix.inspect`, on a server in this process."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.server.app import AixServer
from tests.unit.test_session import Client, asked, opened, result, scripted


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path


def inspect(number: int, *arguments: Any) -> dict[str, Any]:
    params = {"command": "aix.inspect", "arguments": list(arguments)}
    return {"id": number, "method": "workspace/executeCommand", "params": params}


class InTurn(Client):
    """Sends commands when the first request is answered."""

    sent: list[asyncio.Future[None]]

    def send(self, message: dict[str, Any]) -> None:
        if message["method"] != "workspace/executeCommand":
            super().send(message)
            return
        asyncio.ensure_future(self._send_later(message)).add_done_callback(self.sent.append)

    async def _send_later(self, message: dict[str, Any]) -> None:
        while not any(answer.get("id") == 1 for answer in self.messages()):
            await asyncio.sleep(0.01)
        super().send(message)


async def run(*sent: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    client = InTurn(scripted)
    client.sent = []
    settings = {"statistics.enabled": False, "workspace.watch": "off", "inspect.socket": False, **options}
    client.server = AixServer(settings, scripted)
    return await client.run(opened("a = "), asked(1, 4), *sent)


def shown(messages: list[dict[str, Any]]) -> list[str]:
    return [str(item["params"]["message"]) for item in messages if item.get("method") == "window/showMessage"]


@pytest.mark.parametrize("argument", [1, "1", [1], 1.0], ids=repr)
async def test_a_request_is_named_as_editors_send_it(argument: Any, places: Path) -> None:
    messages = await run(inspect(2, argument))
    answer = result(messages, 2)
    assert answer["requests"] == [1]
    assert shown(messages) == [f"aix: the page is in {answer['path']}"]
    assert list(places.glob("aix-lsp-inspect-*")) == []


@pytest.mark.parametrize("argument", [None, True, {"a": 1}, "x", []], ids=repr)
async def test_anything_else_means_the_latest(argument: Any) -> None:
    assert result(await run(inspect(2, argument)), 2)["requests"] == [1]


async def test_a_request_that_is_not_remembered_is_told() -> None:
    messages = await run(inspect(2, 7))
    assert result(messages, 2) is None
    assert shown(messages) == ["aix: request 7 is not remembered (remembered: 1 to 1)"]


async def test_nothing_is_remembered_written_or_opened_where_the_user_wants_none(places: Path) -> None:
    messages = await run(inspect(2), **{"inspect.requests": 0})
    assert result(messages, 2) is None
    assert shown(messages) == ["aix: nothing is remembered: inspect.requests is 0"]
    assert list(places.iterdir()) == []


async def test_a_page_that_cannot_be_written_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    messages = await run(inspect(2))
    assert result(messages, 2) is None
    assert shown(messages) == ["aix: the page cannot be written: No such file or directory"]


async def test_no_text_of_the_document_is_in_the_messages() -> None:
    messages = await run(inspect(2))
    told = [item for item in messages if item.get("method") in ("window/showMessage", "window/logMessage")]
    assert "b + c" not in json.dumps(told)
