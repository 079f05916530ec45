"""Which state is shown, and when it is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.engine.base import EngineState, LoadEvent
from aix_lsp.server.handlers.lifecycle import asks_for
from aix_lsp.server.reports import Reports
from aix_lsp.server.status import Folder, Status, StatusLine, View, decide
from aix_lsp.types import ModelInfo
from tests.unit.fake_clock import FakeClock

MODEL = ModelInfo("aix-mini", 4096, device="cpu", languages=("python",))
READY = View(EngineState("ready", "aix-mini is ready (cpu, float32)"), MODEL, language="python")
AWAY = EngineState("failed", "the server at example:1 cannot be reached")
ASKS = EngineState("failed", "the server at example:1 refuses the connection; is it running?")


@pytest.mark.parametrize(
    ("view", "state", "message"),
    [
        (READY, "ready", "aix-mini is ready (cpu, float32)"),
        (replace(READY, busy=True), "busy", "aix-mini is ready (cpu, float32)"),
        (View(EngineState("loading", "reading the weights")), "loading", "reading the weights"),
        (View(EngineState("loading"), busy=True), "loading", ""),
        (View(EngineState("failed", "no such model")), "failed", "no such model"),
        (View(AWAY, is_remote=True), "degraded", AWAY.message),
        (View(AWAY, MODEL, is_remote=True), "degraded", f"{AWAY.message}; aix-mini answers meanwhile"),
        (View(ASKS, MODEL, is_remote=True), "degraded", f"{ASKS.message} aix-mini answers meanwhile"),
        (
            View(ASKS, is_remote=True, folders=[Folder("shop", trouble="shop is not indexed (why)")]),
            "degraded",
            f"{ASKS.message} shop is not indexed (why)",
        ),
        (replace(READY, folders=[Folder("shop", indexing=True)]), "indexing", "indexing shop"),
        (replace(READY, folders=[Folder("shop", True), Folder("b", True)]), "indexing", "indexing shop, b"),
        (replace(READY, folders=[Folder("shop", True)], busy=True), "busy", "indexing shop"),
        (
            replace(READY, folders=[Folder("shop", trouble="shop is not indexed (why)")]),
            "degraded",
            "shop is not indexed (why)",
        ),
        (replace(READY, troubles=["memory ran out"]), "degraded", "memory ran out"),
        (replace(READY, troubles=["unencrypted"], is_remote=True), "ready", "aix-mini is ready (cpu, float32)"),
        (replace(READY, failure="the GPU failed"), "degraded", "the GPU failed"),
        (replace(READY, failure="same", troubles=["same"]), "degraded", "same"),
        (replace(READY, language="go"), "degraded", "aix-mini knows python only: silent in go, ask explicitly"),
        (replace(READY, language="go", busy=True), "busy", "aix-mini knows python only: silent in go, ask explicitly"),
        (replace(READY, language="go", other_languages=True), "ready", "aix-mini is ready (cpu, float32)"),
        (replace(READY, language=""), "ready", "aix-mini is ready (cpu, float32)"),
        (replace(READY, silence="switched off"), "off", "switched off"),
        (replace(READY, silence="paused", paused=True, busy=True), "paused", "paused"),
        (View(EngineState("failed", "gone"), silence="switched off"), "off", "switched off"),
    ],
)
def test_the_state_of_a_moment(view: View, state: str, message: str) -> None:
    status = decide(view)
    assert (status.state, status.message) == (state, message)


def test_what_the_client_is_sent() -> None:
    view = replace(READY, latency_ms=85.234, silence="completions are paused", paused=True)
    assert decide(view).params() == {
        "state": "paused",
        "message": "completions are paused",
        "model": "aix-mini",
        "device": "cpu",
        "latencyMs": 85.2,
        "language": "python",
        "offReason": "completions are paused",
    }
    assert Status("loading").params() == {
        "state": "loading",
        "message": "",
        "model": None,
        "device": None,
        "latencyMs": None,
    }


@pytest.mark.parametrize(
    ("experimental", "wanted"),
    [
        ({"aix": {"status": True}}, True),
        ({"aix": {"status": False}}, False),
        ({"aix": {"waits": True}}, False),
        ({"aix": {}}, False),
        ({"aix": True}, False),
        ({}, False),
        (None, False),
        ([1], False),
    ],
)
def test_only_a_client_that_asks_is_notified(experimental: Any, wanted: bool) -> None:
    assert asks_for("status", experimental) == wanted


class Line:
    """A status line over a status that the test sets."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.status = Status("ready")
        self.sent: list[str] = []
        self.times: list[float] = []
        self.logged: list[str] = []
        self.line = StatusLine(lambda: self.status, self.clock, log=self.logged.append, send=self.send)

    def send(self, params: dict[str, Any]) -> None:
        self.sent.append(params["state"])
        self.times.append(self.clock.time())

    def become(self, state: Any, message: str = "") -> None:
        self.status = replace(self.status, state=state, message=message)
        self.line.changed()


