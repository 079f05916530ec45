"""Generations that run, and requests that join them instead of beginning anew.

While a generation runs, somebody types on. As long as that agrees with the text so far, the run goes on for the request
that each key brings, and the last of them gets what is left after what was typed. A run whose prompt the model has not
begun to read is no help: the new prompt knows one key more, and nothing is lost. One that reads already is joined
before its first token too, whether the model is fast or slow: a fast one will have said in a few milliseconds whether
typing agrees; a slow one has to read nearly the same prompt for the new request anyway, and would never come to an end
if each key began it anew. The first token that disagrees ends the run, and what was read stays in the engine's cache.

Editors cancel a request as they send the next one, some of them before the change that leads to it. Where the
document was typed on in agreement when the cancel comes, or not changed at all, the run is kept for a moment if no
other document asks for the model; otherwise the model is free at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from aix_lsp.completion.offer import Entry
from aix_lsp.completion.origin import Origin, Reached
from aix_lsp.engine.base import Superseded
from aix_lsp.logs import request_id
from aix_lsp.settings import Settings
from aix_lsp.text import line_start, with_line_feeds
from aix_lsp.types import CompletionRequest, CompletionResult, DocumentSnapshot, Generation, Span

GRACE_SECONDS = 0.05
"""How long a run is kept for the request that follows a cancel."""

_MOST_TYPED = 400
_MOST_CLOSED = 8

TextNow = Callable[[], str | None]
"""The text that a request's document has at this moment; None when it is closed."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended: with an entry, or early with a result that says why there is none."""

    entry: Entry | None = None
    result: CompletionResult | None = None
    generation: Generation | None = None
    spans: tuple[Span, ...] = ()


class Run:
    """One generation for one place, and the request that waits for it: the latest that joined."""

    def __init__(self, request: CompletionRequest, settings: Settings, candidates: int = 1) -> None:
        self.request = request
        self.settings = settings
        self.candidates = candidates
        self.request_id = request_id.get()
        self.origin = Origin.at(request.document, request.offset)
        self.begun = False
        """Whether the model reads its prompt, or has read it."""
        self.is_in_the_way: Callable[[], bool] = lambda: False
        """Whether other documents want the model."""
        self.text = ""
        self._task: asyncio.Task[Ran]
        self._waiter: asyncio.Future[Ran | None] | None = None
        self._typed = ""
        self._on_text: Callable[[str], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, work: Coroutine[Any, Any, Ran], on_end: Callable[[], None]) -> None:
        """Begin; `on_end` is called once it has ended, however."""
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(self._ended)
        self._task.add_done_callback(lambda _: on_end())

    def begin(self) -> None:
        """The model begins to read the prompt. On the model's thread."""
        self.begun = True

    @property
    def is_running(self) -> bool:
        """Whether it may be joined."""
        return not (self._task.done() or self._task.cancelling())

    @property
    def is_left(self) -> bool:
        """Whether it is kept for a request that has not come yet."""
        return self._timer is not None

    def streamed(self, text: str) -> None:
        """The model has written so much. Typing that turns out to be something else ends the run."""
        self.text = text
        if not self._agrees(self._typed):
            self._settle(None)
            self.drop()
        elif self._on_text is not None:
            self._on_text(text[len(self._typed) :])

    def reached(self, document: DocumentSnapshot, offset: int) -> Reached | None:
        """How a place was reached from where this run began; None when what was typed disagrees with its text."""
        reached = self.origin.reached(document, offset, _MOST_TYPED)
        return reached if reached is not None and self._agrees(reached.typed) else None

    async def wait(
        self, request: CompletionRequest, on_text: Callable[[str], None] | None, text_now: TextNow | None
    ) -> Ran | None:
        """Wait for the end in the place of whoever waits now, who gets Superseded. None when what was typed turns out
        to be something else. Cancelled, it leaves the run to the request that follows, if one is to be expected."""
        waiter: asyncio.Future[Ran | None] = asyncio.get_running_loop().create_future()
        self._settle(Superseded("a newer request took its place"))
        self._keep()
        reached = self.reached(request.document, request.offset)
        self._waiter, self._on_text, self._typed = waiter, on_text, reached.typed if reached is not None else ""
        if self._task.done():
            self._ended(self._task)
        try:
            return await waiter
        except asyncio.CancelledError:
            if self._waiter is waiter:
                self._leave(request, text_now() if text_now is not None else None)
            raise

    def drop(self) -> None:
        """Free the model; whoever waits gets Superseded."""
        self._settle(Superseded("a newer request took its place"))
        self._keep()
        self._task.cancel()

    def _leave(self, request: CompletionRequest, now: str | None) -> None:
        """Nobody waits any more."""
        self._waiter = self._on_text = None
        may_go_on = self.begun and now is not None and self._is_typed_on(request, now)
        if may_go_on and not self.is_in_the_way():
            self._timer = asyncio.get_running_loop().call_later(GRACE_SECONDS, self.drop)
        else:
            self.drop()

    def _keep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_typed_on(self, request: CompletionRequest, now: str) -> bool:
        """Whether a request's document has been typed on in agreement, if anything. Where the cursor is now is not
        known: behind what came in, or before brackets in it that the editor has closed."""
        if now == request.document.text:
            return True
        document = replace(request.document, text=now)
        came = len(now) - len(request.document.text)
        latest = request.offset + came
        earliest = max(min(request.offset, latest), latest - _MOST_CLOSED)
        return any(self.reached(document, cursor) is not None for cursor in range(latest, earliest - 1, -1))

    def _agrees(self, typed: str) -> bool:
        """Whether what was typed and the text so far may become the same. White space that stands at the place is
        repeated by some models."""
        typed, text = with_line_feeds(typed), with_line_feeds(self.text)
        before = self.origin.tail[line_start(self.origin.tail) :]
        texts = [text]
        if before and not before.strip():
            texts.append("" if before.startswith(text) else text.removeprefix(before))
        return any(item.startswith(typed) or typed.startswith(item) for item in texts)

    def _settle(self, outcome: Ran | BaseException | None) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if isinstance(outcome, BaseException):
            waiter.set_exception(outcome)
            waiter.exception()  # whoever waited may be gone: no complaint about an error that nobody has looked at
        else:
            waiter.set_result(outcome)

    def _ended(self, task: asyncio.Task[Ran]) -> None:
        self._keep()
        if task.cancelled():
            self._settle(Superseded("a newer request took its place"))
        else:
            self._settle(task.exception() or task.result())


