"""The documents that are open in the editor, as retrieval needs them: their texts, which of them an index does not know
yet, and the order in which files were worked on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from aix_lsp.completion.secret_text import SecretFinder

MOST_RECENT = 20
"""So many files count as recently edited or opened."""

MOST_CHARACTERS = 8 << 20
"""Longer texts are followed, but nothing is offered in them, and nothing of them is kept: to look through one for
secrets would hold up the loop (60 ms per million characters)."""


class OpenText:
    """One version of an open document. Whether there is a secret in it is looked for once, and from the version before
    on that was looked at."""

    __slots__ = ("_finder", "_secret", "language_id", "text")

    def __init__(self, text: str, language_id: str, before: OpenText | None = None) -> None:
        self.text = text
        self.language_id = language_id
        self._finder: SecretFinder = SecretFinder() if before is None else before._finder
        self._secret: bool | None = None

    @property
    def has_secret(self) -> bool:
        """Whether it must not be quoted."""
        if self._secret is None:
            self._secret = self._finder.holds(self.text)
        return self._secret

    @property
    def secret_line(self) -> int:
        """The line of the secret, the first being 1; 0 without one."""
        return self._finder.line if self._finder.holds(self.text) else 0


class OpenDocuments:
    """Open documents by their paths."""

    def __init__(self) -> None:
        self._open: dict[Path, OpenText] = {}
        self._recent: dict[Path, None] = {}  # the latest last
        self.stale: set[Path] = set()
        """Those whose text is not yet in the index that they belong to."""
        self._edits = 0
        self._own_edits: Counter[Path] = Counter()  # of those that are open

    def __contains__(self, path: Path) -> bool:
        return path in self._open

    def __iter__(self) -> Iterator[Path]:
        return iter(self._open)

    def __getitem__(self, path: Path) -> OpenText:
        return self._open[path]

    def get(self, path: Path) -> OpenText | None:
        """The text, if the document is open."""
        return self._open.get(path)

    def put(self, path: Path, text: str, language_id: str) -> None:
        """A document was opened or edited."""
        before = self._open.get(path)
        if before is not None and before.text != text:
            self._edits += 1
            self._own_edits[path] += 1
        self._open[path] = OpenText(text, language_id, before)
        self.stale.add(path)
        self._recent.pop(path, None)
        self._recent[path] = None
        if len(self._recent) > MOST_RECENT:
            del self._recent[next(iter(self._recent))]

    def drop(self, path: Path) -> None:
        """A document was closed. It was worked on nevertheless."""
        self._open.pop(path, None)
        self._own_edits.pop(path, None)
        self.stale.discard(path)

    def edits_elsewhere(self, path: Path | None) -> int:
        """How many edits were made in other documents than this one, which never becomes less; those of this one before
        it was closed count too."""
        return self._edits - (self._own_edits[path] if path is not None else 0)

    def all_stale(self) -> None:
        """An index was replaced, or the folders are others now."""
        self.stale.update(self._open)

    def recent(self) -> list[Path]:
        """The files that were opened or edited lately, the latest first."""
        return list(reversed(self._recent))
