"""Faults of a model's server on another machine, and of the way to it."""

from __future__ import annotations

from tests.faults import (
    remote_answers,
    remote_away,
    remote_certificates,
    remote_floods,
    remote_proxies,
    remote_status,
    remote_text,
)

__all__ = [
    "remote_answers",
    "remote_away",
    "remote_certificates",
    "remote_floods",
    "remote_proxies",
    "remote_status",
    "remote_text",
]
