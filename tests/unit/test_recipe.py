"""Recipes and the stages that follow them: what is refused, what is done again, and what is left whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.training import launch, stages
from aix_lsp.training.recipe import RECIPES, Recipe, RecipeError, bundled_recipes, read_recipe
from aix_lsp.training.scratch import Spec
from aix_lsp.training.stages import Work, follow

from .tiny_models import save_model

RECIPE = """
name = "a"
init = "sizes.toml"
[corpus]
folders = ["projects"]
[windows]
lengths = [128]
[train]
sequence = [128]
[loop]
steps = 3
[export]
licence = "MIT"
"""


def written(folder: Path, text: str = RECIPE) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    (folder / "sizes.toml").write_text("hidden = 1\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("path", bundled_recipes(), ids=lambda path: path.stem)
def test_every_bundled_recipe_can_be_read_and_what_it_names_is_there(path: Path) -> None:
    recipe = read_recipe(Path(path.stem))
    assert recipe == read_recipe(path)
    for name in (recipe.init, recipe.corpus.sources):
        assert name is None or (RECIPES / name).exists()


def test_a_name_that_no_recipe_has_is_told_with_those_there_are() -> None:
    with pytest.raises(RecipeError, match=r"no recipe mini_smokes \(known: .*mini_smoke.*\)"):
        read_recipe(Path("mini_smokes"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("lengths = [128]", "lengths = [256]", "longer than train.sequence"),
        ("lengths = [128]", "lengths = [128]\npsm = 0.9", "at most 1"),
        ("sequence = [128]", "sequence = [128]\nheld_out = 0", "train.held_out"),
        ("steps = 3", "steps = 3\nreport_every = 0", "report_every must be at least 1"),
        ("[loop]", "[rates]\nbetas = [0.9]\n[loop]", "rates.betas"),
        ("licence =", "license =", "no field export.license"),
        ("[export]", "[export.prompts.psm]\ntokens = 9\nsuffix = 8\n[export]", "psm.tokens is 9, not a whole"),
    ],
)
def test_settings_that_cannot_be_followed_are_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in RECIPE
    with pytest.raises(RecipeError, match=said) as caught:
        read_recipe(written(tmp_path, RECIPE.replace(old, new)))
    assert "\n" not in str(caught.value)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """A recipe whose projects are none of any use: following it ends at the corpus."""
    (tmp_path / "projects").mkdir()
    return read_recipe(written(tmp_path))


def begun(recipe: Recipe, folder: Path) -> None:
    follow(recipe, Work(folder / "work"), base=folder, until="sources")


def test_only_the_length_of_training_may_change(tmp_path: Path, recipe: Recipe) -> None:
    begun(recipe, tmp_path)
    begun(read_recipe(written(tmp_path, RECIPE.replace("steps = 3", "steps = 9"))), tmp_path)
    with pytest.raises(RecipeError, match=r"other settings \(windows\)"):
        begun(read_recipe(written(tmp_path, RECIPE.replace("[windows]", "[windows]\nspm = 0.1"))), tmp_path)
    (tmp_path / "sizes.toml").write_text("hidden = 2\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"other settings \(init file\)"):
        begun(recipe, tmp_path)


def test_a_folder_of_an_earlier_version_goes_on(tmp_path: Path, recipe: Recipe) -> None:
    begun(recipe, tmp_path)
    path = tmp_path / "work" / "recipe.json"
    told = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in told.items() if not name.endswith(" file")}))
    begun(recipe, tmp_path)
    assert json.loads(path.read_text()) == told


def test_a_damaged_folder_and_a_missing_file_are_one_line(tmp_path: Path, recipe: Recipe) -> None:
    begun(recipe, tmp_path)
    (tmp_path / "work" / "recipe.json").write_text("")
    with pytest.raises(RecipeError, match="is damaged"):
        begun(recipe, tmp_path)
    (tmp_path / "sizes.toml").unlink()
    with pytest.raises(RecipeError, match=r"sizes\.toml cannot be read"):
        follow(recipe, Work(tmp_path / "other"), base=tmp_path)
    assert not (tmp_path / "other").exists()


def test_a_package_that_left_the_list_is_not_learned_from(tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text('python = "3.11"\n', encoding="utf-8")
    listed = read_recipe(written(tmp_path, RECIPE.replace('folders = ["projects"]', 'sources = "list.toml"')))
    (tmp_path / "work" / "sources" / "gone-1.0").mkdir(parents=True)
    with pytest.raises(RecipeError, match=r"holds gone-1\.0, which is not on the list"):
        begun(listed, tmp_path)


def test_a_model_to_start_from_is_whole_or_not_there(tmp_path: Path) -> None:
    source, work = tmp_path / "model", Work(tmp_path / "work")
    save_model(source)
    begin = read_recipe(written(tmp_path, RECIPE.replace('init = "sizes.toml"', 'start = "model"')))
    (source / "model.safetensors").rename(tmp_path / "weights")
    with pytest.raises(OSError, match=r"safetensors"):
        stages._tokenizer(begin, work, tmp_path, print)
    assert not work.start.exists()
    assert list(work.folder.iterdir()) == []
    # what an earlier version left half written is replaced
    work.start.mkdir()
    (tmp_path / "weights").rename(source / "model.safetensors")
    stages._tokenizer(begin, work, tmp_path, print)
    assert {"config.json", "model.safetensors"} <= {path.name for path in work.start.iterdir()}
    assert [path.name for path in work.folder.iterdir()] == ["start"]
    (source / "config.json").unlink()
    with pytest.raises(RecipeError, match="model holds no model"):
        follow(begin, Work(tmp_path / "other"), base=tmp_path)
    assert not (tmp_path / "other").exists()


def test_training_is_done_again_only_when_it_shall_be_longer(
    tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, calls = Work(tmp_path / "work"), list[Any]()

    def launched(spec: Path, processes: int, log: Path, tell: object) -> None:
        calls.append(Spec.read(spec).loop)
        (work.run / "model").mkdir(exist_ok=True)
        (work.run / "model" / "config.json").write_text("{}")

    monkeypatch.setattr(launch, "launch", launched)
    longer = read_recipe(written(tmp_path, RECIPE.replace("steps = 3", "steps = 9")))
    for each in (recipe, recipe, longer, longer):
        stages._train(each, work, tmp_path, print)
    assert calls == [recipe.loop, longer.loop]
