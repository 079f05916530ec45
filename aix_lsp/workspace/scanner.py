"""Which files of a workspace folder are read for retrieval, and their text.

One set of rules decides for a whole scan and for one changed path: ignore rules (`listing.py`), then names, sizes,
links and the first bytes of a file.
Links are never followed: what a link inside the folder points to is there under its own name, and what lies outside
is none of ours.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple, cast

from aix_lsp.workspace.contents import HEAD_BYTES, UNFIT, Unfit, decode, generated_by_name, unfit
from aix_lsp.workspace.folders import never_entered
from aix_lsp.workspace.judged import Judged, Stamp
from aix_lsp.workspace.listing import GIT_IGNORE_FILE, OWN_IGNORE_FILE, PathRules, folders_above, name_of
from aix_lsp.workspace.secrets import contains_secret, is_secret_path

Reason = (
    Literal["ignored", "folder", "secret", "type", "name", "link", "special", "size", "missing", "unreadable"] | Unfit
)
"""Why a path is left out. "folder" is one that is never entered, or a repository within the repository; "type" is
what the owner does not accept; "special" is a device, a pipe or a folder; "name" has bytes that cannot be shown."""

Judgement = tuple[Stamp, Unfit | None]
"""What the content of a file told when it had this stamp."""

_NOT_SHOWN: Final = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
"""Control characters, and the escapes that stand for bytes which are no UTF-8."""

_OPEN_FLAGS: Final = os.O_RDONLY | sum(
    # Between looking and opening the file may have become a link or a pipe: neither is followed nor waited for.
    getattr(os, name, 0)
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)
_LEAST_READ: Final = 4096

_MOUNT_POINT_TAG: Final = 0xA0000003
"""What marks a junction on Windows, where it is no symbolic link."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file worth reading. `path` is relative to the folder with forward slashes; `mtime_ns` is the last change of its
    content, `ctime_ns` that of anything about it (on Windows when it was made)."""

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int = 0

    @property
    def stamp(self) -> Stamp:
        """What differs when the file has changed."""
        return self.size, self.mtime_ns, self.ctime_ns


@dataclass(frozen=True, slots=True)
class ScanResult:
    """Files in the order of their paths, and how many paths were left out for which reason.

    `truncated`: there were more than `max_files`, and the most recently changed were taken; counts of what only the
    content tells (binary, generated, minified) then cover those that were looked at. `unfit` are the files that the
    content left out.
    """

    files: tuple[FileEntry, ...]
    left_out: dict[str, int]
    truncated: bool
    unfit: tuple[tuple[FileEntry, Unfit], ...] = ()


class Scanner:
    """Decides for one workspace folder. Not for several threads at once.

    `ignore` has patterns as in a .gitignore. `accepts` says by its path whether a file is of a kind that is wanted.
    """

    def __init__(
        self,
        root: Path,
        *,
        ignore: Sequence[str] = (),
        max_file_bytes: int = 512 * 1024,
        max_files: int = 20_000,
        accepts: Callable[[str], bool] = lambda path: True,
    ) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100 (Path.absolute keeps `..`)
        self._prefix = os.path.join(self.root, "")  # noqa: PTH118 (pathlib is slow for ten thousand files)
        self._rules = PathRules(self.root, ignore)
        self._max_file_bytes = max_file_bytes
        self._max_files = max_files
        self._wanted = accepts
        self.judged = Judged()
        """Files that `read` need not look through again. What is taken over into it must come from an equal scanner."""

    def scan(self, known: Mapping[str, Judgement] | None = None) -> ScanResult:
        """Look at the whole folder, with ignore rules read anew. Takes about a second for 20,000 files.

        Files of `known` that still have the stamp there are not opened. Their names must have been judged by an equal
        scanner of the same version.
        """
        known = known or {}
        listing = self._rules.list()
        left_out: Counter[str] = Counter(listing.left_out)
        truncated = listing.truncated
        links: dict[str, bool] = {}
        candidates = []
        for path in listing.paths:
            judged = (None if path in known else self._judge_name(path)) or self._judge_disk(path, links)
            if isinstance(judged, FileEntry):
                candidates.append(judged)
            else:
                left_out[judged] += 1
        candidates.sort(key=lambda entry: (-entry.mtime_ns, entry.path))
        files: list[FileEntry] = []
        refused: list[tuple[FileEntry, Unfit]] = []
        for entry in candidates:
            if len(files) >= self._max_files:
                truncated = True
                break
            stamp, why = known.get(entry.path, (None, None))
            found: Reason | None = why if stamp == entry.stamp else self._judge_content(entry.path)
            if found is None:
                files.append(entry)
                continue
            left_out[found] += 1
            if found in UNFIT:
                refused.append((entry, cast("Unfit", found)))
        files.sort(key=lambda entry: entry.path)
        # A file that git tracks and somebody deleted concerns nobody.
        del left_out["missing"]
        return ScanResult(tuple(files), dict(left_out), truncated, tuple(refused))

    def accepts(self, path: str) -> bool:
        """True if one path, perhaps changed since the scan, would be among a scan's files (`max_files` aside)."""
        return self.reason(path) is None

    def reason(self, path: str) -> Reason | None:
        """Why `path` is left out, or None. Patterns are those read last: see `invalidate`."""
        why = self._judge_name(path) or self._rules.reason(path)
        if why is not None:
            return why
        judged = self._judge_disk(path)
        return self._judge_content(path) if isinstance(judged, FileEntry) else judged

    def ignored(self, path: str) -> bool:
        """Whether ignore rules alone leave `path` out; the file is not looked at. Patterns as for `reason`."""
        return self._rules.ignored(path)

    def ignored_by(self, path: str) -> str:
        """Which rules leave `path` out, by the name of their file or option; "" where none do."""
        return self._rules.ignored_by(path)

    def read(self, path: str) -> str | None:
        """Text of a file that `accepts`, or None when it is gone, too big, no text, generated, or has a secret in it.

        Names, links and sizes are checked again, ignore rules are not. A byte order mark is dropped; line ends stay.
        """
        if self._through_link(path, {}):
            return None
        began = time.time_ns()
        opened = self._open_file(path, self._max_file_bytes + 1)
        if opened is None or len(opened.data) > self._max_file_bytes:
            return None
        # A file that changes while it is read has another stamp afterwards.
        if opened.before == opened.after and self.judged.holds(path, opened.after):
            return decode(opened.data)
        if self._judge_name(path) is not None or unfit(opened.data) is not None:
            return None
        text = decode(opened.data)
        if text is None or contains_secret(text):
            return None
        self.judged.note(path, opened.before, began)
        return text

    def invalidate(self) -> None:
        """Forget all patterns: a .gitignore or .aixignore has changed. They are read again when next needed."""
        self._rules.invalidate()

    @staticmethod
    def holds_rules(path: str) -> bool:
        """True for files whose change calls for `invalidate` and a new scan."""
        return name_of(path) in (GIT_IGNORE_FILE, OWN_IGNORE_FILE)

    def _judge_name(self, path: str) -> Reason | None:
        if not _displayable(path):
            return "name"
        if never_entered(path):
            return "folder"
        if is_secret_path(path):
            return "secret"
        if not self._wanted(path):
            return "type"
        return "generated" if generated_by_name(name_of(path)) else None

    def _judge_disk(self, path: str, links: dict[str, bool] | None = None) -> FileEntry | Reason:
        if self._through_link(path, {} if links is None else links):
            return "link"
        try:
            status = os.lstat(f"{self._prefix}{path}")
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except (OSError, ValueError):
            return "unreadable"
        if stat.S_ISLNK(status.st_mode):
            return "link"
        if not stat.S_ISREG(status.st_mode):
            return "special"
        if status.st_size > self._max_file_bytes:
            return "size"
        return FileEntry(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _judge_content(self, path: str) -> Reason | None:
        head = self._read_bytes(path, HEAD_BYTES)
        return "unreadable" if head is None else unfit(head)

    def _through_link(self, path: str, known: dict[str, bool]) -> bool:
        """True if a folder on the way to `path` is a link (or a junction): it may lead anywhere."""
        for folder in folders_above(path):
            if folder not in known:
                known[folder] = _is_link(f"{self._prefix}{folder}")
            if known[folder]:
                return True
        return False

    def _is_at(self, descriptor: int, path: str) -> bool:
        """Whether the opened file lies where its path says. A folder on the way may have become a link between looking
        and opening, and a link again a folder: where the system tells the way to an open file, that counts."""
        if "/" not in path:
            return True  # the last part of a path is not followed when it is opened
        try:
            real = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 (pathlib is slow for ten thousand files)
        except OSError:
            return not self._through_link(path, {})
        return real in (f"{self._prefix}{path}", os.path.join(os.path.realpath(self.root), path))  # noqa: PTH118

    def _read_bytes(self, path: str, limit: int) -> bytes | None:
        opened = self._open_file(path, limit)
        return None if opened is None else opened.data

    def _open_file(self, path: str, limit: int) -> _Opened | None:
        try:
            descriptor = os.open(f"{self._prefix}{path}", _OPEN_FLAGS)
        except (OSError, ValueError):
            return None
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode) or not self._is_at(descriptor, path):
                return None
            pieces: list[bytes] = []
            while limit > 0 and (piece := os.read(descriptor, min(limit, max(before.st_size, _LEAST_READ)))):
                pieces.append(piece)
                limit -= len(piece)
            return _Opened(b"".join(pieces), _stamp(before), _stamp(os.fstat(descriptor)))
        except OSError:
            return None
        finally:
            os.close(descriptor)


class _Opened(NamedTuple):
    """What was read of a file, and its stamps before and after that."""

    data: bytes
    before: Stamp
    after: Stamp


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _displayable(path: str) -> bool:
    """True for a relative path that stays below its root and whose characters a prompt can show."""
    if _NOT_SHOWN.search(path) or (os.sep == "\\" and "\\" in path):
        return False
    return all(part not in ("", ".", "..") for part in path.split("/"))


def _is_link(path: str) -> bool:
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return False
    return stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _MOUNT_POINT_TAG
