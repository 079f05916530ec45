"""Faults of the workspace and of the disk, an idea in each file."""

from __future__ import annotations

from tests.faults import (
    disk,
    workspace_files,
    workspace_folder,
    workspace_git,
    workspace_hung,
    workspace_large,
    workspace_watch,
)

__all__ = [
    "disk",
    "workspace_files",
    "workspace_folder",
    "workspace_git",
    "workspace_hung",
    "workspace_large",
    "workspace_watch",
]
