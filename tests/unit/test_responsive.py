"""What keeps the server quick to answer beside other threads and a large heap."""

from __future__ import annotations

import gc
import sys

import pytest

from aix_lsp.server.responsive import pass_by_what_is_there, take_short_turns


def test_threads_wait_less_for_one_another() -> None:
    usual = sys.getswitchinterval()
    try:
        take_short_turns()
        assert sys.getswitchinterval() == pytest.approx(0.001)
    finally:
        sys.setswitchinterval(usual)


def test_what_is_there_is_looked_through_no_more_but_goes_when_nothing_refers_to_it() -> None:
    class Large:
        alive = 0

        def __init__(self) -> None:
            Large.alive += 1

        def __del__(self) -> None:
            Large.alive -= 1

    held = [Large() for _ in range(1_000)]
    before = gc.get_freeze_count()
    try:
        pass_by_what_is_there()
        assert gc.get_freeze_count() >= before + len(held)
        held.clear()
        assert Large.alive == 0
    finally:
        gc.unfreeze()
