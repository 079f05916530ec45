"""What the service asks of the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aix_lsp.completion.policy import Silence
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Snippet


class Retriever(Protocol):
    """Where snippets of other files come from. Called on the event loop."""

    def snippets(self, document: DocumentSnapshot, offset: int, settings: Settings) -> list[Snippet]:
        """The best snippets for a place, best first; never from the document itself."""
        ...

    def silence(self, document: DocumentSnapshot) -> Silence:
        """Why nothing is offered in this file. Cheap: it is asked at every key."""
        ...

    def stamp(self, document: DocumentSnapshot, snippets: Sequence[Snippet]) -> tuple[object, ...]:
        """Another value once a file of these snippets has changed, or what else would bring others. Cheap: it is asked
        at every key."""
        ...


class NoRetrieval:
    """A workspace with nothing in it."""

    def snippets(self, document: DocumentSnapshot, offset: int, settings: Settings) -> list[Snippet]:
        """No snippets."""
        return []

    def silence(self, document: DocumentSnapshot) -> Silence:
        """Nothing speaks against an offer."""
        return Silence()

    def stamp(self, document: DocumentSnapshot, snippets: Sequence[Snippet]) -> tuple[object, ...]:
        """Nothing ever changes."""
        return ()
