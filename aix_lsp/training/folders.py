"""Folders that are whole under their name: filled beside it under another one, and renamed at the end."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aix_lsp.files import TEMPORARY

# What PyTorch says when a write fails.
_FAILED_WRITE = re.compile(r"inline_container|iostream error")


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill that takes the place of `folder` when the block ends well, and is removed when not.

    One of the two is there at any moment, the old one perhaps under the name from which `restore` takes it back. What
    killed processes left half filled is removed first. Raises OSError; so is a full disk told that safetensors or
    PyTorch came upon inside, which have errors of their own for it. Where `folder` is a link, what it leads to is
    replaced.
    """
    folder = _linked(folder)
    restore(folder)
    _remove_left(folder)
    new = folder.with_name(f".{folder.name}.{os.getpid()}{TEMPORARY}")
    try:
        new.mkdir(parents=True)
        with _told_as_full(folder):
            yield new
        _put(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def restore(folder: Path) -> None:
    """Take back a folder whose replacement was interrupted between its two renames; nothing otherwise."""
    folder = _linked(folder)
    if not folder.exists():
        # of several processes one is the first
        with suppress(FileNotFoundError):
            _old(folder).rename(folder)


def _put(new: Path, folder: Path) -> None:
    old = _old(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        restore(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _linked(folder: Path) -> Path:
    """The folder itself, behind all links. Path.resolve has an error of its own, no OSError, for links in a circle."""
    return Path(os.path.realpath(folder))


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _remove_left(folder: Path) -> None:
    left = re.compile(rf"\.{re.escape(folder.name)}\.\d+{re.escape(TEMPORARY)}")
    if folder.parent.is_dir():
        for path in folder.parent.iterdir():
            if left.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _told_as_full(folder: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        wrote = "while serializing" if isinstance(error, SafetensorError) else _FAILED_WRITE
        if not re.search(wrote, str(error)):
            raise
        raise OSError(errno.ENOSPC, "could not be written (is the disk full?)", str(folder)) from error
