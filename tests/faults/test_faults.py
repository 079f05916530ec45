"""Faults that are quick to play, each against a real server (`make faults` plays all of them)."""

from __future__ import annotations

from pathlib import Path

import pytest

import tests.faults.every  # noqa: F401
from tests.faults.fault import FAULTS, Fault, NotHere, stage
from tests.model_host import model_host

__all__ = ["model_host"]


@pytest.mark.parametrize("one", [one for one in FAULTS.values() if one.quick], ids=lambda one: one.name)
async def test_the_server_answers_on_and_tells_once(one: Fault, tmp_path: Path, model_host: dict[str, str]) -> None:
    async with stage(tmp_path, model_host) as place:
        try:
            await one.run(place)
        except NotHere as why:
            pytest.skip(str(why))
