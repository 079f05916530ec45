"""What is said and done when a folder's disk does not answer for long, and when it does again. On the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aix_lsp.completion.folder import Folder

logger = logging.getLogger(__name__)

TELL_SECONDS = 5.0
"""For so long a disk may leave a question open before the user hears of it."""


class Silences:
    """Follows the disks of folders. `on_state` as `WorkspaceContext` has it; `answers(folder, missed)` is called when
    an answer that was overdue has come; `missed`: changes may have gone by."""

    def __init__(self, on_state: Callable[[Path, str], None], answers: Callable[[Folder, bool], None]) -> None:
        self._on_state = on_state
        self._answers = answers

    def listen_to(self, folder: Folder) -> None:
        """Follow a folder's disk until it is closed."""

        def silent() -> None:
            loop = asyncio.get_running_loop()
            logger.info("a folder's disk does not answer")
            telling = loop.call_later(TELL_SECONDS, self._tell, folder)

            def answers() -> None:
                telling.cancel()
                self._has_answered(folder)

            def from_thread() -> None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: the server is going down
                    loop.call_soon_threadsafe(answers)

            folder.disk.on_answer = from_thread

        folder.disk.on_silent = silent

    async def told_of(self, folder: Folder, answer: Awaitable[bool]) -> bool:
        """Wait for an answer of the folder's disk; the user hears of it where that takes long."""
        telling = asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell, folder)
        try:
            answered = await answer
        except asyncio.CancelledError:
            folder.silent = False  # who looks at it anew tells of it anew
            raise
        finally:
            telling.cancel()
        self._has_answered(folder)
        return answered

    def _tell(self, folder: Folder) -> None:
        if not folder.silent and not folder.disk.is_closed:
            folder.silent = True
            self._on_state(folder.path, "silent")

    def _has_answered(self, folder: Folder) -> None:
        was_silent, was_missed = folder.silent, folder.missed
        folder.silent = folder.missed = False
        if was_silent and not folder.disk.is_closed:
            self._on_state(folder.path, "answers")
        self._answers(folder, was_silent or was_missed)
