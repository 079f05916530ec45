"""Where a text can be cut so that what is left is whole: behind a word, with no bracket or quote open that it opened.

By signs alone, in every language: a part of an offer has no tree of its own, and a wrong guess only makes it shorter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from aix_lsp.completion.policy import opens_block
from aix_lsp.text import LINE_BREAK

_CLOSING: Final = frozenset(")]}")
_OPENING: Final = frozenset("([{")
_QUOTES: Final = frozenset("\"'`")
_ENDS_OPEN: Final = (":", ",", "\\")
_MOST_BEFORE: Final = 4_000
"""Characters of a line that are read sign by sign: data and packed code have lines of 100,000 and more."""

_WORD_AT_END = re.compile(r"\w+\Z")

_WANT_MORE: Final = frozenset(
    {
        *("and", "as", "async", "await", "class", "const", "def", "del", "elif", "else", "except", "extends", "fn"),
        *("for", "from", "func", "function", "if", "import", "in", "instanceof", "is", "lambda", "let", "new", "not"),
        *("of", "or", "raise", "return", "throw", "typeof", "var", "while", "with", "yield"),
    }
)
"""Words behind which more must come, so that nothing ends with one."""


def cuts(line: str, before: str) -> list[int]:
    """Where a line can end early, longest part first: behind a word, a closing bracket or a closing quote. `before` is
    what stands before it on its line; a string that is open there may be cut between words."""
    found: list[int] = []
    opened_before = _quote_at_end(before)
    own = False
    for position, (depth, quote) in enumerate(_states(line, opened_before)):
        own = own or quote != opened_before
        left = line[:position]
        if position and not depth and (not quote or not own) and _is_boundary(line, position) and _ends_whole(left):
            found.append(position)
    return found[::-1]


def is_closed(text: str, before: str) -> bool:
    """Whether a block may end with these lines: nothing is open that they opened, and the last is no header. `before`
    is what stands before them on their first line."""
    last = LINE_BREAK.split(text)[-1].rstrip()
    if not last or opens_block(last) or last.endswith(_ENDS_OPEN):
        return False
    *_, (depth, quote) = _states(text, _quote_at_end(before))
    return not depth and not quote


def _states(text: str, quote: str = "") -> Iterator[tuple[int, str]]:
    """At each offset, the end included: how many brackets of the text's own are open, and which quote."""
    depth = skip = 0
    then = quote  # what is open behind the signs that are skipped
    for position, character in enumerate(text):
        yield depth, quote
        if skip:
            skip -= 1
            quote = quote if skip else then
        elif character == "\\":
            skip, then = 1, quote
        elif quote:
            if text.startswith(quote, position):
                skip, then = len(quote) - 1, ""
                quote = quote if skip else then
            elif character in "\r\n" and len(quote) == 1 and quote != "`":
                quote = ""  # it was none, an apostrophe in a comment
        elif character in _QUOTES:
            quote = character * 3 if text.startswith(character * 3, position) and character != "`" else character
            skip, then = len(quote) - 1, quote
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth = max(depth - 1, 0)  # one that was open before
    yield depth, quote


def _quote_at_end(before: str) -> str:
    """Which quote is open at the end of what stands on a line, as far as its end tells."""
    *_, (_, quote) = _states(before[-_MOST_BEFORE:])
    return quote


def _is_boundary(line: str, position: int) -> bool:
    return position == len(line) or not (_is_word(line[position - 1]) and _is_word(line[position]))


def _ends_whole(part: str) -> bool:
    if part[-1] in _CLOSING or part[-1] in _QUOTES:
        return True
    word = _WORD_AT_END.search(part)
    return word is not None and word.group() not in _WANT_MORE


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
