"""Which parts of a file are typed anew: some of its paragraphs behind the first third, the rest stays as context.

A hole begins at the end of the line above what was cut, so that it is filled as in an editor: Enter first. Of some
lines that stay a few words in the middle are cut.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, takewhile

CUT_SHARE = 0.6
KEEP_HEADER = 0.5
JOIN = 0.4
LONGEST = 30
CUT_INSIDE = 0.05


@dataclass(slots=True)
class Hole:
    """One cut part and how much of it stands there again: `target[:good]`, then `wrong` (what must be erased), the
    cursor, and `pending`: closing brackets and quotes that the editor put behind it.

    `tracked` is False once the cursor has left: editors type over a bracket only until then."""

    target: str
    good: int = 0
    wrong: str = ""
    pending: str = ""
    tracked: bool = True

    @property
    def left(self) -> str:
        """What is still to be typed."""
        return self.target[self.good :]

    @property
    def before(self) -> str:
        """What stands in the hole in front of the cursor."""
        return self.target[: self.good] + self.wrong

    @property
    def done(self) -> bool:
        """Whether it holds what was cut and nothing else."""
        return self.good == len(self.target) and not self.wrong and not self.pending


def cut(text: str, seed: object) -> tuple[list[str], list[Hole]]:
    """What stays, and the holes between those texts (one fewer). A file of one line has no hole. Lines end at `\\n`."""
    lines = text.split("\n")
    draw = random.Random(f"{seed} cut")
    parts = _parts(lines, draw)
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    ranges = [(starts[start] - 1, starts[end] - 1) for start, end in parts]
    cut_lines = {number for start, end in parts for number in range(start, end)}
    staying = (number for number in range(max(1, len(lines) // 3), len(lines)) if number not in cut_lines)
    inside = ((starts[number], _words(lines[number], draw)) for number in staying if draw.random() < CUT_INSIDE)
    ranges += [(start + words[0], start + words[1]) for start, words in inside if words]
    kept, holes, place = [], [], 0
    for first, last in sorted(ranges):
        kept.append(text[place:first])
        holes.append(Hole(text[first:last]))
        place = last
    return [*kept, text[place:]], holes


def _words(line: str, draw: random.Random) -> tuple[int, int] | None:
    """A word or a few in the middle of a line, so that something is left before and behind it."""
    places = [match.start() for match in re.finditer(r"\b\w", line)]
    if len(places) < 3:
        return None
    first = draw.randrange(1, len(places) - 1)
    return places[first], places[min(len(places) - 1, first + draw.randrange(1, 4))]


def _parts(lines: Sequence[str], draw: random.Random) -> list[tuple[int, int]]:
    """Line numbers [start, end) of what is cut, with at least one line between two parts and one above the first."""
    found: list[tuple[int, int]] = []
    whole = False
    for start, end in _paragraphs(lines, max(1, len(lines) // 3)):
        taken = draw.random() < CUT_SHARE
        header = draw.randrange(1, 3) if draw.random() < KEEP_HEADER and end - start > 3 else 0
        joined = draw.random() < JOIN and whole and found and start - found[-1][1] <= 3 and not header
        last = min(end, start + header + LONGEST)
        if taken and joined:
            found[-1] = found[-1][0], last
        elif taken and (not found or start + header > found[-1][1]):
            found.append((start + header, last))
        whole = taken and last == end
    return found or ([(1, len(lines))] if len(lines) > 1 else [])


def _paragraphs(lines: Sequence[str], first: int) -> Iterator[tuple[int, int]]:
    start = None
    for number in range(first, len(lines) + 1):
        blank = number == len(lines) or not lines[number].strip()
        if blank and start is not None:
            yield start, number
            start = None
        elif not blank and start is None:
            start = number


def leading(line: str) -> str:
    """The spaces and tabs that a text begins with."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def indentation_unit(text: str) -> str:
    """One step of a file's indentation: a tab, or its most frequent number of spaces."""
    depths = [leading(line) for line in text.split("\n") if line.strip()]
    if any("\t" in depth for depth in depths):
        return "\t"
    steps = Counter(len(after) - len(before) for before, after in pairwise(depths))
    usual = [step for step, _ in steps.most_common() if step in (2, 3, 4, 8)]
    return " " * (usual[0] if usual else 4)


def shared(one: str, other: str) -> str:
    """What two texts begin with."""
    return "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
