"""Which paths of a workspace folder its ignore rules let through.

One class answers for the whole folder and for one path, so that both follow the same rules: git's view where there is
a git, .gitignore files otherwise, and `.aixignore` and the `ignore` option on top.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from aix_lsp.workspace.folders import ENVIRONMENT_MARK, NEVER_ENTERED
from aix_lsp.workspace.git import GitView, find_git_view
from aix_lsp.workspace.ignore import IgnoreRules, read_lines

GIT_IGNORE_FILE: Final = ".gitignore"
OWN_IGNORE_FILE: Final = ".aixignore"
IGNORE_OPTION: Final = "workspace.ignore"

_MAX_ENTRIES: Final = 500_000
"""Entries that a walk without git looks at; somebody may have opened the root of a disk."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Paths that came through, how many did not (a folder that was not entered counts once), and whether the walk
    was cut short."""

    paths: list[str]
    left_out: Counter[Literal["ignored", "folder", "unreadable"]]
    truncated: bool = False


class PathRules:
    """The rules of one folder, read when first needed. Paths are relative to it, with forward slashes."""

    def __init__(self, root: Path, ignore: Sequence[str] = (), *, ask_git: bool = True) -> None:
        """Without `ask_git` no git is started: .gitignore files below the folder count as if there were none."""
        self._root = root
        self._ignore = tuple(ignore)
        self._git: GitView | None = None
        self._git_asked = not ask_git
        self._rules: tuple[IgnoreRules, IgnoreRules] | None = None
        self._own_file: IgnoreRules | None = None

    def invalidate(self) -> None:
        """Forget all patterns: an ignore file has changed."""
        self._rules = self._own_file = None

    def list(self) -> Listing:
        """All paths that come through. Asks git anew and reads all patterns anew."""
        self.invalidate()
        self._git_asked = False
        view = self._view()
        listed = None if view is None else view.files()
        if listed is None:
            # Git may have failed half-way: its rules then hold no longer either.
            self._git = None
            self.invalidate()
            return self._walk()
        left_out: Counter[Literal["ignored", "folder", "unreadable"]] = Counter()
        environments = tuple(path[: -len(ENVIRONMENT_MARK)] for path in listed if name_of(path) == ENVIRONMENT_MARK)
        _, own = self._ignore_rules()
        paths = []
        for path in listed:
            if own.ignored(path):
                left_out["ignored"] += 1
            elif environments and path.startswith(environments):
                left_out["folder"] += 1
            else:
                paths.append(path)
        return Listing(paths, left_out)

    def ignored(self, path: str) -> bool:
        """Whether patterns leave one path out. Git's do not where git tracks the file nevertheless."""
        rules, own = self._ignore_rules()
        tracked = self._git is not None and path in self._git.tracked_although_ignored
        return own.ignored(path) or (not tracked and rules.ignored(path))

    def ignored_by(self, path: str) -> str:
        """What leaves one path out, for a person: `.gitignore` (or git's other ignore files), `.aixignore`, or the
        option; "" where nothing does."""
        if not self.ignored(path):
            return ""
        _, own = self._ignore_rules()
        if not own.ignored(path):
            return GIT_IGNORE_FILE
        if self._own_file is None:
            self._own_file = IgnoreRules(self._root, weaker=[read_lines(self._root / OWN_IGNORE_FILE)])
        return OWN_IGNORE_FILE if self._own_file.ignored(path) else IGNORE_OPTION

    def reason(self, path: str) -> Literal["ignored", "folder"] | None:
        """Why one path is left out, or None."""
        if self.ignored(path):
            return "ignored"
        # Git's list has nothing of a repository inside the repository.
        marks = [ENVIRONMENT_MARK] if self._git is None else [ENVIRONMENT_MARK, ".git"]
        for folder in folders_above(path):
            if any(os.path.lexists(self._root / folder / mark) for mark in marks):
                return "folder"
        return None

    def _view(self) -> GitView | None:
        if not self._git_asked:
            self._git = find_git_view(self._root)
            self._git_asked = True
        return self._git

    def _ignore_rules(self) -> tuple[IgnoreRules, IgnoreRules]:
        """The rules of .gitignore files, and those of `.aixignore` and the `ignore` option, which can only add."""
        if self._rules is None:
            view = self._view()
            if view is None:
                rules = IgnoreRules(self._root, file_name=GIT_IGNORE_FILE)
            else:
                weaker = [read_lines(path) for path in view.exclude_files]
                rules = IgnoreRules(view.top, view.prefix, weaker, GIT_IGNORE_FILE)
            own_lines = [*read_lines(self._root / OWN_IGNORE_FILE), *self._ignore]
            self._rules = rules, IgnoreRules(self._root, weaker=[own_lines])
        return self._rules

    def _walk(self) -> Listing:
        """Breadth first, so that a walk cut short has seen what lies near the root."""
        paths: list[str] = []
        left_out: Counter[Literal["ignored", "folder", "unreadable"]] = Counter()
        folders = deque([""])
        looked_at = 0
        while folders and looked_at < _MAX_ENTRIES:
            folder = folders.popleft()
            try:
                with os.scandir(self._root / folder) as opened:
                    entries = list(opened)
            except OSError:
                left_out["unreadable"] += 1
                continue
            looked_at += len(entries)
            if folder and any(entry.name == ENVIRONMENT_MARK for entry in entries):
                left_out["folder"] += 1
                continue
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                is_folder = entry.is_dir(follow_symlinks=False)
                if is_folder and entry.name in NEVER_ENTERED:
                    left_out["folder"] += 1
                elif any(rules.ignored(path, folder=is_folder) for rules in self._ignore_rules()):
                    left_out["ignored"] += 1
                else:
                    (folders if is_folder else paths).append(path)
        return Listing(paths, left_out, truncated=bool(folders))


def name_of(path: str) -> str:
    """The last part of a path."""
    return path.rpartition("/")[2]


def folders_above(path: str) -> Iterator[str]:
    """Folders on the way to `path`, from the top, the root apart."""
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
