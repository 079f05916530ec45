"""How long an automatic request waits for the next key. A fixed wait."""

from __future__ import annotations

import time
from collections.abc import Callable

from aix_lsp.settings import CompletionSettings
from aix_lsp.types import TriggerKind


class Debounce:
    """The wait of the settings for what nobody asked for explicitly."""

    def __init__(self, client: str = "", now: Callable[[], float] = time.perf_counter) -> None:
        """`client` is what the editor calls itself."""

    def asked(self) -> None:
        """An automatic request came."""

    def answered(self, seconds: float) -> None:
        """The model needed so long for an answer."""

    def accepted(self) -> None:
        """An offer was accepted."""

    def delay(self, trigger: TriggerKind, settings: CompletionSettings, new_line: bool = False) -> float:
        """Seconds to wait. `new_line`: nothing but white space stands before the cursor on its line."""
        return settings.debounce_ms / 1000 if trigger == "automatic" else 0.0
