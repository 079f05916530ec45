"""Somebody who types in an editor all day: keys in one document after another, and what lies between (`chores.py`).

The keys are those of the benchmarks' replay; each is told to the server through a reference client (`tests/mirror.py`),
so that the server's text can be compared at any time.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from pathlib import Path
from random import Random
from typing import Any

from aix_lsp.cli.lsp_client import LspClient, ServerError, inline_params
from tests.mirror import Mirror
from tests.soak.project import Project
from tests.soak.replaying import client_screen, replay_editors, typist
from tests.soak.verdict import Seen

VSCODE = replay_editors.Editor("VS Code's way", "utf-16", (0.005, 0.04), cancels=True)
PATIENT = replay_editors.Editor("Neovim's way", "utf-16", (0.2, 0.2), cancels=False)
MEDIAN_SECONDS = 0.12
MOST_OPEN = 16
ANSWER_SECONDS = 120.0
_CANCELLED = (-32800, -32802)


class Person:
    """One editor. `speed` is how many times faster the keys come than a person's (a median of 120 ms between two)."""

    def __init__(self, client: LspClient, project: Project, seed: int, speed: float, seen: Seen) -> None:
        self.client = client
        self.project = project
        self.seen = seen
        self.draw = Random(f"{seed} person")
        self.mirror = Mirror(client.notify)
        self.open: OrderedDict[Path, Any] = OrderedDict()
        self.runs = 0
        self.branch = 0
        self.began = time.monotonic()
        self._median = MEDIAN_SECONDS / speed
        self._waiting: dict[int, tuple[str, asyncio.Future[Any]]] = {}
        self._latest: int | None = None
        self._due: asyncio.TimerHandle | None = None
        self._route: list[Path] = []
        self._times_opened = 0

    # documents

    def next_file(self) -> Path:
        """The files are gone through in an order that differs each time, so that all are typed in equally often."""
        if not self._route:
            self._route = list(self.project.typed)
            self.draw.shuffle(self._route)
        return self._route.pop()

    def show(self, path: Path) -> Any:
        """The file's document, opened if it was not; the one that was in front the longest time ago is closed."""
        if path not in self.open:
            self._times_opened += 1
            editor = PATIENT if self._times_opened % 4 == 0 else VSCODE
            document = replay_editors.Document(path, f"{path.name} {self._times_opened}", editor)
            document.editor = editor
            self.mirror.open(document.uri, document.sent(document.typist.text), document.language)
            self.open[path] = document
            self.seen.done["document opened"] += 1
            while len(self.open) > MOST_OPEN:
                self.close(next(iter(self.open)))
        self.open.move_to_end(path)
        return self.open[path]

    def close(self, path: Path) -> None:
        """Close a document."""
        document = self.open.pop(path)
        self.mirror.close(document.uri)
        self.seen.done["document closed"] += 1

    # typing

    async def part(self, keys: int) -> None:
        """So many keys in the next document, one look at what is offered at the end."""
        document = self.show(self.next_file())
        document.screen.hide()
        due = time.perf_counter()
        for _ in range(keys):
            if document.typist.done:
                document.again()
                self.mirror.replace(document.uri, document.sent(document.typist.text))
            due = max(due, time.perf_counter() - 1.0) + self._median * document.typist.gap()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self._press(document)
        await asyncio.sleep(self._median + document.editor.wait[1])
        await self.settle()
        await self.asked(document.uri, *document.screen.position(document.screen.cursor))

    def _press(self, document: Any) -> None:
        screen = document.screen
        medians = (time.perf_counter() - screen.since) / self._median
        shown = typist.Shown(screen.rest, screen.over, medians) if screen.rest else None
        name = screen.name
        before = screen.buffer.text
        event = document.typist.press(shown)
        screen.press(event)
        self.seen.done["key"] += 1
        if event.kind in ("accept", "accept word", "undo", "redo"):
            self.seen.done[event.kind] += 1
        if event.edits:
            start, end = (in_file(document, before, offset) for offset in (event.start, event.end))
            self.mirror.edit(document.uri, (start, end, document.sent(event.text)))
        if document.editor.cancels and self._latest in self._waiting:
            self.cancel(self._latest)
        if event.kind == "accept":
            self.command("aix.accepted", name)
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if event.edits:
            wait = self.draw.uniform(*document.editor.wait)
            self._due = asyncio.get_running_loop().call_later(wait, self._request, document)

    def _request(self, document: Any) -> None:
        screen = document.screen
        moment = screen.moment
        line, character = screen.position(screen.cursor)
        params = inline_params(document.uri, line, character, kind=2)
        number, future = self.start("textDocument/inlineCompletion", params)
        self._latest = number

        def answered(done: asyncio.Future[Any]) -> None:
            if not done.cancelled() and done.exception() is None:
                screen.answer(moment, [_item(item) for item in done.result()["items"]], time.perf_counter())

        future.add_done_callback(answered)

    # requests

    def start(self, method: str, params: Any) -> tuple[int, asyncio.Future[Any]]:
        """Send a request of which it is known whether an answer came, and how long that took."""
        number, future = self.client.start_request(method, params)
        sent = time.perf_counter()
        self.seen.requests += 1
        self._waiting[number] = method, future

        def answered(done: asyncio.Future[Any]) -> None:
            self._waiting.pop(number, None)
            if done.cancelled():
                return
            error = done.exception()
            if error is None and method == "textDocument/inlineCompletion":
                now = time.monotonic() - self.began
                self.seen.answers.append((round(now, 2), round(1000 * (time.perf_counter() - sent), 2)))
            elif error is not None and not (isinstance(error, ServerError) and error.code in _CANCELLED):
                self.seen.failed.append(f"{method}: {error}")

        future.add_done_callback(answered)
        return number, future

    def cancel(self, number: int) -> None:
        """Cancel a request; it is still answered."""
        self.seen.done["cancelled"] += 1
        self.client.cancel(number)

    def command(self, name: str, *arguments: object) -> asyncio.Future[Any]:
        """Send one of the server's commands."""
        self.seen.done[name] += 1
        return self.start("workspace/executeCommand", {"command": name, "arguments": list(arguments)})[1]

    async def told(self, name: str, *arguments: object) -> Any:
        """A command's result. Raises TimeoutError."""
        return await asyncio.wait_for(self.command(name, *arguments), ANSWER_SECONDS)

    async def asked(self, uri: str, line: int, character: int) -> list[dict[str, Any]]:
        """What is offered at a place when asked explicitly. Raises TimeoutError."""
        self.seen.done["explicit request"] += 1
        _, future = self.start("textDocument/inlineCompletion", inline_params(uri, line, character))
        items: list[dict[str, Any]] = (await asyncio.wait_for(asyncio.shield(future), ANSWER_SECONDS))["items"]
        return items

    async def settle(self) -> None:
        """Wait for everything that is on its way; what does not come is noted as unanswered."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        waiting = dict(self._waiting)
        if waiting:
            await asyncio.wait([future for _, future in waiting.values()], timeout=ANSWER_SECONDS)
        for number, (method, future) in waiting.items():
            if not future.done():
                self.seen.unanswered.append(f"{method} (request {number})")
                self._waiting.pop(number, None)
        await asyncio.sleep(0)

    async def compare(self) -> None:
        """Does the server hold the text of every open document?"""
        self.seen.checks += 1
        self.seen.requests += 1
        try:
            await self.mirror.check(self.client)
        except AssertionError as error:
            self.seen.lost.append(str(error))

    async def until_quiet(self, seconds: float = 120.0) -> dict[str, Any]:
        """Wait until the server has nothing to do: the model is there and no folder is being indexed. Raises
        TimeoutError, or AssertionError where there is no model."""
        async with asyncio.timeout(seconds):
            while True:
                status: dict[str, Any] = await self.told("aix.status")
                assert status["state"] != "failed", status.get("message")
                if "engine" in status:
                    self.runs = status["engine"]["runs"] + status["engine"]["background_runs"]
                busy = any(folder["indexing"] for folder in status.get("folders", [{"indexing": True}]))
                if status["state"] == "ready" and not busy and status["status"]["state"] != "busy":
                    return status
                await asyncio.sleep(0.1)


def in_file(document: Any, text: str, offset: int) -> int:
    """Where an offset of the typist's text, whose lines end at a line feed, lies in the file's."""
    return offset + text.count("\n", 0, offset) * (len(document.line_break) - 1)


def _item(item: dict[str, Any]) -> Any:
    start, end = ((item["range"][which]["line"], item["range"][which]["character"]) for which in ("start", "end"))
    arguments = (item.get("command") or {}).get("arguments") or [""]
    return client_screen.Item(start, end, item["insertText"].replace("\r\n", "\n"), str(arguments[0]))
