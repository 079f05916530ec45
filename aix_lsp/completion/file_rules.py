"""Options that name files and languages: is a document among them?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from aix_lsp.languages import language_of
from aix_lsp.types import DocumentSnapshot
from aix_lsp.workspace.ignore import IgnoreRules

_PATTERN_CHARACTERS = frozenset("*./")


def names_file(patterns: tuple[str, ...], document: DocumentSnapshot) -> bool:
    """Whether patterns in the form of .gitignore lines match the document's path inside its folder. What lies outside
    all folders, or is no file, has only its name."""
    return bool(patterns) and _rules(patterns).ignored(document.name.lstrip("/"))


def names_document(entries: Sequence[str], document: DocumentSnapshot) -> bool:
    """Whether one of the entries is the document's language (the editor's identifier, or our name of it), or a pattern
    that matches its path; `*` matches every document."""
    if not entries:
        return False
    languages = (document.language_id, language_of(document.name, document.language_id).name)
    patterns = tuple(entry for entry in entries if not _PATTERN_CHARACTERS.isdisjoint(entry))
    return "*" in entries or any(entry in languages for entry in entries) or names_file(patterns, document)


@lru_cache(maxsize=64)
def _rules(patterns: tuple[str, ...]) -> IgnoreRules:
    return IgnoreRules(Path(), weaker=[patterns])
