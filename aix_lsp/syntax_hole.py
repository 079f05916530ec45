"""What tree-sitter says about a text in its place: put between what stands before and after the cursor, is it whole?

The text before the cursor leaves brackets open. Those that the text after the cursor closes are the document's
business; those that nothing closes are `missing`, and a text may close them itself. For parsing they are closed, so
that a whole text gives a tree without errors of its own:

    prefix | text | closers still missing | the suffix as far as it closes brackets | closers for what is left

The tree of all but the text is made once, from that of the document as it was at the last request. Each look inserts
the text into a copy of it and parses again, which reuses what did not change (Wagner 1998, "Practical Algorithms for
Incremental Software Development Environments"). A look is so a pure function of the text: nothing that was looked at
before changes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from . import syntax_edits as edits
from . import syntax_queries as tables
from .syntax_python import let_pass
from .syntax_tree import encode, grammar_of
from .text import LINE_BREAK, line_start

if TYPE_CHECKING:
    from tree_sitter import Tree

_LONE_RETURN = re.compile(r"\r(?!\n)")
_LINE_END = re.compile(r"\r\n|\n|\r|\Z")
_TOP_LEVEL = re.compile(r"(?:(?<=\n\n)|(?<=\r\n\r\n)|(?<=\r\r))\w")
_PREFIX_CHARACTERS = 60_000
_SUFFIX_CHARACTERS = 4_000
_BODY_DEPTH = 3
_LOOKS = 256


@dataclass(frozen=True, slots=True)
class Look:
    """A text in its place.

    `fits`: the document has no more errors than with an empty hole, and none at the text. `whole`: it fits, and waits
    for nothing, as a header does for its body. `lost`: nothing that follows can make it whole. `open_brackets`: how
    many it leaves open. `closers`: where, in the text, brackets stand that it did not open. `compound`: the last thing
    in it is a statement or a definition with a body. `code`: it is not only comments.
    """

    fits: bool
    whole: bool
    lost: bool
    open_brackets: int
    closers: tuple[int, ...]
    compound: bool
    code: bool


@dataclass(frozen=True, slots=True)
class Bracket:
    """An opening bracket before the cursor: its characters, columns of white space before its line, and whether
    only white space parts it from the cursor."""

    text: str
    indentation: int
    last: bool


@lru_cache(maxsize=4)  # while the text streams in and when it is fitted, for a few documents
def hole(prefix: str, suffix: str, grammar: str) -> Hole | None:
    """The hole between two texts; None when there is no such grammar."""
    return None if grammar_of(grammar) is None else Hole(prefix, suffix, grammar)


class Hole:
    """A place between two texts. Nothing is parsed before it is needed; looks are kept."""

    def __init__(self, prefix: str, suffix: str, grammar: str) -> None:
        if len(prefix) > _PREFIX_CHARACTERS:
            begin = _TOP_LEVEL.search(prefix, len(prefix) - _PREFIX_CHARACTERS)
            prefix = prefix[begin.start() if begin else 0 :]
        cut = _LINE_END.search(suffix, min(_SUFFIX_CHARACTERS, len(suffix)))
        self._goes_on = cut is not None and cut.end() < len(suffix)
        self._suffix = suffix[: cut.end()] if cut is not None else suffix
        self._prefix = prefix
        self._grammar = grammar
        self._before = _bytes(prefix)
        self._row, self._column = edits.point(self._before)
        self._looks: dict[str, Look] = {}

    @property
    def hopeless(self) -> bool:
        """Whether the parser cannot read the place itself, so that it cannot tell what is whole there."""
        return self._errors_without is None

    @property
    def open(self) -> tuple[Bracket, ...]:
        """The brackets that are open at the cursor, the innermost last."""
        return self._brackets[0]

    @property
    def missing(self) -> str:
        """The closing brackets that the suffix lacks, in the order in which they are due."""
        return self._brackets[1]

    @cached_property
    def docstring_of(self) -> int | None:
        """Columns of white space before the definition whose docstring ends right before the cursor, if that is all
        its body has. None elsewhere."""
        if self._grammar != "python" or not self._prefix.rstrip().endswith(('"""', "'''")):
            return None
        end = len(self._before.rstrip())
        node = self._document.tree.root_node.descendant_for_byte_range(end - 1, end)
        while node is not None and node.type != "block":
            node = node.parent
        outer = None if node is None else node.parent
        if node is None or outer is None or outer.type not in ("function_definition", "class_definition"):
            return None
        inside = [child for child in node.named_children if child.type not in tables.COMMENTS]
        first = inside[0].named_children if len(inside) == 1 else []
        if not first or first[0].type != "string" or first[0].end_byte != end:
            return None
        line = self._before.rfind(b"\n", 0, outer.start_byte) + 1
        return columns(self._before[line : outer.start_byte + 1].decode("utf-8", "replace"))

    def look(self, text: str) -> Look:
        """What the text is in this place."""
        found = self._looks.get(text)
        if found is None:
            if len(self._looks) >= _LOOKS:
                self._looks.clear()
            found = self._looks[text] = self._parsed_look(text)
        return found

    def _parsed_look(self, text: str) -> Look:
        data = _bytes(text)
        tree = self._with(data, 0)
        start, end = len(self._before), len(self._before) + len(data)
        depth, unmatched = 0, []
        for position, bracket in edits.brackets(tree, self._grammar, start, end):
            if bracket in edits.OPENING:
                depth += 1
            elif depth:
                depth -= 1
            else:
                unmatched.append(position - start)
        if unmatched and self.missing:
            tree = self._with(data, min(len(unmatched), len(self.missing)))
        errors, here = edits.errors(tree.root_node, start, end)
        fits = self._errors_without is not None and errors <= self._errors_without and not here
        closers = tuple(len(data[:at].decode("utf-8", "replace")) for at in unmatched)
        code = [unit for unit in edits.units(tree.root_node, start, end) if unit.type not in tables.COMMENTS]
        passed = let_pass(tree.root_node, start, end, code[-1].end_byte) if code and self._grammar == "python" else ""
        fits, whole, lost = fits and passed != "wrong", fits and not passed, fits and passed == "wrong"
        if depth and errors == self._errors_without:
            whole = False  # closed by a bracket of the document's own, whose loss another error hides
        return Look(fits, whole, lost, depth, closers, bool(code) and edits.has_body(code[-1], _BODY_DEPTH), bool(code))

    @cached_property
    def _errors_without(self) -> int | None:
        """Errors in the document with the hole empty or filled with the least that could stand there. None where
        each of these has an error in the hole itself."""
        start = len(self._before)
        fewest: int | None = None
        for filling in self._fillings():
            errors, here = edits.errors(self._with(filling, 0).root_node, start, start + len(filling))
            if not here:
                fewest = errors if fewest is None else min(fewest, errors)
                if not errors:
                    break
        return fewest

    def _fillings(self) -> tuple[bytes, ...]:
        if self._grammar != "python":
            return b"", b"x"
        line = self._prefix[line_start(self._prefix) :]
        above = self._prefix.rstrip()
        level = columns(above[line_start(above) :])
        deeper = " " * (level + 4)
        return b"", b"pass", b"x", f"\n{deeper}pass".encode() if line.strip() else f"{deeper}pass".encode()

    def _with(self, data: bytes, closed: int) -> Tree:
        """The tree with a text that closes so many of the missing brackets."""
        ground, missing, rest = self._ground
        tree = ground.copy()
        row, column = edits.point(data)
        start, gone = len(self._before), 1 + closed if closed else 0
        tree.edit(
            start,
            start + gone,
            start + len(data) + (1 if closed else 0),
            (self._row, self._column),
            (self._row + 1, closed) if closed else (self._row, self._column),
            (self._row + row + 1, 0) if closed else (self._row + row, column if row else self._column + column),
        )
        return edits.parse(self._grammar, self._before + data + b"\n" + missing[closed:] + rest, tree)

    @cached_property
    def _document(self) -> edits.Document:
        """The document as it is, with an empty hole."""
        return edits.document(self._before + _bytes(self._suffix), self._grammar)

    @cached_property
    def _brackets(self) -> tuple[tuple[Bracket, ...], str, int, int]:
        """What is open at the cursor, what is missing, how many brackets the suffix closes, and how many of its bytes
        it takes for that."""
        data = self._document.data
        cursor = len(self._before)
        stack: list[tuple[int, str]] = []
        depth = closed = taken = 0
        first: int | None = None
        for position, bracket in self._document.brackets:
            if position < cursor:
                if bracket in edits.OPENING:
                    stack.append((position, bracket))
                elif stack:
                    stack.pop()
            elif bracket in edits.OPENING:
                depth += 1
            elif depth:
                depth -= 1
                if not depth and closed:
                    taken = position
            elif closed < len(stack):
                first = position if first is None else first
                closed, taken = closed + 1, position
        opened = tuple(self._bracket(position, text) for position, text in stack)
        lacking = self._lacking(opened, first, closed)
        if taken:
            line_end = data.find(b"\n", taken)
            taken = (line_end if line_end >= 0 else len(data)) - cursor
        missing = "".join(edits.OPENING[bracket.text] for bracket in reversed(opened[len(opened) - lacking :]))
        return opened, missing, min(closed, len(opened) - lacking), taken

    def _lacking(self, opened: tuple[Bracket, ...], first: int | None, closed: int) -> int:
        """How many of the open brackets, from the innermost, nothing closes. A bracket right behind the cursor closes
        the innermost; one that begins a line closes the one whose line begins at its column. Else they are counted."""
        if not opened:
            return 0
        cursor = len(self._before)
        if first is None:
            if not self._goes_on:
                return len(opened)
            below = next((line for line in self._suffix.splitlines()[1:] if line.strip()), "")
            return 0 if columns(below) > opened[-1].indentation else 1
        data = self._document.data
        line = max(cursor, data.rfind(b"\n", 0, first) + 1)
        before, closer = data[line:first].decode("utf-8", "replace"), chr(data[first])
        pairs = [inner for inner, bracket in enumerate(reversed(opened)) if edits.OPENING[bracket.text] == closer]
        counted = len(opened) - closed
        if line > cursor and not before.strip():
            level = columns(before)
            at_level = [inner for inner in pairs if opened[-1 - inner].indentation == level]
            if len(at_level) > 1 and not self._goes_on and counted in at_level:
                return counted
            between = data[cursor:line].decode("utf-8", "replace").splitlines()[1:]
            if len(at_level) > 1 and any(line.strip() and columns(line) <= level for line in between):
                return at_level[1]
            pairs = at_level or pairs
        elif line > cursor and not self._goes_on:
            return counted
        return pairs[0] if pairs else min(counted, len(opened))

    def _bracket(self, position: int, text: str) -> Bracket:
        line = self._before.rfind(b"\n", 0, position) + 1
        last = not self._before[position + len(text) :].strip()
        return Bracket(text, columns(self._before[line:position].decode("utf-8", "replace")), last)

    @cached_property
    def _ground(self) -> tuple[Tree, bytes, bytes]:
        """The tree without the text, the missing closers, and what comes after those."""
        opened, missing, closed, taken = self._brackets
        data = self._document.data
        cursor = len(self._before)
        if not opened:
            taken = len(_bytes(LINE_BREAK.split(self._suffix, maxsplit=1)[0]))
        left = "".join(
            edits.OPENING[bracket.text] for bracket in reversed(opened[: len(opened) - len(missing) - closed])
        )
        rest = b"\n" + data[cursor : cursor + taken] + b"\n" + left.encode()
        new = self._before + b"\n" + missing.encode() + rest
        tree = self._document.tree.copy()
        tree.edit(cursor, len(data), len(new), (self._row, self._column), edits.point(data), edits.point(new))
        return edits.parse(self._grammar, new, tree), missing.encode(), rest


def columns(line: str, tab: int = 4) -> int:
    """Columns of white space at the start of a line; a tab goes to the next multiple of `tab`."""
    return len(line[: len(line) - len(line.lstrip())].expandtabs(tab))


def _bytes(text: str) -> bytes:
    return encode(_LONE_RETURN.sub("\n", text))
