"""A packed index in a file: which files it was made from, then the packed bytes as they are handed over.

In it are paths with sizes and times, line ranges, and 64-bit hashes of terms; no text of the files. The head can be
read without the rest: it says whether anything changed, which is all that a start on an unchanged workspace needs
to know. The rest holds its own checksum, which whoever unpacks it checks, once.

Bytes: a mark with the version, the size and the checksum of the head, the head as JSON, the packed bytes. Writing
goes to a temporary name first, so another process sees the old file or the new one, whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from aix_lsp.files import replaced_file

Stamp = tuple[int, int, int]
"""Size in bytes, last change of the content, last change of anything (both in nanoseconds)."""

UNKNOWN: Stamp = (-1, 0, 0)
"""The stamp of no file: one that is stored with it is read again next time."""

_MARK = b"aix-store-1\n"
_CHECK_BYTES = 16
_SIZE_BYTES = 8
_IDENTITY_BYTES = 48


class StoredFile(NamedTuple):
    """One file as it was. `left_out` says why it is not in the packed bytes: empty when it is."""

    stamp: Stamp
    left_out: str


@dataclass(frozen=True, slots=True)
class Head:
    """What a stored index was made from. `identity` are the first of the packed bytes, their checksum among them."""

    files: Mapping[str, StoredFile]
    identity: str


def write(path: Path, *, made_with: str, files: Mapping[str, StoredFile], packed: bytes) -> None:
    """Keep a packed index in `path`, for its owner's eyes only. Raises OSError, and leaves nothing behind then.

    `made_with` stands for everything else that the bytes depend on: versions, settings, the folder. `packed` must
    begin with its own checksum, as packed segments and definitions do.
    """
    head = {
        "made_with": made_with,
        "identity": _identity(packed),
        "size": len(packed),
        "paths": list(files),
        "stamps": [stored.stamp for stored in files.values()],
        "left_out": [stored.left_out for stored in files.values()],
    }
    encoded = json.dumps(head, separators=(",", ":")).encode()
    with replaced_file(path, mode=0o600) as file:
        file.write(b"".join([_MARK, len(encoded).to_bytes(_SIZE_BYTES, "little"), _check(encoded), encoded]))
        file.write(packed)


def read_head(path: Path, made_with: str) -> Head:
    """The head of a stored index.

    Raises ValueError in one line when it is damaged, cut, or made with something else; OSError when it is not there.
    """
    with path.open("rb") as file:
        head = _read_head(file)
        start = file.tell()
        size = os.fstat(file.fileno()).st_size
    if head["made_with"] != made_with:
        raise ValueError("the stored index was made with another version or other settings")
    if size != start + head["size"]:
        raise ValueError("the stored index is cut short or too long")
    stored = zip(head["stamps"], head["left_out"], strict=True)
    files = {
        name: StoredFile((stamp[0], stamp[1], stamp[2]), left_out)
        for name, (stamp, left_out) in zip(head["paths"], stored, strict=True)
    }
    return Head(files, head["identity"])


def read_packed(path: Path, identity: str) -> bytes:
    """The packed bytes that a head with this `identity` belongs to; unpacking them checks the rest of them.

    Raises ValueError when another process has put a newer index in their place, or they are damaged at the front.
    """
    with path.open("rb") as file:
        file.seek(_head_size(file), os.SEEK_CUR)
        packed = file.read()
    if _identity(packed) != identity:
        raise ValueError("the stored index is not the one that was looked for")
    return packed


def _head_size(file: BinaryIO) -> int:
    """Read up to the head's checksum, and say how long the head is."""
    front = file.read(len(_MARK) + _SIZE_BYTES)
    if not front.startswith(_MARK):
        raise ValueError("not a stored index of this version")
    size = int.from_bytes(front[len(_MARK) :], "little") + _CHECK_BYTES
    if size > os.fstat(file.fileno()).st_size:
        raise ValueError("the stored index is cut short")
    return size


def _read_head(file: BinaryIO) -> dict[str, Any]:
    encoded = file.read(_head_size(file))
    if encoded[:_CHECK_BYTES] != _check(encoded[_CHECK_BYTES:]):
        raise ValueError("the stored index is damaged: its checksum differs")
    head: dict[str, Any] = json.loads(encoded[_CHECK_BYTES:])
    return head


def _identity(packed: bytes) -> str:
    return packed[:_IDENTITY_BYTES].hex()


def _check(data: bytes) -> bytes:
    return blake2b(data, digest_size=_CHECK_BYTES).digest()
