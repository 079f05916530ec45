"""Text of a generation as it grows, token by token, without ever showing half a character."""

from __future__ import annotations

from aix_lsp.types import Tokenizer

REPLACEMENT = "\ufffd"
"""What a decoder puts where the bytes of a character are not complete (yet)."""

_LONGEST_WAIT = 8
"""Tokens held back at most. A character has at most four bytes, so more than that will never make sense."""


class TextStream:
    """Decodes tokens that arrive one by one.

    Only the last few tokens are decoded again, so the cost of a token does not grow with the text. A
    trailing U+FFFD is held back: it is a character whose last bytes are still to come.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._open: list[int] = []
        self._text = ""

    @property
    def text(self) -> str:
        """All complete characters so far."""
        return self._text

    def push(self, token: int) -> str:
        """Add one token; returns all complete text so far."""
        self._open.append(token)
        tail = self._tokenizer.decode(self._open)
        if not tail.endswith(REPLACEMENT):
            self._text += tail
            self._open.clear()
        elif len(self._open) >= _LONGEST_WAIT:
            # Broken bytes never become a character: give up on them, and show what stands before them.
            self._text += tail.rstrip(REPLACEMENT)
            self._open.clear()
        return self._text
