"""The latest requests with all that became of them, so that a user can see why. In memory only.

A record keeps the lines around the cursor and never a document: fifty requests in a file of 500 KB are fifty versions
of its text. Snippets, prompt and answer are kept whole. `trace_data.py` is the same as plain data.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from aix_lsp.logs import request_id
from aix_lsp.text import line_start, with_line_feeds
from aix_lsp.types import CompletionRequest, CompletionResult, Span, TriggerKind
from aix_lsp.workspace.secrets import contains_secret

LINES_BEFORE = 6
LINES_AFTER = 3
_LONGEST_LINE = 200
_LONGEST_SELECTION = 400
WITHHELD = "(withheld: it holds what looks like a key or a password)"
"""What stands in place of a text that holds a secret."""
_MOST_CHARACTERS = 1 << 24
"""Of all records together: with long prompts fewer requests are remembered than the settings say."""

_TAKEN = ("typed through", "partly accepted", "accepted")
_LASTING = ("", "shown", *_TAKEN)
"""What may become of an offer; a word takes the place of those before it. Others ("dismissed") count as "shown"."""


@dataclass(frozen=True, slots=True)
class Place:
    """Lines and columns (characters) from 1, as an editor shows them."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Traced:
    """One request and what came of it.

    `number` counts from 1; `time` is seconds since the epoch, of the answer. `before` and `after` are the text right
    before and after the cursor, a few lines of it. `result` has no token ids: `prompt_tokens` counts them. `starts` is
    where each item begins to replace (it ends at the cursor), and `outcomes` what became of it, as far as is known.
    `request_id` is what the log calls it.
    """

    number: int
    time: float
    file: str
    language: str
    place: Place
    trigger: TriggerKind
    selected: str
    before: str
    after: str
    result: CompletionResult
    prompt_tokens: int = 0
    starts: tuple[Place, ...] = ()
    outcomes: tuple[str, ...] = ()
    request_id: str = ""

    @property
    def spans(self) -> tuple[Span, ...]:
        """The stages in time; where the service has not told them, from its four timings."""
        if self.result.spans:
            return self.result.spans
        times = self.result.timings
        begun = max(times.first_token, times.retrieval + times.prompt)
        stages = (
            ("retrieval", 0.0, times.retrieval),
            ("prompt", times.retrieval, times.retrieval + times.prompt),
            ("first token", times.retrieval + times.prompt, begun),
            ("decode", begun, times.total),
        )
        return tuple(Span(name, start, end) for name, start, end in stages if end > start)

    @property
    def outcome(self) -> str:
        """What became of the offer: that of the item of which most is known; empty without an offer or a word of it."""
        return max(self.outcomes, key=_rank, default="")

    @property
    def is_taken(self) -> bool:
        """Whether the user took the offer, or a part of it."""
        return bool(self.taken)

    @property
    def taken(self) -> frozenset[str]:
        """Ids of the items that the user took, or took a part of."""
        items = zip(self.result.items, self.outcomes, strict=True)
        return frozenset(item.id for item, what in items if what in _TAKEN)

    @property
    def shown(self) -> tuple[str, str, str]:
        """What the editor showed: the text before, the offer (empty without one), and the text after the cursor."""
        if not self.result.items:
            return self.before, "", self.after
        start = self.starts[0]
        typed = self.place.column - start.column if start.line == self.place.line else 0
        return self.before[: len(self.before) - typed], self.result.items[0].text, self.after

    @property
    def characters(self) -> int:
        """What the record takes, by its long texts."""
        result = self.result
        prompt = len(result.prompt.text) if result.prompt is not None else 0
        texts = (*(item.text for item in result.items), *(snippet.text for snippet in result.snippets), result.raw)
        return prompt + sum(map(len, texts)) + len(self.before) + len(self.after)


