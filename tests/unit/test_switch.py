"""aix.toggle and aix.pause."""

from __future__ import annotations

import math

import pytest

from aix_lsp.server.switch import MOST_MINUTES, Switch
from aix_lsp.settings import CompletionSettings, Settings
from tests.unit.fake_clock import FakeClock

USUAL = Settings()
ALL_OFF = Settings(completion=CompletionSettings(enabled=False))
NO_GO = Settings(completion=CompletionSettings(disabled_languages=("go", "java")))


class Switched:
    """A switch, and how often it told of a change."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.changes = 0
        self.switch = Switch(self.clock, self.changed)

    def changed(self) -> None:
        self.changes += 1


@pytest.mark.parametrize(
    ("settings", "toggled", "on", "off"),
    [
        (USUAL, [], ["python", "go", ""], []),
        (USUAL, [""], [], ["python", "go", ""]),
        (USUAL, ["", ""], ["python", "go"], []),
        (USUAL, ["go"], ["python"], ["go"]),
        (USUAL, ["go", "go"], ["python", "go"], []),
        (USUAL, ["", "go"], ["go"], ["python"]),
        (USUAL, ["go", ""], [], ["python", "go"]),
        (USUAL, ["go", "", ""], ["python", "go"], []),
        (ALL_OFF, [], [], ["python"]),
        (ALL_OFF, [""], ["python", "go"], []),
        (ALL_OFF, ["go"], ["go"], ["python"]),
        (NO_GO, [], ["python"], ["go", "java"]),
        (NO_GO, ["go"], ["python", "go"], ["java"]),
        (NO_GO, ["", ""], ["python"], ["go"]),
    ],
)
def test_toggling(settings: Settings, toggled: list[str], on: list[str], off: list[str]) -> None:
    switched = Switched()
    for language in toggled:
        state = switched.switch.toggle(settings, language)
        assert state["enabled"] == (not switched.switch.silence(settings, language))
    for language in on:
        assert switched.switch.silence(settings, language) == ""
        # and the policy, which reads the settings, is of the same opinion
        completion = switched.switch.applied(settings).completion
        assert completion.enabled
        assert language not in completion.disabled_languages
    for language in off:
        assert "off" in switched.switch.silence(settings, language)
    assert switched.changes == len(toggled)


def test_who_has_switched_back_follows_the_settings_again() -> None:
    switch = Switched().switch
    for language in ("", "", "go", "go"):
        state = switch.toggle(USUAL, language)
    assert state["languages"] == {}
    assert "completion.enabled" in switch.silence(ALL_OFF, "python")
    assert "completion.disabled_languages" in switch.silence(NO_GO, "go")
    assert switch.applied(NO_GO) is NO_GO


def test_without_a_command_the_settings_are_the_same_object() -> None:
    assert Switched().switch.applied(NO_GO) is NO_GO


def test_the_reason_says_who_switched_it_off() -> None:
    switch = Switched().switch
    assert "completion.enabled" in switch.silence(ALL_OFF, "python")
    assert "completion.disabled_languages" in switch.silence(NO_GO, "go")
    switch.toggle(USUAL, "go")
    assert switch.silence(USUAL, "go") == "completions are switched off for go in this session (aix.toggle)"
    switch.toggle(USUAL)
    assert switch.silence(USUAL, "go") == "completions are switched off in this session (aix.toggle)"


def test_a_pause_ends_by_itself_and_tells_so() -> None:
    switched = Switched()
    state = switched.switch.pause(USUAL, 1.5)
    assert (state["enabled"], state["pausedSeconds"]) == (False, 90)
    assert "paused for 2 more minutes" in switched.switch.silence(USUAL, "python")
    switched.clock.pass_by(40)
    assert "paused for 1 more minute (" in switched.switch.silence(USUAL, "python")
    switched.clock.pass_by(50)
    assert switched.switch.silence(USUAL, "python") == ""
    assert switched.changes == 2
    assert switched.clock.waiting == []


@pytest.mark.parametrize("second", [0, 30, 5.0])
def test_a_second_call_or_zero_resumes(second: float) -> None:
    switched = Switched()
    switched.switch.pause(USUAL)
    assert switched.switch.paused_seconds == 1800
    assert switched.switch.pause(USUAL, second)["enabled"]
    assert switched.switch.paused_seconds == 0
    assert switched.clock.waiting == []


def test_zero_without_a_pause_changes_nothing() -> None:
    switched = Switched()
    assert switched.switch.pause(USUAL, 0)["pausedSeconds"] == 0


@pytest.mark.parametrize("minutes", [-1, math.nan, math.inf, MOST_MINUTES + 1])
def test_minutes_that_cannot_be_are_refused_and_change_nothing(minutes: float) -> None:
    switched = Switched()
    with pytest.raises(ValueError, match="minutes from 0 to"):
        switched.switch.pause(USUAL, minutes)
    assert switched.switch.silence(USUAL, "python") == ""


def test_resuming_leaves_what_was_switched_off() -> None:
    switched = Switched()
    switched.switch.toggle(USUAL, "go")
    switched.switch.pause(USUAL)
    switched.switch.pause(USUAL)
    assert "aix.toggle" in switched.switch.silence(USUAL, "go")


def test_closing_leaves_no_timer() -> None:
    switched = Switched()
    switched.switch.pause(USUAL)
    switched.switch.close()
    assert switched.clock.waiting == []
