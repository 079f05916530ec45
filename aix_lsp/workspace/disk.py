"""Asking a disk that may never answer: a share whose server is gone lets every call wait for minutes, and no call can
be given up. So the event loop leaves its questions to a thread, and waits for the answer a moment only.

Threads that wait for a disk are daemons, and none of asyncio's pool: that has a handful, which others need.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

PATIENCE_S: Final = 1.0
"""How long the event loop waits for an answer, once: until the disk answers again it is not asked any more. Long for a
disk, so that a machine that is busy is not taken for one that hangs."""


class Disk:
    """The disk under one folder. Asked by one thread at a time.

    Questions are asked in order on a thread of its own, which begins with the first. One that is not answered in time
    makes it silent: until that answer has come, all are answered by what the asker has said to do without.
    """

    def __init__(self, patience: float | None = None) -> None:
        """`patience` are the seconds that an answer is waited for; None asks here and now, however long it takes."""
        self.is_silent = False
        """Whether an answer is overdue."""
        self.on_silent: Callable[[], None] = lambda: None
        """Called by `ask` when it becomes silent."""
        self.on_answer: Callable[[], None] = lambda: None
        """Called on a thread of the disk's own when it is silent no longer."""
        self._patience = patience
        self.is_closed = False
        """Whether nothing is asked any more."""
        self._questions: SimpleQueue[_Question[Any] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, question: Callable[[], T], otherwise: T) -> T:
        """The answer, or `otherwise` where it does not come in time. Raises what the question raises."""
        if self._patience is None:
            return otherwise if self.is_closed else question()
        if self.is_silent:
            return otherwise
        if self._thread is None:
            self._thread = threading.Thread(target=self._answer, name="aix-disk", daemon=True)
            self._thread.start()
        asked = _Question(question)
        self._questions.put(asked)
        if asked.done.acquire(timeout=self._patience):
            return asked.result()
        self.is_silent = True
        self._questions.put(_Question(self._is_back))  # its turn comes behind the one that waits
        self.on_silent()
        return otherwise

    def close(self) -> None:
        """Let the thread end once it can; every question is answered by what to do without."""
        self.on_silent = self.on_answer = lambda: None
        self.is_silent = self.is_closed = True
        if self._thread is not None:
            self._questions.put(None)

    def _is_back(self) -> None:
        if self.is_closed:
            return
        self.is_silent = False
        self.on_answer()

    def _answer(self) -> None:
        while (asked := self._questions.get()) is not None:
            asked.ask()
            del asked  # what it holds is not kept until the next one comes


class _Question(Generic[T]):
    """One question, and its answer once `done` can be acquired."""

    __slots__ = ("_answer", "_error", "_question", "done")

    def __init__(self, question: Callable[[], T]) -> None:
        self._question = question
        self._answer: T
        self._error: Exception | None = None
        self.done = threading.Lock()
        self.done.acquire()

    def ask(self) -> None:
        try:
            self._answer = self._question()
        except Exception as error:  # noqa: BLE001  # it is the asker's
            self._error = error
        self.done.release()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._answer


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """As `asyncio.to_thread`, on a daemon thread of its own, however long that takes. Whoever is cancelled leaves the
    thread to itself."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(answer: T | None, error: Exception | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(answer)  # type: ignore[arg-type]

    def run() -> None:
        answer, raised = None, None
        try:
            answer = function(*arguments)
        except Exception as error:  # noqa: BLE001  # it is the asker's
            raised = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: the server is going down
            loop.call_soon_threadsafe(settle, answer, raised)

    threading.Thread(target=run, name="aix-disk-look", daemon=True).start()
    return await future
