"""Which folders to watch below a root, so that installed packages and git's objects cost nothing.

The system's events are either for one folder or for a folder with everything below it. On Linux the latter takes one
watch per folder below, and one event for each file that a package manager unpacks. So a folder without heavy folders
below is watched as a whole, and one with them is watched alone, with its other children planned in turn.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

from aix_lsp.workspace.folders import NEVER_ENTERED

GIT_FOLDER: Final = ".git"
GIT_FILES: Final = frozenset({"HEAD", "index"})
"""What changes in `.git` when a branch is switched or files are added; nothing else in there is looked at."""

_MAX_WATCHES: Final = 256
"""Above this many (each is a thread) the root is watched as a whole after all."""

_MAX_DEPTH: Final = 100


def plan(root: str) -> list[tuple[str, bool]]:
    """(folder, with everything below?) for each watch that `root` needs. Links are not followed."""
    if os.path.basename(root) == GIT_FOLDER:  # noqa: PTH119 (watchdog speaks in strings)
        return [(root, False)]
    _, watches = _visit(root, 0)
    return watches if len(watches) <= _MAX_WATCHES else [(root, True)]


def is_reported(relative: str, is_folder: bool) -> bool:
    """True if a change of this path (relative to the root, with the system's separator) is worth reporting."""
    parts = PurePath(relative).parts
    if GIT_FOLDER in parts:
        below = parts[parts.index(GIT_FOLDER) + 1 :]
        return not below or (len(below) == 1 and below[0] in GIT_FILES)
    return NEVER_ENTERED.isdisjoint(parts if is_folder else parts[:-1])


def list_watched(folder: str | None) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder as a poll looks at them: without heavy folders, and of `.git` the few files that count."""
    with os.scandir(folder) as opened:
        entries = list(opened)
    if folder is not None and os.path.basename(folder) == GIT_FOLDER:  # noqa: PTH119
        return iter([entry for entry in entries if entry.name in GIT_FILES])
    return iter([entry for entry in entries if entry.name == GIT_FOLDER or entry.name not in NEVER_ENTERED])


def _visit(folder: str, depth: int) -> tuple[bool, list[tuple[str, bool]]]:
    """(nothing heavy below?, watches for `folder` and below)."""
    whole = [(folder, True)]
    try:
        with os.scandir(folder) as opened:
            children = [entry for entry in opened if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return True, whole
    if depth >= _MAX_DEPTH:
        return True, whole
    clean = True
    watches = [(folder, False)]
    for child in children:
        if child.name == GIT_FOLDER:
            clean = False
            watches.append((child.path, False))
        elif child.name in NEVER_ENTERED:
            clean = False
        else:
            child_clean, child_watches = _visit(child.path, depth + 1)
            clean = clean and child_clean
            watches += child_watches
    return (True, whole) if clean else (False, watches)
