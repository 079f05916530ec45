"""Is a watched folder still the one it was? Deleted and made again, moved, unmounted and mounted again, replaced by a
file: the system's events tell some of these and not others, so a watched root is looked at every few seconds."""

from __future__ import annotations

import os
import stat

Identity = tuple[int, ...]

_REST = 50
_MOST_S = 60.0


def identity(folder: str) -> Identity | None:
    """What differs when another folder stands at this path; None when there is none, or none that can be entered."""
    try:
        status = os.stat(folder)  # noqa: PTH116
        # a file system that is mounted again may have the numbers of the one before
        volume = (os.statvfs(folder).f_fsid,) if hasattr(os, "statvfs") else ()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino, *volume) if stat.S_ISDIR(status.st_mode) else None


def pause_after(took: float, interval: float) -> float:
    """Seconds from a look that took so long to the next: `interval`, or more over a slow network, which is to be busy
    with it for a fiftieth of the time at most; a minute at most, since a disk that did not answer may be back."""
    return max(interval, min(took * _REST, _MOST_S))


def is_gone(folder: str) -> str:
    """The sentence for the user; the same wherever it is said, so that it is shown once."""
    return f"the workspace folder {folder} cannot be read; completions work without it"


def does_not_answer(folder: str) -> str:
    """The same for a folder whose disk neither answers nor fails."""
    return f"the workspace folder {folder} does not answer; completions work without it until it does"
