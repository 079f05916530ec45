"""Indexing one workspace folder: what the kept index has is taken from there, the rest is read.

A generator of parts, for a process that does nothing else (`indexer.py`) and for one-shot commands. A part must be
taken over before the next one is asked for. What comes after the last (keeping the index for the next start) holds up
nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from aix_lsp.completion.index_cache import IndexStore
from aix_lsp.completion.index_job import ChunksPart, DefinitionsPart, IndexJob, IndexReport, Part, ScannedPart, Stored
from aix_lsp.retrieval.store import UNKNOWN, Head, Stamp, StoredFile
from aix_lsp.workspace.contents import UNFIT, Unfit
from aix_lsp.workspace.judged import is_settled, marks_of
from aix_lsp.workspace.scanner import FileEntry, Judgement, Scanner

if TYPE_CHECKING:  # numpy and tree-sitter are loaded when there is anything to be packed
    from aix_lsp.retrieval.definitions_packed import PackedDefinitions, Row
    from aix_lsp.retrieval.segment import PackedSegment

_WITHHELD = "withheld"
"""Why a file is not in the index whose text could not be read, or is nobody's to quote."""

_FIRST_FROM = 300
"""With fewer files to read, those of open documents' folders need not come first."""

_MOST_FIRST = 1_000
_FEW = 32
_SAVE_SECONDS = 6.0


def index(job: IndexJob, before_work: Callable[[], object] = lambda: None) -> Iterator[Part]:
    """Chunks, then definitions, each in one part or several.

    `before_work` is called once, after looking for what changed and before anything that takes long.
    """
    store = IndexStore(job)
    scanner = job.scanner()
    chunks = _Chunks(job, store, scanner)
    if not chunks.is_quick:
        before_work()
    yield chunks.scanned()
    yield from chunks.parts()
    if chunks.is_quick:
        before_work()
    if chunks.is_first:
        chunks.keep()  # the definitions of everything take long: should we be ended meanwhile, this much is done
    definitions = _Definitions(store, scanner, chunks.readable(), chunks.began)
    yield from definitions.parts(chunks.early)
    if not chunks.is_first:
        chunks.keep()
    store.tidy()


