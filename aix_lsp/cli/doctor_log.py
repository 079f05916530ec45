"""The part of `doctor` that says where the log is, and whether it can be written."""

from __future__ import annotations

import os

from aix_lsp.cli.doctor import Finding
from aix_lsp.logs_file import file_for, older
from aix_lsp.settings import LogSettings


def examine_log(settings: LogSettings) -> Finding:
    """Where the servers keep their log. Raises OSError where that cannot be looked at."""
    path = file_for(settings.file)
    if path is None:
        return Finding("log", "ok", "none is kept: log.file is none")
    size = sum(file.stat().st_size for file in (older(path), path) if file.is_file())
    nearest = path if path.exists() else next(parent for parent in path.parents if parent.exists())
    if not os.access(nearest, os.W_OK):
        remedy = "make it writable, or name another file in log.file"
        return Finding("log", "warn", f"{path}: {nearest} cannot be written", remedy)
    if not size:
        return Finding("log", "ok", f"{path}: none yet; it begins when an editor starts the server")
    return Finding("log", "ok", f"{path}, {size / 1e6:.2f} MB; `aix-lsp log` shows its end")
