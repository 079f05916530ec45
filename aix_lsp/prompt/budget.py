"""Cutting text to a number of tokens at line boundaries, and sharing a budget between prefix and suffix.

Only as much of a text is tokenized as can be kept, so a file of a megabyte costs no more than a long one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aix_lsp.text import LINE_BREAK
from aix_lsp.types import Tokenizer

_STEPS: Final = 8
_TOKENS_PER_LINE: Final = 10


@dataclass(frozen=True, slots=True)
class Kept:
    """What is left of a text, its ids, and how much was cut: whole or partial lines, and characters. `spare` tokens of
    it would have fitted, and were cut for a steady beginning."""

    text: str
    ids: tuple[int, ...]
    cut_lines: int = 0
    cut_characters: int = 0
    inside_line: bool = False
    spare: int = 0

    @property
    def lines(self) -> int:
        """Lines that are left, an unfinished one counted."""
        return len(split_lines(self.text))

    @property
    def cut_tokens(self) -> int:
        """Estimate of the tokens that were cut, from the length of what was kept."""
        per_character = len(self.ids) / len(self.text) if self.text else 0.3
        return max(1, round(self.cut_characters * per_character))


def keep_tail(tokenizer: Tokenizer, text: str, limit: int, lead: str = "", *, steady: bool = False) -> Kept:
    """The most whole lines from the end of `text` that take at most `limit` tokens.

    When not even the last line fits, its end is kept. `lead` is encoded in front of what is kept and
    counted, but is no part of `Kept.text`. With `steady` some lines less, so that a text that grows at its end keeps
    its beginning for a while (`_steady`).
    """
    limit = max(0, limit)
    reach = _reach(limit)
    start, used = len(text), 0
    fitting: list[tuple[int, int]] = []
    for line_start in _starts_backwards(text, max(0, len(text) - reach)):
        count = _count(tokenizer, text[line_start:start], limit - used)
        if count is None:
            break
        start, used = line_start, used + count
        fitting.append((start, used))
    spare = 0
    if steady and start and fitting:
        start, spare = _steady(text, fitting, limit)
    while True:
        ids = tokenizer.encode(lead + text[start:]) if start < len(text) else []
        if len(ids) <= limit:
            break
        # Some tokenizers need more tokens for lines together than apart; a line less is a good next try.
        line_end = LINE_BREAK.search(text, start)
        start = line_end.end() if line_end else len(text)
    if start < len(text) or not text:
        return Kept(text[start:], tuple(ids), _count_lines(text[:start]), start, spare=spare)
    size = _most(min(len(text), reach), lambda size: len(tokenizer.encode(lead + text[-size:])) <= limit, limit)
    start = len(text) - size
    ids = tokenizer.encode(lead + text[start:]) if size else []
    return Kept(text[start:], tuple(ids), _count_lines(text[:start]), start, inside_line=True)


def keep_head(tokenizer: Tokenizer, text: str, limit: int) -> Kept:
    """The most whole lines from the start of `text` that take at most `limit` tokens.

    When not even the first line fits, its start is kept.
    """
    limit = max(0, limit)
    reach = _reach(limit)
    end, used = 0, 0
    for line_end in _ends_forwards(text, min(len(text), reach)):
        count = _count(tokenizer, text[end:line_end], limit - used)
        if count is None:
            break
        end, used = line_end, used + count
    while True:
        ids = tokenizer.encode(text[:end])
        if len(ids) <= limit:
            break
        end = next(_starts_backwards(text[:end], 0), 0)
    if end or not text:
        return Kept(text[:end], tuple(ids), _count_lines(text[end:]), len(text) - end)
    size = _most(min(len(text), reach), lambda size: len(tokenizer.encode(text[:size])) <= limit, limit)
    ids = tokenizer.encode(text[:size])
    return Kept(text[:size], tuple(ids), _count_lines(text[size:]), len(text) - size, inside_line=True)


def share(
    tokenizer: Tokenizer,
    prefix: str,
    suffix: str,
    room: int,
    suffix_share: float,
    *,
    most_suffix: int | None = None,
    lead: str = "",
) -> tuple[Kept, Kept]:
    """Prefix and suffix cut to `room` tokens together; what one of them leaves over goes to the other.

    The suffix gets at most `suffix_share` of the room unless the prefix leaves more, and `most_suffix` tokens in any
    case. What the model has computed for a prompt can be used again up to where the next one differs, so some room is
    left unused for the prefix to begin, and the suffix to end, where they did at the last key: an eighth where lines
    are of usual length.
    """
    most = room if most_suffix is None else min(most_suffix, room)
    least = min(int(room * suffix_share), most)
    after = keep_head(tokenizer, suffix, least)
    before = keep_tail(tokenizer, prefix, room - len(after.ids), lead, steady=True)
    unused = room - len(after.ids) - len(before.ids) - before.spare
    # The few tokens left by a prefix that was cut change at every key; with them the suffix would change too.
    if after.cut_characters and (not before.cut_characters or unused > room // 4):
        step = max(1, room // _STEPS)
        taken = -(-len(before.ids) // step) * step
        after = keep_head(tokenizer, suffix, min(max(room - taken, least), most))
    return before, after


def _steady(text: str, fitting: Sequence[tuple[int, int]], limit: int) -> tuple[int, int]:
    """Where the text that is kept begins, and how many tokens that would fit are given up for it: the first line that
    fits and whose number in `text` is a multiple of a step.

    The step is a power of two of lines, at most an eighth of `limit` at ten tokens a line. While lines come at the end
    of the text, its beginning changes once in so many. `fitting` has the starts of the lines that fit, from the last
    one on, and the tokens from there on. Where the lines are so long that more than a quarter of the limit would be
    given up, nothing is.
    """
    start, used = fitting[-1]
    step = 1
    while step * 2 * _TOKENS_PER_LINE <= limit // _STEPS:
        step *= 2
    skipped = -_count_lines(text[:start]) % step
    if skipped >= len(fitting):
        return start, 0
    later, kept = fitting[-1 - skipped]
    return (later, used - kept) if used - kept <= limit // 4 else (start, 0)


def _starts_backwards(text: str, floor: int) -> Iterator[int]:
    """Offsets from `floor` on at which the lines of `text` start, from the last non-empty one to the first."""
    if _has_lone_carriage_return(text[floor:]):
        starts = [match.end() for match in LINE_BREAK.finditer(text, floor) if match.end() < len(text)]
        yield from reversed(starts)
    else:
        end = len(text)
        while (newline := text.rfind("\n", floor, max(end - 1, 0))) >= 0:
            end = newline + 1
            yield end
    if floor == 0 and text:
        yield 0


def _ends_forwards(text: str, ceiling: int) -> Iterator[int]:
    """Offsets up to `ceiling` behind the line ends of `text` from the first to the last, and its own end."""
    end = 0
    if _has_lone_carriage_return(text[:ceiling]):
        for match in LINE_BREAK.finditer(text, 0, ceiling):
            end = match.end()
            yield end
    else:
        while (newline := text.find("\n", end, ceiling)) >= 0:
            end = newline + 1
            yield end
    if end < len(text) == ceiling:
        yield ceiling


def _has_lone_carriage_return(text: str) -> bool:
    count = text.count("\r")
    return count > 0 and count != text.count("\r\n")


def _count(tokenizer: Tokenizer, line: str, limit: int) -> int | None:
    """Number of tokens of a line; None when there are more than `limit`. Never reads far past the limit."""
    if limit <= 0:
        return None
    size = max(256, 8 * limit)
    while size < len(line):
        # The cut may split the last token in a few.
        if len(tokenizer.encode(line[:size])) > limit + 8:
            return None
        size *= 4
    count = len(tokenizer.encode(line))
    return count if count <= limit else None


def _most(length: int, fits: Callable[[int], bool], guess: int) -> int:
    """About the largest size up to `length` that fits (within a thirty-second), by doubling and bisection."""
    low, high = 0, min(length, max(1, guess))
    while fits(high):
        low = high
        if high == length:
            return length
        high = min(length, 2 * high)
    while high - low > 1 + low // 32:
        middle = (low + high) // 2
        if fits(middle):
            low = middle
        else:
            high = middle
    return low


def _count_lines(text: str) -> int:
    """Lines of a text, an unfinished one counted as one. Exact unless several kinds of line ends are mixed."""
    return max(text.count("\n"), text.count("\r")) + (text[-1:] not in ("", "\r", "\n"))


def _reach(limit: int) -> int:
    """Characters that more than `limit` tokens stand for, so that none beyond them need be looked at."""
    return max(4096, 64 * limit)


def split_lines(text: str) -> list[str]:
    """Lines of a text without their ends; nothing behind the last line end."""
    lines = LINE_BREAK.split(text)
    return lines if lines[-1] else lines[:-1]


def closed(text: str) -> str:
    """A text with a line end behind its last line; nothing stays nothing."""
    return text if not text or text.endswith(("\n", "\r")) else f"{text}\n"
