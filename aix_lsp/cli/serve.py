"""`aix-lsp serve`. Has a parser of its own and imports only the server: an editor waits for this command, and
typer alone would cost a tenth of a second."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from aix_lsp.cli.assignments import command_line
from aix_lsp.cli.failure import UsageError


class _Parser(argparse.ArgumentParser):
    """Raises instead of printing the usage and exiting: errors are one line, told in one place."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"serve: {message} (see aix-lsp serve --help)")


def main(arguments: Sequence[str]) -> None:
    """Serve until the client is gone. The values of options are checked once the settings are read."""
    parser = _Parser(prog="aix-lsp serve", description="Run the language server.", allow_abbrev=False)
    parser.add_argument("--stdio", action="store_true", help="speak over stdin and stdout (the default)")
    parser.add_argument("--tcp", metavar="HOST:PORT", default="", help="listen for one client instead")
    parser.add_argument("--force", action="store_true", help="with --tcp: listen beyond this machine")
    parser.add_argument("--model", help="catalog name, Hugging Face name, or folder")
    parser.add_argument("--adapter", metavar="DIR", help="LoRA adapter put into the model (aix-lsp train makes one)")
    parser.add_argument("--quantize", choices=("int8", "int4"), help="keep the model's weights in 8 or 4 bits")
    parser.add_argument(
        "--set", metavar="SECTION.OPTION=VALUE", action="append", default=[], help="set an option; may be repeated"
    )
    # vscode-languageclient adds it; initialize's processId says the same
    parser.add_argument("--clientProcessId", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    quantized = [f"model.quantization={given.quantize}"] if given.quantize else []
    options = command_line(given.model, [*given.set, *quantized], given.adapter)
    if given.stdio and given.tcp:
        raise UsageError("--stdio and --tcp exclude one another")
    if not given.tcp:
        from aix_lsp.server.app import serve_stdio

        serve_stdio(options)
        return
    host, _, port = given.tcp.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--tcp wants HOST:PORT, such as 127.0.0.1:7777, not {given.tcp!r}")
    from aix_lsp.server.app import serve_tcp

    serve_tcp(host.strip("[]"), int(port), options, force=given.force)
