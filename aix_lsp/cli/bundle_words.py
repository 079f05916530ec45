"""What of a text may go into a bug report: the words that this program says itself, and figures.

A list of what is forbidden would never be whole: paths, names of projects, identifiers, secrets. So it is the other way
round: of a line from a log, a reason, a finding, each word that does not stand in the program's own source is replaced
by `…`, and each path as a whole. What is left of somebody's code, should any ever get that far, is a few common words
and punctuation.
"""

from __future__ import annotations

import builtins
import getpass
import platform
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import aix_lsp

WITHHELD = "…"
PATH = "(path)"

_WORD = re.compile(r"\w+")
_PATH = re.compile(r"[\w.~:-]*(?:[/\\]+[\w.~@%+:-]+)+[/\\]*")
_MOST_DIGITS = 15
_LONGEST = 1_000
_ROOMS = ("*.py", "cli/*.py", "completion/*.py", "engine/*.py", "prompt/*.py", "retrieval/*.py", "server/**/*.py")
_WORKSPACE = "workspace/*.py"


@cache
def vocabulary() -> frozenset[str]:
    """The words of the program's own source, in lower case, with the names of its modules, of Python's, and of built-in
    exceptions."""
    package = Path(aix_lsp.__file__).parent
    words: set[str] = set()
    for pattern in (*_ROOMS, _WORKSPACE):
        for file in package.glob(pattern):
            words.update(file.stem.lower().split("."))
            words.update(map(str.lower, _WORD.findall(file.read_text(encoding="utf-8"))))
    words.update(map(str.lower, (*sys.stdlib_module_names, *dir(builtins))))
    return frozenset(words)


def own_words(text: object, more: Iterable[str] = ()) -> str:
    """The text with every word replaced that is neither a number nor one of ours, or of `more`."""
    known, also = vocabulary(), {word.lower() for part in more for word in _WORD.findall(part)}

    def kept(found: re.Match[str]) -> str:
        word = found[0].lower()
        is_number = word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS
        return found[0] if is_number or word in known or word in also else WITHHELD

    return _WORD.sub(kept, _PATH.sub(PATH, str(text)[:_LONGEST]))


def without_names(text: str) -> str:
    """What a driver or the system says of the machine, without the user's folder, the user's name and the machine's."""
    text = text.replace(str(Path.home()), "~")
    for name, shown in (
        (_user(), "<user>"),
        (platform.node(), "<host>"),
        (platform.node().partition(".")[0], "<host>"),
    ):
        if name:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", shown, text, flags=re.IGNORECASE)
    return text[:_LONGEST]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""