class TraceLog:
    """The last so many requests of one server, oldest first."""

    def __init__(self, capacity: int) -> None:
        """`capacity` 0 remembers nothing."""
        self._capacity = max(capacity, 0)
        self._kept: deque[Traced] = deque()
        self._characters = 0
        self._number = 0
        self.listeners: set[Callable[[Traced], None]] = set()
        """Called with each new record."""

    def resize(self, capacity: int) -> None:
        """From now on remember so many; what is too much is forgotten at once."""
        self._capacity = max(capacity, 0)
        self._forget()

    def note(self, request: CompletionRequest, result: CompletionResult, *, private: bool = False) -> None:
        """Remember one more; of a `private` document no text, see `record`."""
        self._number += 1
        if not self._capacity:
            return
        traced = record(self._number, time.time(), request, result, private=private)
        self._kept.append(traced)
        self._characters += traced.characters
        self._forget()
        for listener in tuple(self.listeners):
            listener(traced)

    def outcome(self, item_id: str, what: str) -> None:
        """An offer was shown, typed through, or accepted. It may be in several records: it is answered again while
        somebody types into it."""
        what = what.replace("_", " ")
        for index, traced in enumerate(self._kept):
            outcomes = tuple(
                what if item.id == item_id and _rank(what) >= _rank(known) else known
                for item, known in zip(traced.result.items, traced.outcomes, strict=True)
            )
            if outcomes != traced.outcomes:
                self._kept[index] = replace(traced, outcomes=outcomes)

    def _forget(self) -> None:
        while self._kept and (len(self._kept) > self._capacity or self._characters > _MOST_CHARACTERS):
            self._characters -= self._kept.popleft().characters

    @property
    def capacity(self) -> int:
        """How many are remembered at most."""
        return self._capacity

    @property
    def asked(self) -> int:
        """How many requests there were, remembered or not."""
        return self._number

    @property
    def latest(self) -> Traced | None:
        """The latest one; None when nothing is remembered."""
        return self._kept[-1] if self._kept else None

    def find(self, number: int) -> Traced | None:
        """The request of this number; None where it is forgotten or never was."""
        return next((traced for traced in self._kept if traced.number == number), None)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Traced]:
        return iter(tuple(self._kept))


def record(
    number: int, when: float, request: CompletionRequest, result: CompletionResult, *, private: bool = False
) -> Traced:
    """What is kept of a request and its answer. A `private` document holds secrets: of its text nothing is kept. Nor is
    what a model wrote that looks like one."""
    text, offset = request.document.text, min(max(request.offset, 0), len(request.document.text))
    prompt = result.prompt
    place = _place(text, offset)
    # Ids take several times the room of the text, and what a prompt had no room for may be a whole file.
    slim = replace(result, prompt=replace(prompt, ids=(), elsewhere=())) if prompt is not None else result
    if result.raw and contains_secret(result.raw):
        slim = replace(slim, raw=WITHHELD)
    before = _last_lines(text[max(0, offset - LINES_BEFORE * _LONGEST_LINE) : offset])
    after = _first_lines(text[offset : offset + LINES_AFTER * _LONGEST_LINE])
    selected = request.selected[1][:_LONGEST_SELECTION] if request.selected is not None else ""
    return Traced(
        number=number,
        time=when,
        file=request.document.name,
        language=request.document.language_id,
        place=place,
        trigger=request.trigger,
        selected="" if private else selected,
        before=WITHHELD if private else before,
        after="" if private else after,
        result=slim,
        prompt_tokens=len(prompt.ids) if prompt is not None else 0,
        starts=tuple(place if item.start == offset else _place(text, item.start) for item in result.items),
        outcomes=("",) * len(result.items),
        request_id=request_id.get(),
    )


def _rank(what: str) -> int:
    return _LASTING.index(what) if what in _LASTING else 1


def _place(text: str, offset: int) -> Place:
    """Counted in the text itself: to split a long document anew for every request would cost milliseconds."""
    carriage_returns = text.count("\r", 0, offset)
    if carriage_returns:
        carriage_returns -= text.count("\r\n", 0, offset)
    begin = line_start(text, offset)
    return Place(text.count("\n", 0, offset) + carriage_returns + 1, offset - begin + 1)


def _last_lines(text: str) -> str:
    return "".join(_lines(text)[-LINES_BEFORE:])


def _first_lines(text: str) -> str:
    return "".join(_lines(text)[: LINES_AFTER + 1])


def _lines(text: str) -> list[str]:
    """Lines with their ends, all of them line feeds; the last one has none."""
    *whole, last = with_line_feeds(text).split("\n")
    return [*(f"{line}\n" for line in whole), last]
