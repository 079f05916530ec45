"""Two texts side by side with what differs marked, cut where they are long."""

from __future__ import annotations

import re
from typing import Final

from rapidfuzz.distance import Indel

from aix_lsp.evaluation.html_page import Html, element, joined, pre

MOST: Final = 1_500
"""Characters of a text that are shown."""

LEGEND: Final = joined(
    (
        "Marked: ",
        element("ins", "what was not wanted"),
        " in what was written, and ",
        element("del", "what is missing there"),
        " in what was wanted; white space around a text counts as neither.",
    )
)

LITTLE_ALIKE: Final = "Not marked: hardly anything is alike."

_ALIKE: Final = 0.2
"""Least part of the longer text that both have, white space left out: below it all would be marked."""

_TOKENS: Final = re.compile(r"\w+|\s+|[^\w\s]")


def side_by_side(wanted: str, written: str) -> tuple[Html, Html]:
    """What was wanted, with the parts that are missing marked, and what was written, with the parts that nobody wanted.

    Compared by words, white space and single signs: the fewest that must go and come (rapidfuzz's Indel distance).
    """
    first, second = _cut(wanted), _cut(written)
    ours, theirs = first[0].strip(), second[0].strip()
    wanted_tokens, written_tokens = _TOKENS.findall(ours), _TOKENS.findall(theirs)
    missing: list[object] = []
    extra: list[object] = []
    alike = 0
    for step in Indel.opcodes(wanted_tokens, written_tokens):
        old = "".join(wanted_tokens[step.src_start : step.src_end])
        new = "".join(written_tokens[step.dest_start : step.dest_end])
        if step.tag == "equal":
            alike += len("".join(old.split()))
            missing.append(old)
            extra.append(new)
        else:
            missing += _marked("del", old)
            extra += _marked("ins", new)
    if alike < _ALIKE * max(len("".join(text.split())) for text in (ours, theirs)) and ours and theirs:
        unmarked = _shown(second, [theirs])
        return _shown(first, [ours]), joined((unmarked, element("p", LITTLE_ALIKE, class_="label")))
    return _shown(first, missing), _shown(second, extra)


def plain_text(text: str) -> Html:
    """A text as it is, cut where it is long."""
    return _shown(_cut(text), [text.replace("\r\n", "\n").replace("\r", "\n")[:MOST].strip()])


def around(before: str, after: str) -> Html:
    """The last lines before a place and the first ones behind it."""
    before = "".join(before[-700:].splitlines(keepends=True)[-10:])
    after = "".join(after[:300].splitlines(keepends=True)[:5])
    return pre(before, element("span", "here", class_="place"), after, class_="around")


def _cut(text: str) -> tuple[str, int]:
    """What is shown of a text, with line feeds for line breaks, and how many characters are not."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text[:MOST], max(0, len(text) - MOST)


def _shown(cut: tuple[str, int], parts: list[object]) -> Html:
    text, left = cut
    core = text.strip()
    start = text[: text.index(core)] if core else text
    box = pre(start, *parts, text[len(start) + len(core) :])
    more = element("p", f"and {left:,} more characters", class_="label") if left else Html()
    return joined((box, more))


def _marked(name: str, text: str) -> list[object]:
    """A text with its line breaks seen; lines are marked without their indentation, white space alone as a whole."""
    if not text.strip():
        return [element(name, text.replace("\n", "↵\n"))] if text else []
    parts: list[object] = []
    lines = text.split("\n")
    for number, line in enumerate(lines):
        core = line.lstrip() if number else line
        end = "↵" if number < len(lines) - 1 else ""
        parts.append(line[: len(line) - len(core)])
        if core + end:
            parts.append(element(name, core + end))
        parts.append("\n" if end else "")
    return parts
