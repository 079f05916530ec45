"""Whether the text of a document holds a secret, followed from key to key.

Looking through 500 KB takes some 30 ms. Between two versions little changes, and a secret does not reach far: from the
text that was there before only the lines around the change are looked through again.
"""

from __future__ import annotations

from aix_lsp.alike import common_end, common_start
from aix_lsp.workspace.secrets import secret_span

_REACH = 400
"""So far apart may the parts of a secret be: a name of 80 characters before a value of 200, and what lies between."""

_LONGEST_LINE = 4096


class SecretFinder:
    """Judges the versions of one text. The first takes long where the text is long, the next ones hardly any time."""

    __slots__ = ("_span", "_text")

    def __init__(self) -> None:
        self._text: str | None = None
        self._span: tuple[int, int] | None = None

    def holds(self, text: str) -> bool:
        """Whether there is a secret in this version of the text: what `contains_secret` says."""
        if self._text is None:
            self._span = secret_span(text)
        elif text is not self._text and text != self._text:
            self._span = self._after_change(self._text, text)
        self._text = text
        return self._span is not None

    @property
    def line(self) -> int:
        """The line that the secret of the latest version begins on, the first being 1; 0 without one."""
        return 0 if self._text is None or self._span is None else self._text.count("\n", 0, self._span[0]) + 1

    def _after_change(self, before: str, text: str) -> tuple[int, int] | None:
        start = common_start(before, text)
        tail = common_end(before, text, start)
        if self._span is None:
            window = _around(text, start, len(text) - tail)
            # a window may cut a word in two and so make a key of its half: the whole text decides
            return secret_span(text) if secret_span(text[slice(*window)]) else None
        low, high = self._span
        if low >= len(before) - tail:
            low, high = low + len(text) - len(before), high + len(text) - len(before)
        elif high > start:
            return secret_span(text)
        low, high = _around(text, low, high)
        found = secret_span(text[low:high])
        return secret_span(text) if found is None else (low + found[0], low + found[1])


def _around(text: str, start: int, end: int) -> tuple[int, int]:
    """The lines on which a secret may stand that holds something of text[start:end]."""
    low, high = max(0, start - _REACH), min(len(text), end + _REACH)
    left = text.rfind("\n", max(0, low - _LONGEST_LINE), low) + 1
    right = text.find("\n", high, high + _LONGEST_LINE)
    return left or max(0, low - _LONGEST_LINE), right if right >= 0 else min(len(text), high + _LONGEST_LINE)
