"""The card says what the run's folder holds, and nothing of the machine."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from aix_lsp.training.mini_card import EVALUATION, card_of
from aix_lsp.training.recipe import Recipe, read_recipe

CONFIG = SimpleNamespace(
    tie_word_embeddings=True,
    num_hidden_layers=2,
    hidden_size=64,
    num_attention_heads=4,
    num_key_value_heads=2,
    intermediate_size=128,
    max_position_embeddings=512,
    vocab_size=8192,
)
PROJECTS = [
    {"name": "orchard", "licence": "MIT", "files": 3, "characters": 1_500_000},
    {"name": "beach", "licence": "", "files": 4, "characters": 2_600_000},
    {"name": "arbour", "licence": "MIT", "files": 5, "characters": 900_000},
]
STEP = {"kind": "step", "step": 1200, "tokens": 9_000_000, "loss": 2.0, "parts": {}}
CHECK = {"kind": "validation", "step": 1100, "loss": 3.0, "parts": {"psm_first": 2.3456, "text": 1.5}}


@pytest.fixture
def recipe() -> Recipe:
    return read_recipe(Path("mini_smoke"))


def run(folder: Path, *entries: object, tail: str = "") -> Path:
    (folder / "corpus").mkdir()
    (folder / "run").mkdir()
    (folder / "corpus" / "corpus.json").write_text(json.dumps({"projects": PROJECTS}))
    log = "".join(f"{json.dumps(entry)}\n" for entry in entries)
    (folder / "run" / "progress.jsonl").write_text(log + tail)
    return folder


def test_a_card_tells_data_training_and_what_was_measured(tmp_path: Path, recipe: Recipe) -> None:
    folder = run(tmp_path, STEP, CHECK, {"done": "steps"})
    (folder / EVALUATION).write_text("| exact |\n|---|\n| 1.5% |\n\n")
    card = card_of(recipe, folder, CONFIG, 1_234_567)
    for said in (
        "# aix-smoke",
        "1,234,567, bfloat16",
        "12 files, 5 million characters of 3 projects",
        "MIT (2), not recognised (1)",
        "Projects: arbour, beach, orchard.",
        "1,200 steps, 9,000,000 tokens",
        "after step 1,100",
        "| psm_first | 2.346 |",
        "## Measured\n\n| exact |\n|---|\n| 1.5% |\n\n## Limits",
    ):
        assert said in card
    assert str(tmp_path) not in card
    assert card.endswith("\n")
    assert "\n\n\n" not in card


def test_a_line_cut_off_by_a_full_disk_does_not_stop_the_export(tmp_path: Path, recipe: Recipe) -> None:
    card = card_of(recipe, run(tmp_path, STEP, tail='{"kind": "st'), CONFIG, 1)
    assert "1,200 steps" in card


def test_a_model_without_a_run_says_so(tmp_path: Path, recipe: Recipe) -> None:
    card = card_of(recipe, tmp_path, CONFIG, 1)
    assert "Not trained." in card
    assert "Measured" not in card
