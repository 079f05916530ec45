"""A model in this process whose answers do not depend on what was asked before.

For a person who types, keys and values of the last prompt are kept. They were computed in other pieces than a new
prompt's would be, and, where single tokens have weights of their own, with other weights: the last bits differ, and
with them now and then a token. A measurement is to give the same numbers again, so nothing is kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from aix_lsp.engine.local import LocalBackend
from aix_lsp.types import GenerationRequest, Prompt


class FreshBackend(LocalBackend):
    """A `LocalBackend` that forgets each prompt."""

    def generate(
        self, prompt: Prompt, request: GenerationRequest, cancelled: Callable[[], bool]
    ) -> Generator[int, None, None]:
        """See `Backend.generate`."""
        self._decoder().forget()
        return super().generate(prompt, request, cancelled)
