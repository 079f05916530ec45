"""The harness sees what breaks: planted failures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.package import __main__ as command
from tests.package import building, light
from tests.package.contents import ROOT
from tests.package.rows import NotHere, row


def fails() -> str:
    raise AssertionError("a file is missing")


def cannot() -> str:
    raise NotHere("no Python 3.13")


def ends_badly() -> str:
    subprocess.run(
        [sys.executable, "-c", "import sys; sys.exit('no\\nroom')"], check=True, capture_output=True, text=True
    )
    return ""


def hangs() -> str:
    raise subprocess.TimeoutExpired(["/opt/bin/aix-lsp", "demo"], 60)


def test_each_way_to_end_is_a_row() -> None:
    rows = [row(check.__name__, check) for check in (fails, cannot, ends_badly, hangs, lambda: "3 files")]
    assert [one.state for one in rows] == ["broken", "skipped", "broken", "broken", "ok"]
    assert rows[0].seen == "a file is missing"
    assert rows[2].seen.endswith("exit 1: no room")
    assert rows[3].seen == "aix-lsp demo: no end within 60 s"


@pytest.mark.parametrize(("check", "state"), [(fails, "broken"), (cannot, "skipped")])
def test_the_command_fails_where_nothing_can_be_built(
    check: object, state: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(building, "build", lambda folder: check())  # type: ignore[operator]
    assert command.main([]) == 1
    assert f"  {state:<7}  wheel and source archive are built" in capsys.readouterr().out


SAMPLE = """
import pytest

@pytest.fixture(scope="module")
def model():
    import torch

def test_needs_it_for_a_fixture(model): pass
def test_needs_the_same_fixture(model): pass

def test_needs_it_behind_another_error():
    try:
        from transformers import Trainer
    except ImportError:
        raise ValueError("the model could not be loaded") from None

def test_asks_a_server_process_for_its_model():
    raise AssertionError({"state": "failed", "message": "PyTorch is missing, and no model runs here without it"})

def test_does_without(): pass
def test_does_not_work(): assert 1 == 2
def test_is_skipped(): pytest.skip("only on Windows")
def test_lacks_something_else(): import no_such_package_as_this
"""
CONFTEST = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""


def test_without_pytorch_what_needs_it_is_skipped_and_nothing_else(tmp_path: Path) -> None:
    tests = tmp_path / "tests" / "unit"
    tests.mkdir(parents=True)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tests / "test_sample.py").write_text(SAMPLE)
    (tests / "test_whole.py").write_text("import torch\n")
    (tests / "test_broken.py").write_text("import no_such_package_as_this\n")
    words = [sys.executable, "-m", "pytest", "-p", "tests.package.needs_torch", "-p", "no:cacheprovider", "-q", "-ra"]
    words += ["--continue-on-collection-errors", "--rootdir", str(tmp_path), "--tb=line", str(tests)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert "2 failed, 1 passed, 6 skipped, 1 error" in ended.stdout, ended.stdout
    assert ended.stdout.count("test_sample.py:") >= 2
    skipped = [line for line in ended.stdout.splitlines() if line.startswith("SKIPPED")]
    assert sum(int(line.split("[")[1].split("]")[0]) for line in skipped if line.endswith("needs PyTorch")) == 5


PRINTED = """
SKIPPED [39] tests/unit/test_lean.py: needs PyTorch
SKIPPED [2] tests/unit/test_limits.py:9: only on Windows
{more}4891 passed, 41 skipped in 205.95s (0:03:25)
"""


def test_a_run_of_the_unit_tests_is_counted() -> None:
    assert light.counted(PRINTED.format(more="")) == "4,891 passed, 39 need PyTorch, 2 skipped"
    with pytest.raises(AssertionError, match=r"1 failed: FAILED tests/unit/test_a\.py::test_b"):
        light.counted(PRINTED.format(more="FAILED tests/unit/test_a.py::test_b - assert 1 == 2\n1 failed, "))
    with pytest.raises(AssertionError, match="too few ran"):
        light.counted("12 passed in 1.0s\n")
    with pytest.raises(AssertionError, match="nothing was printed"):
        light.counted("")
