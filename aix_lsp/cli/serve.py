"""`aix-lsp serve`. Imports only the server, so that `initialize` is answered at once."""

from __future__ import annotations

from collections.abc import Sequence

from aix_lsp.cli.assignments import command_line
from aix_lsp.cli.failure import UsageError


def run(*, stdio: bool, tcp: str, force: bool, model: str | None, assignments: Sequence[str]) -> None:
    """Serve until the client is gone. The option values are checked once the settings are read."""
    options = command_line(model, assignments)
    if stdio and tcp:
        raise UsageError("--stdio and --tcp exclude one another")
    if not tcp:
        from aix_lsp.server.app import serve_stdio

        serve_stdio(options)
        return
    host, _, port = tcp.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--tcp wants HOST:PORT, such as 127.0.0.1:7777, not {tcp!r}")
    from aix_lsp.server.app import serve_tcp

    serve_tcp(host.strip("[]"), int(port), options, force=force)
