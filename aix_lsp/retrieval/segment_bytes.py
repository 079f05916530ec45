"""A packed segment as bytes: a mark with the version, a checksum, a JSON header, then the arrays, little-endian.

Nothing in it is executed when it is read.
"""

from __future__ import annotations

import json
import sys
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from aix_lsp.retrieval.segment import PackedSegment

_MARK = b"aix-segment-1\n"
_CHECK_BYTES = 16
_SIZE_BYTES = 8
_ALIGNMENT = 8
_DTYPES = {
    "files": "<i8",
    "start_lines": "<u4",
    "end_lines": "<u4",
    "lengths": "<u4",
    "vocabulary": "<u8",
    "chunk_starts": "<i8",
    "chunk_terms": "<u4",
    "chunk_counts": "<u2",
    "term_starts": "<i8",
    "term_chunks": "<u4",
    "term_counts": "<u2",
}


def _check(data: bytes | memoryview) -> bytes:
    return blake2b(data, digest_size=_CHECK_BYTES).digest()


def to_bytes(segment: PackedSegment) -> bytes:
    """All of a segment."""
    arrays = {name: np.asarray(getattr(segment, name), dtype=dtype) for name, dtype in _DTYPES.items()}
    header = {"paths": segment.paths, "sizes": {name: len(array) for name, array in arrays.items()}}
    encoded = json.dumps(header).encode()
    parts = [len(encoded).to_bytes(_SIZE_BYTES, "little"), encoded]
    for array in arrays.values():
        raw = array.tobytes()
        parts += [raw, bytes(-len(raw) % _ALIGNMENT)]
    body = b"".join(parts)
    return _MARK + _check(body) + body


def from_bytes(data: bytes) -> PackedSegment:
    """The segment again; its arrays are views into `data`.

    Raises ValueError in one line when the bytes are damaged, cut, or of another version.
    """
    if not data.startswith(_MARK):
        raise ValueError("not a packed index of this version")
    body = memoryview(data)[len(_MARK) + _CHECK_BYTES :]
    if data[len(_MARK) : len(_MARK) + _CHECK_BYTES] != _check(body):
        raise ValueError("the packed index is damaged: its checksum differs")
    size = int.from_bytes(body[:_SIZE_BYTES], "little")
    header = json.loads(bytes(body[_SIZE_BYTES : _SIZE_BYTES + size]))
    position = _SIZE_BYTES + size
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, dtype in _DTYPES.items():
        count = header["sizes"][name]
        array = np.frombuffer(body, dtype=dtype, count=count, offset=position)
        position += array.nbytes + -array.nbytes % _ALIGNMENT
        arrays[name] = array if sys.byteorder == "little" else array.astype(array.dtype.newbyteorder("="))
    return PackedSegment(paths=tuple(header["paths"]), **arrays)  # type: ignore[arg-type]
