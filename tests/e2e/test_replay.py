"""The replay types a file through a real server, and prints what its readers look for. No figure is judged."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aix_lsp import text as typed_module

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
ASKED_FOR = {
    "keys", "engine_runs", "reuse_share", "reuse_p95_ms", "answer_p50_ms", "answer_p95_ms", "flicker", "stale_shown",
    "shown_share", "accepted_chars_share", "memory_growth", "cpu_s_per_100_keys", "rss_mb",
}  # fmt: skip
KEYS = 40

Script = Callable[..., None]


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Runs the replay with these arguments."""

    def run(*arguments: object) -> None:
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        monkeypatch.setattr(sys, "argv", ["replay", *map(str, arguments)])
        importlib.import_module("replay").main()

    return run


def test_a_file_is_typed_through_a_real_server_in_two_ways_and_stays_as_it_was(
    replay: Script, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "project" / "positions.py"
    file.parent.mkdir()
    text = Path(typed_module.__file__).read_bytes()
    file.write_bytes(text.replace(b"\n", b"\r\n"))
    replay(file, "--json", "--keys", KEYS, "--median-ms", 20, "--compare", "", "completion.enabled=false")
    told = json.loads(capfd.readouterr().out)
    as_it_is, silent = told["compare"]["as it is"], told["compare"]["completion.enabled=false"]
    for found in (as_it_is, silent):
        assert set(found) >= ASKED_FOR
        assert found["keys"] == sum(found["keys_by_kind"].values()) == KEYS
        assert sum(found["verdicts"].values()) == found["requests"] > 0
        assert "unanswered" not in found["verdicts"]
        assert "failed" not in found["verdicts"]
        assert found["stale_shown"] == 0
        assert found["rss_mb"] > 0
    assert as_it_is["engine_runs"] > 0
    assert (silent["engine_runs"], silent["shown_share"]) == (0, 0.0)
    assert any("completion.enabled" in reason for reason in silent["no_offer"])
    assert told["files"] == ["positions.py"]
    assert file.read_bytes() == text.replace(b"\n", b"\r\n")
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["none.py"], "none.py cannot be read as UTF-8 text: FileNotFoundError"),
        (["one.py"], "one.py has one line only: nothing to type"),
        (["two.py", "--keys", 0], "want numbers above 0"),
        (["two.py", "--client", "ed"], "invalid choice: 'ed'"),
    ],
)
def test_what_cannot_be_typed_is_told_in_one_line(
    replay: Script,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[object],
    line: str,
) -> None:
    (tmp_path / "one.py").write_text("x = 1")
    (tmp_path / "two.py").write_text("x = 1\ny = 2\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        replay(*arguments)
    assert line in capsys.readouterr().err.splitlines()[-1]


def test_a_server_that_does_not_start_is_told_in_one_line(
    replay: Script, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "two.py").write_text("x = 1\ny = 2\n")
    with pytest.raises(SystemExit, match="the server: the server ended"):
        replay(tmp_path / "two.py", "--set", "nothing")
    assert "--set wants" in capfd.readouterr().err
