"""Faults of the remote."""

from __future__ import annotations
