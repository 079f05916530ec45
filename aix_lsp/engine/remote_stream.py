"""Server-sent events, byte by byte, and what an OpenAI-compatible server says in them.

The format is the one of the HTML standard (section 9.2, "Server-sent events"): lines end in CR LF, LF or CR, `data`
lines of one event are joined by LF, an empty line ends the event. Nothing else ends a line: JSON may hold U+2028 as it
is, at which Python's `splitlines` would cut.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_LONGEST_EVENT = 4_000_000
_LINE_END = re.compile("[\r\n]")
DONE = "[DONE]"
"""What ends an OpenAI stream; not every server sends it."""


class StreamError(ValueError):
    """The stream is no stream of completions. The message says what it is, in words of our own."""


class EventDecoder:
    """Turns bytes, cut anywhere, into the data of events."""

    def __init__(self) -> None:
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._line: list[str] = []
        self._data: list[str] = []
        self._size = 0
        self._after_return = False

    def feed(self, content: bytes) -> Iterator[str]:
        """The events that end in `content`. Raises StreamError for one that does not end at all."""
        text = self._characters.decode(content)
        start = 0
        for found in _LINE_END.finditer(text):
            position, character = found.start(), found.group()
            # The LF of a CR LF ends no line of its own.
            if not (character == "\n" and self._after_return and position == start):
                yield from self._end_line(text[start:position])
            start = position + 1
            self._after_return = character == "\r"
        if start < len(text):
            self._after_return = False
            self._keep(text[start:])

    def _keep(self, part: str) -> None:
        self._line.append(part)
        self._size += len(part)
        if self._size > _LONGEST_EVENT:
            raise StreamError("an event without an end")

    def _end_line(self, rest: str) -> Iterator[str]:
        self._keep(rest)
        line = "".join(self._line)
        self._line.clear()
        if not line:
            if self._data:
                yield "\n".join(self._data)
            self._data.clear()
            self._size = 0
            return
        field, _, value = line.removeprefix("\ufeff").partition(":")
        if field == "data":
            self._data.append(value.removeprefix(" "))


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one candidate: text, its tokens where the server tells them, and why the candidate ended, if it did.

    `scores` are the logarithms of the tokens' probabilities with the texts that the server has for the tokens; empty
    where it tells none.
    """

    index: int
    text: str
    tokens: tuple[int, ...] | None = None
    finish: str = ""
    scores: tuple[tuple[str, float], ...] = ()


def pieces_of(data: str) -> list[Piece]:
    """What one event of a stream, or a whole answer, holds. Raises StreamError."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise StreamError("text that is no JSON") from None
    return pieces_in(content)


def pieces_in(content: Any) -> list[Piece]:
    """The candidates' parts in a decoded event or answer. Raises StreamError."""
    if not isinstance(content, dict):
        raise StreamError("JSON of another shape")
    if content.get("error"):
        raise StreamError("an error of its own")
    choices = content.get("choices")
    if not isinstance(choices, list):
        raise StreamError("JSON of another shape")
    return [_piece(choice) for choice in choices]


def _piece(choice: Any) -> Piece:
    if not isinstance(choice, dict):
        raise StreamError("JSON of another shape")
    index, text, finish = choice.get("index", 0), choice.get("text", ""), choice.get("finish_reason")
    tokens = choice.get("token_ids")
    whole = isinstance(tokens, list) and all(isinstance(token, int) and token >= 0 for token in tokens)
    if not isinstance(index, int) or not isinstance(text, str | None):
        raise StreamError("JSON of another shape")
    ids = tuple(tokens) if whole else None  # type: ignore[arg-type]
    return Piece(index, text or "", ids, str(finish or ""), _scores(choice.get("logprobs")))


def _scores(found: Any) -> tuple[tuple[str, float], ...]:
    """What a choice has under `logprobs`, in the form of OpenAI's completions, which is vLLM's (`tokens`,
    `token_logprobs`), or in that of its chats, which is llama.cpp's (`content`). Anything else counts as nothing: an
    answer is none the worse for it."""
    if not isinstance(found, dict):
        return ()
    texts, scores = found.get("tokens"), found.get("token_logprobs")
    if isinstance(found.get("content"), list):
        entries = [entry if isinstance(entry, dict) else {} for entry in found["content"]]
        texts, scores = [entry.get("token") for entry in entries], [entry.get("logprob") for entry in entries]
    if not isinstance(texts, list) or not isinstance(scores, list) or len(texts) != len(scores):
        return ()
    try:
        if not all(isinstance(score, int | float) and not math.isnan(score) for score in scores):
            return ()
        return tuple((str(text), min(float(score), 0.0)) for text, score in zip(texts, scores, strict=True))
    except OverflowError:  # JSON knows integers that no float can hold
        return ()
