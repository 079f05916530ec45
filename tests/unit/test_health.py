"""`aix-lsp inspect --health`: what a container asks of the server in it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from aix_lsp.cli import health
from aix_lsp.cli.servers import RunningServer
from aix_lsp.server import inspection_place
from tests.unit.test_inspection import OneSession, runtime, serving
from tests.unit.traces import log_of

__all__ = ["runtime"]


async def asked(*, as_json: bool = False, pid: int | None = None) -> int:
    """The command's exit code."""
    try:
        await asyncio.to_thread(lambda: health.run(as_json=as_json, pid=pid))
    except SystemExit as end:
        return int(str(end.code))
    return 0


async def test_a_server_that_answers_is_well_until_its_model_has_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = OneSession(log_of(), {"uri": tmp_path})
    async with serving(session):
        assert await asked() == 0
        assert capsys.readouterr().out == f"process {os.getpid()} (an editor) of {tmp_path}: ready\n"
        session.activity.status = lambda: SimpleNamespace(state="failed", message="no memory is left")
        assert await asked() == 1


async def test_one_process_can_be_asked_for_and_the_answer_be_had_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with serving(OneSession(log_of(), {"uri": tmp_path})):
        assert await asked(as_json=True, pid=os.getpid()) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["well"]
        assert [(server["pid"], server["state"]) for server in answer["servers"]] == [(os.getpid(), "ready")]
        assert await asked(as_json=True, pid=1) == 1
        assert json.loads(capsys.readouterr().out) == {"well": False, "servers": [], "problems": []}


async def test_where_none_runs_nothing_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert await asked() == 1
    assert "no such server of yours runs" in capsys.readouterr().err


async def test_a_server_that_does_not_answer_is_not_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # as a process that was stopped: it has its lock, its socket takes connections, and nothing is said
    place, handle = inspection_place.claim()
    with place.listen("token"):
        monkeypatch.setattr(RunningServer.__init__, "__defaults__", (0.2,))
        assert await asked() == 1
    inspection_place.leave(place, handle)
    assert "does not answer" in capsys.readouterr().err
