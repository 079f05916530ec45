"""Remembered requests in words: the same ones in the editor's page, the terminal, the HTML page and `doctor`."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from aix_lsp.completion.trace import Traced
from aix_lsp.types import PromptPart, Source

_SOURCES: dict[Source, str] = {
    "none": "nowhere: nothing was generated",
    "model": "generated for this request",
    "joined": "a generation that was running already was waited for",
    "typed-through": "the rest of an offer that was typed into",
    "cached": "an answer given before at the same place",
    "prepared": "worked out ahead",
}
_FINISHES = {
    "end": "the model ended it",
    "stop": "ended where the offer was complete",
    "length": "cut at the token limit",
    "timeout": "cut at the time limit",
}

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]"
)
"""Controls but for tabs and line ends, and the characters of Unicode's property Bidi_Control, line and paragraph
separators, and tags."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How the remembered requests ended. `accepted` counts items that were taken, at least in part; `reasons` counts
    why there was no offer, the most frequent first; `given_up` how many requests since the server's start have no
    record, because a newer one overtook them or the editor cancelled them."""

    asked: int
    offered: int
    accepted: int
    reasons: tuple[tuple[str, int], ...] = ()
    given_up: int = 0


def summarize(records: Iterable[Traced], given_up: int = 0) -> Summary:
    """Counts over some records. What a reason advises (behind a semicolon) is no part of it."""
    listed = list(records)
    reasons = Counter(
        (traced.result.reason or "no reason is known").partition("; ")[0]
        for traced in listed
        if not traced.result.items
    )
    return Summary(
        asked=len(listed),
        offered=sum(bool(traced.result.items) for traced in listed),
        # an offer that is typed into is answered anew with the same item
        accepted=len(frozenset[str]().union(*(traced.taken for traced in listed))),
        reasons=tuple(reasons.most_common()),
        given_up=given_up,
    )


def summary_in_words(summary: Summary) -> str:
    """One line: `40 asked, 25 offered (9 taken); no offer: code follows the cursor on its line: 12, …`."""
    given_up = f"{summary.given_up} more overtaken by newer ones or cancelled since the start"
    if not summary.asked:
        return f"nothing was answered yet; {given_up}" if summary.given_up else "nothing was asked yet"
    taken = f" ({summary.accepted} taken)" if summary.accepted else ""
    text = f"{summary.asked} asked, {summary.offered} offered{taken}"
    if summary.reasons:
        text += "; no offer: " + ", ".join(f"{reason}: {count}" for reason, count in summary.reasons)
    return f"{text}; {given_up}" if summary.given_up else text


def printable(text: str, keep: str = "") -> str:
    """Text that can do nothing to a terminal: somebody's source, or a folder's name, may hold escape sequences and
    marks that turn the direction of writing. What is neither printable nor in `keep` is replaced."""
    return "".join(letter if letter.isprintable() or letter in keep else _REPLACEMENT for letter in text)


def harmless(page: str) -> str:
    """A page whose source may be seen in a terminal, and whose lines are in the order in which they are shown: control
    characters as their pictures (Unicode, "Control Pictures"), and no marks that turn the direction of writing (Boucher
    and Anderson 2023, "Trojan Source")."""
    return _UNSEEN.sub(lambda found: chr(0x2400 + ord(found[0])) if found[0] < " " else _REPLACEMENT, page)


def clock(traced: Traced) -> str:
    """Local time of the answer, hours to seconds."""
    return time.strftime("%H:%M:%S", time.localtime(traced.time))


def place(traced: Traced) -> str:
    """`shop/invoice.py:12`."""
    return f"{traced.file}:{traced.place.line}"


def what(traced: Traced) -> str:
    """What was asked for and decided: `block, asked for`."""
    amount = traced.result.amount or "nothing"
    return f"{amount}, asked for" if traced.trigger == "invoked" else amount


def outcome(traced: Traced) -> str:
    """What became of the offer, a word or two; empty where there is none."""
    return (traced.outcome or "nothing yet") if traced.result.items else ""


def headline(traced: Traced) -> str:
    """The first line of the offer, or why there is none."""
    result = traced.result
    if not result.items:
        return f"no offer: {result.reason or 'no reason is known'}"
    lines = result.items[0].text.strip("\r\n").splitlines() or [""]
    return lines[0].strip() + (" …" if len(lines) > 1 else "")


def source(traced: Traced) -> Source:
    """Where the answer came from; what was generated came from the model."""
    result = traced.result
    return "model" if result.source == "none" and result.raw else result.source


def decision(traced: Traced) -> str:
    """How much policy allowed, and why nothing was offered."""
    result = traced.result
    said = f"a {result.amount} may be offered" if result.amount else "nothing may be offered"
    if not result.amount and (result.items or result.prompt is not None):
        said = "how much was decided is not known"
    return f"{said}; {result.reason}" if result.reason else said


def facts(traced: Traced) -> list[tuple[str, str]]:
    """What is said of a request in one line each: name and words."""
    result = traced.result
    asked = "explicitly" if traced.trigger == "invoked" else "by typing"
    rows = [
        ("place", f"{traced.file}, line {traced.place.line}, column {traced.place.column}"),
        ("asked", f"{asked}, in {traced.language or 'no language'}, answered at {clock(traced)}"),
        ("selected", traced.selected),
        ("decision", decision(traced)),
        ("source", _SOURCES[source(traced)]),
        ("model", result.model),
        ("generation", generation(traced)),
        ("confidence", f"{result.confidence:.2f}" if result.confidence is not None else ""),
        ("rules", ", ".join(result.changes) or ("none changed it" if result.raw else "")),
        ("outcome", outcome(traced)),
        ("time", f"{result.timings.total:.1f} ms"),
        ("in the log", traced.request_id),
    ]
    return [(name, said) for name, said in rows if said]


def generation(traced: Traced) -> str:
    """Tokens, and why it ended; empty where nothing was generated."""
    result = traced.result
    parts = []
    if result.tokens:
        guessed = f", {result.guessed_tokens} of them guessed right" if result.guessed_tokens else ""
        parts.append(f"{result.tokens} tokens{guessed}")
    if result.reused_tokens:
        parts.append(f"{result.reused_tokens} of the prompt's tokens were known from before")
    if result.finish is not None:
        parts.append(_FINISHES[result.finish])
    return "; ".join(parts)


def part_in_words(part: PromptPart) -> str:
    """`snippet shop/pricing.py:1-10`."""
    return f"{part.role} {part.label}".rstrip()


def segments(traced: Traced) -> list[tuple[PromptPart | None, str]]:
    """The prompt's text in pieces, each with the part that it is; None for markers and what lies between parts."""
    prompt = traced.result.prompt
    if prompt is None:
        return []
    pieces: list[tuple[PromptPart | None, str]] = []
    at = 0
    for part in prompt.parts:
        if part.start > at:
            pieces.append((None, prompt.text[at : part.start]))
        pieces.append((part, prompt.text[part.start : part.start + part.characters]))
        at = part.start + part.characters
    pieces.append((None, prompt.text[at:]))
    return [(part, text) for part, text in pieces if text]
