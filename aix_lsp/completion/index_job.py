"""What the indexer is asked for, and what it hands over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aix_lsp.languages import is_code
from aix_lsp.workspace.scanner import Scanner

if TYPE_CHECKING:  # the indexer's process has no settings to read
    from aix_lsp.settings import Settings


@dataclass(frozen=True, slots=True)
class IndexJob:
    """What to index.

    `cache` is the folder of kept indexes, or None; `reuse` says whether to look for one there. Files directly in the
    folders `first` (relative to `root`) come first when most of them must be read.
    """

    root: str
    ignore: Sequence[str] = ()
    max_file_bytes: int = 512 * 1024
    max_files: int = 20_000
    chunk_lines: int = 10
    cache: str | None = None
    reuse: bool = True
    first: Sequence[str] = ()

    def scanner(self) -> Scanner:
        """The scanner that follows this job's rules, for single files later on."""
        return Scanner(
            Path(self.root),
            ignore=self.ignore,
            max_file_bytes=self.max_file_bytes,
            max_files=self.max_files,
            accepts=is_code,
        )


def job_for(root: Path, settings: Settings, cache: Path | None = None) -> IndexJob:
    """The job that indexes a folder under these settings, with the folder of kept indexes."""
    return IndexJob(
        root=str(root),
        ignore=settings.workspace.ignore,
        max_file_bytes=settings.workspace.max_file_kb * 1024,
        max_files=settings.workspace.max_files,
        chunk_lines=settings.retrieval.chunk_lines,
        cache=str(cache) if cache is not None and settings.workspace.cache_index else None,
    )


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a scan found. `left_out` counts files by reason, "withheld" for those that only reading told: no text after
    all, or a secret in it. `truncated`: there were more than `max_files`, and the most recently changed were taken.
    `reused` files were not read, because the kept index has them."""

    files: int
    left_out: dict[str, int]
    truncated: bool
    reused: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """A kept index in a file, and how to know that it is still the same one."""

    path: str
    identity: str


@dataclass(frozen=True, slots=True)
class ScannedPart:
    """The first part: which files there are, before any is read."""

    report: IndexReport
    packed: bytes = b""


@dataclass(frozen=True, slots=True)
class ChunksPart:
    """Chunks to take over: those of `stored` without the files `gone`, then `packed` (if any) over them; each part adds
    to the one before. `last`: similar lines of the whole folder can be found now. `quotable` are marks of the files
    that were looked through for what must not be quoted (`workspace/judged.py`)."""

    report: IndexReport
    packed: bytes
    last: bool = True
    stored: Stored | None = None
    gone: Sequence[str] = ()
    quotable: bytes = b""


@dataclass(frozen=True, slots=True)
class DefinitionsPart:
    """All definitions that are known by now, in place of those handed over before."""

    packed: bytes
    last: bool = True


Part = ScannedPart | ChunksPart | DefinitionsPart
PartKind = Literal["chunks", "definitions"]
