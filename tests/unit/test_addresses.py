"""Which addresses are those of this machine alone."""

from __future__ import annotations

import pytest

from aix_lsp.addresses import is_loopback


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.10", "::1", "::1%lo", "::ffff:127.0.0.1", "::ffff:7f00:1"])
def test_of_this_machine(address: str) -> None:
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address", ["0.0.0.0", "192.0.2.1", "::", "fe80::1%eth0", "::ffff:0.0.0.0", "::ffff:192.0.2.1"]
)
def test_of_others_too(address: str) -> None:
    assert not is_loopback(address)


@pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1:80", "[::1]", "127.1"])
def test_names_are_no_addresses(address: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        is_loopback(address)
