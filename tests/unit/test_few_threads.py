"""One thread or all for short passes: what was measured decides."""

from __future__ import annotations

import pytest

from aix_lsp.engine.few_threads import FewThreads


class Machine:
    """A clock, and passes that take a time for each number of threads."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = {1: seconds["one"], 4: seconds["four"]}
        self.now = 0.0
        self.threads = 4

    def set(self, count: int) -> None:
        self.threads = count

    def run(self, chooser: FewThreads, slow: float = 0.0) -> int:
        with chooser:
            used = self.threads
            self.now += self.seconds[used] + slow
        assert self.threads == 4
        return used


@pytest.mark.parametrize(("one", "four", "best"), [(1.0, 3.0, 1), (3.0, 1.0, 4)])
def test_the_faster_number_of_threads_is_kept_whatever_disturbs_some_passes(one: float, four: float, best: int) -> None:
    machine = Machine(one=one, four=four)
    chooser = FewThreads(4, machine.set, lambda: machine.now)
    for number in range(16):
        machine.run(chooser, slow=9.0 if number % 4 < 2 else 0.0)
    assert {machine.run(chooser) for _ in range(50)} == {best}


def test_it_is_looked_at_again_after_thousands_of_passes() -> None:
    machine = Machine(one=1.0, four=2.0)
    chooser = FewThreads(4, machine.set, lambda: machine.now)
    for _ in range(100):
        machine.run(chooser)
    assert chooser.best == 1
    machine.seconds[1] = 5.0
    for _ in range(5000):
        machine.run(chooser)
    assert chooser.best == 4


def test_with_one_thread_there_is_nothing_to_choose() -> None:
    asked: list[int] = []
    chooser = FewThreads(1, asked.append)
    with chooser:
        pass
    assert asked == []