class InFlight:
    """The runs of now: at most one for a document."""

    def __init__(self) -> None:
        self._runs: dict[str, Run] = {}

    def join(self, request: CompletionRequest, settings: Settings, candidates: int) -> Run | None:
        """The run that will answer this request, if there is one. Any other of its document ends."""
        run = self._runs.get(request.document.uri)
        if run is None:
            return None
        joins = run.is_running and run.begun and run.settings == settings and run.candidates >= candidates
        # what was asked for explicitly is not kept back where the model is unsure
        joins = joins and (run.request.trigger == "invoked" or request.trigger == "automatic")
        if joins and run.reached(request.document, request.offset) is not None:
            return run
        self._forget(run)
        run.drop()
        return None

    def start(
        self,
        request: CompletionRequest,
        settings: Settings,
        candidates: int,
        work: Callable[[Run], Coroutine[Any, Any, Ran]],
    ) -> Run:
        """A run of its own for this request; that of its document before it ends, and those of others that nobody
        waits for."""
        uri = request.document.uri
        for other in [run for key, run in self._runs.items() if key == uri or run.is_left]:
            other.drop()
        run = self._runs[uri] = Run(request, settings, candidates)
        run.is_in_the_way = lambda: len(self._runs) > 1
        run.start(work(run), lambda: self._forget(run))
        return run

    def drop(self, uri: str) -> None:
        """End the run of a document."""
        if uri in self._runs:
            self._runs[uri].drop()

    def close(self) -> None:
        """End all."""
        for run in list(self._runs.values()):
            run.drop()

    def _forget(self, run: Run) -> None:
        if self._runs.get(run.request.document.uri) is run:
            del self._runs[run.request.document.uri]
