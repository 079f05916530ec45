"""Where packed indexes are kept between two starts: one folder per workspace folder in the user's cache.

Only what can be made anew is in there, readable for its owner alone, and without any text of the files
(`retrieval/store.py`). Whatever is wrong with it counts as not being there.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from pathlib import Path

import aix_lsp
from aix_lsp.completion.index_job import IndexJob, PartKind, Stored
from aix_lsp.files import TEMPORARY
from aix_lsp.private import is_ours, make_private_folder
from aix_lsp.retrieval.store import Head, StoredFile, read_head, read_packed, write

MOST_BYTES = 2 << 30
"""Kept indexes of all folders together; the least recently used go first."""

UNUSED_SECONDS = 60 * 24 * 3600
"""An index that was not used for this long goes."""

_ABANDONED_SECONDS = 3600  # a file that is being written is done within seconds
_ENTRY = re.compile(r"[0-9a-f]{32}")
_CODE = ("retrieval/*.py", "workspace/*.py", "languages.py", "syntax*.py", "data/*.json")


def cache_folder() -> Path:
    """The folder of all kept indexes."""
    import platformdirs

    return platformdirs.user_cache_path("aix-lsp", appauthor=False) / "index"


def entry_of(cache_root: Path, root: str) -> Path:
    """The folder for one workspace folder."""
    return cache_root / blake2b(os.fsencode(root), digest_size=16).hexdigest()


class IndexStore:
    """What is kept for one job's folder; keeps nothing when the job names no cache."""

    def __init__(self, job: IndexJob) -> None:
        self._root = _trusted(job.cache)
        self._entry = entry_of(self._root, job.root) if self._root is not None else None
        self._folder = job.root
        self._reuse = job.reuse
        self._made_with = {
            "version": aix_lsp.__version__,
            "code": _code(),
            "root": job.root,
            "chunk_lines": job.chunk_lines,
            "max_file_bytes": job.max_file_bytes,
        }

    @property
    def keeps(self) -> bool:
        """Whether anything is kept at all."""
        return self._entry is not None

    def _key(self, kind: PartKind) -> str:
        return json.dumps({"kind": kind, **self._made_with})

    def head(self, kind: PartKind) -> Head | None:
        """What a kept index was made from, if there is one that fits."""
        if self._entry is None or not self._reuse:
            return None
        try:
            return read_head(self._entry / kind, self._key(kind))
        except (OSError, ValueError):
            return None

    def stored(self, kind: PartKind, head: Head) -> Stored | None:
        """Where it is."""
        return None if self._entry is None else Stored(str(self._entry / kind), head.identity)

    def packed(self, kind: PartKind, head: Head) -> bytes | None:
        """Its packed bytes, unless somebody has replaced it meanwhile."""
        if self._entry is None:
            return None
        try:
            return read_packed(self._entry / kind, head.identity)
        except (OSError, ValueError):
            return None

    def keep(self, kind: PartKind, files: Mapping[str, StoredFile], packed: bytes) -> None:
        """Keep an index for the next start. A full disk or a folder that cannot be written means that none is kept."""
        if self._root is None or self._entry is None:
            return
        if not files or not os.path.isdir(self._folder):  # noqa: PTH112
            return  # a folder that is gone for a while (moved, an empty mount point) has its index when it comes back
        with contextlib.suppress(OSError):
            for folder in (self._root.parent, self._root, self._entry):
                make_private_folder(folder)
            write(self._entry / kind, made_with=self._key(kind), files=files, packed=packed)

    def tidy(self) -> None:
        """Note that this index is in use, and remove those that were not for long."""
        if self._root is not None and self._entry is not None:
            with contextlib.suppress(OSError):
                os.utime(self._entry)
            tidy(self._root, keep=self._entry)


def _trusted(cache: str | None) -> Path | None:
    """The folder of kept indexes, unless somebody else has made it, or the one around it."""
    if cache is None:
        return None
    root = Path(cache)
    return root if all(is_ours(folder) for folder in (root.parent, root) if os.path.lexists(folder)) else None


@cache
def _code() -> str:
    """A number for the code that decides what an index holds: another version may see other terms in the same text."""
    folder = Path(aix_lsp.__file__).parent
    digest = blake2b(digest_size=16)
    for pattern in _CODE:
        for path in sorted(folder.glob(pattern)):
            digest.update(path.name.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """The kept index of one workspace folder: its size in bytes, and when it was last used (seconds)."""

    path: Path
    size: int
    used: float


def entries(cache_root: Path) -> Iterator[Entry]:
    """All kept indexes."""
    try:
        folders = [path for path in cache_root.iterdir() if _ENTRY.fullmatch(path.name) and not path.is_symlink()]
    except OSError:
        return
    for folder in folders:
        with contextlib.suppress(OSError):
            size = sum(path.stat().st_size for path in folder.iterdir())
            yield Entry(folder, size, folder.stat().st_mtime)


def tidy(cache_root: Path, keep: Path, *, most_bytes: int = MOST_BYTES) -> None:
    """Remove indexes that were not used for long, the least recently used of too many, and what a process that was
    ended has left half-written. `keep` stays."""
    now = time.time()
    total = 0
    for entry in sorted(entries(cache_root), key=lambda entry: -entry.used):
        total += entry.size
        if entry.path == keep or (now - entry.used < UNUSED_SECONDS and total <= most_bytes):
            _remove_abandoned(entry, now)
            continue
        total -= entry.size
        shutil.rmtree(entry.path, ignore_errors=True)


def _remove_abandoned(entry: Entry, now: float) -> None:
    for path in entry.path.glob(f"*{TEMPORARY}"):
        with contextlib.suppress(OSError):
            if now - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()
                os.utime(entry.path, (entry.used, entry.used))  # this was no use of it
