"""Plays a typist's keys to a real server process on the clock, as one of three editors, and logs what comes back."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from client_screen import Item
from replay_editors import Document, Editor
from replay_figures import REUSED, Asked, Key, Log, Sample
from typist import Event, Shown

from aix_lsp.cli.lsp_client import CAPABILITIES, LspClient, ServerError, inline_params
from aix_lsp.uris import path_to_uri

SAMPLE_EVERY = 20
READY_SECONDS = 300.0
_CANCELLED = -32800


class Player:
    """One server process and one editor; an async context manager: `begin`, one `part` after another, then `finish`."""

    def __init__(
        self,
        files: Sequence[Path],
        root: Path,
        editor: Editor,
        command: Sequence[str],
        home: Path,
        seed: int,
        median: float,
    ) -> None:
        """`root` is the workspace that holds the files, `home` an empty folder for the server's own files; `median` is
        the median of the seconds between two keys."""
        self._root = root
        self._editor = editor
        self._median = median
        self._waits = random.Random(f"{seed} waits")
        self._client = LspClient(command, _environment(home))
        self._documents = [Document(path, f"{seed} {path.name}", editor) for path in files]
        self._due: asyncio.TimerHandle | None = None
        self._in_flight: tuple[int, asyncio.Future[Any]] | None = None
        self._traces: set[asyncio.Future[Any]] = set()
        self._traced = 0
        self.log = Log()

    async def __aenter__(self) -> Player:
        await self._client.__aenter__()
        try:
            await self._introduce()
        except BaseException:
            await self._client.__aexit__()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def _introduce(self) -> None:
        folder = {"uri": path_to_uri(self._root), "name": self._root.name}
        answer = await self._client.request(
            "initialize",
            {
                "processId": os.getpid(),
                "clientInfo": {"name": self._editor.name},
                "rootUri": folder["uri"],
                "workspaceFolders": [folder],
                "capabilities": {**CAPABILITIES, "general": {"positionEncodings": [self._editor.encoding]}},
            },
        )
        counts_in = answer["capabilities"].get("positionEncoding", "utf-16")
        if counts_in != self._editor.encoding:
            raise SystemExit(f"the server counts in {counts_in}, {self._editor.name} in {self._editor.encoding}")
        self._client.notify("initialized", {})

    async def begin(self) -> None:
        """Wait for model and index and open the files; to be called once, before the first part."""
        status = await self._ready()
        for document in self._documents:
            self._open(document)
        assert self._client.process is not None
        self._process = psutil.Process(self._client.process.pid)
        self._cpu_before = self._cpu(living=True)
        self._runs_before = _runs(status)

    async def _ready(self) -> dict[str, Any]:
        """Wait for model and index; the server's status then."""
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            status: dict[str, Any] = await self._command("aix.status")
            if status["state"] == "failed":
                raise SystemExit(f"the server has no model: {status.get('message')}")
            if status["state"] == "ready" and not any(folder["indexing"] for folder in status["folders"]):
                return status
            await asyncio.sleep(0.1)
        raise SystemExit(f"the server is not ready after {READY_SECONDS:.0f} seconds")

    def _open(self, document: Document) -> None:
        self._client.open(document.uri, document.sent(document.typist.text), document.language, document.version)

    async def _command(self, name: str, *arguments: object) -> Any:
        return await self._client.request("workspace/executeCommand", {"command": name, "arguments": list(arguments)})

    async def part(self, number: int, keys: int) -> None:
        """So many keys in the file of this number (counted round)."""
        document = self._documents[number % len(self._documents)]
        document.screen.hide()
        began = due = time.perf_counter()
        before: float | None = None
        for _ in range(keys):
            if document.typist.done:
                self._client.notify("textDocument/didClose", {"textDocument": {"uri": document.uri}})
                document.again()
                self._open(document)
            due += self._median * document.typist.gap()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            now = time.perf_counter()
            self._seen(document, before)
            self._press(document, now)
            self.log.keys[-1].gap = None if before is None else now - before
            before = now
            if len(self.log.keys) % SAMPLE_EVERY == 0:
                self.log.samples.append(self._sample())
        # what the last key brings is waited for, as if there were one more
        await asyncio.sleep(self._median + self._editor.wait[1])
        await self._settle()
        self._seen(document, before)
        self.log.seconds += time.perf_counter() - began

    async def finish(self) -> None:
        """Count what the server did; to be called once, after the last part."""
        await self._settle()
        self.log.samples.append(self._sample(living=True))
        runs = _runs(await self._command("aix.status"))
        if runs is not None and self._runs_before is not None:
            self.log.runs, self.log.background_runs = (
                after - before for after, before in zip(runs, self._runs_before, strict=True)
            )

    def _seen(self, document: Document, before: float | None) -> None:
        """The next key is about to come: was there an offer?"""
        if before is not None:
            self.log.keys[-1].shown = bool(document.screen.rest)

    def _press(self, document: Document, now: float) -> None:
        screen = document.screen
        medians = (now - screen.since) / self._median
        shown = Shown(screen.rest, screen.over, medians) if screen.rest else None
        name = screen.name
        event = document.typist.press(shown)
        start, end = screen.position(event.start), screen.position(event.end)
        taken = screen.buffer.text[event.start : event.end]
        screen.press(event)
        self.log.keys.append(_key(event, taken, screen.eligible))
        if event.edits:
            document.version += 1
            place = {"start": _position(start), "end": _position(end)}
            self._client.change(document.uri, document.version, [{"range": place, "text": document.sent(event.text)}])
        if self._editor.cancels and self._in_flight is not None:
            number, future = self._in_flight
            if not future.done():
                self._client.cancel(number)
        if event.kind == "accept":
            self._ask("workspace/executeCommand", {"command": "aix.accepted", "arguments": [name]})
        if self._due is not None:
            self._due.cancel()
        if event.edits:
            loop = asyncio.get_running_loop()
            self._due = loop.call_later(self._waits.uniform(*self._editor.wait), self._request, document)

    def _ask(self, method: str, params: Mapping[str, Any]) -> asyncio.Future[Any]:
        """A request whose failure is nobody's concern."""
        _, future = self._client.start_request(method, params)
        self._traces.add(future)
        future.add_done_callback(self._traces.discard)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    def _request(self, document: Document) -> None:
        screen = document.screen
        asked = Asked(time.perf_counter(), key=len(self.log.keys))
        moment = screen.moment
        params = inline_params(document.uri, *screen.position(screen.cursor), kind=2)
        number, future = self._client.start_request("textDocument/inlineCompletion", params)
        self._in_flight = number, future
        self.log.asked.append(asked)

        def answered(done: asyncio.Future[Any]) -> None:
            asked.received = time.perf_counter()
            if done.cancelled():
                return
            error = done.exception()
            if error is not None:
                cancelled = isinstance(error, ServerError) and error.code == _CANCELLED
                asked.verdict = "overtaken" if cancelled else "failed"
                return
            items = [_item(item) for item in done.result()["items"]]
            asked.shown_before = screen.on_screen
            asked.verdict = screen.answer(moment, items, asked.received)
            asked.offered = items[0].text if asked.verdict == "stale" else screen.on_screen
            if asked.verdict == "late" and not items:
                asked.verdict = "overtaken"
            if asked.verdict not in ("late", "overtaken"):
                self._explain(asked)

        future.add_done_callback(answered)

    def _explain(self, asked: Asked) -> None:
        """Ask the server where the answer that has just come is from: nothing was asked since."""

        def told(done: asyncio.Future[Any]) -> None:
            if done.cancelled() or done.exception() is not None or not isinstance(done.result(), dict):
                return
            trace = done.result()
            number = trace.get("number", self._traced + 1)
            if number <= self._traced:
                return  # of an earlier request: this one left no trace
            self._traced = number
            asked.source = str(trace.get("source") or "").replace("none", "")
            asked.reason = str(trace.get("reason") or "")
            began = (trace.get("timings_ms") or {}).get("first_token", 0) > 0
            asked.ran = asked.source == "model" or (asked.source not in REUSED and began)

        self._ask("workspace/executeCommand", {"command": "aix.trace", "arguments": ["summary"]}).add_done_callback(
            told
        )

    async def _settle(self) -> None:
        """Wait for what is in flight."""
        waiting = [*self._traces, *([self._in_flight[1]] if self._in_flight is not None else [])]
        if waiting:
            await asyncio.wait(waiting, timeout=10)
        while self._traces:
            await asyncio.wait(list(self._traces), timeout=10)
            await asyncio.sleep(0)

    def _cpu(self, living: bool = False) -> tuple[float, float]:
        """Seconds of processor time of the server and of its children; those that live are looked for only if asked,
        for that takes milliseconds."""
        times = self._process.cpu_times()
        children = times.children_user + times.children_system
        for child in self._process.children(recursive=True) if living else []:
            try:
                used = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            children += used.user + used.system
        return times.user + times.system, children

    def _sample(self, living: bool = False) -> Sample:
        cpu, children = self._cpu(living)
        before, children_before = self._cpu_before
        return Sample(
            len(self.log.keys), self._process.memory_info().rss, cpu - before, max(0.0, children - children_before)
        )


def _environment(home: Path) -> dict[str, str]:
    """Nothing of the user's own settings, counts and index."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIX_LSP_")}
    places = {f"XDG_{kind}_HOME": str(home / kind.lower()) for kind in ("CONFIG", "STATE", "CACHE", "DATA")}
    return {**kept, **places, "HOME": str(home)}


def _runs(status: Mapping[str, Any]) -> tuple[int, int] | None:
    engine = status.get("engine")
    return (engine["runs"], engine["background_runs"]) if isinstance(engine, dict) and "runs" in engine else None


def _key(event: Event, taken: str, eligible: bool) -> Key:
    grown = len(event.text) - len(taken)
    took = grown if event.kind in ("accept", "accept word", "redo", "undo") else 0
    return Key(event.kind, grown=grown, accepted=took, eligible=eligible and event.edits)


def _position(place: tuple[int, int]) -> dict[str, int]:
    return {"line": place[0], "character": place[1]}


def _item(item: Mapping[str, Any]) -> Item:
    start, end = ((item["range"][which]["line"], item["range"][which]["character"]) for which in ("start", "end"))
    arguments = (item.get("command") or {}).get("arguments") or [""]
    return Item(start, end, item["insertText"], str(arguments[0]))
