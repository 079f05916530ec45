"""Notices changes on disk and posts the paths, in batches. What has changed is for the receiver to look at.

A posted path that exists is to be read again, one that is gone is to be forgotten; a folder stands for everything
below it, and so does a root after a storm of changes, and one that is gone, there again, or another folder than before.
`.git/HEAD` among the paths tells of a switched branch.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, cast

from aix_lsp.workspace.disk import Disk
from aix_lsp.workspace.observers import WatchedRoot, check_limit, event_types, polling_observer, system_observer
from aix_lsp.workspace.presence import Identity, identity, is_gone, pause_after
from aix_lsp.workspace.watch_plan import plan

if TYPE_CHECKING:
    from watchdog.events import FileSystemEventHandler
    from watchdog.observers.api import BaseObserver

WatchMode = Literal["auto", "poll", "off"]

_LIMIT_ERRORS: Final = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_STORM_PATHS: Final = 2000
_STORM_MEMORY_S: Final = 10.0
_QUIET_S: Final = 0.3
_MAX_STORM_S: Final = 5.0
_JOIN_S: Final = 2.0
_LOOK_PATIENCE_S: Final = 1.0
_UNKNOWN: Final[Identity | None] = ()
_MISSED: Final = 2
"""A root that was missed so often in a row is told of: a checkout anew takes it away for a moment."""


class WorkspaceWatcher:
    """Watches workspace folders until it is closed.

    `on_paths` and `on_message` are called on threads of the watcher's own (`on_message` also on the thread that calls
    `add`), never at the same time as themselves; they must be quick and must not raise. `on_message` gets a sentence
    for the user when watching falls back to polling, at most once, and when a folder cannot be watched or is gone.

    Mode "auto" takes the system's events and falls back to polling when its limit is reached, "poll" looks at all
    files every `poll_interval` seconds, "off" does nothing. A batch is posted `batch_delay` seconds after its first
    change. Every `look_interval` seconds, or less often where a look takes long, the roots themselves are looked at.
    `observer_factory` makes the observer of
    the system's events, for tests.
    """

    def __init__(
        self,
        on_paths: Callable[[frozenset[Path]], None],
        on_message: Callable[[str], None],
        *,
        mode: WatchMode = "auto",
        poll_interval: float = 5.0,
        batch_delay: float = 0.05,
        look_interval: float = 2.0,
        observer_factory: Callable[[], BaseObserver] | None = None,
    ) -> None:
        self._on_paths = on_paths
        self._on_message = on_message
        self._mode = mode
        self._poll_interval = poll_interval
        self._batch_delay = batch_delay
        self._look_interval = look_interval
        self._observer_factory = observer_factory or system_observer
        # Held while watches are changed. An observer calls `_post` with its own lock held, so `_post` never takes it.
        self._lock = threading.RLock()
        self._roots: dict[str, WatchedRoot] = {}
        self._disks: dict[str, Disk] = {}
        self._adding: set[str] = set()
        self._observer: BaseObserver | None = None
        self._polling = mode == "poll"
        self._changed = threading.Condition()
        self._pending: dict[str, bool] = {}
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def is_polling(self) -> bool:
        """True while changes are found by looking, because it was asked for or because of the system's limit."""
        return self._polling

    def add(self, root: Path) -> None:
        """Watch `root` and everything below. A large tree takes a second or more: call this off the event loop.

        Paths are posted below `root` as it is spelled here. A folder that cannot be watched is told of by
        `on_message`, and watched as soon as it is there. Adding one twice, or after `close`, does nothing.
        """
        name = os.path.abspath(root)  # noqa: PTH100 (Path.absolute keeps `..`)
        with self._lock:
            if self._closed or self._mode == "off" or name in self._roots or name in self._adding:
                return
            self._adding.add(name)
        # Without the lock, which those of other folders need: this disk may not answer for long.
        added = WatchedRoot(name, self._post)
        with self._lock:
            if self._closed or name not in self._adding:  # it was removed meanwhile
                return
            self._adding.discard(name)
            self._roots[name] = added
            self._disks[name] = Disk(_LOOK_PATIENCE_S)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="workspace-watcher", daemon=True)
                self._thread.start()
            if added.identity is None:
                added.missed = _MISSED
                self._on_message(is_gone(name))
            else:
                self._watch(added)

    def remove(self, root: Path) -> None:
        """Watch `root` no longer."""
        with self._lock:
            name = os.path.abspath(root)  # noqa: PTH100
            self._adding.discard(name)
            if name in self._roots:
                self._unwatch(self._roots[name], self._roots[name].real)
                del self._roots[name]
                self._disks.pop(name).close()

    def close(self) -> None:
        """Stop watching; no callback begins after this returns. Quick, and harmless when repeated."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        with self._lock:
            self._stop_observer()
            self._roots.clear()
            for disk in self._disks.values():
                disk.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    # Watches, under self._lock

    def _watch(self, root: WatchedRoot) -> None:
        try:
            if self._polling or not sys.platform.startswith("linux"):
                # Elsewhere the system watches a whole tree at no cost per folder.
                self._schedule(root, [(root.real, True)])
            else:
                self._schedule(root, plan(root.real))
                check_limit(self._observer)
        except OSError as error:
            if not self._polling and error.errno in _LIMIT_ERRORS:
                self._fall_back()
            else:
                self._roots.pop(root.name, None)
                self._on_message(f"Changes in {root.name} are not noticed: {error.strerror or error}.")

    def _schedule(self, root: WatchedRoot, watches: Iterable[tuple[str, bool]]) -> None:
        if self._observer is None:
            self._observer = polling_observer(self._poll_interval) if self._polling else self._observer_factory()
            self._observer.start()
        for folder, recursive in watches:
            try:
                handler = cast("FileSystemEventHandler", root)
                watch = self._observer.schedule(handler, folder, recursive=recursive, event_filter=event_types())
            except OSError as error:
                if error.errno in _LIMIT_ERRORS or folder == root.real:
                    raise
                # A folder that went away, or that this user may not read.
                continue
            root.watches[folder] = watch
            if not recursive:
                root.shallow.add(folder)

    def _unwatch(self, root: WatchedRoot, folder: str) -> None:
        for each in [each for each in root.watches if each == folder or each.startswith(folder + os.sep)]:
            watch = root.watches.pop(each)
            root.shallow.discard(each)
            if self._observer is None:
                continue
            # Roots within one another may share a watch.
            if any(watch in other.watches.values() for other in self._roots.values()):
                self._observer.remove_handler_for_watch(cast("FileSystemEventHandler", root), watch)
            else:
                self._observer.unschedule(watch)

    def _fall_back(self) -> None:
        self._stop_observer()
        self._polling = True
        self._on_message(
            "The system's limit of watched folders is reached, so changes on disk are looked for every "
            f"{self._poll_interval:g} seconds instead. On Linux, raising fs.inotify.max_user_watches helps."
        )
        for root in list(self._roots.values()):
            root.watches.clear()
            root.shallow.clear()
            if root.identity is not None:
                self._watch(root)
                self._post(root.name, False)  # what has changed since the watches ended

    def _stop_observer(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.stop()
            observer.join(_JOIN_S)

    def _follow(self, folders: Iterable[str]) -> None:
        """Watch folders that are new, and forget those that are gone or have been replaced."""
        with self._lock:
            if self._polling or self._closed:
                return
            found = [
                (root, real)
                for root in self._roots.values()
                for folder in folders
                if root.contains(folder) and (real := root.real + folder[len(root.name) :]) != root.real
            ]
            for root, folder in found:
                self._unwatch(root, folder)
            new = [(root, folder) for root, folder in found if os.path.isdir(folder)]  # noqa: PTH112
            try:
                for root, folder in new:
                    if os.path.dirname(folder) in root.shallow:  # noqa: PTH120
                        self._schedule(root, plan(folder))
                if new:
                    check_limit(self._observer)
            except OSError as error:
                if error.errno in _LIMIT_ERRORS:
                    self._fall_back()

    # The roots themselves

    def _look_at_roots(self, lost: Iterable[str] = ()) -> float:
        """Watch anew what has become another folder, or is one again; `lost` are those whose watches have ended. Looks
        at the disk without the lock, since a disk that does not answer must not hold up `close`. Returns the seconds
        that the disk took."""
        with self._lock:
            roots = [(root, self._disks[root.name]) for root in self._roots.values()]
        took = 0.0
        for root, disk in roots:
            began = time.monotonic()
            # one that does not answer holds up neither the batches nor the looks at the others
            now = disk.ask(partial(identity, root.name), _UNKNOWN)
            took += time.monotonic() - began
            if now == _UNKNOWN:
                continue
            if now is None and root.identity is None:
                root.missed += 1
                if root.missed == _MISSED:
                    self._on_message(is_gone(root.name))
            elif now != root.identity or root.name in lost:
                self._replace(root)
        return took

    def _replace(self, root: WatchedRoot) -> None:
        fresh = WatchedRoot(root.name, self._post)
        fresh.missed = 1
        with self._lock:
            if self._closed or self._roots.get(root.name) is not root:
                return
            self._unwatch(root, root.real)
            self._roots[root.name] = fresh
            if fresh.identity is not None:
                self._watch(fresh)
        self._post(root.name, False)

    # Batches

    def _post(self, path: str, is_folder: bool) -> None:
        with self._changed:
            self._pending[path] = self._pending.get(path, False) or is_folder
            self._changed.notify_all()

    def _run(self) -> None:
        storm = last = took = 0.0
        look_at = time.monotonic() + self._look_interval
        while self._wait_for_changes(look_at):
            if time.monotonic() >= look_at:
                # one look that took long may have waited for a processor; two in a row did for the disk
                before, took = took, self._look_at_roots()
                look_at = time.monotonic() + pause_after(min(before, took), self._look_interval)
            if not self._pending:
                continue
            time.sleep(self._batch_delay)
            pending = self._take()
            now = time.monotonic()
            # Paths fade out: a build that goes on writing some files a second is no storm, however long it takes.
            storm = len(pending) + storm * max(1 - (now - last) / _STORM_MEMORY_S, 0.0)
            last = now
            if storm > _STORM_PATHS:
                # As after a branch switch: one look at everything is cheaper than thousands at single files, and the
                # system drops events when too many wait.
                pending |= self._take_until_quiet()
            if folders := [path for path, is_folder in pending.items() if is_folder]:
                if lost := self._roots.keys() & folders:
                    self._look_at_roots(lost)
                self._follow(folders)
            paths = self._roots_of(pending) if storm > _STORM_PATHS else pending
            if paths and not self._closed:
                self._on_paths(frozenset(map(Path, paths)))

    def _wait_for_changes(self, until: float) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._closed, max(until - time.monotonic(), 0.0))
            return not self._closed

    def _take(self) -> dict[str, bool]:
        with self._changed:
            taken, self._pending = self._pending, {}
            return taken

    def _take_until_quiet(self) -> dict[str, bool]:
        taken: dict[str, bool] = {}
        end = time.monotonic() + _MAX_STORM_S
        while time.monotonic() < end:
            time.sleep(_QUIET_S)
            more = self._take()
            if not more or self._closed:
                break
            taken |= more
        return taken

    def _roots_of(self, paths: Iterable[str]) -> set[str]:
        with self._lock:
            roots = list(self._roots.values())
        return {root.name for root in roots if any(root.contains(path) for path in paths)}
