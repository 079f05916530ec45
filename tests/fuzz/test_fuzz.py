"""The short form of `make fuzz`: 5,000 messages of one seed, and some hundred damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.files import one_read, read_damaged
from tests.fuzz.kept_files import index_files, settings_files
from tests.fuzz.run import in_processes, in_this_process

SEED = 9


def test_no_message_breaks_the_server_and_its_texts_are_the_clients() -> None:
    seen = in_this_process(5000, SEED, patience=300)
    assert not seen.broken, (seen.broken, seen.seed, seen.steps)
    assert seen.sent >= 5000
    assert seen.requests > 1000
    assert seen.compared > 300


def test_no_message_breaks_a_server_process() -> None:
    seen = in_processes(300, SEED, patience=300)
    assert not seen.broken, (seen.broken, seen.seed)
    assert seen.sent >= 250


@pytest.mark.parametrize("part", ["index", "settings"])
def test_damaged_files_are_read_as_they_were_or_refused(part: str, tmp_path: Path) -> None:
    kept = index_files(tmp_path) if part == "index" else settings_files(tmp_path)
    for one in kept:
        one_read(one)
    seen = read_damaged(kept, 25, SEED)
    assert seen["wrong"] == {}
