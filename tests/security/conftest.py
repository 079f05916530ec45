"""Servers as an attacker meets them: in a workspace of his, with everything they write collected."""

from __future__ import annotations

from tests.e2e.conftest import environment, start, workspace
from tests.e2e.in_process import call

__all__ = ["call", "environment", "start", "workspace"]
