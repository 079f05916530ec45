"""The end of a process while its model's thread is at work, perhaps in the middle of importing PyTorch.

An import cannot be cancelled, and a daemon thread that comes back from native code while the interpreter goes away is
ended there and then: through the frames of C++ that are under it, which ends the process with an error (seen: SIGABRT,
"terminate called without an active exception"). PyTorch imports hundreds of modules; the next one is where to stop.
"""

from __future__ import annotations

import _imp
import sys
import threading
import weakref
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Protocol

_EXIT_WAIT_S = 1.0
"""How long the interpreter's exit waits for the current token. A thread that is inside native code while the
interpreter goes away can bring the process down with an error."""

_LOAD_EXIT_WAIT_S = 5.0
"""The same for a load, which ends at its next import; reading PyTorch's libraries comes between two of them."""


class Closable(Protocol):
    """What is known of an engine here."""

    @property
    def is_loading(self) -> bool: ...

    def close(self) -> None: ...


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


def leave_with(engine: weakref.ref[Closable], thread: threading.Thread) -> None:
    """At interpreter exit: stop, and wait a moment for the token that is being computed and the memory that is freed.

    A load ends at its next step or import. One that does not (a large library is being read) must not take the import
    lock with it (seen: the exit hangs for ever in an import of its own): this thread keeps it.
    """
    left = engine()
    loading = left is not None and left.is_loading
    if left is not None:
        left.close()
    del left
    if loading:
        end_at_next_import(thread)
    thread.join(_LOAD_EXIT_WAIT_S if loading else _EXIT_WAIT_S)
    if thread.is_alive():
        _imp.acquire_lock()
