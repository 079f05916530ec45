"""How the indexer's process ends, with what it has started."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import psutil
import pytest

from aix_lsp.completion.index_job import IndexJob, Part
from aix_lsp.completion.indexer_client import indexer_process


def _sleeping(seconds: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == ["sleep", seconds]]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
async def test_an_indexer_that_nobody_waits_for_any_more_takes_a_git_that_hangs_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools, seconds = tmp_path / "tools", f"619.{time.time_ns() % 10**9}"  # no other run's
    tools.mkdir()
    (tools / "git").write_text(f"#!/bin/sh\nsleep {seconds} &\nwait\n")
    (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    (tmp_path / "root").mkdir()

    async def follow() -> list[Part]:
        async with indexer_process() as process:
            return [part async for part in process.parts(IndexJob(str(tmp_path / "root")))]

    job = asyncio.ensure_future(follow())
    async with asyncio.timeout(30):
        while not _sleeping(seconds):
            await asyncio.sleep(0.05)
        job.cancel()
        await asyncio.wait([job])
        while _sleeping(seconds):
            await asyncio.sleep(0.05)


async def test_an_indexer_that_has_begun_nothing_ends_at_once() -> None:
    began = time.monotonic()
    async with indexer_process() as process:
        running = process._process
    assert running.returncode is not None
    assert time.monotonic() - began < 20
