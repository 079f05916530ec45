"""Without PyTorch everything else works, and one is told what is missing (`make package` installs so)."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from aix_lsp.cli import doctor
from aix_lsp.engine.base import LoadEvent, ModelError
from aix_lsp.engine.hardware import need_torch
from aix_lsp.engine.local import LocalEngine
from aix_lsp.engine.memory import release_memory
from aix_lsp.settings import ModelSettings

MISSING = r"^PyTorch is missing, .*: .* -m pip install torch, or set remote\.url"


@pytest.fixture(autouse=True)
def no_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing PyTorch fails as where it is not installed."""
    monkeypatch.setitem(sys.modules, "torch", None)  # type: ignore[arg-type]


async def test_a_model_that_cannot_run_says_what_to_install_and_no_more() -> None:
    events: list[LoadEvent] = []
    engine = LocalEngine(ModelSettings(), events.append)
    engine.start(asyncio.get_running_loop())
    try:
        with pytest.raises(ModelError, match=MISSING):
            await engine.ready()
    finally:
        engine.close()
    (told,) = [event for event in events if event.kind != "progress"]
    assert re.match(MISSING, told.message)


def test_nothing_is_given_back_of_what_was_never_loaded() -> None:
    release_memory("cuda")


def test_the_doctor_finds_that_alone(tmp_path: Path) -> None:
    found = {one.check: one for one in doctor.examine(tmp_path, {"model.name": "aix-mini"})}
    assert [name for name, one in found.items() if one.status == "fail"] == ["torch"]
    assert found["torch"].remedy == "install it: pip install torch"
    assert {"tokenizer", "workspace", "watching"} <= found.keys()


def test_a_pytorch_that_is_broken_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, path: object, target: object = None) -> None:
            if name == "torch":
                raise OSError("libcudart.so.13: cannot open shared object file")

    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ModelError, match=r"^PyTorch cannot be loaded: libcudart\.so\.13"):
        need_torch()
