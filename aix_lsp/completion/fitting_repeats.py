"""What the document says already and the offer says again: the rest of the line, the lines below, the lines above."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from rapidfuzz import fuzz

from aix_lsp.completion.place import Place
from aix_lsp.text import LINE_BREAK

_WORD = re.compile(r"\w+")
_FOLLOWING_CHARACTERS = 4000
_NEAR = 90.0
_FAR = 75.0
_SHORT = 12


@lru_cache(maxsize=8)
def lines_below(place: Place) -> tuple[str, ...]:
    """The next lines with something on them, without the white space at their ends."""
    behind = place.suffix[len(place.around.after) :][:_FOLLOWING_CHARACTERS]
    return tuple(line.rstrip() for line in LINE_BREAK.split(behind)[1:] if line.strip())


def without_lines_below(text: str, place: Place) -> str:
    """`text` up to where it begins to say what stands below.

    A line counts as said again if it is the same, indentation and all (a closing bracket further in is another
    bracket). At another depth, or with other punctuation, it takes two lines that say something; with a word changed,
    one more that is the same. What follows a repeated line that says something goes too: the model has run on into what
    is there.
    """
    below = lines_below(place)
    if not below:
        return text
    starts = [0, *(match.end() for match in LINE_BREAK.finditer(text))]
    lines = LINE_BREAK.split(text)
    whole = [line.rstrip().expandtabs(4) for line in [place.around.before + lines[0], *lines[1:]]]
    there = [line.expandtabs(4) for line in below]
    for number in range(len(lines)):
        if number == 0 and place.around.before.strip():
            continue
        if not whole[number].strip():
            continue
        rest = [line for line in whole[number:] if line.strip()]
        if _says_again(rest, there):
            return text[: starts[number]].rstrip()
    return text


def _says_again(rest: Sequence[str], below: Sequence[str]) -> bool:
    """Whether an offer that goes on with these lines repeats the lines below from there on."""
    if not fuzz.ratio(rest[0].strip(), below[0].strip(), score_cutoff=_FAR):
        return False
    same = 0
    for line, other in zip(rest, below, strict=False):
        if line != other:
            break
        same += 1
    if same == len(rest):
        return True
    if any(says_something(line) for line in rest[:same]):
        return True
    count = min(len(rest), len(below))
    if count < 2:
        return count == len(rest) == 1 and _is_near(rest[0], below[0])
    # near: all lines up to the offer's end
    if count < len(rest):
        return False
    telling = sum(says_something(line) for line in rest)
    trimmed = [line.strip() == other.strip() for line, other in zip(rest, below, strict=False)]
    if all(trimmed):
        return telling >= 2
    alike = [fuzz.ratio(line, other) >= _NEAR for line, other in zip(rest, below, strict=False)]
    return (
        all(alike)
        and telling >= 2
        and any(equal and says_something(line) for equal, line in zip(trimmed, rest, strict=True))
    )


def _is_near(line: str, other: str) -> bool:
    """Whether two lines of the same depth differ in nothing but spaces, quotes and punctuation at their end."""
    if _lead(line) != _lead(other) or not says_something(line):
        return False
    one, two = (text.strip().rstrip(",;").replace("'", '"').replace(" ", "") for text in (line, other))
    return one == two


def says_something(line: str) -> bool:
    """Whether a line is told from others: two words, or a long one. `}`, `return` and `else:` are not."""
    words = _WORD.findall(line)
    return len(line.strip()) >= _SHORT or (len(words) >= 2 and len(line.strip()) >= _SHORT // 2)


def _lead(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def repeats_lines_above(text: str, place: Place) -> bool:
    """Whether the whole offer is the lines above over again."""
    whole = [line.rstrip().expandtabs(4) for line in LINE_BREAK.split(place.around.before + text)]
    whole = [line for line in whole if line]
    if not whole or not any(len(line.strip()) > 3 for line in whole):
        return False
    if len(whole) == 1:
        return whole[0] == place.around.above.rstrip().expandtabs(4)
    above = place.prefix[: len(place.prefix) - len(place.around.before)][-_FOLLOWING_CHARACTERS:]
    there = [line.rstrip().expandtabs(4) for line in LINE_BREAK.split(above) if line.strip()]
    return there[-len(whole) :] == whole


def repeats_line_below(text: str, place: Place) -> bool:
    """Whether the cursor's line would become the line below."""
    below = lines_below(place)[:1]
    whole = (place.around.before + text + place.around.after).rstrip().expandtabs(4)
    return bool(below) and len(whole.strip()) > 3 and whole == below[0].expandtabs(4) and bool(_WORD.search(whole))


def overlap(text: str, rest: str) -> int:
    """How many characters at the end of `text` are the beginning of `rest` (four at least, with a word in them, and
    between words); white space apart. 0: none."""
    stripped = text.rstrip()
    for start in range(max(0, len(stripped) - len(rest) * 2), len(stripped) - 3):
        tail = stripped[start:]
        if start and _WORD.match(tail) and _WORD.match(stripped[start - 1]):
            continue
        squeezed = "".join(tail.split())
        if len(squeezed) >= 4 and _WORD.search(squeezed) and not tail[0].isspace():
            length = _length_of(squeezed, rest)
            if length and not (_WORD.match(rest[length - 1]) and _WORD.match(rest[length : length + 1])):
                return len(text) - start
    return 0


def _length_of(squeezed: str, rest: str) -> int:
    """How much of `rest` these characters take up if it begins with them, white space apart; 0 if it does not."""
    position = 0
    for character in squeezed:
        while position < len(rest) and rest[position].isspace():
            position += 1
        if position >= len(rest) or rest[position] != character:
            return 0
        position += 1
    return position
