"""Definitions of many files as arrays sorted by hashed name, and as bytes.

Bytes: a mark with the version, a checksum, a JSON header, then the arrays, little-endian. Nothing in it is executed
when it is read, and there is no text of the files in it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from aix_lsp.syntax_queries import DefinitionKind

KINDS: tuple[DefinitionKind, ...] = get_args(DefinitionKind)
"""A kind is stored as its place in here."""

_MARK = b"aix-definitions-1\n"
_CHECK_BYTES = 16
_REMEMBERED = 1 << 14  # names
_SIZE_BYTES = 8
_DTYPES = {"names": "<u8", "files": "<u4", "start_lines": "<u4", "end_lines": "<u4", "kinds": "|u1"}


PlaceRow = tuple[str, int, int, DefinitionKind]
"""Path, first and last line, and kind of a definition."""


class Row(NamedTuple):
    """One definition: the hash of its name, its lines, and the number of its kind."""

    name: int
    start_line: int
    end_line: int
    kind: int


@dataclass(frozen=True, eq=False)
class PackedDefinitions:
    """Immutable. All arrays have one entry per definition, ordered by name; `files` are positions in `paths`."""

    paths: tuple[str, ...]
    names: NDArray[np.uint64]
    files: NDArray[np.uint32]
    start_lines: NDArray[np.uint32]
    end_lines: NDArray[np.uint32]
    kinds: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def empty(cls) -> PackedDefinitions:
        """No files."""
        return pack_rows([])

    @cached_property
    def numbers(self) -> Mapping[str, int]:
        """Path -> position in `paths`."""
        return {path: number for number, path in enumerate(self.paths)}

    @property
    def nbytes(self) -> int:
        """Memory of the arrays."""
        arrays = (self.names, self.files, self.start_lines, self.end_lines, self.kinds)
        return sum(array.nbytes for array in arrays)

    def rows_of(self, names: Collection[int], most: int) -> dict[int, Sequence[PlaceRow]]:
        """Hash -> its definitions; hashes with none or with more than `most` are left out. Remembered: while somebody
        types, the same names are asked for with every key."""
        asked = self._asked.setdefault(most, {})
        if len(asked) > _REMEMBERED:
            asked.clear()
        new = [name for name in names if name not in asked]
        if new:
            asked.update(dict.fromkeys(new, ()))
            asked.update(self._looked_up(new, most))
        return {name: rows for name in names if (rows := asked[name])}

    @cached_property
    def _asked(self) -> dict[int, dict[int, Sequence[PlaceRow]]]:
        return {}

    def _looked_up(self, names: Sequence[int], most: int) -> dict[int, Sequence[PlaceRow]]:
        wanted = np.array(names, dtype=np.uint64)
        if not len(self) or not len(wanted):
            return {}
        wanted.sort()  # neighbours lie near each other in memory
        firsts = np.searchsorted(self.names, wanted)
        known = np.flatnonzero(self.names[np.minimum(firsts, len(self) - 1)] == wanted)
        wanted, firsts = wanted[known], firsts[known]
        sizes = np.searchsorted(self.names, wanted, side="right") - firsts
        few = sizes <= most
        wanted, firsts, sizes = wanted[few], firsts[few], sizes[few]
        ends = np.cumsum(sizes)
        # the positions of all rows of all names, one after the other
        at = np.arange(int(sizes.sum())) + np.repeat(firsts - (ends - sizes), sizes)
        paths = map(self.paths.__getitem__, self.files[at].tolist())
        kinds = map(KINDS.__getitem__, self.kinds[at].tolist())
        rows = list(zip(paths, self.start_lines[at].tolist(), self.end_lines[at].tolist(), kinds, strict=True))
        bounds = pairwise([0, *ends.tolist()])
        return {name: rows[first:end] for name, (first, end) in zip(wanted.tolist(), bounds, strict=True)}

    def merged(self, without: Collection[str], changed: Mapping[str, Sequence[Row]]) -> PackedDefinitions:
        """The same without some files, and with others."""
        gone = np.zeros(len(self.paths) + 1, dtype=np.bool_)
        gone[[self.numbers[path] for path in {*without, *changed} if path in self.numbers]] = True
        kept = ~gone[self.files]
        position = np.cumsum(~gone).astype(np.uint32) - np.uint32(1)
        rest = PackedDefinitions(
            tuple(path for number, path in enumerate(self.paths) if not gone[number]),
            self.names[kept],
            position[self.files[kept]],
            self.start_lines[kept],
            self.end_lines[kept],
            self.kinds[kept],
        )
        if not changed:
            return rest
        added = pack_rows(changed.items())
        offset = np.uint32(len(rest.paths))
        return _sorted(
            rest.paths + added.paths,
            np.concatenate([rest.names, added.names]),
            np.concatenate([rest.files, added.files + offset]),
            np.concatenate([rest.start_lines, added.start_lines]),
            np.concatenate([rest.end_lines, added.end_lines]),
            np.concatenate([rest.kinds, added.kinds]),
        )

    def to_bytes(self) -> bytes:
        """All of it."""
        header = json.dumps({"paths": self.paths, "rows": len(self)}).encode()
        arrays = [np.asarray(getattr(self, name), dtype=dtype).tobytes() for name, dtype in _DTYPES.items()]
        body = b"".join([len(header).to_bytes(_SIZE_BYTES, "little"), header, *arrays])
        return _MARK + _check(body) + body

    @classmethod
    def from_bytes(cls, data: bytes) -> PackedDefinitions:
        """The same again. Raises ValueError in one line when the bytes are damaged, cut, or of another version."""
        if not data.startswith(_MARK):
            raise ValueError("not an index of definitions of this version")
        body = memoryview(data)[len(_MARK) + _CHECK_BYTES :]
        if data[len(_MARK) : len(_MARK) + _CHECK_BYTES] != _check(body):
            raise ValueError("the index of definitions is damaged: its checksum differs")
        position = _SIZE_BYTES + int.from_bytes(body[:_SIZE_BYTES], "little")
        header = json.loads(bytes(body[_SIZE_BYTES:position]))
        arrays: dict[str, NDArray[np.generic]] = {}
        for name, dtype in _DTYPES.items():
            array = np.frombuffer(body, dtype=dtype, count=header["rows"], offset=position)
            position += array.nbytes
            arrays[name] = array.astype(array.dtype.newbyteorder("="))  # a copy, aligned and apart from `data`
        return cls(paths=tuple(header["paths"]), **arrays)  # type: ignore[arg-type]


def pack_rows(files: Iterable[tuple[str, Sequence[Row]]]) -> PackedDefinitions:
    """Pack the definitions of files given as (path, rows)."""
    paths: list[str] = []

    def fields() -> Iterator[tuple[int, int, int, int, int]]:
        for path, rows in files:
            if rows:
                paths.append(path)
            number = len(paths) - 1
            for row in rows:
                yield row.name, number, row.start_line, row.end_line, row.kind

    kinds = np.dtype([(name, dtype.replace("<", "=")) for name, dtype in _DTYPES.items()])
    table = np.fromiter(fields(), dtype=kinds)
    columns = [np.ascontiguousarray(table[name]) for name in _DTYPES]
    return _sorted(tuple(paths), *columns)


def _sorted(
    paths: tuple[str, ...],
    names: NDArray[np.uint64],
    files: NDArray[np.uint32],
    start_lines: NDArray[np.uint32],
    end_lines: NDArray[np.uint32],
    kinds: NDArray[np.uint8],
) -> PackedDefinitions:
    order = np.argsort(names, kind="stable")
    return PackedDefinitions(paths, names[order], files[order], start_lines[order], end_lines[order], kinds[order])


def _check(data: bytes | memoryview) -> bytes:
    return blake2b(data, digest_size=_CHECK_BYTES).digest()
