"""The system's clock jumps while a server works: nothing that matters may hang on it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.e2e.conftest import snippets_of, trace
from tests.faults.fault import Editor, Stage, fault
from tests.faults.model_files import told_only
from tests.faults.model_injection import CLOCK, Injected

DAY = 24 * 3600
JUMPS = {"a day ahead": DAY, "an hour back": -3600}
REBATE = "def compute_{}_rebate(amount: float) -> float:\n    return amount * 0.5\n"


@fault("answers, index, debounce, statistics and log go on, and nobody is bothered", group="model", quick=False)
async def clock_jumps(stage: Stage) -> str:
    """Ahead by a day and back by an hour, between and during requests."""
    log = stage.folder / "server.log"
    injected = Injected(stage)
    editor = await stage.editor(
        env={**injected.environment, "AIX_LSP_LOG__FILE": str(log), "AIX_LSP_LOG__LEVEL": "debug"}
    )
    began = (await _request_at(editor))["time"]
    size = log.stat().st_size
    seen = []
    for number, (name, seconds) in enumerate(JUMPS.items()):
        injected.set(CLOCK, str(seconds))
        jumped = (await _request_at(editor))["time"] - began
        assert abs(jumped - seconds) < 600, f"the clock of the server did not jump: {jumped:.0f} s"
        await _indexes_anew(stage, editor, f"jump{number}")
        seen.append(name)
    injected.over(CLOCK)
    await told_only(editor)
    assert log.stat().st_size > size, "the log stands still"
    await _accepts_and_saves(stage, editor)
    return f"{', '.join(seen)}: answers, index, statistics and log went on"


async def _request_at(editor: Editor) -> dict[str, float]:
    """By which clock a request of now was traced; automatic, so that the debounce is passed."""
    uri = "untitled:clock"
    editor.mirror.open(uri, "def total(amounts):\n    return su")
    items = await editor.client.inline_completion(uri, 1, 13, kind=2)
    assert items, "no completion came"
    traced = await trace(editor.client)
    editor.mirror.close(uri)
    assert await editor.client.inline_completion(uri, 0, 0) == []  # of a document that is not open: a line in the log
    return {"time": float(traced["time"])}


async def _indexes_anew(stage: Stage, editor: Editor, name: str) -> None:
    """A file that is written now is quoted soon."""
    (stage.workspace / "shop" / f"{name}.py").write_text(REBATE.format(name))
    uri = f"untitled:{name}"
    text = f"from shop.{name} import compute_{name}_rebate\n\nprint(compute_{name}_re"
    editor.mirror.open(uri, text)
    async with asyncio.timeout(60):
        while not any(name in str(each) for each in await snippets_of(editor.client, uri, 2, len(text.split("\n")[2]))):
            await asyncio.sleep(0.05)
    editor.mirror.close(uri)


async def _accepts_and_saves(stage: Stage, editor: Editor) -> None:
    """What was offered is counted and written as the server goes."""
    assert await editor.client.shutdown() == 0
    state = Path(stage.environment["XDG_STATE_HOME"])
    lines = [json.loads(line) for path in state.rglob("statistics.jsonl") for line in path.read_text().splitlines()]
    assert sum(line.get("offered", 0) for line in lines) > 0, f"nothing was counted: {lines}"
