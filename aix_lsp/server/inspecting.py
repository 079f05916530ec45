"""A session's part in `aix.inspect` and `aix-lsp inspect`: the page and the socket, imported once the server runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from aix_lsp.server.inspection import Inspection
    from aix_lsp.server.inspection_page import Page
    from aix_lsp.server.session import Session


class Inspecting:
    """Everything that `aix.inspect` and the socket need; `close` leaves nothing on disk."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._inspection: Inspection | None = None
        self._page: Page | None = None

    async def serve(self) -> None:
        """Sweep what killed servers left, and let `aix-lsp inspect` ask this one, unless the settings say no."""
        parts = await asyncio.to_thread(_import_parts)
        if self._session.settings.inspect.socket:
            self._inspection = parts(self._session)
            await self._inspection.serve()

    def write_page(self, text: str) -> Path:
        """Put the page in place of the one before. Raises OSError."""
        from aix_lsp.server.inspection_page import Page

        self._page = self._page or Page()
        return self._page.write(text)

    def close(self) -> None:
        """Listen no more; remove socket and page."""
        if self._inspection is not None:
            self._inspection.close()
        if self._page is not None:
            self._page.close()


def _import_parts() -> type[Inspection]:
    from aix_lsp.server.inspection import Inspection
    from aix_lsp.server.inspection_page import sweep

    sweep()
    return Inspection
