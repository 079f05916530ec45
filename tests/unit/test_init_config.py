"""Sizes of a new model: what is refused and in which words, and the model that they give."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aix_lsp.training.init_config import RECIPES, InitConfig, InitError, build_model, read_init, recipe

GOOD = """
[model]
hidden = 32
layers = 2
heads = 4
kv_heads = 2
ffn = 48
positions = 128
[tokenizer]
pieces = 512
"""


def written(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "sizes.toml"
    path.write_text(content, "utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("mini", 9_440_640), ("mini_deep", 15_735_168), ("mini_19m", 18_290_176), ("smoke", 494_208)],
)
def test_the_recipes_have_the_sizes_that_they_promise(name: str, parameters: int) -> None:
    config = read_init(recipe(name))
    assert config.parameters() == parameters
    assert config.max_parameters is not None
    assert config.parameters() <= config.max_parameters


def test_the_largest_recipe_fits_into_the_wheel() -> None:
    # 16 bits each, and half a megabyte of tokenizer
    assert read_init(recipe("mini_19m")).parameters() * 2 + 500_000 <= 40_000_000


def test_the_mini_recipe_is_the_embedded_models_shape() -> None:
    config = read_init(recipe("mini"))
    assert (config.layers, config.hidden, config.heads, config.head_size, config.kv_heads) == (4, 384, 6, 64, 2)
    assert (config.ffn, config.pieces, config.positions, config.rope_theta) == (1024, 8192, 1024, 10_000.0)


def test_only_files_with_a_model_are_recipes() -> None:
    with pytest.raises(InitError, match=r"no recipe 'nothing'; there are mini, mini_19m, mini_deep, smoke"):
        recipe("nothing")
    assert recipe("smoke") == RECIPES / "smoke.toml"


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("head_size", [0, 6])
def test_parameters_are_counted_as_the_model_has_them(tie: bool, head_size: int) -> None:
    config = InitConfig(
        hidden=24, layers=3, heads=4, kv_heads=2, ffn=40, positions=64, pieces=512, tie=tie, head_size=head_size
    )
    for vocabulary in (None, 600):
        model = build_model(config, vocabulary)
        assert sum(weights.numel() for weights in model.parameters()) == config.parameters(vocabulary)


def test_defaults_fill_what_a_file_leaves_out(tmp_path: Path) -> None:
    config = read_init(written(tmp_path, GOOD + "[training]\nrate = 1\n"))
    assert (config.rope_theta, config.norm_eps, config.tie, config.head_size) == (10_000.0, 1e-5, True, 8)
    assert config.max_parameters is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[model]", "[models]", r"the table \[model\] is missing"),
        ("hidden = 32", "", r"\[model\] lacks hidden"),
        ("pieces = 512", "", r"\[tokenizer\] lacks pieces"),
        ("hidden = 32", "hidden = 32\nhiden = 1", r"\[model\] has no field 'hiden'"),
        ("pieces = 512", "pieces = 512\nlayers = 1", r"\[tokenizer\] has no field 'layers'"),
        ("layers = 2", "layers = 2.5", "layers is 2.5; it takes a whole number"),
        ("layers = 2", "layers = true", "layers is True; it takes a whole number"),
        ("layers = 2", "layers = 0", "layers is 0; choose 1 to 256"),
        ("heads = 4\n", "heads = 0\n", "heads is 0; choose 1 to 512"),
        ("heads = 4\n", "heads = 3\n", "heads is 3, which does not divide hidden = 32"),
        ("kv_heads = 2", "kv_heads = 3", "kv_heads is 3, which does not divide heads = 4"),
        ("heads = 4\n", "heads = 4\nhead_size = 5\n", "head_size is 5; it must be even"),
        ("ffn = 48", 'ffn = "48"', "ffn is '48'; it takes a whole number"),
        ("ffn = 48", "ffn = 48\ntie = 1", "tie is 1; it takes true or false"),
        ("ffn = 48", "ffn = 48\nrope_theta = nan", "rope_theta is nan; it takes a number"),
        ("ffn = 48", f"ffn = 48\nrope_theta = 1{'0' * 400}", "it takes a number"),
        ("ffn = 48", "ffn = 48\nrope_theta = 0", "rope_theta is 0.0; choose 1 to"),
        ("ffn = 48", "ffn = 48\nmax_parameters = 1000", "max_parameters is 1,000 and these sizes have 31,904"),
        ("pieces = 512", "pieces = 3", "pieces is 3; choose 512 to 65536"),
        ("[tokenizer]\n", "[[tokenizer]]\n", "tokenizer is no table"),
        ("ffn = 48", "ffn =", "is no valid TOML"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_the_field(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new))
    with pytest.raises(InitError, match=words) as raised:
        read_init(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InitError, match="cannot be read: No such file"):
        read_init(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InitError, match="not UTF-8"):
        read_init(tmp_path / "bytes.toml")


def test_the_same_seed_gives_the_same_model_and_leaves_the_random_state_alone() -> None:
    config = read_init(recipe("smoke"))
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, second, other = (build_model(config, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])


def test_a_new_model_predicts_nearly_nothing_yet() -> None:
    config = read_init(recipe("smoke"))
    model = build_model(config)
    ids = torch.randint(0, config.pieces, (2, 48), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = model(ids, labels=ids).loss.item()
    assert abs(loss - math.log(config.pieces)) < 0.2


def test_the_model_has_the_configured_shape() -> None:
    config = read_init(recipe("smoke"))
    model = build_model(config, 1030)
    assert model.config.vocab_size == 1030
    assert model.config.rope_parameters["rope_theta"] == config.rope_theta
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert (model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id) == (1, 2, 3)
    assert next(model.parameters()).dtype == torch.float32


def test_a_vocabulary_that_breaks_the_limit_is_refused() -> None:
    with pytest.raises(InitError, match="with a vocabulary of 60,000"):
        build_model(read_init(recipe("smoke")), 60_000)


def test_reading_sizes_imports_nothing_slow() -> None:
    code = (
        "import sys; from aix_lsp.training.init_config import read_init, recipe; read_init(recipe('mini')); "
        "import aix_lsp.training.tokenizer, aix_lsp.training.tokenizer_export, aix_lsp.training.export; "
        "print(*{'torch', 'transformers', 'sentencepiece', 'tokenizers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
