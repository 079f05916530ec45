"""What the prompt had no room for, as tokens: not for the model, but for what copies from the text around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from aix_lsp.types import Snippet, Tokenizer

MOST_TOKENS = 6000
"""Of the document on each side of what the prompt has."""

_LONGEST_LINE = 1024  # characters: a longer line is data, and would not be found encoded already


def left_out(
    tokenizer: Tokenizer, before: str, after: str, snippets: Sequence[Snippet] = ()
) -> tuple[tuple[int, ...], ...]:
    """Ids of snippets, of the end of `before` and of the beginning of `after`, as far as there are any.

    Line by line, since most lines were encoded for an earlier prompt and are remembered; where a tokenizer has pieces
    that go over a line's end, those are missed.
    """
    segments = [tokenizer.encode(snippet.text) for snippet in snippets]
    segments.append(_encoded(tokenizer, _lines(after)))
    segments.append(_encoded(tokenizer, reversed(list(_lines(before))), backwards=True))
    return tuple(tuple(segment) for segment in segments if segment)


def _encoded(tokenizer: Tokenizer, lines: Iterable[str], *, backwards: bool = False) -> list[int]:
    """Ids of as many of the lines as there is room for, in the order of the text."""
    found: list[list[int]] = []
    room = MOST_TOKENS
    for line in lines:
        ids = tokenizer.encode(line[:_LONGEST_LINE])
        room -= len(ids)
        if room < 0:
            break
        found.append(ids)
    return [token for ids in (reversed(found) if backwards else found) for token in ids]


def _lines(text: str) -> Iterator[str]:
    """Lines with their ends; what stands behind the last end too."""
    start = 0
    while (end := text.find("\n", start) + 1) > 0:
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]
