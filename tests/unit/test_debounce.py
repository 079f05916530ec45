"""How long a request waits: a formula, a client's typing, and editors that wait themselves."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.debounce import KEYS, Debounce, wait_for, waits_itself
from aix_lsp.settings import CompletionSettings
from aix_lsp.types import TriggerKind

SETTINGS = CompletionSettings()


class Typist:
    """Types into a Debounce on a clock of its own."""

    def __init__(self, client: str = "") -> None:
        self.clock = 1000.0
        self.debounce = Debounce(client, lambda: self.clock)

    def types(self, intervals: Iterable[float]) -> None:
        """One key after each of the intervals, in seconds."""
        for interval in intervals:
            self.clock += interval
            self.debounce.asked()

    def delay(self, trigger: TriggerKind = "automatic", new_line: bool = False) -> float:
        return self.debounce.delay(trigger, SETTINGS, new_line)


def steady(interval: float, latency: float, client: str = "") -> Typist:
    typist = Typist(client)
    typist.types([interval] * (KEYS + 5))
    for _ in range(9):
        typist.debounce.answered(latency)
    return typist


@pytest.mark.parametrize(
    ("interval", "latency", "expected"),
    [
        # fast typing: most runs would be wasted
        (0.08, 0.04, 0.028),
        (0.12, 0.04, 0.042),
        (0.12, 0.12, 0.042),
        (0.2, 0.08, 0.070),
        # slow typing beside a fast model: an offer can be read before the next key comes
        (0.35, 0.04, 0.033),
        (0.5, 0.04, 0.013),
        (0.7, 0.04, 0.004),
        # a slow model does not wait long on top
        (0.12, 0.5, 0.042),
        (0.5, 0.25, 0.050),
        (0.5, 0.5, 0.071),
        # limits
        (0.0, 0.1, 0.0),
        (0.3, 0.0, 0.022),
    ],
)
def test_the_wait_follows_typing_and_latency(interval: float, latency: float, expected: float) -> None:
    assert wait_for(interval, latency) == pytest.approx(expected, abs=0.001)


@given(st.floats(0, 5), st.floats(0, 20))
def test_the_wait_is_bounded_and_a_small_part_of_what_a_slow_model_takes(interval: float, latency: float) -> None:
    wait = wait_for(interval, latency)
    assert 0 <= wait <= 0.1
    assert wait + latency <= max(0.3, 1.15 * latency) + 1e-9


@pytest.mark.parametrize("latency", [0.02, 0.1, 0.3])
def test_who_types_slowly_enough_to_read_waits_less_and_less(latency: float) -> None:
    waits = [wait_for(interval, latency) for interval in (latency + 0.15, latency + 0.35, 4 * latency + 1)]
    assert waits == sorted(waits, reverse=True)
    assert waits[-1] < 0.02


def test_the_wait_is_the_formula_of_the_medians() -> None:
    typist = steady(0.12, 0.06)
    assert typist.delay() == pytest.approx(wait_for(0.12, 0.06))
    typist.types([0.06] * KEYS)
    assert typist.delay() == pytest.approx(wait_for(0.06, 0.06))
    for _ in range(9):
        typist.debounce.answered(0.4)
    assert typist.delay() == pytest.approx(wait_for(0.06, 0.4))


def test_one_slow_answer_and_one_slow_key_change_nothing() -> None:
    typist = steady(0.12, 0.06)
    before = typist.delay()
    typist.debounce.answered(30.0)
    typist.types([0.7, 0.12])
    assert typist.delay() == pytest.approx(before)


def test_an_explicit_request_never_waits() -> None:
    typist = steady(0.12, 0.06)
    assert typist.delay("invoked") == 0
    assert typist.debounce.delay("invoked", CompletionSettings(debounce="fixed", debounce_ms=200)) == 0


@pytest.mark.parametrize("trigger", ["pause", "accepted", "start"])
def test_the_first_request_after_a_pause_or_an_accepted_offer_does_not_wait_and_the_second_half_as_long(
    trigger: str,
) -> None:
    typist = steady(0.12, 0.06)
    full = typist.delay()
    if trigger == "start":
        typist = Typist()
        full = wait_for(0.16, 0.1)
    if trigger == "accepted":
        typist.debounce.accepted()
    typist.types([3.0 if trigger == "pause" else 0.12])
    assert typist.delay() == 0
    typist.types([0.12])
    assert typist.delay() == pytest.approx(full / 2, rel=0.1)
    typist.types([0.12])
    assert typist.delay() == pytest.approx(full, rel=0.2)


def test_a_key_after_the_first_waits_though_it_is_asked_twice() -> None:
    typist = steady(0.12, 0.06)
    typist.debounce.accepted()
    assert typist.delay() == 0
    typist.types([0.12])
    assert [typist.delay(), typist.delay()] == [0, 0]
    typist.types([0.12, 0.12])
    assert typist.delay() > 0


def test_a_new_line_waits_a_third() -> None:
    typist = steady(0.12, 0.06)
    assert typist.delay(new_line=True) == pytest.approx(typist.delay() / 3)


def test_who_types_slowly_makes_no_pauses() -> None:
    typist = steady(0.6, 0.3)
    assert 0 < typist.delay() == pytest.approx(wait_for(0.6, 0.3))


@pytest.mark.parametrize(
    ("client", "waits"),
    [
        ("Neovim", True),
        ("emacs", True),
        ("IntelliJ IDEA 2025.1", True),
        ("IntelliJ IDEA", True),
        ("PyCharm 2025.1.2", True),
        ("JetBrains Rider 2025.1", True),
        ("Android Studio Ladybug | 2024.2.1", True),
        ("WebStorm 2025.2", True),
        ("", False),
        ("Eglot", False),
        ("Emacs", False),
        ("Visual Studio Code", False),
        ("VSCodium", False),
        ("Zed", False),
        ("helix", False),
        ("code-server", False),
        ("Sublime Text LSP", False),
        ("Kate", False),
        ("coc.nvim", False),
        ("Ridersomething", False),
    ],
)
def test_editors_that_wait_themselves_are_known_by_their_names(client: str, waits: bool) -> None:
    assert waits_itself(client) is waits
    assert (steady(0.12, 0.06, client).delay() == 0) is waits


def test_a_client_of_any_name_can_say_that_it_waits() -> None:
    typist = Typist()
    typist.debounce = Debounce("Eglot", lambda: typist.clock, waits=True)
    typist.types([0.12] * KEYS)
    assert typist.delay() == 0


@pytest.mark.parametrize("client", ["Neovim", "Visual Studio Code"])
def test_a_fixed_wait_holds_for_every_editor_and_every_key(client: str) -> None:
    fixed = CompletionSettings(debounce="fixed", debounce_ms=70)
    typist = Typist(client)
    typist.types([0.1])
    assert typist.debounce.delay("automatic", fixed) == pytest.approx(0.07)
    typist.debounce.accepted()
    assert typist.debounce.delay("automatic", fixed, new_line=True) == pytest.approx(0.07)


def test_clocks_that_go_back_and_odd_latencies_do_no_harm() -> None:
    typist = steady(0.12, 0.06)
    typist.types([-5.0, 0.0])
    typist.debounce.answered(-1.0)
    typist.debounce.answered(math.inf)
    assert 0 <= typist.delay() <= 0.1


@pytest.mark.parametrize("latency", [0.04, 0.08, 0.12])
@pytest.mark.parametrize("spread", [0.5, 0.6])
def test_at_120_ms_a_key_fewer_than_60_of_100_keys_reach_the_model_and_40_are_answered_in_time(
    latency: float, spread: float
) -> None:
    """Nearly half of the keys need no model, as in the replay, of which these are the bars; without its pauses."""
    draw = random.Random(1)
    typist = Typist()
    runs = seen = 0
    keys = 4_000
    for _ in range(keys):
        interval = 0.12 * math.exp(spread * draw.gauss(0, 1))
        typist.debounce.asked()
        if draw.random() < 0.45:
            seen += 1
        elif (wait := typist.delay()) < interval:
            runs += 1
            if wait + latency < interval:
                seen += 1
                typist.debounce.answered(latency)
        typist.clock += interval
    assert runs < 0.57 * keys
    assert seen > 0.6 * keys
