"""Faults of a model's server on another machine, and of the way to it."""

from __future__ import annotations

from tests.faults import remote_answers, remote_floods, remote_status

__all__ = ["remote_answers", "remote_floods", "remote_status"]
