"""How an answer ends by a benchmark's own rule: while it is written (`stop`), and once it is there (`cut`).

The rules are those of the papers, which have their quirks; scores are comparable only where these are kept.

| rule | an answer is | from |
| --- | --- | --- |
| `line` | its first line | Ben Allal et al. 2023 (SantaCoder), after Fried et al. 2022 |
| `statement` | its first statement, as CrossCodeEval's evaluation code finds it | Ding et al. 2023 |
| `function` | what stands before the first stop word | Chen et al. 2021; Cassano et al. 2022 give words per problem |
| `brackets` | what stands before the bracket that closes what was open around it | |
| `end` | all of it | |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from aix_lsp.completion.fitting_scan import OPENING, scan
from aix_lsp.evaluation.benchmark import Sample
from aix_lsp.languages import language_of
from aix_lsp.syntax import parse

HUMANEVAL_STOP: Final = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""What ends a Python function in Chen et al. 2021, section 2.2."""

STOP_TOKENS: Final = "stop_tokens"
"""Where a sample's `extra` has stop words of its own, in MultiPL-E's name for them."""

_LINE_BREAK = re.compile(r"[\r\n]")
_STATEMENT_SIGN = re.compile(r"[;{}]")


class Rule(Protocol):
    """Both are pure functions of the text so far: what `stop` ends, `cut` leaves as it would cut a longer one."""

    def stop(self, so_far: str) -> bool:
        """Whether nothing that comes can change what `cut` leaves."""
        ...

    def cut(self, text: str) -> str:
        """What of an answer counts."""
        ...


def rule_for(sample: Sample) -> Rule:
    """The rule of a sample, with what it needs of it. Raises ValueError for a rule that nobody knows."""
    if sample.stop == "line":
        return FirstLine()
    if sample.stop == "statement":
        return PythonStatement(sample.before) if sample.language == "python" else BracketStatement()
    if sample.stop == "function":
        words = _stop_tokens(sample)
        if words or sample.language == "python":
            return StopWords(words or HUMANEVAL_STOP)
        return Brackets(language_of("", sample.language).grammar)
    if sample.stop == "brackets":
        return Brackets(language_of("", sample.language).grammar)
    if sample.stop == "end":
        return End()
    raise ValueError(f"{sample.id}: there is no stop rule {sample.stop!r}")


def _stop_tokens(sample: Sample) -> tuple[str, ...]:
    words = sample.extra.get(STOP_TOKENS) or ()
    if isinstance(words, str) or not all(isinstance(word, str) and word for word in words):
        raise ValueError(f"{sample.id}: {STOP_TOKENS} is no list of texts")
    return tuple(words)


@dataclass(frozen=True, slots=True)
class End:
    """The model's own end, or the most tokens."""

    def stop(self, so_far: str) -> bool:
        """See `Rule.stop`."""
        return False

    def cut(self, text: str) -> str:
        """See `Rule.cut`."""
        return text


@dataclass(frozen=True, slots=True)
class FirstLine:
    """The text before the first line break. An answer that begins with one is empty: a place that asks for a line has
    the line's beginning before it."""

    def stop(self, so_far: str) -> bool:
        """See `Rule.stop`."""
        return _LINE_BREAK.search(so_far) is not None

    def cut(self, text: str) -> str:
        """See `Rule.cut`."""
        return _LINE_BREAK.split(text, maxsplit=1)[0]


@dataclass(frozen=True, slots=True)
class StopWords:
    """The text before the first of some words."""

    words: Sequence[str]

    def stop(self, so_far: str) -> bool:
        """See `Rule.stop`."""
        return any(word in so_far for word in self.words)

    def cut(self, text: str) -> str:
        """See `Rule.cut`."""
        return text[: min((place for word in self.words if (place := text.find(word)) >= 0), default=len(text))]


@dataclass(frozen=True, slots=True)
class BracketStatement:
    """CrossCodeEval's statement of Java, C# and TypeScript: up to the first `;`, `{` or `}`, that sign included, also
    inside of strings. Where that sign is the very first character nothing is cut off, as in the paper's code."""

    def stop(self, so_far: str) -> bool:
        """See `Rule.stop`."""
        found = _STATEMENT_SIGN.search(so_far)
        return found is not None and found.start() > 0

    def cut(self, text: str) -> str:
        """See `Rule.cut`."""
        found = _STATEMENT_SIGN.search(text)
        return text[: found.end()] if found is not None and found.start() > 0 else text


@dataclass(frozen=True, slots=True)
class PythonStatement:
    """CrossCodeEval's statement of Python: up to the first line break before which the file so far has no syntax error,
    as tree-sitter sees it, without the blanks at its end. Where there is none, as in a file that has an error before
    the place, nothing is cut off."""

    before: str

    def stop(self, so_far: str) -> bool:
        """See `Rule.stop`."""
        return self._end(so_far) is not None

    def cut(self, text: str) -> str:
        """See `Rule.cut`."""
        end = self._end(text)
        return text if end is None else text[:end].rstrip()

    def _end(self, text: str) -> int | None:
        """The first line break that ends a statement. One at the very beginning ends nothing: there has to be something
        before it."""
        place = text.find("\n", 1)
        while place > 0:
            if _is_valid(self.before + text[:place]):
                return place
            place = text.find("\n", place + 1)
        return None


@lru_cache(maxsize=64)
def _is_valid(code: str) -> bool:
    """Whether tree-sitter reads Python code without an error. What it had to add is none, as in the paper's code.

    Kept for a while: the same line breaks are looked at again with every token.
    """
    tree = parse(code, "python")
    if tree is None:
        return False
    nodes = [tree.root_node]
    while nodes:
        node = nodes.pop()
        if node.type == "ERROR":
            return False
        if node.has_error:
            nodes.extend(node.children)
    return True


@dataclass(frozen=True, slots=True)
class Brackets:
    """The text before the first bracket that closes none of its own, outside of strings and comments."""

    grammar: str | None

    def stop(self, so_far: str) -> bool:
        """See `Rule.stop`."""
        return self._end(so_far) is not None

    def cut(self, text: str) -> str:
        """See `Rule.cut`."""
        return text[: self._end(text)]

    def _end(self, text: str) -> int | None:
        if not any(bracket in text for bracket in OPENING):
            return None
        for step in scan(text, self.grammar, steps=True).steps:
            if not step.opens and not step.stack and text[step.position] in OPENING:
                return step.position
        return None
