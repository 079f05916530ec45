"""`aix-lsp recipe`: from folders of projects to a model that the engine loads, by one command."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from aix_lsp.engine.local import LocalEngine
from aix_lsp.engine.prompt_limits import read_limits
from aix_lsp.prompt.build import build_prompt
from aix_lsp.settings import ModelSettings, PromptSettings
from aix_lsp.types import DocumentSnapshot, Generation, GenerationRequest, PromptLimits
from tests.e2e.in_process import Call


def recipe(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aix_lsp", "recipe", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=400)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run of the smallest recipe."""
    work = tmp_path_factory.mktemp("recipe") / "work"
    done = recipe("mini_smoke", "--work", work)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(work / "model")
    return work


def answer(model: Path) -> Generation:
    text = "def total(items):\n    return sum(item."
    request = GenerationRequest(
        build_prompt=partial(
            build_prompt,
            document=DocumentSnapshot("file:///a.py", text + "\n", "python", 0, "a.py"),
            offset=len(text),
            snippets=(),
            settings=PromptSettings(),
            max_new_tokens=8,
        ),
        max_new_tokens=8,
    )

    async def ask() -> Generation:
        engine = LocalEngine(ModelSettings(name=str(model)))
        try:
            await engine.ready()
            return await engine.generate(request)
        finally:
            engine.close()

    return asyncio.run(ask())


def test_every_stage_leaves_what_the_next_one_needs(made: Path) -> None:
    report = json.loads((made / "corpus" / "report.json").read_text(encoding="utf-8"))
    assert report
    entries = [json.loads(line) for line in (made / "run" / "progress.jsonl").read_text("utf-8").splitlines()]
    steps = [entry for entry in entries if entry.get("kind") == "step"]
    assert entries[-1]["done"] == "steps"
    # 40 steps teach a model of half a million weights which tokens there are
    assert steps[-1]["parts"]["text"] < 0.92 * steps[0]["parts"]["text"]


def test_the_engine_answers_with_the_finished_model(made: Path) -> None:
    found = answer(made / "model")
    assert found.model == "model"
    assert 1 <= found.tokens <= 8


def test_the_finished_model_says_what_it_is(made: Path) -> None:
    names = {path.name for path in (made / "model").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.model", "tokenizer.json", "README.md", "aix.json"} <= names
    card = (made / "model" / "README.md").read_text(encoding="utf-8")
    assert "# aix-smoke" in card
    assert "orchard" in card
    assert "copyhall" not in card  # its licence is a copyleft one
    # how long its prompts should be, which the server keeps to
    assert read_limits(made / "model") == (PromptLimits("psm", 400, 100),)
    for path in (made / "model").iterdir():
        assert str(made).encode() not in path.read_bytes(), path.name


def test_a_finished_run_is_not_done_again(made: Path, call: Call) -> None:
    before = (made / "run" / "progress.jsonl").read_bytes()
    done = call("recipe", "mini_smoke", "--work", made, "--until", "train")
    assert done.returncode == 0, done.stderr
    assert (made / "run" / "progress.jsonl").read_bytes() == before


def test_a_folder_of_another_recipe_is_refused(made: Path, call: Call) -> None:
    done = call("recipe", "aix_mini", "--work", made)
    assert done.returncode == 2
    assert "was begun with other settings" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("name = ", "is no TOML"),
        ('name = "a"\nworkers = 2', "there is no field workers"),
        ('name = "a"\n[loop]\nstep = 2', "there is no field loop.step"),
        ('name = "a"\ninit = "smoke.toml"\n[corpus]\nfolders = ["x"]\n[export]\nlicence = 3', "export.licence"),
        ('name = "a"\n[corpus]\nfolders = ["x"]\n[export]\nlicence = "MIT"', "either init"),
        ('name = "a"\ninit = "s.toml"\n[corpus]\n[export]\nlicence = "MIT"', "either sources"),
        (
            'name = "a"\ninit = "s.toml"\n[corpus]\nfolders = ["x"]\n[export]\nlicence = "MIT"',
            "neither steps nor minutes",
        ),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_one_line(
    call: Call, tmp_path: Path, content: str | None, said: str
) -> None:
    path = tmp_path / "recipe.toml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    done = call("recipe", path, "--work", tmp_path / "work")
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "work").exists()


def test_a_stage_that_does_not_exist_is_one_line(call: Call, tmp_path: Path) -> None:
    done = call("recipe", "mini_smoke", "--work", tmp_path / "work", "--until", "polish")
    assert done.returncode == 2
    assert "there is no stage polish" in done.stderr
