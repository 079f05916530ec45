"""Importing this registers every fault."""

from __future__ import annotations

from tests.faults import client, model, remote, workspace

__all__ = ["client", "model", "remote", "workspace"]
