"""Pieces of training text as token ids: a trunk, and branches that each ask for another hole of the same window.

In PSM the prompt is prefix, suffix, answer, and the prefixes of several holes of one file begin alike. So one window
of a file is laid out once, as the trunk, and every hole adds a branch of suffix, marker and answer that sees the
trunk up to its own place only (`rows.py` makes the mask). A branch computes exactly what the prompt would compute
alone; a hole costs some sixty tokens instead of a window, and the trunk is learned from left to right on the side.
The trunk's keys are shared as in tree attention (SpecInfer, Miao et al. 2023, section 4.2), there for guesses at
serving, here for samples.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from aix_lsp.prompt.fim import FimFamily, assemble
from aix_lsp.prompt.healing import take_back
from aix_lsp.types import Tokenizer

_ONE = (0,)  # stands for a suffix where only the order of segments matters


class Part(IntEnum):
    """What a token is when it is the one to be predicted; its weight in the loss follows from it."""

    GIVEN = 0  # markers, suffixes, padding: never predicted
    HEADER = 1
    SNIPPET = 2
    TEXT = 3
    PSM_FIRST = 4
    PSM = 5
    SPM_FIRST = 6
    SPM = 7
    PSM_AHEAD = 8  # an answer's first token once more, asked of the suffix marker right behind the prefix (`rows.py`)


@dataclass(frozen=True, slots=True)
class Branch:
    """Tokens that continue the trunk behind its first `attach` tokens, beside what the trunk itself has there."""

    attach: int
    ids: tuple[int, ...]
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A trunk and its branches. `ids` and `parts` are of one length; `len(piece)` counts all tokens."""

    ids: tuple[int, ...]
    parts: tuple[int, ...]
    branches: tuple[Branch, ...] = ()

    def __len__(self) -> int:
        return len(self.ids) + sum(len(branch.ids) for branch in self.branches)

    @property
    def span(self) -> int:
        """Positions that the piece takes: the longest way from its first token to a last one."""
        return max([len(self.ids), *(branch.attach + len(branch.ids) for branch in self.branches)])


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands before a window: ids of quoted snippets (with their markers) and of the file's header."""

    context: tuple[int, ...] = ()
    header: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.context) + len(self.header)


