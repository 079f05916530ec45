"""Short prompts by which a server shows how it reads: indentation, empty lines, tabs, markers next to both."""

from __future__ import annotations

import re
from typing import Final

from aix_lsp.engine.tokenizer import ModelTokenizer

COUNTED: Final = (
    "x = 1\n",
    "def f(a):\n    return a\n",
    "class Point:\n\n    def __init__(self, x, y):\n        self.x = x\n",
    "if a:\n\tb()\n\n\n\tc(  1)\n",
    "for name in names:\n    print(f'{name!r}: {len(name)}')  # done\n",
)
"""Texts whose tokens are counted. Each begins with a letter, where no server's own space makes a second token."""

REPEATING: Final = "x = x = x = x = x = x ="
"""Any language model goes on with a space and the first letter."""

_CODE = ("def f(a):\n    ", "\n    return a\n\n\n\tb(  1)\n", "    x = 1\n")
_PARTS_OF_INFILLING = re.compile(r"(?i)fim|span|<(?:pre|suf|mid)>")
_BLANKS = re.compile(r"[\s\u2581]+")
_BEGINNINGS = ("<s>", "<bos>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>")


def probe_prompts(tokenizer: ModelTokenizer) -> list[list[int]]:
    """Prompts of the shapes that are sent later: markers around code and right behind one another, and none at all
    before an indented line."""
    begin = tokenizer.special(*_BEGINNINGS)
    front = [] if begin is None else [begin]
    prefix, suffix, indented = (tokenizer.encode(part) for part in _CODE)
    markers = [token for token, piece in sorted(tokenizer.special_pieces.items()) if _PARTS_OF_INFILLING.search(piece)]
    if not markers:
        return [front + indented]
    first, *rest = markers[:4]
    around = [*front, first, *prefix]
    for marker in rest:
        around += [marker, *suffix]
    return [around, [*front, *markers[:4], *prefix], front + indented]


def plain(tokenizer: ModelTokenizer) -> list[int]:
    """Ids of code alone, behind an ordinary letter so that no space is put in front or taken away."""
    return tokenizer.encode("x" + "".join(_CODE))


def without_blanks(text: str) -> str:
    """A text by which vocabularies are compared where libraries differ in the blanks around special tokens."""
    return _BLANKS.sub("", text)


def same_spaces(one: str, other: str) -> bool:
    """Whether two texts are the same, a space in front aside."""
    return one.removeprefix(" ") == other.removeprefix(" ")
