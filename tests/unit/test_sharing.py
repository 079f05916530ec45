"""Where a model runs: the choice, the way out where no host can be, and how a host process is started."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.engine import host_process, sharing
from aix_lsp.engine.base import LoadEvent, ModelError
from aix_lsp.engine.host_place import HostUnavailable, Place
from aix_lsp.engine.sharing import OwnEngine, shares
from aix_lsp.settings import ModelSettings
from tests.unit.engine_doubles import FOLDER, request
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
    monkeypatch.setattr(sharing, "_on_disk", lambda name: on_disk)
    assert shares(ModelSettings(**options)) is expected


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place for hosts in this test's own folder."""
    runtime = tmp_path / "r"
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


async def test_settings_that_no_model_has_fail_as_they_do_in_this_process(place: Place) -> None:
    """A real host process, as the first window starts it: the embedded model answers, and the reason is told."""
    events: list[LoadEvent] = []
    engine = OwnEngine(ModelSettings(name="typo", share="on", share_linger_s=0, device="cpu"), events.append)
    model = await asyncio.wait_for(engine.ready(), 120)
    assert model.name == "aix-mini"
    assert "there is no model 'typo'" in " ".join(event.message for event in events if event.kind == "warning")
    assert engine.sharing.startswith("shared with 1 window, host process ")
    engine.close()
