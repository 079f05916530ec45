"""Where a model runs: the choice, the way out where no host can be, and how a host process is started."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.engine import host_process, sharing
from aix_lsp.engine.base import LoadEvent, ModelError
from aix_lsp.engine.host_client import look
from aix_lsp.engine.host_place import HostUnavailable, Place, place_of
from aix_lsp.engine.sharing import OwnEngine, shares
from aix_lsp.settings import ModelSettings
from tests.unit.engine_doubles import FOLDER, PATIENCE_S, request
from tests.unit.tiny_models import save_model


@pytest.mark.parametrize(
    ("options", "on_disk", "expected"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"name": "aix-mini"}, True, False),
        ({"name": str(FOLDER)}, True, False),
        ({"name": "aixcoder-7b"}, False, True),
        ({"name": "owner/model"}, False, True),
        ({"name": "./somewhere"}, False, True),
        ({"name": "typo"}, False, False),
        ({"adapter": "/no/such/folder"}, True, False),
        ({"name": "aix-mini", "share": "on"}, False, True),
        ({"name": "aixcoder-7b", "share": "off"}, True, False),
    ],
)
def test_every_model_but_the_embedded_one_is_shared_unless_told_otherwise(
    options: dict[str, Any], on_disk: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "whole_on_disk", lambda name: on_disk)
    assert shares(ModelSettings(**options)) is expected


@pytest.fixture
def place(short_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place for hosts in this test's own folder."""
    runtime = short_folder / "r"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    return Place(runtime / "aix-lsp", "k")


async def test_where_no_host_can_be_a_window_loads_its_own_model_and_says_so(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.folder.write_text("in the way")
    events: list[LoadEvent] = []
    folder = save_model(tmp_path / "mine")
    engine = OwnEngine(ModelSettings(name=str(folder), device="cpu", threads=1), events.append)
    assert (await engine.generate(request(max_new_tokens=2))).model == "mine"
    (warning,) = [event.message for event in events if event.kind == "warning"]
    assert "aix-lsp" in warning
    assert "This window loads a model of its own" in warning
    assert engine.sharing == ""
    engine.close()


def test_what_keeps_a_host_from_starting_is_told_in_one_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.prepare()
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(HostUnavailable, match="could not be started: /no/such/python: No such file"):
        host_process.connect(ModelSettings(share="on"), lambda event: None, lambda text: None)


def test_a_place_whose_host_does_not_answer_is_told_not_waited_for_for_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_process, "_START_S", 0.3)
    monkeypatch.setattr(host_process, "start", lambda place, settings: "taken")
    with pytest.raises(ModelError, match="holds its lock but does not answer"):
        host_process.connect(ModelSettings(share="on"), lambda event: None, lambda text: None)


def test_of_many_hosts_that_start_at_once_one_listens_before_its_model_is_loaded_and_waits(place: Place) -> None:
    settings = ModelSettings(name="aix-mini", share="on", share_linger_s=0)
    own = place_of(settings)
    own.prepare()
    words: list[str] = []
    starters = [threading.Thread(target=lambda: words.append(host_process.start(own, settings))) for _ in range(3)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert sorted(words) == ["listening", "taken", "taken"]
    # although it would linger for no time: whoever started it is still to come
    state = look(own)
    assert state is not None
    assert state["phase"] == "loading"
    os.kill(state["pid"], signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_S
    while (lock := own.lock()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.close(lock)
    assert [path.suffix for path in own.folder.iterdir()] == [".lock"]


def test_a_host_that_is_the_started_process_itself_lives_on(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # where a process cannot fork, as on Windows
    python = tmp_path / "python"
    code = "from aix_lsp.engine import host_process as host; host._FORKS = False; host.main()"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{code}"\n')
    python.chmod(stat.S_IRWXU)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(host_process, "_FORKS", False)
    own = place_of(ModelSettings(name="aix-mini", share="on"))
    own.prepare()
    assert host_process.start(own, ModelSettings(name="aix-mini", share="on")) == "listening"
    assert host_process.start(own, ModelSettings(name="aix-mini", share="on")) == "taken"
    state = look(own)
    assert state is not None
    os.kill(state["pid"], signal.SIGTERM)
    assert os.waitpid(state["pid"], 0) == (state["pid"], 0)
