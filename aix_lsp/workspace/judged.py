"""Which files are known to be fit to be quoted as they are now: judged before, and unchanged since.

To look through a file for secrets takes longer than to read it. Whoever has done so (the indexer, or the scanner that
read it last) leaves a mark: a hash of the path and the stamp of the file. A file with another stamp is judged anew.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

Stamp = tuple[int, int, int]
"""Size and times of a file (bytes, nanoseconds): last change of the content, last change of anything about it."""

_FINE_NS: Final = 100_000_000
_COARSE_NS: Final = 2_000_000_000
_REMEMBERED: Final = 4096


def is_settled(stamp: Stamp, looked_ns: int) -> bool:
    """Whether a file that had this stamp when it was looked at cannot have changed since and have it still.

    Not so when it had changed shortly before: file systems count in milliseconds, some in seconds.
    """
    newest = max(stamp[1:])
    return newest <= looked_ns - (_FINE_NS if newest % 1_000_000_000 else _COARSE_NS)


def _mark_of(path: str, stamp: Stamp) -> int:
    text = f"{path}\0{stamp[0]}\0{stamp[1]}\0{stamp[2]}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def marks_of(files: Iterable[tuple[str, Stamp]]) -> bytes:
    """The marks of files that were found fit, for `Judged.take_over`: 8 bytes each, for this machine."""
    return array("Q", sorted(_mark_of(path, stamp) for path, stamp in files)).tobytes()


class Judged:
    """Marks handed over in bulk, and those of up to a few thousand files judged since."""

    def __init__(self) -> None:
        self._bulk = array("Q")
        self._since: set[int] = set()

    def take_over(self, marks: bytes) -> None:
        """What `marks_of` made, in place of an earlier one. Raises ValueError for bytes of another length."""
        bulk = array("Q")
        bulk.frombytes(marks)
        self._bulk = bulk

    def holds(self, path: str, stamp: Stamp) -> bool:
        """Whether the file was found fit when it had this stamp."""
        mark = _mark_of(path, stamp)
        if mark in self._since:
            return True
        place = bisect_left(self._bulk, mark)
        return place < len(self._bulk) and self._bulk[place] == mark

    def note(self, path: str, stamp: Stamp, looked_ns: int) -> None:
        """The file was found fit, read at `looked_ns` and its stamp taken before that."""
        if not is_settled(stamp, looked_ns):
            return
        if len(self._since) >= _REMEMBERED:
            self._since.clear()
        self._since.add(_mark_of(path, stamp))
