"""A process that leaks with each request is seen to do so, from outside and by the verdict; the leaks are planted by
the probe, as `AIX_SOAK_PLANT=memory python -m tests.soak` plants them in a server."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.soak.measure import MIB, Rest, Sample, Scales
from tests.soak.soak import PROBE
from tests.soak.verdict import Seen, judge

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the probe is told by a signal")

READS = """
import json, sys
for line in sys.stdin.buffer:
    json.loads(line)
    print(flush=True)
"""
ASKED = b'{"method":"textDocument/inlineCompletion"}\n'
LOOKS = 20


async def watched(kind: str, folder: Path) -> Seen:
    """A process that is a server by its command line reads 40 requests, with a look after every other one."""
    census = folder / "census.json"
    environment = {**os.environ, "PYTHONPATH": str(PROBE), "AIX_SOAK_CENSUS": str(census), "AIX_SOAK_PLANT": kind}
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-c", READS, "aix_lsp", "serve"]
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, env=environment)
    assert process.stdin is not None
    assert process.stdout is not None

    async def ask() -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(ASKED)
        assert await asyncio.wait_for(process.stdout.readline(), 60)

    try:
        await ask()  # Python has started
        scales = Scales(process.pid, census)
        seen = Seen(warm_until=0, ended=LOOKS, requests=1, checks=1, done=Counter(key=1))
        rests: list[Rest] = [await scales.rest(0.01)]
        samples: list[Sample] = []
        for _ in range(LOOKS):
            await ask()
            await ask()
            samples.append(scales.sample(0, 0))
        rests.append(await scales.rest(0.01))
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
    seen.samples = [
        Sample(number, one.own, one.pss, one.rss, one.threads, one.handles, 0, 0, one.cpu, 0, 0, 0.0)
        for number, one in enumerate(samples)
    ]
    seen.rests = rests
    return seen


@pytest.mark.parametrize(("kind", "promise"), [("memory", "memory"), ("thread", "threads"), ("handle", "handles")])
async def test_what_each_request_leaks_is_seen(kind: str, promise: str, tmp_path: Path) -> None:
    seen = await watched(kind, tmp_path)
    broken = [finding for finding in judge(seen, timing=False) if finding.state == "broken"]
    assert promise in [finding.name.split()[0] for finding in broken]
    first, last = seen.samples[0], seen.samples[-1]
    if kind == "memory":
        assert last.own - first.own > 30 * MIB
    else:
        assert getattr(last, promise) - getattr(first, promise) == 2 * (LOOKS - 1)
        assert getattr(seen.rests[1], promise) - getattr(seen.rests[0], promise) == 2 * LOOKS
