"""A workspace that always quotes the same, for tests of what is around it."""

from __future__ import annotations

from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Snippet


class Quotes:
    """Always the same snippet; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def snippets(self, document: DocumentSnapshot, offset: int, settings: Settings) -> list[Snippet]:
        """The one snippet."""
        self.asked += 1
        return [Snippet("other.py", 1, 2, 3.0, "similar", "def g(x):\n    return x")]
