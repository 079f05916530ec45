"""One clear line for what went wrong."""

from __future__ import annotations

import sys
from typing import NoReturn

from aix_lsp.text import one_line


class UsageError(Exception):
    """The user asked for something that cannot be; the message is one line and says what would work."""


def fail(error: Exception) -> NoReturn:
    """Print an error as one line to stderr and exit: 2 for a wrong call, 1 for everything else."""
    if type(error).__name__ == "Abort":  # typer's word for control-C
        sys.exit(130)
    # typer brings its own copy of click or uses the installed one, by its version; its errors have this method
    usage_message = getattr(error, "format_message", None)
    if usage_message is not None:
        _end(f"{' '.join(usage_message().split()).rstrip('.')} (see aix-lsp --help)", 2)
    text = one_line(error)
    known = isinstance(error, (UsageError, OSError, ValueError)) or type(error).__module__.startswith("aix_lsp.")
    if not known:
        text = f"internal error: {type(error).__name__}: {text} (run again with --debug for the traceback)"
    _end(text, 2 if isinstance(error, UsageError) else 1)


def _end(text: str, code: int) -> NoReturn:
    sys.stderr.write(f"aix-lsp: {text}\n")
    sys.exit(code)
