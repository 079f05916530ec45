"""What the watcher needs of watchdog: observers, the events it asks for, and the handler of one root's events.

watchdog is imported when it is first used.
"""

from __future__ import annotations

import os
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aix_lsp.workspace.presence import identity
from aix_lsp.workspace.watch_plan import is_reported, list_watched

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers.api import BaseObserver, ObservedWatch


_REST = 9
"""A poll waits so many times as long as the one before took."""


class WatchedRoot:
    """A watched root, and the handler of its events (watchdog calls `dispatch`).

    `real` is what is watched: the system's events do not look behind a link. Paths are posted below `name`. `identity`
    is None while there is no folder there, `missed` how often in a row it was looked for in vain.
    """

    def __init__(self, name: str, post: Callable[[str, bool], None]) -> None:
        self.name = name
        self.real = os.path.realpath(name)
        self.identity = identity(name)
        self.missed = 0
        self.watches: dict[str, ObservedWatch] = {}
        self.shallow: set[str] = set()
        self._post = post

    def contains(self, path: str) -> bool:
        """True for the root and what is below it, as they are posted."""
        return path == self.name or path.startswith(os.path.join(self.name, ""))  # noqa: PTH118

    def dispatch(self, event: FileSystemEvent) -> None:
        """Post the paths of one event. Called on the observer's thread with the observer's lock held."""
        prefix = os.path.join(self.real, "")  # noqa: PTH118
        for raw in (event.src_path, event.dest_path):
            path = os.fsdecode(raw)
            if path == self.real:
                self._post(self.name, event.is_directory)
            elif path.startswith(prefix) and is_reported(path[len(prefix) :], event.is_directory):
                self._post(os.path.join(self.name, path[len(prefix) :]), event.is_directory)  # noqa: PTH118


def event_types() -> list[type[FileSystemEvent]]:
    """All but openings, accesses and changes of attributes, which our own reading causes, and the changes of folders
    that go with every change of a file."""
    from watchdog import events

    return [
        *(events.FileCreatedEvent, events.FileModifiedEvent, events.FileClosedEvent),
        *(events.FileDeletedEvent, events.FileMovedEvent),
        *(events.DirCreatedEvent, events.DirDeletedEvent, events.DirMovedEvent),
    ]


def system_observer() -> BaseObserver:
    """An observer of the system's own events. Raises OSError when the system gives out no more."""
    from watchdog.observers import Observer

    # watchdog's inotify thread says this when folders are made faster than it looks, to no harm. Printed it would show
    # paths; where warnings are errors it would end that thread.
    warnings.filterwarnings("ignore", "Callback with id .* already exists", RuntimeWarning, r"watchdog\.observers\.")
    return Observer()


def polling_observer(interval: float) -> BaseObserver:
    """An observer that looks at everything below its roots every `interval` seconds, or less often: looking takes a
    tenth of a core at most, however many files there are."""
    from watchdog.observers.api import BaseObserver
    from watchdog.observers.polling import PollingEmitter

    class Emitter(PollingEmitter):
        took = 0.0

        def queue_events(self, timeout: float) -> None:
            began = time.thread_time()
            super().queue_events(max(timeout, self.took * _REST))
            self.took = time.thread_time() - began

    # lstat, because a poll that followed links could go round in circles.
    emitter: Any = partial(Emitter, stat=os.lstat, listdir=list_watched)
    return BaseObserver(emitter, timeout=interval)


def check_limit(observer: BaseObserver | None) -> None:
    """Raise OSError if the system gives out no more watches.

    watchdog stays silent when folders below a watched one get none, and their changes would be missed without a word;
    one more watch on a new folder tells.
    """
    if observer is None:
        return
    try:
        new_folder = tempfile.TemporaryDirectory(prefix="aix-lsp-")
    except OSError:
        # No room for a folder says nothing of watches.
        return
    with new_folder as folder:
        handler = cast("FileSystemEventHandler", WatchedRoot(folder, lambda path, is_folder: None))
        observer.unschedule(observer.schedule(handler, folder))
