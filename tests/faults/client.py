"""Faults of the client."""

from __future__ import annotations
