"""Closing brackets and quotes as VS Code puts them, with its defaults for Python."""

from __future__ import annotations

import re

CLOSING = {"(": ")", "[": "]", "{": "}", '"': '"', "'": "'"}
OPENING = {closing: opening for opening, closing in CLOSING.items()}
_CLOSES_BEFORE = frozenset(";:.,=}])>` \n\t")
_STRING_PREFIX = re.compile(r"(?<!\w)[rRfFbBuU]{1,2}$")
_COMMENT = re.compile(r"(^|\s)(#|//)")


def closed_by_editor(character: str, line: str, after: str, pending: str) -> str:
    """What the editor puts behind a typed character by itself: `line` is the text before it on its line, `after` the
    character behind it (empty at the end of the document), `pending` what the editor has put there before."""
    if character not in CLOSING or (after and after not in _CLOSES_BEFORE):
        return ""
    if character in "([{":
        return CLOSING[character]
    in_string = any(quote in pending for quote in "\"'")
    after_word = bool(re.search(r"\w$", line)) and not _STRING_PREFIX.search(line)
    if in_string or after_word or line.endswith(character) or _COMMENT.search(line):
        return ""
    return character


def wanted(closing: str, left: str) -> bool:
    """Whether a closing bracket or quote will be needed by what is still to be typed."""
    opening = OPENING[closing]
    if opening == closing:
        return closing in left.partition("\n")[0]
    depth = 0
    for character in left[:4000]:
        if character == opening:
            depth += 1
        elif character == closing:
            if not depth:
                return True
            depth -= 1
    return False
