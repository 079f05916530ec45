"""Working ahead: while an offer is shown and nothing else is asked, what accepting it would ask for next is answered.

The answer is kept, so that the request that follows an accept has it at once. At the end of a finished line the model
mostly has nothing to add, and the next key is Enter: then the line below is worked out. Whatever else is asked ends
this at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

from aix_lsp.completion.in_flight import TextNow
from aix_lsp.completion.offer import Entry
from aix_lsp.completion.place import line_break_of, surroundings
from aix_lsp.completion.policy import opens_block
from aix_lsp.engine.base import EngineError
from aix_lsp.settings import Settings
from aix_lsp.types import CompletionItem, CompletionRequest

IDLE_SECONDS = 0.15
"""How long nothing must be asked before the model is put to work: somebody who types on asks sooner."""

Prepared = Literal["offer", "nothing to add", "nothing to know"]
"""What working ahead for one place came to; `nothing to know`: no request would be answered there, or nothing is to be
kept."""

Prepare = Callable[[CompletionRequest, Entry, Settings], Awaitable[Prepared]]
"""Works out the answer to a request that nobody has made, with the snippets of an entry, and keeps it. Raises
EngineError."""

_INDENTATION = re.compile(r"[ \t]*")
_LEAVES_BLOCK = re.compile(r"\s*(return|pass|raise|break|continue)\b")
_NEAR = 20_000


class NextRequest:
    """At most one request that nobody has made yet. Lives on the event loop."""

    def __init__(self, prepare: Prepare, idle_seconds: float = IDLE_SECONDS) -> None:
        self._prepare = prepare
        self._idle_seconds = idle_seconds
        self._task: asyncio.Task[None] | None = None
        self._uri = ""

    def drop(self, uri: str | None = None) -> None:
        """Something else is asked, or this document was closed: the model is free again within one token."""
        if self._task is not None and uri in (None, self._uri):
            self._task.cancel()
            self._task = None

    def prepare(
        self,
        request: CompletionRequest,
        item: CompletionItem,
        shown: Entry,
        settings: Settings,
        text_now: TextNow | None = None,
        *,
        below: bool = True,
    ) -> None:
        """Soon work out what comes after accepting `item`, the offer of `shown` for `request`; and the line `below`
        where that is nothing. Not if `text_now` tells then that something else was typed: not every editor asks at each
        key."""
        self.drop()
        self._uri = request.document.uri
        self._task = asyncio.ensure_future(self._run(request, item, shown, settings, text_now, below))

    async def _run(
        self,
        request: CompletionRequest,
        item: CompletionItem,
        shown: Entry,
        settings: Settings,
        text_now: TextNow | None,
        below: bool,
    ) -> None:
        await asyncio.sleep(self._idle_seconds)
        if text_now is not None and not may_be_accepted(request, item, text_now()):
            return
        after = accepted(request, item)
        try:
            found = await self._prepare(after, shown, settings)
            if found == "nothing to add" and below and (line := line_below(after)) is not None:
                await self._prepare(line, shown, settings)
        except EngineError:
            return  # another request came, or the real one will say what is wrong


def accepted(request: CompletionRequest, item: CompletionItem) -> CompletionRequest:
    """What an editor asks by itself once an offer is accepted."""
    document = request.document
    text = document.text[: item.start] + item.text + document.text[item.end :]
    return CompletionRequest(replace(document, text=text), item.start + len(item.text))


def may_be_accepted(request: CompletionRequest, item: CompletionItem, now: str | None) -> bool:
    """Whether an offer is still shown, typed into or accepted where the document's text is `now`; None: it is
    closed."""
    text = request.document.text
    if now is None or now == text:
        return now is not None
    typed = len(now) - len(text) + item.end
    if typed < item.start or not (now.startswith(text[: item.start]) and now.endswith(text[item.end :])):
        return False
    return item.text.startswith(now[item.start : typed])


def line_below(request: CompletionRequest) -> CompletionRequest | None:
    """What an editor asks by itself once Enter is pressed; None where the cursor is not at the end of a line with
    text. Editors indent as the line above, one level deeper below the header of a block, and in Python one less deep
    behind a statement that leaves one."""
    document, offset = request.document, request.offset
    around = surroundings(document.text, offset)
    if around.after.strip() or not around.before.strip():
        return None
    match = _INDENTATION.match(around.before)
    indentation = match.group() if match else ""
    unit = indentation_unit(document.text[max(offset - _NEAR, 0) : offset + _NEAR])
    if opens_block(around.before):
        indentation += unit
    elif document.language_id == "python" and _LEAVES_BLOCK.match(around.before):
        indentation = indentation.removesuffix(unit)
    added = line_break_of(document.text) + indentation
    text = document.text[:offset] + added + document.text[offset:]
    return replace(request, document=replace(document, text=text), offset=offset + len(added))


def indentation_unit(text: str) -> str:
    """One level of indentation as a text has it: a tab, or the fewest spaces (from two on) before any line; four where
    nothing is indented."""
    widths = []
    for line in text.splitlines():
        match = _INDENTATION.match(line)
        space = match.group() if match else ""
        if space.startswith("\t"):
            return "\t"
        if len(space) >= 2 and len(space) < len(line):
            widths.append(len(space))
    return " " * min(widths, default=4)
