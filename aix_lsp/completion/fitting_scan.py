"""Brackets and quotes of a piece of code, without what only looks like them: a small scanner per language.

A tree of the whole document for every offer, and for every way to cut it, would be far too slow; this takes some
microseconds a line. It knows strings (raw, over several lines, with interpolated code), comments, character literals,
Rust's lifetimes and apostrophes inside of words. Without a grammar it goes by what most languages share.

What is open is a stack of marks: brackets (`(`, `[`, `{`), opened strings and comments by the name of their kind, and
the braces of interpolated code (`${`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from aix_lsp.completion.fitting_lexis import BEFORE_REGEX, INTERPOLATION, KINDS, LINE_COMMENT, tokens
from aix_lsp.completion.place import Place

OPENING = {")": "(", "]": "[", "}": "{"}
_BARE = frozenset("([{") | {INTERPOLATION}
_LONGEST = 60_000
_MARGIN = re.compile(r"\n(?=[A-Za-z@])")
_PARAGRAPH = re.compile(r"\n[ \t\r]*\n")


@dataclass(frozen=True, slots=True)
class Step:
    """Where a bracket or quote stands, or the comment that a text ends in, and how things are right before it. `opens`
    says that it opens something."""

    position: int
    stack: tuple[str, ...]
    lost: int
    opens: bool


@dataclass(frozen=True, slots=True)
class Scan:
    """What a piece of code leaves behind.

    `stack` is what is still open, `closers` what closed nothing that is known here, in order, `lost` how many brackets
    and quotes were passed over without a partner. `signs` counts the brackets and quotes that are none in a string or a
    comment.
    """

    stack: tuple[str, ...]
    closers: tuple[str, ...]
    lost: int
    signs: int
    steps: tuple[Step, ...] = ()

    @property
    def unmatched(self) -> int:
        """Brackets and quotes without a partner, if nothing followed."""
        return self.lost + len(self.closers) + sum(mark not in (LINE_COMMENT, "/*") for mark in self.stack)


def is_text(mark: str) -> bool:
    """Whether a mark is that of a string or a comment."""
    return mark not in _BARE


def scan(text: str, grammar: str | None, stack: tuple[str, ...] = (), *, steps: bool = False) -> Scan:
    """Read `text`, which begins where `stack` was left. With `steps` every bracket and quote is listed."""
    return _Scanner(text, grammar, stack, steps).run()


class _Scanner:
    """One run over one text."""

    def __init__(self, text: str, grammar: str | None, stack: tuple[str, ...], steps: bool) -> None:
        self.text = text
        self.grammar = grammar
        self.stack = list(stack)
        self.closers: list[str] = []
        self.lost = 0
        self.signs = 0
        self.steps: list[Step] | None = [] if steps else None
        self.within_line = 0
        for mark in stack:
            self.within_line += self._is_short(mark)

    @staticmethod
    def _is_short(mark: str) -> bool:
        return is_text(mark) and KINDS[mark].one_line

    def run(self) -> Scan:
        position, length = 0, len(self.text)
        while position < length:
            inside = self.stack and is_text(self.stack[-1])
            position = self._text(position) if inside else self._code(position)
        listed = () if self.steps is None else tuple(self.steps)
        return Scan(tuple(self.stack), tuple(self.closers), self.lost, self.signs, listed)

    def _note(self, position: int, opens: bool) -> None:
        self.signs += 1
        if self.steps is not None:
            self.steps.append(Step(position, tuple(self.stack), self._gone(), opens))

    def _gone(self) -> int:
        return self.lost + len(self.closers)

    def _push(self, mark: str) -> None:
        self.stack.append(mark)
        self.within_line += self._is_short(mark)

    def _pop(self) -> str:
        mark = self.stack.pop()
        self.within_line -= self._is_short(mark)
        return mark

    def _text(self, position: int) -> int:
        """Go on inside a string or a comment."""
        mark = self.stack[-1]
        kind = KINDS[mark]
        for match in kind.events.finditer(self.text, position):
            found = match.group()
            if found == kind.end or found in "\n\r":
                if mark == LINE_COMMENT:
                    self._pop()
                elif found == kind.end:
                    if mark != "/*":
                        self._note(match.start(), opens=False)
                    self._pop()
                else:  # a string that its line's end cuts off
                    self._pop()
                    self.lost += 1
                return match.end()
            if found in ("{", "${"):
                self._note(match.start(), opens=True)
                self._push(INTERPOLATION)
                return match.end()
        return len(self.text)

    def _code(self, position: int) -> int:
        """Go on in code up to the next string or comment that does not end at once."""
        stack, listed = self.stack, self.steps is not None
        for match in tokens(self.grammar, bool(self.within_line)).finditer(self.text, position):
            name, found = match.lastgroup, match.group()
            if name == "bracket":
                # most tokens of a file are brackets with a partner right below them on the stack: no calls for those
                if not listed and found in _BARE:
                    stack.append(found)
                    self.signs += 1
                    continue
                if not listed and stack and stack[-1] == OPENING[found]:
                    stack.pop()
                    self.signs += 1
                    continue
                self._bracket(found, match.start())
                if self.stack and is_text(self.stack[-1]):
                    return match.end()  # interpolated code ended
            elif name == "line":
                while self.within_line:
                    self._pop()
                    self.lost += 1
                return match.end()
            elif name == "comment":
                if self.within_line:  # `f"{x:#x}"`: no comment
                    return match.start() + 1
                if match.end() == len(self.text):
                    if self.steps is not None:
                        self.steps.append(Step(match.start(), tuple(self.stack), self._gone(), False))
                    self._push(LINE_COMMENT)
            elif name in ("string", "raw"):
                self._note(match.start(), opens=True)
                self._note(match.start(), opens=True)
            elif name == "regex":
                if not BEFORE_REGEX.search(self.text[max(0, match.start() - 16) : match.start()]):
                    return match.start() + 1
            elif name is not None and name != "skip" and found:
                mark = self._mark(match)
                if mark != "/*":
                    self._note(match.start(), opens=True)
                self._push(mark)
                return match.end()
        return len(self.text)

    def _mark(self, match: re.Match[str]) -> str:
        """The kind of the string or comment that a token opens."""
        found, groups = match.group(), match.groupdict()
        if groups.get("formatted"):
            return "f" + match["fquote"]
        for group, mark in (("block", "/*"), ("hash", '#"'), ("long", 'long "'), ("rawquote", "raw `")):
            if groups.get(group):
                return mark
        if groups.get("verbatim"):
            return '@"'
        return found.lstrip("$")

    def _bracket(self, found: str, position: int) -> None:
        opening = OPENING.get(found)
        self._note(position, opens=opening is None)
        if opening is None:
            self.stack.append(found)
            return
        for index in range(len(self.stack) - 1, -1, -1):
            mark = self.stack[index]
            if is_text(mark):
                break
            if mark == opening or (mark == INTERPOLATION and found == "}"):
                self.lost += len(self.stack) - 1 - index
                del self.stack[index:]
                return
            if mark == INTERPOLATION:
                break
        self.closers.append(found)


def at_line_end(stack: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """What is open after a line break, and how many marks it cut off."""
    lost = 0
    kept = list(stack)
    while any(is_text(mark) and KINDS[mark].one_line for mark in kept):
        lost += kept.pop() != LINE_COMMENT
    return tuple(kept), lost


@lru_cache(maxsize=16)
def scan_lines(text: str, grammar: str | None, stack: tuple[str, ...] = ()) -> Scan:
    """`scan` of whole lines, kept: what stands above and below a cursor's line stays while the line is typed.

    Paragraphs are kept each, so that one new line does not cost the reading of a whole file.
    """
    closers: tuple[str, ...] = ()
    lost = signs = start = 0
    for match in _PARAGRAPH.finditer(text):
        part = _scan_part(text[start : match.end()], grammar, stack)
        start, stack, closers = match.end(), part.stack, closers + part.closers
        lost, signs = lost + part.lost, signs + part.signs
    part = _scan_part(text[start:], grammar, stack)
    return Scan(part.stack, closers + part.closers, lost + part.lost, signs + part.signs)


@lru_cache(maxsize=2048)
def _scan_part(text: str, grammar: str | None, stack: tuple[str, ...]) -> Scan:
    return scan(text, grammar, stack)


@lru_cache(maxsize=8)
def scan_above(place: Place) -> Scan:
    """All that stands above the cursor's line, or the last part of it where that is very long."""
    above = lines_above(place)
    if len(above) > _LONGEST:
        # the bound moves in steps, so that paragraphs stay the same while a document grows
        start = (len(above) - _LONGEST) // _LONGEST * _LONGEST
        match = _MARGIN.search(above, start)
        above = above[match.end() if match else start :]
    return scan_lines(above, place.grammar)


def lines_above(place: Place) -> str:
    """What stands above the cursor's line; "" where a place does not say."""
    return place.prefix[: len(place.prefix) - len(place.around.before)] if place.prefix else ""


def code_lines(text: str, grammar: str | None) -> Iterator[str]:
    """The lines that are not blank, without paragraphs that begin or end inside of a string or a comment."""
    stack: tuple[str, ...] = ()
    start = 0
    for match in [*_PARAGRAPH.finditer(text), None]:
        end = match.end() if match else len(text)
        before, stack = stack, _scan_part(text[start:end], grammar, stack).stack
        if not any(map(is_text, (*before[-1:], *stack[-1:]))):
            yield from (line for line in text[start:end].splitlines() if line.strip())
        start = end
