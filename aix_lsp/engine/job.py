"""One request on its way between an event loop and the model thread."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from aix_lsp.engine.base import EngineError
from aix_lsp.logs import places
from aix_lsp.types import Generation, GenerationRequest

_LONGEST_MESSAGE = 300


def post(loop: asyncio.AbstractEventLoop, callback: Callable[..., Any], *arguments: Any) -> None:
    """Run `callback` on `loop` soon, from any thread. Nothing happens when the loop is closed."""
    with contextlib.suppress(RuntimeError):  # "Event loop is closed": nobody waits there any more
        loop.call_soon_threadsafe(callback, *arguments)


def settle(future: asyncio.Future[Any], result: Any) -> None:
    """Give `future` its result, or its exception; nothing when it has one already. On the future's loop."""
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


class Job:
    """A request, the future that its caller awaits, and the way streamed text takes to the loop.

    `cancelled` is a plain flag: it only ever turns from False to True, and the model thread looks at it
    between tokens.
    """

    def __init__(self, request: GenerationRequest, loop: asyncio.AbstractEventLoop, client: str = "") -> None:
        self.request = request
        self.client = client
        self.document = request.document
        self.background = request.background
        self.future: asyncio.Future[Generation] = loop.create_future()
        self.submitted = time.perf_counter()
        self.cancelled = False
        self._loop = loop
        self._latest = ""
        self._delivered = ""
        self._delivery_due = False

    def abandon(self, error: EngineError) -> None:
        """Answer the caller with `error` now, and let the model thread drop the work at its next look."""
        self.cancelled = True
        self.answer(error)

    def answer(self, result: Generation | EngineError) -> None:
        """Answer the caller, from any thread. The first answer counts."""
        post(self._loop, settle, self.future, result)

    def show(self, text: str) -> None:
        """Hand all text so far to `on_text`, from the model thread.

        At most one delivery waits on the loop, and it takes the newest text: a slow loop skips steps
        instead of piling them up.
        """
        if self.request.on_text is None:
            return
        self._latest = text
        if not self._delivery_due:
            self._delivery_due = True
            post(self._loop, self._deliver)

    def _deliver(self) -> None:
        # Cleared before the text is read: a text that comes in between is delivered by the next call.
        self._delivery_due = False
        text = self._latest
        if self.request.on_text is None or self.cancelled or self.future.done() or text == self._delivered:
            return
        self._delivered = text
        try:
            self.request.on_text(text)
        except Exception as error:  # noqa: BLE001  # the caller's own code: the caller hears of it, the loop does not
            failure = EngineError(f"the receiver of the text failed: {named(error)}")
            failure.__cause__ = error
            self.cancelled = True
            settle(self.future, failure)


def named(error: BaseException) -> str:
    """An exception of code that has the user's text in hand, in one line: its type and where it came through. Its
    message may quote that text, and what failed is shown and logged."""
    return f"{type(error).__name__} at {places(error)}"


def describe(error: BaseException) -> str:
    """An exception of code that has no text of the user's, in one line: its type and its message, cut where it gets
    long."""
    message = " ".join(str(error).split())
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}…"
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def model_failure(error: BaseException) -> str:
    """An exception of running a model, in one line. That code has the prompt in hand where it makes tokens of it and
    text of them; but what PyTorch and the system raise speaks of tensors, devices and memory, and helps."""
    return describe(error) if isinstance(error, RuntimeError | MemoryError | OSError) else named(error)
