"""Which paths the patterns of .gitignore files leave out, by git's own rules, with pathspec's patterns.

Git decides from the top down: nothing below an ignored folder can come back. For one entry the deepest .gitignore
with a matching pattern decides, in one file the last such pattern; then come weaker files (`.git/info/exclude`, the
user's own). pathspec's patterns match everything below a folder too, which is not what decides about an entry, so
each is narrowed to the entry itself.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_MAX_BYTES: Final = 1 << 20
_OPEN_FLAGS: Final = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)
"""A pipe by the name of an ignore file is not waited for, and a link not followed, however late it came there."""

_REMEMBERED_FOLDERS: Final = 1 << 16


class Patterns:
    """The patterns of one ignore file, matched against paths relative to its folder."""

    __slots__ = ("_any", "_rules")

    def __init__(self, lines: Iterable[str]) -> None:
        rules = [rule for line in lines if (rule := _rule(line)) is not None]
        self._rules = tuple((ignored, re.compile(source)) for ignored, source in reversed(rules))
        # Most paths match nothing; one search over all patterns says so faster than many.
        self._any = re.compile("|".join(f"(?:{source})" for _, source in rules)) if rules else None

    def match(self, entry: str) -> bool | None:
        """True: ignored; False: a `!` pattern asks for it; None: no pattern matches. A folder ends in a slash."""
        if self._any is None or self._any.search(entry) is None:
            return None
        return next((ignored for ignored, pattern in self._rules if pattern.search(entry)), None)


def _rule(line: str) -> tuple[bool, str] | None:
    """(ignored?, regular expression for the entry itself), or None for blanks, comments and invalid patterns."""
    try:
        pattern = GitIgnoreSpecPattern(line)
    except GitIgnorePatternError:
        return None
    if pattern.include is None or pattern.regex is None:
        return None
    source = str(pattern.regex.pattern).replace("(?P<ps_d>/)", "(?:/)")
    if source == ".":
        return pattern.include, source
    # What ends in `/**` or `/**/` is about the inside of a folder, not the folder; others match up to the entry's end.
    if source.endswith("/"):
        return pattern.include, source + "(?=.)"
    if source.startswith("^") and line.rstrip().endswith("/**/"):
        return pattern.include, source.removesuffix("(?:/)") + r"/.+/\Z"
    return pattern.include, source + r"\Z"


def read_lines(path: Path) -> list[str]:
    """Lines of an ignore file; none when it is absent, unreadable, or a link (which git does not follow)."""
    try:
        handle = os.open(path, _OPEN_FLAGS)
        with os.fdopen(handle, "rb") as file:
            if path.is_symlink() or not stat.S_ISREG(os.fstat(handle).st_mode):
                return []
            data = file.read(_MAX_BYTES)
    except (OSError, ValueError):
        return []
    lines = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").split("\n")
    return [line.removesuffix("\r") for line in lines]


class IgnoreRules:
    """The ignore files called `file_name` from `top` down, read when first needed; None reads no files.

    `prefix` is the part of the path between `top` and the folder that asked-for paths are relative to (empty, or
    ending in a slash). `weaker` are lines relative to `top` that count less, the strongest first.
    """

    def __init__(
        self,
        top: Path,
        prefix: str = "",
        weaker: Iterable[Sequence[str]] = (),
        file_name: str | None = None,
    ) -> None:
        self._top = top
        self._prefix = prefix
        self._file_name = file_name
        self._weaker = tuple((0, Patterns(lines)) for lines in weaker)
        self._prefix_folder = prefix.rstrip("/")
        self._forget()

    def _forget(self) -> None:
        self._chains: dict[str, tuple[tuple[int, Patterns], ...]] = {}
        self._owned: dict[str, bool] = {"": True}
        # What lies above the asking folder is given: git answers for that folder as if it were not ignored.
        self._ignored_folders: dict[str, bool] = {self._prefix_folder: False}

    def ignored(self, path: str, *, folder: bool = False) -> bool:
        """True if the file (or folder) `path` is ignored, by itself or by a folder above it."""
        full = self._prefix + path
        if len(self._ignored_folders) > _REMEMBERED_FOLDERS:
            # a build makes and removes folders, each by a name of its own
            self._forget()
        return self._folder_ignored(full) if folder else self._folder_ignored(_parent(full)) or self._decide(full)

    def _folder_ignored(self, folder: str) -> bool:
        known = self._ignored_folders.get(folder)
        if known is None:
            known = folder != "" and (self._folder_ignored(_parent(folder)) or self._decide(folder, "/"))
            self._ignored_folders[folder] = known
        return known

    def _decide(self, entry: str, end: str = "") -> bool:
        for start, patterns in self._chain(_parent(entry)):
            ignored = patterns.match(entry[start:] + end)
            if ignored is not None:
                return ignored
        return False

    def _chain(self, folder: str) -> tuple[tuple[int, Patterns], ...]:
        """Patterns that apply to entries of `folder`, the strongest first, with the length of their folder's path."""
        chain = self._chains.get(folder)
        if chain is None:
            chain = self._chain(_parent(folder)) if folder else self._weaker
            lines = read_lines(self._top / folder / self._file_name) if self._file_name and self._own(folder) else []
            if any(lines):
                chain = ((len(folder) + 1 if folder else 0, Patterns(lines)), *chain)
            self._chains[folder] = chain
        return chain

    def _own(self, folder: str) -> bool:
        """Whether a folder lies below the top as its path says: what a link leads to may lie anywhere."""
        known = self._owned.get(folder)
        if known is None:
            name = folder.rpartition("/")[2]
            known = name != ".." and self._own(_parent(folder)) and not (self._top / folder).is_symlink()
            self._owned[folder] = known
        return known


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
