"""Which file defines a name, and on which lines: the definitions of a folder by hashed name.

A bulk of files is packed in arrays sorted by name; files that changed since lie over it in dictionaries, and what
they had in the bulk does not count. Names are kept as 64-bit hashes only, so an index on disk holds no source text.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from aix_lsp.languages import language_of
from aix_lsp.retrieval.definitions_packed import KINDS, PackedDefinitions, PlaceRow, Row, pack_rows
from aix_lsp.retrieval.tokens import term_hash
from aix_lsp.syntax import definitions
from aix_lsp.syntax_queries import DefinitionKind

LARGEST_PARSED = 300_000
"""Characters; longer files are mostly generated or data, and parsing one would hold up the next query."""

_PARSED_AT_ONCE = 8_000  # characters: about a millisecond
_PACK_AT = 512
_PACK_AT_ROWS = 8_192
"""Definitions, 0.8 KB each until they are packed: 7 MB."""
_REMEMBERED_CHANGES = 1 << 14
"""Files: more than change while a folder is indexed; more at once are indexed anew."""


class DefinitionPlace(NamedTuple):
    """Where a name is defined. Lines are 1-based and inclusive."""

    path: str
    start_line: int
    end_line: int
    kind: DefinitionKind


class DefinitionIndex:
    """Definitions of files by their paths. Changes and questions come from one thread; `read_waiting` and `pack` may
    run on another one meanwhile."""

    def __init__(self) -> None:
        self._packed = PackedDefinitions.empty()
        self._hidden: set[str] = set()  # files of the bulk that changed or went since
        self._changed: dict[str, list[Row]] = {}
        self._by_name: dict[int, dict[str, list[Row]]] = {}
        self._clock = 0
        self._rows = 0  # of the files that changed
        self._moments: dict[str, int] = {}  # the latest last
        self._waiting: dict[str, tuple[str, str]] = {}  # path -> text and language identifier
        self._swapping = threading.Lock()

    def __len__(self) -> int:
        """Number of definitions, those of the bulk that are hidden by changes included."""
        return len(self._packed) + self._rows

    @property
    def nbytes(self) -> int:
        """Memory of the packed arrays."""
        return self._packed.nbytes

    @property
    def packing_due(self) -> bool:
        """Whether so many files changed, or they define so much, that `pack` is worth its time."""
        return len(self._hidden) + len(self._changed) > _PACK_AT or self._rows > _PACK_AT_ROWS

    def paths(self) -> set[str]:
        """The files that define anything."""
        return set(self._packed.paths).difference(self._hidden).union(self._changed)

    def mark(self) -> int:
        """The present moment, for `load`."""
        return self._clock

    def update(self, path: str, text: str, language_id: str = "") -> None:
        """This is the text of a file from now on. Files without a grammar, and very long ones, define nothing."""
        self._put(path, definition_rows(path, text, language_id))

    def update_soon(self, path: str, text: str, language_id: str = "") -> None:
        """The same, but a long file is left to `read_waiting`; until then what it defined before counts."""
        if len(text) <= _PARSED_AT_ONCE or len(text) > LARGEST_PARSED:
            self.update(path, text, language_id)
            return
        with self._swapping:
            self._waiting[path] = (text, language_id)

    @property
    def waiting(self) -> bool:
        """Whether long files are to be read."""
        return bool(self._waiting)

    def read_waiting(self) -> None:
        """Read the long files that changed. Changes and queries go on meanwhile."""
        while self._waiting:
            with self._swapping:
                path, given = next(iter(self._waiting.items()), ("", ("", "")))
            rows = definition_rows(path, *given)
            with self._swapping:
                if self._waiting.get(path) is given:  # else it changed again, or went
                    self._set(path, rows)

    def remove(self, path: str) -> None:
        """The file is gone."""
        self._put(path, [])

    def remove_many(self, paths: Iterable[str]) -> None:
        """These files are gone."""
        for path in paths:
            self._put(path, [])

    def _put(self, path: str, rows: list[Row]) -> None:
        with self._swapping:
            self._set(path, rows)

    def _set(self, path: str, rows: list[Row]) -> None:
        self._waiting.pop(path, None)
        self._clock += 1
        self._moments.pop(path, None)
        self._moments[path] = self._clock
        if len(self._moments) > _REMEMBERED_CHANGES:
            # files that a build makes and removes would add up, each by a name of its own
            del self._moments[next(iter(self._moments))]
        if path in self._packed.numbers:
            self._hidden.add(path)
        self._lay_over(path, rows)

    def _lay_over(self, path: str, rows: list[Row]) -> None:
        before = self._changed.pop(path, ())
        self._rows += len(rows) - len(before)
        for row in before:
            files = self._by_name.get(row.name)
            if files is not None and files.pop(path, None) is not None and not files:
                del self._by_name[row.name]
        if rows:
            self._changed[path] = rows
        for row in rows:
            self._by_name.setdefault(row.name, {}).setdefault(path, []).append(row)

    def load(self, packed: PackedDefinitions, since: int | None = None) -> None:
        """Take in a whole folder that was read elsewhere, in place of everything known.

        With `since`, a `mark` taken before the reading began, files that changed here after it stay as they are.
        """
        with self._swapping:
            moments = self._moments if since is not None else {}
            newer = {path for path, moment in moments.items() if moment > (since or 0)}
            self._swap(packed, newer)

    def _swap(self, packed: PackedDefinitions, newer: set[str]) -> None:
        """A new bulk; only the changes of the files `newer` stay over it."""
        for path in [path for path in self._changed if path not in newer]:
            self._lay_over(path, [])
        self._moments = {path: moment for path, moment in self._moments.items() if path in newer}
        self._packed = packed
        self._hidden = {path for path in newer if path in packed.numbers}

    def pack(self) -> None:
        """Merge the changes into the bulk. Changes and queries go on meanwhile."""
        with self._swapping:
            moment = self._clock
            packed, hidden, changed = self._packed, set(self._hidden), dict(self._changed)
        merged = packed.merged(hidden, changed)
        with self._swapping:
            if self._packed is packed:
                self._swap(merged, {path for path, when in self._moments.items() if when > moment})

    def find(self, names: Iterable[str], *, most: int = 64) -> Mapping[str, list[DefinitionPlace]]:
        """Name -> where it is defined, for those of `names` that are; a name defined in more than `most` places says
        nothing and is left out."""
        return {name: list(map(DefinitionPlace._make, rows)) for name, rows in self.rows(names, most=most).items()}

    def rows(self, names: Iterable[str], *, most: int) -> dict[str, Sequence[PlaceRow]]:
        """The same as plain tuples, for hundreds of names at once."""
        words = {term_hash(name): name for name in names}
        with self._swapping:  # never held while files are read or a bulk is merged: the wait is short
            hidden, by_name = self._hidden, self._by_name
            found = self._packed.rows_of(words, most)
            if hidden:
                living = ((number, [row for row in rows if row[0] not in hidden]) for number, rows in found.items())
                found = {number: rows for number, rows in living if rows}
            for number in words.keys() & by_name.keys():
                rows = list(found.get(number, ()))
                for path, changed in by_name[number].items():
                    rows += [(path, row.start_line, row.end_line, KINDS[row.kind]) for row in changed]
                found[number] = rows
        return {words[number]: rows for number, rows in found.items() if len(rows) <= most}

    def to_bytes(self) -> bytes:
        """Everything, packed."""
        with self._swapping:
            return self._packed.merged(self._hidden, self._changed).to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> DefinitionIndex:
        """The index again. Raises ValueError in one line when the bytes are damaged, cut, or of another version."""
        index = cls()
        index.load(PackedDefinitions.from_bytes(data))
        return index


def definition_rows(path: str, text: str, language_id: str = "") -> list[Row]:
    """What one file defines."""
    grammar = language_of(path, language_id).grammar
    if grammar is None or len(text) > LARGEST_PARSED:
        return []
    return [
        Row(term_hash(item.name), item.start_line, item.end_line, KINDS.index(item.kind))
        for item in definitions(text, grammar)
    ]


def build_definitions(files: Iterable[tuple[str, str]]) -> PackedDefinitions:
    """The definitions of many files given as (path, text), for a process that does nothing else."""
    return pack_rows((path, definition_rows(path, text)) for path, text in files)
