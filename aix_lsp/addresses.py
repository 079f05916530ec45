"""Addresses of this machine alone."""

from __future__ import annotations

import ipaddress


def is_loopback(address: str) -> bool:
    """Whether no other machine can be behind an IP address, or reach it. `::ffff:127.0.0.1` counts as 127.0.0.1 (RFC
    4291, section 2.5.5.2), as it does in Python's own answer from 3.13 on. Raises ValueError for what is no IP
    address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)
