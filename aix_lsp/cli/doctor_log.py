"""The part of `doctor` that says where the log is, and whether it can be written."""

from __future__ import annotations

import os
from pathlib import Path

from aix_lsp.cli.doctor import Finding
from aix_lsp.logs_file import file_for, older
from aix_lsp.private import open_private
from aix_lsp.settings import LogSettings


def examine_log(settings: LogSettings) -> Finding:
    """Where the servers keep their log. Raises OSError where that cannot be looked at."""
    path = file_for(settings.file)
    if path is not None:
        path = path.absolute()
    if path is None:
        return Finding("log", "ok", "none is kept: log.file is none")
    problem = _problem(path)
    if problem:
        return Finding("log", "warn", f"{path}: {problem}", "name a file of yours, or none, in log.file")
    size = sum(file.stat().st_size for file in (older(path), path) if file.is_file())
    if not size:
        return Finding("log", "ok", f"{path}: none yet; it begins when an editor starts the server")
    return Finding("log", "ok", f"{path}, {size / 1e6:.2f} MB; `aix-lsp log` shows its end")


def _problem(path: Path) -> str:
    """Why the servers would write no log there; empty if they would."""
    if path.is_symlink() or path.exists():
        try:
            os.close(open_private(path, os.O_RDWR))
        except OSError as error:
            return error.strerror or str(error)
        return ""
    nearest = next(parent for parent in path.parents if parent.exists())
    return "" if nearest.is_dir() and os.access(nearest, os.W_OK) else f"nothing can be made in {nearest}"