def test_a_change_is_told_at_once_and_only_once() -> None:
    line = Line()
    line.become("loading")
    line.line.changed()
    line.clock.pass_by(1)
    line.become("ready")
    line.clock.pass_by(10)
    assert line.sent == ["loading", "ready"]


def test_how_long_an_answer_took_is_no_change() -> None:
    line = Line()
    line.become("ready")
    line.clock.pass_by(1)
    line.status = replace(line.status, latency_ms=12.0)
    line.line.changed()
    line.clock.pass_by(1)
    assert line.sent == ["ready"]


def test_a_quick_answer_never_shows_as_busy() -> None:
    line = Line()
    line.become("ready")
    for _ in range(100):
        line.clock.pass_by(1)
        line.become("busy")
        line.clock.pass_by(0.04)
        line.become("ready")
    assert line.sent == ["ready"]
    assert line.clock.waiting == []


def test_a_slow_answer_shows_as_busy_until_it_is_there() -> None:
    line = Line()
    line.become("ready")
    line.clock.pass_by(1)
    line.become("busy")
    line.clock.pass_by(0.3)
    line.become("ready")
    line.clock.pass_by(1)
    assert line.sent == ["ready", "busy", "ready"]


def test_typing_tells_the_client_no_more_than_five_times_a_second() -> None:
    line = Line()
    for number in range(1000):
        line.become("busy" if number % 2 else "ready")
        line.clock.pass_by(0.07 if number % 3 else 0.01)
    line.become("ready")
    line.clock.pass_by(1)
    gaps = [later - earlier for earlier, later in zip(line.times, line.times[1:], strict=False)]
    assert min(gaps) >= 0.199
    assert all(one != other for one, other in zip(line.sent, line.sent[1:], strict=False))
    assert line.sent[-1] == "ready"


def test_the_last_of_many_changes_is_told() -> None:
    line = Line()
    for state in ("loading", "indexing", "degraded", "ready", "off"):
        line.become(state)
    line.clock.pass_by(1)
    assert line.sent == ["loading", "off"]


def test_after_the_end_nothing_is_told() -> None:
    line = Line()
    line.become("loading")
    line.become("ready")
    line.line.close()
    line.clock.pass_by(1)
    assert line.sent == ["loading"]


def test_the_log_has_every_change_but_busy_and_the_steps_of_a_load() -> None:
    line = Line()
    line.line.send = None
    line.become("loading", "starting")
    line.become("loading", "reading the weights")
    line.become("ready", "it is ready")
    line.become("busy", "it is ready")
    line.become("ready", "it is ready")
    line.become("degraded", "memory ran out")
    line.become("paused", "paused for 2 more minutes")
    line.become("paused", "paused for 1 more minute")
    assert line.logged == [
        "status: loading, starting",
        "status: ready, it is ready",
        "status: degraded, memory ran out",
        "status: paused, paused for 2 more minutes",
    ]


# what the engine's events leave


class Told:
    """Reports over a client that shows nothing."""

    shows_progress = False

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.changes = 0
        self.reports = Reports(self, self, self.changed)  # type: ignore[arg-type]

    def changed(self) -> None:
        self.changes += 1

    def warn(self, text: str) -> None:
        self.lines.append(text)

    note = warn


def test_a_folder_that_could_not_be_indexed_is_told_with_the_reason() -> None:
    told = Told()
    told.reports.index_state(Path("/home/me/shop"), "failed: broken index")
    assert told.lines == ["the folder shop could not be indexed (broken index); no snippets come from it"]


@pytest.mark.parametrize(
    ("events", "troubles"),
    [
        ("progress ready", []),
        ("progress progress warning:another ready", ["another"]),
        ("progress ready warning:memory ready", ["memory"]),
        ("progress ready warning:memory ready warning:memory2 ready", ["memory", "memory2"]),
        ("progress warning:another ready warning:crashed progress ready", []),
        ("progress warning:one warning:one ready", ["one"]),
    ],
)
def test_the_engines_warnings_hold_until_it_loads_anew(events: str, troubles: list[str]) -> None:
    told = Told()
    for event in events.split():
        kind, _, message = event.partition(":")
        told.reports.load_event(LoadEvent(kind, message))  # type: ignore[arg-type]
    assert list(told.reports.troubles) == troubles
    assert told.changes == len(events.split())
