"""One clear line for what went wrong."""

from __future__ import annotations

import sys
from typing import NoReturn


class UsageError(Exception):
    """The user asked for something that cannot be; the message is one line and says what would work."""


def fail(error: Exception) -> NoReturn:
    """Print an error as one line to stderr and exit: 2 for a wrong call, 1 for everything else."""
    known = isinstance(error, (UsageError, OSError, ValueError)) or type(error).__module__.startswith("aix_lsp.")
    text = " ".join(str(error).split()) or type(error).__name__
    if not known:
        text = f"internal error: {type(error).__name__}: {text} (run again with --debug for the traceback)"
    sys.stderr.write(f"aix-lsp: {text}\n")
    sys.exit(2 if isinstance(error, UsageError) else 1)
