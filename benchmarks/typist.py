"""Somebody who types the cut parts of a file again, key by key, in an editor that closes brackets and indents.

Everything is drawn from a seed: `events(text, seed)` is the same list every time. What is offered may change what comes
next (an offer that agrees with the file is accepted now and then), never the text at the end, which is the file.

The editor is VS Code's with its defaults: an opening bracket or quote brings its closing one and the closing one is
typed over; Enter keeps or deepens the indentation and takes it off blank lines; Backspace removes a step of it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from auto_close import CLOSING, OPENING, closed_by_editor, wanted
from typing_plan import Hole, cut, indentation_unit, leading, shared

Kind = Literal["type", "over", "enter", "backspace", "delete", "move", "jump", "accept", "accept word", "undo", "redo"]

TYPO = 0.02
JUMP_EVERY = 150
ACCEPT = 0.35
ACCEPT_WORD = 0.15
UNDO = 0.08
REDO = 0.5
SIGMA = 0.4
PAUSE = 0.2
PAUSE_MEDIANS = 2.5
READ_MEDIANS = 200 / 120
"""Nobody accepts what has not been there for 200 ms, at a key every 120 ms."""

_LEAVES = re.compile(r"\s*(return|pass|break|continue|raise)\b")
_WORD = re.compile(r"\s*(\w+|[^\w\s]+)")
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


@dataclass(frozen=True, slots=True)
class Event:
    """One key: [start, end) of the text becomes `text` (nothing at all for a move), the cursor stands at `cursor`."""

    kind: Kind
    start: int
    end: int
    text: str
    cursor: int

    @property
    def edits(self) -> bool:
        """Whether the document changes; typing over a bracket is a change to the same text."""
        return self.kind not in ("move", "jump")


@dataclass(frozen=True, slots=True)
class Shown:
    """The offer on the screen: what it adds at the cursor, what behind the cursor it takes the place of (brackets that
    the editor closed while it was typed into), and for how many median gaps it has been there."""

    text: str
    over: str = ""
    medians: float = 0.0


class Typist:
    """Types until `done`. `text` is the document and `cursor` the place in it (code points); lines end at `\\n`."""

    def __init__(self, text: str, seed: object) -> None:
        self._kept, self._holes = cut(text, seed)
        self._unit = indentation_unit(text)
        self._typos, self._jumps, self._accepts, self._gaps = (
            random.Random(f"{seed} {what}") for what in ("typos", "jumps", "accepts", "gaps")
        )
        self._at = 0
        self._slips = 0
        self._until_jump = self._next_jump()
        self._undo: tuple[Event, str, int, str] | None = None
        self._redo: tuple[Event, str, int, str] | None = None
        self._last: Kind = "jump"
        self.text = "".join(
            kept + (hole.before + hole.pending if hole else "")
            for kept, hole in zip(self._kept, [*self._holes, None], strict=True)
        )

    @property
    def done(self) -> bool:
        """Whether the file stands there as it was."""
        return all(hole.done for hole in self._holes)

    @property
    def cursor(self) -> int:
        """Where the next character goes; the start of the text in a file that has nothing to type."""
        if not self._holes:
            return 0
        earlier = zip(self._kept, self._holes[: self._at], strict=False)
        start = sum(len(kept) + len(hole.before) + len(hole.pending) for kept, hole in earlier)
        return start + len(self._kept[self._at]) + len(self._holes[self._at].before)

    def gap(self) -> float:
        """How long the next key takes, in medians: log-normal, with a pause on some new lines and after a jump. The
        mean is about 1.14."""
        gap = self._gaps.lognormvariate(0, SIGMA)
        pauses = self._gaps.random() < PAUSE
        if self._last == "jump" or (self._last == "enter" and pauses):
            gap += PAUSE_MEDIANS * self._gaps.lognormvariate(0, SIGMA)
        return gap

    def press(self, shown: Shown | None = None) -> Event:
        """The next key. Must not be called when `done`."""
        self._until_jump -= 1
        event = self._choose(self._holes[self._at], shown)
        self.text = self.text[: event.start] + event.text + self.text[event.end :]
        self._last = event.kind
        return event

    def _choose(self, hole: Hole, shown: Shown | None) -> Event:
        if (again := self._taken_back(hole)) is not None:
            return again
        if self._slips:
            return self._slip(hole)
        if hole.wrong:
            return self._erase(hole)
        if hole.done or self._until_jump <= 0:
            jump = self._jump(hole)
            if jump is not None:
                return jump
        if shown is not None and (accepted := self._accept(hole, shown)) is not None:
            return accepted
        if hole.pending and (passed := self._pass(hole)) is not None:
            return passed
        return self._type(hole)

    def _edit(self, kind: Kind, text: str, remove: int = 0, ahead: int = 0, behind: int = 0) -> Event:
        """Replace `remove` characters before and `ahead` behind the cursor, which ends up `behind` characters before
        the end of what is inserted. To be called before the hole changes."""
        start = self.cursor - remove
        return Event(kind, start, self.cursor + ahead, text, start + len(text) - behind)

    def _taken_back(self, hole: Hole) -> Event | None:
        """Undo of what was accepted right before, redo of what was undone right before."""
        (undo, self._undo), (redo, self._redo) = (self._undo, None), (self._redo, None)
        if undo is not None and self._accepts.random() < UNDO:
            event, removed, good, pending = undo
            self._redo = event, removed, hole.good, hole.pending
            hole.good, hole.pending = good, pending
            return Event("undo", event.start, event.start + len(event.text), removed, event.start)
        if redo is not None and self._accepts.random() < REDO:
            event, _, hole.good, hole.pending = redo
            return Event("redo", event.start, event.end, event.text, event.cursor)
        return None

    def _accept(self, hole: Hole, shown: Shown) -> Event | None:
        """The whole offer if the file goes on so, or its first word if at least that is right."""
        left, chance = hole.left, self._accepts.random()
        if shown.medians < READ_MEDIANS or not shown.text.strip():
            return None
        state = hole.good, hole.pending
        if left.startswith(shown.text) and hole.pending.startswith(shown.over) and chance < ACCEPT:
            event = self._edit("accept", shown.text, ahead=len(shown.over))
            hole.good += len(shown.text)
            hole.pending = hole.pending[len(shown.over) :]
            self._undo = event, shown.over, *state
            return event
        word = _WORD.match(shown.text)
        if word is None or chance > ACCEPT_WORD or len(word.group().strip()) < 2 or "\n" in word.group():
            return None
        cuts_word = left[word.end() : word.end() + 1].isalnum() and word.group()[-1].isalnum()
        if not left.startswith(word.group()) or cuts_word:
            return None
        event = self._edit("accept word", word.group())
        hole.good += word.end()
        self._undo = event, "", *state
        return event

    def _jump(self, hole: Hole) -> Event | None:
        """To another hole: the next one if this one is done, any open one otherwise; None if there is no other."""
        self._until_jump = self._next_jump()
        others = [number for number, other in enumerate(self._holes) if not other.done and number != self._at]
        if not others:
            return None
        later = [number for number in others if number > self._at]
        self._at = (later or others)[0] if hole.done else self._jumps.choice(others)
        hole.tracked = False
        return Event("jump", self.cursor, self.cursor, "", self.cursor)

    def _next_jump(self) -> int:
        return 1 + int(self._jumps.expovariate(1 / JUMP_EVERY))

    def _pass(self, hole: Hole) -> Event | None:
        """Over a closing bracket that stands there already, or away with one that is in the way."""
        left, pending = hole.left, hole.pending
        block = pending[: len(pending) - len(pending.lstrip()) + 1]
        if left.startswith(block) and block.strip():
            single = len(block) == 1 and hole.tracked
            kind: Kind = "over" if single else "move"
            cursor = self.cursor
            event = Event(
                kind, cursor, cursor + len(block) if single else cursor, block if single else "", cursor + len(block)
            )
            hole.good += len(block)
            hole.pending = pending[len(block) :]
            return event
        in_the_way = left[:1] in OPENING and left[:1] in pending
        if left and not in_the_way and wanted(block.strip(), left):
            return None
        count = max(1, len(block) - 1)  # blanks in one go, then the bracket
        event = self._edit("delete", "", ahead=count)
        hole.pending = pending[count:]
        return event

    def _erase(self, hole: Hole) -> Event:
        """A wrong character, or one step of too deep an indentation; Enter takes it off a blank line by itself."""
        blank = not self._line().strip()
        if blank and hole.left.startswith("\n"):
            return self._enter(hole)
        count = min(len(self._unit), len(hole.wrong)) if blank else 1
        event = self._edit("backspace", "", remove=count)
        hole.wrong = hole.wrong[:-count]
        return event

    def _slip(self, hole: Hole) -> Event:
        """A wrong key, and right ones after it before it is noticed."""
        self._slips -= 1
        right = hole.left[len(hole.wrong) : len(hole.wrong) + 1]
        if hole.wrong and not right.isalnum():
            self._slips = 0
            return self._erase(hole)
        character = right if hole.wrong else self._neighbour(right)
        event = self._edit("type", character)
        hole.wrong += character
        return event

    def _neighbour(self, character: str) -> str:
        row = next((row for row in _KEYS if character.lower() in row), "xz")
        place = row.find(character.lower())
        return row[place - 1] if place > 0 else row[1]

    def _line(self) -> str:
        """The text of the line in front of the cursor."""
        cursor = self.cursor
        return self.text[self.text.rfind("\n", 0, cursor) + 1 : cursor]

    def _type(self, hole: Hole) -> Event:
        left = hole.left
        character = left[0]
        if character == "\n":
            return self._enter(hole)
        if character.isalnum() and self._typos.random() < TYPO:
            self._slips = self._typos.choice((1, 1, 2, 3))
            return self._slip(hole)
        if not self._line().strip() and left.startswith(self._unit):
            event = self._edit("type", self._unit)
            hole.good += len(self._unit)
            return event
        closing = closed_by_editor(character, self._line(), self.text[self.cursor :][:1], hole.pending)
        event = self._edit("type", character + closing, behind=len(closing))
        hole.good += 1
        hole.pending = closing + hole.pending
        hole.tracked = hole.tracked or hole.pending == closing
        return event

    def _enter(self, hole: Hole) -> Event:
        """A new line with the indentation that the editor gives it; the rest of it is typed or erased."""
        line = self._line()
        depth = leading(line)
        inner = depth
        if line.rstrip().endswith((":", "{", "(", "[")):
            inner = depth + self._unit
        elif _LEAVES.match(line):
            inner = depth.removesuffix(self._unit)
        behind = ""
        if line and hole.pending and CLOSING.get(line[-1]) == hole.pending[0] and line[-1] in "([{":
            behind = f"\n{depth}"
        event = self._edit("enter", f"\n{inner}{behind}", remove=len(hole.wrong), behind=len(behind))
        hole.good += 1
        right = shared(inner, leading(hole.left))
        hole.good += len(right)
        hole.wrong = inner[len(right) :]
        hole.pending = behind + hole.pending
        return event


def events(text: str, seed: object) -> Iterator[Event]:
    """All keys of one file when nothing is ever offered."""
    typist = Typist(text, seed)
    while not typist.done:
        yield typist.press()
