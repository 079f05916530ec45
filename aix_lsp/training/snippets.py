"""Snippets of other files of a project for training samples, found as the server finds them."""

from __future__ import annotations

from collections.abc import Sequence

from aix_lsp.retrieval.build import build_segment
from aix_lsp.retrieval.definitions import build_definitions
from aix_lsp.retrieval.index import RetrievalIndex
from aix_lsp.settings import RetrievalSettings
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.types import DocumentSnapshot, Snippet


class SnippetFinder:
    """The index of one project's files, with their texts in memory."""

    def __init__(self, files: Sequence[SourceFile], settings: RetrievalSettings | None = None) -> None:
        """`settings` are the server's, its defaults unless given. Raises ValueError when a path comes twice."""
        self._settings = settings or RetrievalSettings()
        self._texts = {file.path: file.text for file in files}
        listed = [(file.path, file.text) for file in files]
        self._index = RetrievalIndex(chunk_lines=self._settings.chunk_lines)
        self._index.load(build_segment(listed, chunk_lines=self._settings.chunk_lines))
        if self._settings.definitions:
            self._index.definitions.load(build_definitions(listed))

    def find(self, path: str, prefix: str, suffix: str, count: int, language: str = "") -> tuple[Snippet, ...]:
        """Up to `count` snippets for the place between `prefix` and `suffix` of the file `path`, best first: similar
        lines, and for every second place a definition if there is one.

        The query sees only the text around the place, and the file itself is never quoted, nor what it holds already.
        """
        if count <= 0:
            return ()
        settings = self._settings
        found = self._index.query(
            DocumentSnapshot(f"file:///{path}", prefix + suffix, language, 0, path),
            len(prefix),
            limit=count,
            query_lines=settings.query_lines,
            suffix_lines=settings.suffix_lines,
            scheme=settings.scheme,
            definitions=settings.definitions and count > 1,
            exclude={path},
            read=self._texts.get,
        )
        similar = [snippet for snippet in found if snippet.kind == "similar"]
        meant = [snippet for snippet in found if snippet.kind == "definition"]
        defined = min(len(meant), max(count // 2, count - len(similar)))
        return (*similar[: count - defined], *meant[:defined])