class WindowEncoder:
    """Makes pieces from windows of text for one tokenizer. Holes are offsets (code points) in the window."""

    def __init__(self, tokenizer: Tokenizer, family: FimFamily, *, healing: float = 0.85) -> None:
        """`healing` is the share of holes whose unfinished word is taken back into the answer, as serving does."""
        if family.begin is None or family.end is None or family.middle is None:
            raise ValueError(f"{family.name} models cannot be trained here: their tokenizer lacks a marker")
        self._tokenizer = tokenizer
        self._family = family
        self._end = family.end.id
        self._healing = healing

    def text(self, text: str, frame: Frame, *, whole: bool) -> Piece:
        """A window from left to right; `whole` says that the file ends with it, which the model learns too."""
        ids = self._tokenizer.encode(text)
        given = assemble(self._family, "l2r", prefix=(), header=frame.header, context=frame.context)
        parts = [*self._framed(given, frame), *([int(Part.TEXT)] * len(ids))]
        if whole:
            ids, parts = [*ids, self._end], [*parts, int(Part.TEXT)]
        return Piece((*given, *ids), tuple(parts))

    def suffix_first(self, text: str, hole: tuple[int, int], suffix: str, frame: Frame, draw: random.Random) -> Piece:
        """SPM: the window up to the hole and its answer as one text, behind `suffix` (the text after the hole)."""
        start, end = hole
        prefix, answer = self._answer(self._tokenizer.encode(text[:start]), text[:start], text[start:end], draw)
        after = self._tokenizer.encode(suffix)
        ids = assemble(self._family, "spm", prefix=prefix, suffix=after, header=frame.header, context=frame.context)
        # all before the prefix is given, but for snippets and header
        parts = [int(Part.GIVEN)] * (len(ids) - len(prefix)) + [int(Part.TEXT)] * len(prefix)
        self._mark_frame(parts, ids, frame, before=len(prefix))
        return Piece((*ids, *answer), (*parts, *_answer_parts(len(answer), Part.SPM_FIRST, Part.SPM)))

    def prefix_first(
        self,
        text: str,
        holes: Sequence[tuple[int, int, str]],
        frame: Frame,
        draw: random.Random,
        *,
        most: int | None = None,
    ) -> Piece:
        """PSM: the window as trunk, and one branch for each hole (start, end, suffix) while `most` tokens allow.

        A hole without any text behind it is left out: its prompt would be from left to right.
        """
        body = _Body(self._tokenizer, text, lines_apart=self._lines_apart)
        # What stands behind the prefix in this order (suffix and two markers) belongs to the branches.
        trunk = assemble(self._family, "psm", prefix=body.ids, suffix=_ONE, header=frame.header, context=frame.context)
        trunk = trunk[: -len(_ONE) - 2]
        before = len(trunk) - len(body.ids)
        parts = [*self._framed(trunk[:before], frame), *([int(Part.TEXT)] * len(body.ids))]
        branches: list[Branch] = []
        room = most - len(trunk) if most is not None else None
        for start, end, suffix in holes:
            branch = self._branch(text, body, before, start, end, suffix, draw) if suffix else None
            if branch is not None and (room is None or len(branch.ids) <= room):
                room = None if room is None else room - len(branch.ids)
                branches.append(branch)
        return Piece(tuple(trunk), tuple(parts), tuple(branches))

    def _branch(
        self, text: str, body: _Body, before: int, start: int, end: int, suffix: str, draw: random.Random
    ) -> Branch:
        prefix, answer = self._answer(body.prefix(start), text[:start], text[start:end], draw)
        shared = _common(prefix, body.ids)
        after = self._tokenizer.encode(suffix)
        whole = assemble(self._family, "psm", prefix=prefix[shared:], suffix=after)
        own = whole[len(whole) - (len(prefix) - shared) - len(after) - 2 :]
        parts = (*([int(Part.GIVEN)] * len(own)), *_answer_parts(len(answer), Part.PSM_FIRST, Part.PSM))
        return Branch(before + shared, (*own, *answer), parts)

    def _answer(
        self, prefix: Sequence[int], before: str, middle: str, draw: random.Random
    ) -> tuple[tuple[int, ...], list[int]]:
        """Ids of the prefix as the prompt has them, and those of what the model should answer."""
        kept, required = tuple(prefix), ""
        if draw.random() < self._healing:
            kept, required = take_back(self._tokenizer, kept, before)
        return kept, [*self._tokenizer.encode(required + middle), self._end]

    @cached_property
    def _lines_apart(self) -> bool:
        """Whether the ids of lines together are those of each line alone, for this tokenizer."""
        probes = ("def a():\n", "\n", "    return x\n", "\tb  \n", "é\r\n", "#\n", "  \n")
        apart = [token for probe in probes for token in self._tokenizer.encode(probe)]
        return apart == self._tokenizer.encode("".join(probes))

    def _framed(self, given: Sequence[int], frame: Frame) -> list[int]:
        """Parts of what stands before a window's own text."""
        parts = [int(Part.GIVEN)] * len(given)
        self._mark_frame(parts, given, frame, before=0)
        return parts

    def _mark_frame(self, parts: list[int], ids: Sequence[int], frame: Frame, *, before: int) -> None:
        """Set the parts of header and snippets in `ids`, whose last `before` tokens are the prefix."""
        end = len(ids) - before
        if frame.header:
            parts[end - len(frame.header) : end] = [int(Part.HEADER)] * len(frame.header)
        parts[: len(frame.context)] = [int(Part.SNIPPET)] * len(frame.context)
        # what begins a document is given, also inside the context
        for place in range(len(frame.context)):
            if self._family.begin is not None and ids[place] == self._family.begin.id:
                parts[place] = int(Part.GIVEN)


class _Body:
    """A window's ids, and those of its beginnings without encoding everything again."""

    def __init__(self, tokenizer: Tokenizer, text: str, *, lines_apart: bool) -> None:
        self._tokenizer = tokenizer
        self._text = text
        self._starts: list[int] = []
        self._counts: list[int] = []
        if not lines_apart:
            self.ids = tokenizer.encode(text)
            return
        self.ids = []
        start = 0
        for line in text.split("\n"):
            self._starts.append(start)
            self._counts.append(len(self.ids))
            end = min(start + len(line) + 1, len(text))
            self.ids += tokenizer.encode(text[start:end])
            start = end

    def prefix(self, end: int) -> list[int]:
        """Ids of the text up to `end`, encoded by itself, as the prompt of a cursor there has them."""
        if not self._starts:
            return self._tokenizer.encode(self._text[:end])
        line = bisect_right(self._starts, end) - 1
        return self.ids[: self._counts[line]] + self._tokenizer.encode(self._text[self._starts[line] : end])


def _answer_parts(count: int, first: Part, rest: Part) -> list[int]:
    return [int(first), *([int(rest)] * (count - 1))]


def _common(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the common beginning of two sequences of ids."""
    length = min(len(left), len(right))
    ours: NDArray[np.int64] = np.asarray(left[:length], dtype=np.int64)
    differ = np.nonzero(ours != np.asarray(right[:length], dtype=np.int64))[0]
    return int(differ[0]) if len(differ) else length
