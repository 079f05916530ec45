"""Prompts as text for servers that take no token ids, and answers of servers that drop a space.

What a server makes of text depends on its tokenizer library: some put a beginning-of-text token in front, some put a
space in front (sentencepiece's habit), some do neither. A `Rendering` says what to leave out so that the server ends
up with the ids that were meant; which one is right is found out at start (`remote_check.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from aix_lsp.engine.tokenizer import ModelTokenizer
from aix_lsp.types import Prompt

_BLOCK = "\u2581"
_BEGINNINGS = ("<s>", "<bos>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>")
_LIKE_HTML = ("<s>", "</s>", "<bos>", "<eos>", "<pad>", "<unk>")
"""Servers leave these out of answers; where one stands all the same, somebody's source has it."""

_TAIL_TOKENS = 8


@dataclass(frozen=True, slots=True)
class Rendering:
    """What the server itself adds to a text, and is therefore left out: its beginning token, a space in front of the
    first text. `joins_blanks`: spaces before a marker that begins with sentencepiece's sign for a space would become
    one piece with that sign, so they are left out too."""

    adds_begin: bool = False
    adds_space: bool = False
    joins_blanks: bool = False


RENDERINGS: Final = tuple(
    Rendering(begin, space, joins) for joins in (False, True) for space in (False, True) for begin in (False, True)
)


def as_text(tokenizer: ModelTokenizer, ids: Sequence[int], rendering: Rendering = RENDERINGS[0]) -> str:
    """The text of a prompt, markers spelled out. What looks like a marker in somebody's source gets a space into it: as
    text it could not be told from the real one."""
    pieces = tokenizer.special_pieces
    if rendering.adds_begin and ids and pieces.get(ids[0]) in _BEGINNINGS:
        ids = ids[1:]
    parts: list[str] = []
    run: list[int] = []
    for token in ids:
        if token in pieces:
            parts += [_harmless(tokenizer, run), pieces[token]]
            run = []
        else:
            run.append(token)
    parts = [part for part in (*parts, _harmless(tokenizer, run)) if part]
    if rendering.adds_space:
        # Not for `<s>`, which stands outside of what is encoded.
        first = 1 if parts and parts[0] in _BEGINNINGS else 0
        parts[first : first + 1] = [part[1:] if part[0] in (" ", _BLOCK) else part for part in parts[first : first + 1]]
    return "".join(parts)


def expressible(tokenizer: ModelTokenizer, ids: Sequence[int], rendering: Rendering) -> list[int]:
    """The ids of a prompt that text can say to this server: all, or those without the spaces before markers."""
    if not rendering.joins_blanks:
        return list(ids)
    kept: list[int] = []
    for token in ids:
        if tokenizer.special_pieces.get(token, "").startswith(_BLOCK):
            while kept and kept[-1] not in tokenizer.special_ids and not tokenizer.decode(kept[-1:]).strip(" "):
                kept.pop()
        kept.append(token)
    return kept


def blanks_left_out(tokenizer: ModelTokenizer, prompt: Prompt, rendering: Rendering) -> str:
    """The spaces before the cursor that `expressible` leaves out: the answer will begin with them, and they are no part
    of the completion."""
    if not rendering.joins_blanks or prompt.format != "psm":
        return ""
    before = before_cursor(tokenizer, prompt)
    return before[len(before.rstrip(" ")) :]


def cut_at_marker(tokenizer: ModelTokenizer, text: str) -> tuple[str, bool]:
    """An answer up to the first marker that is spelled out in it, and whether there was one. A server that does not
    know the markers as ends writes them out and goes on."""
    found = _spellings(piece for piece in tokenizer.special_pieces.values() if piece not in _LIKE_HTML).search(text)
    return (text, False) if found is None else (text[: found.start()], True)


def give_space_back(before: str, text: str) -> str:
    """The beginning of an answer from a server that drops the space in front of its first token.

    `before` is the end of the prompt's prefix. A space that is left over from several is certain to have lost one. Else
    it is a guess by what stands on both sides: after a word, a number, a closing bracket, a comma or an operator, a
    word or a literal usually follows behind a space.
    """
    if text.startswith(" "):
        return f" {text}"
    if not before or before[-1].isspace() or not text or text[0].isspace():
        return text
    joins = before[-1].isalnum() or before[-1] in "_)]},;=<>+*/%&|?"
    begins = text[0].isalnum() or text[0] in "_\"'{"
    return f" {text}" if joins and begins else text


def _harmless(tokenizer: ModelTokenizer, ids: Sequence[int]) -> str:
    text = tokenizer.decode(ids)
    if "<" not in text:
        return text
    spelled = _spellings(tokenizer.special_pieces.values())
    return spelled.sub(lambda found: f"{found.group()[:2]} {found.group()[2:]}", text)


def before_cursor(tokenizer: ModelTokenizer, prompt: Prompt) -> str:
    """The last characters before the cursor, as the prompt has them."""
    end = len(prompt.ids)
    if prompt.format == "psm":
        # Behind the prefix come the suffix's marker, the suffix and the last marker.
        markers = [place for place, token in enumerate(prompt.ids) if token in tokenizer.special_ids]
        end = markers[-2] if len(markers) > 1 else 0
    return tokenizer.decode(prompt.ids[max(0, end - _TAIL_TOKENS) : end])


def _spellings(pieces: Iterable[str]) -> re.Pattern[str]:
    """Any of these special pieces as it may stand in a text; sentencepiece's sign for a space need not be there."""
    return _pattern(tuple(sorted({piece.lstrip(_BLOCK) for piece in pieces}, key=len, reverse=True)))


@lru_cache(maxsize=8)
def _pattern(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(re.escape(name) for name in names if len(name) > 2) or "(?!)")
