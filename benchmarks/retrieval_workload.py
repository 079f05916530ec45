"""Workspaces for `retrieval.py`, their chunks as lists of words, and the places that ask.

Every contender gets the same: chunks, tokens and queries are the product's own (`aix_lsp.retrieval`).
"""

from __future__ import annotations

import builtins
import keyword
import pickle
import random
import re
import string
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib import metadata
from pathlib import Path

from aix_lsp.completion.index_job import job_for
from aix_lsp.languages import language_id_of, language_of
from aix_lsp.retrieval.chunks import chunk, chunk_lines, split_lines
from aix_lsp.retrieval.query import query_terms
from aix_lsp.retrieval.tokens import path_tokens, tokenize
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot
from aix_lsp.uris import path_to_uri

LONGEST_FILE = 400_000  # bytes
_WORD = re.compile(r"[A-Za-z_]\w{2,}")
_KEPT = frozenset([*keyword.kwlist, *dir(builtins)])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a completion is asked for: the end of some line."""

    path: str
    offset: int


@dataclass(frozen=True, slots=True)
class Workload:
    """Chunks by file, each as (first line, last line, tokens), and queries as term -> weight with their places."""

    root: str
    characters: int
    files: dict[str, list[tuple[int, int, list[str]]]]
    places: list[Place]
    queries: list[dict[str, float]]

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return sum(map(len, self.files.values()))

    def save(self, path: Path) -> None:
        """For the contenders' processes."""
        with path.open("wb") as file:
            pickle.dump(self, file, protocol=pickle.HIGHEST_PROTOCOL)

    @staticmethod
    def load(path: Path) -> Workload:
        """What `save` wrote; the file is this run's own."""
        with path.open("rb") as file:
            loaded: Workload = pickle.load(file)
        return loaded


def packages_workspace(folder: Path, chunks: int) -> None:
    """Fill a folder with installed packages' Python files: real ones for half of the chunks wanted, then the same
    files with other identifiers, as often as it takes."""
    scanner = job_for(folder, Settings()).scanner()
    sources = list(_installed_files())
    found, copy = 0, 0
    while found < chunks:
        for name, path in sources:
            if found >= (chunks if copy else chunks // 2):
                break
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            relative = f"copy_{copy}/{name}" if copy else name
            target = folder / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(renamed(text, copy), encoding="utf-8")
            if scanner.accepts(relative) and scanner.read(relative) is not None:
                found += len(chunk(text))
            else:
                target.unlink()
        copy += 1
        if not found:
            raise SystemExit("no installed package has Python files")


def _installed_files() -> Iterator[tuple[str, Path]]:
    """Python files of all installed packages, in an order that mixes the packages and is the same every time."""
    found = {}
    for distribution in metadata.distributions():
        for entry in distribution.files or ():
            if entry.suffix == ".py" and ".." not in entry.parts:
                found[entry.as_posix()] = Path(str(distribution.locate_file(entry)))
    for name in sorted(found, key=lambda name: blake2b(name.encode()).digest()):
        path = found[name]
        if path.is_file() and 0 < path.stat().st_size <= LONGEST_FILE:
            yield name, path


def renamed(text: str, shift: int) -> str:
    """The text with every second identifier (by its hash; no keywords, no builtins) moved on in the alphabet, letter
    by letter: as many names of the same lengths, half of them shared with the original."""
    if not shift:
        return text
    table = _moved(shift)
    return _WORD.sub(lambda match: match[0].translate(table) if _is_renamed(match[0]) else match[0], text)


def _moved(shift: int) -> dict[int, int]:
    alphabets = (string.ascii_lowercase, string.ascii_uppercase)
    return {ord(letter): ord(letters[(i + shift) % 26]) for letters in alphabets for i, letter in enumerate(letters)}


@lru_cache(maxsize=1 << 18)
def _is_renamed(word: str) -> bool:
    return word not in _KEPT and blake2b(word.encode(), digest_size=1).digest()[0] % 2 == 0


def workload_of(folder: Path, queries: int, seed: int) -> Workload:
    """Read a folder as the server would, cut it, and draw places."""
    scanner = job_for(folder, Settings()).scanner()
    texts: dict[str, str] = {}
    for entry in scanner.scan().files:
        text = scanner.read(entry.path)
        if text is not None and text.strip():
            texts[entry.path] = text
    if not texts:
        raise SystemExit(f"{folder} has no files that would be indexed")
    places = list(_places(texts, queries, random.Random(seed)))
    return Workload(
        root=str(folder),
        characters=sum(map(len, texts.values())),
        files={path: chunks_of(path, text) for path, text in texts.items()},
        places=places,
        queries=[_query(place, texts[place.path]) for place in places],
    )


def chunks_of(path: str, text: str) -> list[tuple[int, int, list[str]]]:
    """The chunks of a file with their tokens and those of its path."""
    keywords = language_of(path).keywords
    shared = path_tokens(path)
    lines = split_lines(text)
    found = []
    for piece in chunk_lines(lines):
        quoted = "\n".join(lines[piece.start_line - 1 : piece.end_line])
        tokens = [sys.intern(token) for token in (*tokenize(quoted, keywords), *shared)]
        found.append((piece.start_line, piece.end_line, tokens))
    return found


def document_at(place: Place, text: str, root: str) -> DocumentSnapshot:
    """The document as an editor would have it open."""
    path = Path(root) / place.path
    return DocumentSnapshot(path_to_uri(path), text, language_id_of(place.path), 1, place.path, path)


def _places(texts: dict[str, str], count: int, draw: random.Random) -> Iterator[Place]:
    """Ends of lines that are not blank."""
    paths = sorted(texts)
    while count:
        path = draw.choice(paths)
        text = texts[path]
        end = text.find("\n", draw.randrange(len(text)))
        end = len(text) if end < 0 else end
        if text[text.rfind("\n", 0, end) + 1 : end].strip():
            count -= 1
            yield Place(path, end)


def _query(place: Place, text: str) -> dict[str, float]:
    return query_terms(document_at(place, text, "/"), place.offset, language_of(place.path))
