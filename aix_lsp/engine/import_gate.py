"""Breaking off the imports of one thread, so that a process can end while PyTorch is being imported.

An import cannot be cancelled, and a daemon thread that comes back from native code while the interpreter goes away is
ended there and then: through the frames of C++ that are under it, which ends the process with an error (seen: SIGABRT,
"terminate called without an active exception"). PyTorch imports hundreds of modules; the next one is where to stop.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class ImportGate(MetaPathFinder):
    """Stands before all other finders. Once closed for a thread, its next import ends the thread (SystemExit)."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Finds nothing; the other finders are asked, except by the thread that is to end."""
        if threading.current_thread() is self._thread:
            # No ImportError, which libraries catch to do without a module.
            raise SystemExit
        return None


def end_at_next_import(thread: threading.Thread) -> None:
    """Let `thread` end at its next import. For the end of a process: nothing is undone."""
    sys.meta_path.insert(0, ImportGate(thread))
