"""Faults of the editor at the other end of the pipe."""

from __future__ import annotations

from tests.faults import client_ends, client_floods, client_order, client_stream

__all__ = ["client_ends", "client_floods", "client_order", "client_stream"]
