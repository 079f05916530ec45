"""The command line. Each command is one small file, imported with what it needs only when it is called."""

from __future__ import annotations

import sys

from aix_lsp.cli.failure import fail


def main() -> None:
    """Entry point of `aix-lsp`: errors are one clear line and a non-zero exit; `--debug` adds the traceback."""
    debug = "--debug" in sys.argv
    if debug:
        sys.argv.remove("--debug")
    try:
        if sys.argv[1:2] == ["serve"]:
            from aix_lsp.cli.serve import main as serve

            serve(sys.argv[2:])
            return
        from aix_lsp.cli.app import app

        # not in click's standalone mode, whose errors take four lines
        sys.exit(app(prog_name="aix-lsp", standalone_mode=False) or 0)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        fail(error)
