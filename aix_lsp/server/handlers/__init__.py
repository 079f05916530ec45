"""One small file per group of messages; each has `register(server)`. `completion.py` is registered by `initialize`, for
clients that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aix_lsp.server.handlers import (
    commands,
    configuration,
    documents,
    inline_completion,
    inspect,
    lifecycle,
    models,
    notebooks,
    workspace,
)

if TYPE_CHECKING:
    from aix_lsp.server.app import AixServer


def register(server: AixServer) -> None:
    """Register every handler."""
    for module in (
        lifecycle,
        documents,
        notebooks,
        workspace,
        configuration,
        inline_completion,
        commands,
        models,
        inspect,
    ):
        module.register(server)
