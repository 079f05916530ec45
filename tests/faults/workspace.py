"""Faults of the workspace and of the disk, an idea in each file."""

from __future__ import annotations

from tests.faults import workspace_folder

__all__ = ["workspace_folder"]
