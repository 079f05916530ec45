"""Whether a text parses, and how balanced it is, by others' means: Python's parser, tree-sitter, Pygments."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass

from pygments.lexers import get_lexer_by_name
from pygments.token import Token

from aix_lsp.languages import language_of
from aix_lsp.syntax import parse

PAIRS = {")": "(", "]": "[", "}": "{"}


def parses(text: str, name: str) -> bool:
    """Whether a file's text is without an error."""
    if name.endswith(".py"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            return False
        return True
    tree = parse(text, language_of(name).grammar or "")
    return tree is not None and not tree.root_node.has_error


@dataclass(frozen=True, slots=True)
class Balance:
    """Brackets of a text as Pygments reads it: pairs, the offsets of those without a partner (quotes too)."""

    pairs: int
    closing: tuple[int, ...]
    opening: tuple[int, ...]
    quotes: tuple[int, ...]

    @property
    def unmatched(self) -> int:
        return len(self.closing) + len(self.opening) + len(self.quotes)


def balance(text: str, name: str) -> Balance:
    """Read a text with Pygments, which knows nothing of this project."""
    lexer = get_lexer_by_name(language_of(name).name, stripnl=False, ensurenl=False)
    opened: list[tuple[str, int]] = []
    closing, opening, quotes, pairs = [], [], [], 0
    for offset, kind, value in lexer.get_tokens_unprocessed(text):
        if kind in Token.Error and value in "\"'`":
            quotes.append(offset)
        if not (kind in Token.Punctuation or kind in Token.Operator):
            continue
        for index, sign in enumerate(value):
            if sign in "([{":
                opened.append((sign, offset + index))
            elif sign in PAIRS:
                depth = next((i for i in range(len(opened) - 1, -1, -1) if opened[i][0] == PAIRS[sign]), None)
                if depth is None:
                    closing.append(offset + index)
                else:
                    opening += [position for _, position in opened[depth + 1 :]]
                    del opened[depth:]
                    pairs += 1
    opening += [position for _, position in opened]
    return Balance(pairs, tuple(closing), tuple(opening), tuple(quotes))
