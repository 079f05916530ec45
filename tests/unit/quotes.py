"""A workspace that always quotes the same, for tests of what is around it."""

from __future__ import annotations

from collections.abc import Sequence

from aix_lsp.completion.policy import Silence
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Snippet


class Quotes:
    """Always the same snippet; counts how often it was asked. `version` is that of its file, `silent` says why nothing
    may be offered."""

    def __init__(self) -> None:
        self.asked = 0
        self.version = 1
        self.silent = Silence()

    def snippets(self, document: DocumentSnapshot, offset: int, settings: Settings) -> list[Snippet]:
        """The one snippet."""
        self.asked += 1
        return [Snippet("other.py", 1, 2, 3.0, "similar", "def g(x):\n    return x")]

    def silence(self, document: DocumentSnapshot) -> Silence:
        """As told."""
        return self.silent

    def stamp(self, document: DocumentSnapshot, snippets: Sequence[Snippet]) -> tuple[object, ...]:
        """The version."""
        return (self.version,)