@dataclass(frozen=True, slots=True)
class _Difference:
    """Files that are as a kept index has them, files to be read, and paths whose part of it no longer counts."""

    same: list[FileEntry]
    changed: list[FileEntry]
    gone: list[str]

    @classmethod
    def between(cls, head: Head | None, files: Iterable[FileEntry]) -> _Difference:
        known = head.files if head is not None else {}
        same: list[FileEntry] = []
        changed: list[FileEntry] = []
        for entry in files:
            stored = known.get(entry.path)
            (same if stored is not None and stored.stamp == entry.stamp else changed).append(entry)
        kept = {entry.path for entry in same}
        gone = [path for path, stored in known.items() if not stored.left_out and path not in kept]
        return cls(same, changed, gone)

    @property
    def is_small(self) -> bool:
        """Whether to read this once more at the next start costs less than writing everything."""
        return len(self.changed) + len(self.gone) <= max(_FEW, len(self.same) // 100)


class _Chunks:
    """The chunks of a folder."""

    def __init__(self, job: IndexJob, store: IndexStore, scanner: Scanner) -> None:
        self._job = job
        self._store = store
        self._scanner = scanner
        self.began = time.time_ns()
        self._head = store.head("chunks")
        self._found = scanner.scan(_judgements(self._head))
        self._difference = _Difference.between(self._head, self._found.files)
        if len(self._difference.same) < len(self._difference.changed) // 2:
            self._head = None
            self._difference = _Difference([], list(self._found.files), [])
        self.early = self._first()
        self._with_text: set[str] = set()
        self._segments: list[PackedSegment] = []
        self._packed = b""

    @property
    def is_first(self) -> bool:
        """Whether nothing that was kept could be used."""
        return self._head is None

    @property
    def is_quick(self) -> bool:
        """Whether hardly anything must be read."""
        return not self.is_first and self._difference.is_small

    def _first(self) -> list[FileEntry]:
        folders = set(self._job.first)
        changed = self._difference.changed
        if not folders or len(changed) < _FIRST_FROM:
            return []
        return [entry for entry in changed if entry.path.rpartition("/")[0] in folders][:_MOST_FIRST]

    def scanned(self) -> ScannedPart:
        """What the scan told."""
        return ScannedPart(IndexReport(len(self._found.files), self._found.left_out, self._found.truncated))

    def _texts(self, entries: Iterable[FileEntry]) -> Iterator[tuple[str, str]]:
        for entry in entries:
            text = self._scanner.read(entry.path)
            if text is not None:
                self._with_text.add(entry.path)
                yield entry.path, text

    def parts(self) -> Iterator[ChunksPart]:
        """What was kept, and what is read now."""
        stored = self._store.stored("chunks", self._head) if self._head is not None else None
        gone = self._difference.gone
        if self.early:
            yield self._part(self.early, last=False, stored=stored, gone=gone)
            stored, gone = None, []
        first = {entry.path for entry in self.early}
        rest = [entry for entry in self._difference.changed if entry.path not in first]
        yield self._part(rest, last=True, stored=stored, gone=gone)

    def _part(self, entries: Sequence[FileEntry], *, last: bool, stored: Stored | None, gone: list[str]) -> ChunksPart:
        self._pack(entries)
        found = self._found
        reused = [entry for entry in self._difference.same if not self._left_out(entry)]
        files = len(self._with_text) + len(reused)
        left_out = dict(found.left_out)
        if last and files < len(found.files):
            left_out[_WITHHELD] = len(found.files) - files
        report = IndexReport(files, left_out, found.truncated, len(reused))
        return ChunksPart(report, self._packed, last, stored, gone, self._quotable(last=last))

    def _quotable(self, *, last: bool) -> bytes:
        """Marks of the files that were looked through, now or when the kept index was made."""
        entries = self.readable() if last else [entry for entry in self.early if not self._left_out(entry)]
        return marks_of((entry.path, entry.stamp) for entry in entries if is_settled(entry.stamp, self.began))

    def _pack(self, entries: Sequence[FileEntry]) -> None:
        if not entries and self._head is not None:
            self._packed = b""
            return
        from aix_lsp.retrieval.build import build_segment

        segment = build_segment(self._texts(entries), chunk_lines=self._job.chunk_lines)
        self._segments.append(segment)
        self._packed = segment.to_bytes()

    def _left_out(self, entry: FileEntry) -> str:
        """Why a file is not in the index; empty when it is."""
        if entry.path in self._with_text:
            return ""
        stored = self._head.files.get(entry.path) if self._head is not None else None
        return stored.left_out if stored is not None and stored.stamp == entry.stamp else _WITHHELD

    def readable(self) -> list[FileEntry]:
        """The files that have text to quote."""
        return [entry for entry in self._found.files if not self._left_out(entry)]

    def keep(self) -> None:
        """Keep all of this for the next start, where it is worth it."""
        if not self._store.keeps or (self._head is not None and self._difference.is_small):
            return
        packed = self._packed
        if self._head is not None or len(self._segments) > 1:
            kept = self._store.packed("chunks", self._head) if self._head is not None else None
            if self._head is not None and kept is None:
                return
            try:
                packed = _merged(kept, self._difference.gone, self._segments).to_bytes()
            except ValueError:  # damaged: whoever takes it over sees that too, and asks anew
                return
        files = {
            entry.path: StoredFile(_safe(entry.stamp, self.began), self._left_out(entry)) for entry in self._found.files
        }
        files |= {entry.path: StoredFile(_safe(entry.stamp, self.began), why) for entry, why in self._found.unfit}
        self._store.keep("chunks", files, packed)


def _merged(kept: bytes | None, gone: Sequence[str], segments: Sequence[PackedSegment]) -> PackedSegment:
    import numpy as np

    from aix_lsp.retrieval.segment import PackedSegment, merge

    parts = [(segment, np.ones(len(segment), dtype=np.bool_)) for segment in segments]
    if kept is not None:
        old = PackedSegment.from_bytes(kept)
        alive = np.ones(len(old), dtype=np.bool_)
        for number in (old.file_numbers[path] for path in gone if path in old.file_numbers):
            alive[old.files[number] : old.files[number + 1]] = False
        parts.insert(0, (old, alive))
    return merge(parts)


class _Definitions:
    """The definitions of the files that have text."""

    def __init__(self, store: IndexStore, scanner: Scanner, files: Sequence[FileEntry], began: int) -> None:
        self._store = store
        self._scanner = scanner
        self._files = files
        self._began = began
        self._rows: dict[str, list[Row]] = {}

    def parts(self, early: Sequence[FileEntry]) -> Iterator[DefinitionsPart]:
        """All definitions; before them those of the files `early` when most must be read."""
        head, base = self._kept()
        difference = _Difference.between(head, self._files)
        if head is not None and not difference.changed and not difference.gone:
            yield DefinitionsPart(base.to_bytes())
            return
        from aix_lsp.retrieval.definitions import definition_rows

        first = {entry.path for entry in early}
        ordered = sorted(difference.changed, key=lambda entry: entry.path not in first)
        saved = time.monotonic()
        for number, entry in enumerate(ordered):
            if number and number == len(first):
                yield DefinitionsPart(base.merged(difference.gone, self._rows).to_bytes(), last=False)
            text = self._scanner.read(entry.path)
            self._rows[entry.path] = [] if text is None else definition_rows(entry.path, text)
            if self._store.keeps and time.monotonic() - saved > _SAVE_SECONDS:  # whoever ends this loses little
                self._keep(difference.same, base.merged(difference.gone, self._rows))
                saved = time.monotonic()
        merged = base.merged(difference.gone, self._rows)
        yield DefinitionsPart(merged.to_bytes())
        if head is None or not difference.is_small:
            self._keep(difference.same, merged)

    def _kept(self) -> tuple[Head | None, PackedDefinitions]:
        from aix_lsp.retrieval.definitions_packed import PackedDefinitions

        head = self._store.head("definitions")
        packed = self._store.packed("definitions", head) if head is not None else None
        if packed is not None:
            try:
                return head, PackedDefinitions.from_bytes(packed)
            except ValueError:
                pass  # damaged: all is read anew
        return None, PackedDefinitions.empty()

    def _keep(self, same: Iterable[FileEntry], packed: PackedDefinitions) -> None:
        known = {entry.path for entry in same} | self._rows.keys()
        files = {
            entry.path: StoredFile(_safe(entry.stamp, self._began), "") for entry in self._files if entry.path in known
        }
        self._store.keep("definitions", files, packed.to_bytes())


def _judgements(head: Head | None) -> dict[str, Judgement]:
    """What is known of the files' contents without opening them."""
    known = head.files if head is not None else {}
    return {
        path: (stored.stamp, cast("Unfit", stored.left_out) if stored.left_out in UNFIT else None)
        for path, stored in known.items()
    }


def _safe(stamp: Stamp, began: int) -> Stamp:
    """The stamp, unless the file may have changed since and have it still."""
    return stamp if is_settled(stamp, began) else UNKNOWN
