"""The harness finds a promise that is broken: planted failures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults import __main__ as command
from tests.faults.fault import Fault, NotHere, Stage, play, registered


async def planted_that_breaks(stage: Stage) -> str:
    assert stage.workspace.is_dir()
    raise AssertionError("an edit was lost")


async def planted_that_holds(stage: Stage) -> str:
    return f"{len(stage.environment) > 3}"


async def planted_elsewhere(stage: Stage) -> str:
    raise NotHere("only on Windows")


PLANTED = tuple(
    Fault(run.__name__, "no edit is lost", "model", False, run)
    for run in (planted_that_breaks, planted_that_holds, planted_elsewhere)
)


async def test_each_way_to_end_is_a_finding(tmp_path: Path) -> None:
    states = []
    for number, one in enumerate(PLANTED):
        folder = tmp_path / str(number)
        folder.mkdir()
        finding = await play(one, folder, {})
        states.append((finding.state, finding.seen))
    assert states == [
        ("broken", "no edit is lost: an edit was lost"),
        ("ok", "True"),
        ("skipped", "only on Windows"),
    ]


@pytest.mark.parametrize(
    ("name", "code"),
    [("planted_that_breaks", 1), ("planted_that_holds", 0), ("planted_elsewhere", 1), ("no such fault", 1)],
)
def test_the_command_fails_unless_something_held_and_nothing_broke(
    name: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with registered(*PLANTED):
        assert command.main(["--only", name]) == code
    told = capsys.readouterr().out
    assert "faults: " in told.splitlines()[0]
    assert (f"  broken   {name}" in told) is (name == "planted_that_breaks")


@pytest.mark.parametrize("damaged", [{"version": 3}, {"sha256": "0"}, {"characters": 1}])
async def test_a_text_that_the_server_holds_otherwise_is_seen(
    damaged: Mapping[str, object], tmp_path: Path, model_host: dict[str, str]
) -> None:
    from tests.faults.fault import stage

    async with stage(tmp_path, model_host) as place:
        editor = await place.editor(ready=False)
        editor.mirror.open("untitled:a", "one\r\ntwo 😀\n")
        editor.mirror.edit("untitled:a", (8, 9, "é"), (0, 0, "\n"))
        await editor.mirror.check(editor.client)
        expected = editor.mirror.expected()
        editor.mirror.expected = lambda: [{**expected[0], **damaged}]  # type: ignore[method-assign]
        with pytest.raises(AssertionError, match="another one"):
            await editor.mirror.check(editor.client)
