"""What keeps the server quick to answer beside other threads and a large heap."""

from __future__ import annotations

import gc
import sys

import pytest

from aix_lsp.server import responsive
from aix_lsp.server.responsive import pass_by_what_is_there, take_short_turns


def test_threads_wait_less_for_one_another() -> None:
    usual = sys.getswitchinterval()
    try:
        take_short_turns()
        assert sys.getswitchinterval() == pytest.approx(0.001)
    finally:
        sys.setswitchinterval(usual)


class Cycle:
    """Something that only the collector can free."""

    alive = 0

    def __init__(self) -> None:
        self.itself = self
        Cycle.alive += 1

    def __del__(self) -> None:
        Cycle.alive -= 1


@pytest.fixture
def much_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at the start."""
    monkeypatch.setattr(responsive._Left, "blocks", 0)


@pytest.mark.usefixtures("much_is_new")
def test_what_is_there_is_looked_through_no_more_but_goes_when_nothing_refers_to_it() -> None:
    class Large:
        alive = 0

        def __init__(self) -> None:
            Large.alive += 1

        def __del__(self) -> None:
            Large.alive -= 1

    held = [Large() for _ in range(60_000)]
    before = gc.get_freeze_count()
    try:
        pass_by_what_is_there()
        assert gc.get_freeze_count() >= before + len(held)
        held.clear()
        assert Large.alive == 0
    finally:
        gc.unfreeze()


def test_where_little_was_made_what_goes_in_a_cycle_later_is_still_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responsive._Left, "blocks", sys.getallocatedblocks())
    gc.freeze()  # as after a load
    try:
        held = [Cycle() for _ in range(100)]
        pass_by_what_is_there()
        held.clear()
        gc.collect()
        assert Cycle.alive == 0
    finally:
        gc.unfreeze()


@pytest.mark.usefixtures("much_is_new")
def test_garbage_in_cycles_goes_before_what_is_there_is_passed_by() -> None:
    large = [[] for _ in range(60_000)]  # type: ignore[var-annotated]
    gc.freeze()
    try:
        held = [Cycle() for _ in range(100)]
        later = [[] for _ in range(60_000)]  # type: ignore[var-annotated]
        gc.collect()  # old by now
        held.clear()
        pass_by_what_is_there()
        assert Cycle.alive == 0
        assert gc.get_freeze_count() > len(large) + len(later)
    finally:
        gc.unfreeze()


@pytest.mark.usefixtures("much_is_new")
def test_no_tuple_is_touched_that_another_thread_is_just_making(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds one makes its end a SystemError (`tuple(...)` of CPython wants it for itself)."""

    def taken() -> list[object]:
        raise AssertionError("all objects were taken hold of")

    monkeypatch.setattr(gc, "get_objects", taken)
    try:
        pass_by_what_is_there()
    finally:
        gc.unfreeze()
