"""An exported model loads with stock transformers and the project's engine alike, and appears whole or not at all."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import aix_lsp
from aix_lsp.engine.local import LocalEngine
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.settings import ModelSettings
from aix_lsp.training.export import ExportError, export, is_export
from aix_lsp.training.init_config import InitConfig, build_model
from aix_lsp.training.tokenizer import train_tokenizer
from aix_lsp.types import Generation, GenerationRequest, ModelInfo, Prompt, Tokenizer
from tests.unit.tiny_models import embedded_folder

PACKAGE = Path(aix_lsp.__file__).parent
TEXTS = [path.read_text("utf-8") for path in sorted((PACKAGE / "engine").glob("*.py"))]
PIECES = 600
SIZES = InitConfig(hidden=32, layers=2, heads=4, kv_heads=2, ffn=48, positions=256, pieces=PIECES)
NOTES = {"format": "psm", "languages": ["python"], "licence": "Apache-2.0"}
CARD = "# tiny\n\nFor a test.\n"
PROMPT = "def add(a, b):\n    return a"


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tokenizer(TEXTS, tmp_path_factory.mktemp("tokenizer"), pieces=PIECES)


def decided_model(**changes: Any) -> Any:
    """A random model whose likeliest token stands out from the second, as a trained one's does."""
    model = build_model(InitConfig(**{name: getattr(SIZES, name) for name in SIZES.__slots__} | changes), seed=3)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.dim() == 2:
                weights.mul_(8)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> Any:
    return decided_model()


@pytest.fixture(scope="module")
def exported(model: Any, tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models") / "tiny"
    return export(model, tokenizer_folder, out, card=CARD, notes=NOTES, texts=TEXTS[:20])


def build(tokenizer: Tokenizer, info: ModelInfo) -> Prompt:
    return Prompt((1, *tokenizer.encode(PROMPT)), PROMPT, info.format)


async def by_engine(folder: Path) -> tuple[Generation, ModelInfo]:
    engine = LocalEngine(ModelSettings(name=str(folder), device="cpu", dtype="float32", cpu_decode="none", threads=1))
    engine.start(asyncio.get_running_loop())
    try:
        return await engine.generate(GenerationRequest(build, max_new_tokens=24)), await engine.ready()
    finally:
        engine.close()


def by_transformers(folder: Path) -> list[int]:
    """The greedy tokens that stock transformers gives, with the end token that stopped it, if any, cut off."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = [1, *load_tokenizer(folder).encode(PROMPT)]
    with torch.inference_mode():
        tokens: list[int] = model.generate(torch.tensor([ids]), max_new_tokens=24)[0, len(ids) :].tolist()
    return tokens[:-1] if tokens[-1] in model.generation_config.eos_token_id else tokens


async def test_transformers_and_the_engine_give_the_same_greedy_tokens(exported: Path) -> None:
    expected = by_transformers(exported)
    generation, info = await by_engine(exported)
    assert len(expected) >= 8
    assert generation.tokens == len(expected)
    # the engine shows no character before all its bytes are there
    assert generation.text == load_tokenizer(exported).decode(expected).rstrip("\ufffd")
    assert (info.name, info.max_positions, info.format, info.languages) == ("tiny", 256, "psm", ("python",))
    assert info.note == "Apache-2.0"
    assert info.parameters == SIZES.parameters()


def test_the_folder_holds_one_weight_file_and_all_that_belongs_to_it(exported: Path) -> None:
    assert sorted(path.name for path in exported.iterdir()) == [
        *("README.md", "aix.json", "config.json", "generation_config.json", "model.safetensors"),
        *("tokenizer.json", "tokenizer.model", "tokenizer_config.json"),
    ]
    assert [path.name for path in exported.parent.iterdir()] == ["tiny"]
    config = json.loads((exported / "config.json").read_text("utf-8"))
    assert (config["architectures"], config["model_type"], config["dtype"]) == (
        ["LlamaForCausalLM"],
        "llama",
        "bfloat16",
    )
    assert (config["rope_theta"], config["tie_word_embeddings"], config["vocab_size"]) == (10_000.0, True, PIECES)
    assert "_name_or_path" not in config
    ends = json.loads((exported / "generation_config.json").read_text("utf-8"))
    assert ends == {"bos_token_id": 1, "eos_token_id": [2, 1, 3, 4, 5, 6], "pad_token_id": 3, "do_sample": False}


def test_anybody_may_read_the_files(exported: Path) -> None:
    reference = exported.parent / "reference"
    reference.mkdir()
    assert exported.stat().st_mode == reference.stat().st_mode
    reference.rmdir()
    assert {path.stat().st_mode & 0o444 for path in exported.iterdir()} == {0o444}


def test_the_card_says_where_the_tokenizer_files_differ(exported: Path) -> None:
    card = (exported / "README.md").read_text("utf-8")
    assert card.startswith(CARD)
    assert "## The two tokenizer files" in card
    assert "takes for a special token and" in card
    assert "differ otherwise" not in card


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_weights_come_back_as_they_were_up_to_their_dtype(
    tokenizer_folder: Path, tmp_path: Path, dtype: str, tie: bool
) -> None:
    from safetensors.torch import load_file

    model = decided_model(tie=tie)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folder = export(model, tokenizer_folder, tmp_path / "out", card=CARD, notes=NOTES, dtype=dtype)
    stored = load_file(folder / "model.safetensors")
    assert ("lm_head.weight" in stored) is not tie
    for name, value in stored.items():
        assert torch.equal(value, before[name].to(getattr(torch, dtype)))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert next(model.parameters()).dtype == torch.float32


def test_an_earlier_export_is_replaced(model: Any, tokenizer_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(model, tokenizer_folder, out, card=CARD, notes=NOTES)
    assert is_export(out)
    export(model, tokenizer_folder, out, card="# second\n", notes=NOTES)
    assert (out / "README.md").read_text("utf-8").startswith("# second\n")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["file", "foreign", "export and more"])
def test_nothing_but_an_earlier_export_is_replaced(
    model: Any, tokenizer_folder: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "foreign":
        shutil.copytree(embedded_folder(), out)
        (out / "aix.json").unlink()  # it tells what export has made
    else:
        export(model, tokenizer_folder, out, card=CARD, notes=NOTES)
        (out / "mine.txt").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ExportError, match=r"is a file|holds something else") as raised:
        export(model, tokenizer_folder, out, card="# other\n", notes=NOTES)
    assert "\n" not in str(raised.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_empty_folder_may_be_the_target(model: Any, tokenizer_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert is_export(export(model, tokenizer_folder, tmp_path / "out", card=CARD, notes=NOTES))


def broken_weights(value: float) -> Any:
    model = decided_model()
    with torch.no_grad():
        model.model.norm.weight[0] = value
    return model


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"most_bytes": 10_000}, r"the weights in bfloat16 would take 0.1 MB, and 0.0 MB are the limit"),
        ({"most_bytes": 80_000}, r"the export would take"),
        ({"model": broken_weights(float("nan"))}, "not finite in bfloat16"),
        ({"model": broken_weights(1e6), "dtype": "float16"}, "not finite in float16"),
        ({"model": build_model(SIZES, 1200)}, "has 600 pieces and the model 1,200"),
        ({"model": build_model(SIZES, 599)}, "has 600 pieces and the model 599"),
        ({"notes": {"format": "psn"}}, "aix.json: format is 'psn'"),
        ({"notes": {"languages": "python"}}, "aix.json: languages is no list"),
        ({"notes": {"licence": object()}}, "aix.json cannot hold"),
        ({"dtype": "int8"}, "dtype is 'int8'; choose"),
        ({"tokenizer_folder": Path("/nowhere")}, "/nowhere holds no tokenizer"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line_and_leaves_nothing(
    model: Any, tokenizer_folder: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    options = {"model": model, "tokenizer_folder": tokenizer_folder, "card": CARD, "notes": NOTES} | changes
    with pytest.raises(ExportError, match=words) as raised:
        export(out=tmp_path / "out", **options)
    assert "\n" not in str(raised.value)
    assert ".partial" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_clear_line(model: Any, tokenizer_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="could not be written"):
        export(model, tokenizer_folder, tmp_path / "file" / "out", card=CARD, notes=NOTES)


def test_a_failed_export_leaves_the_earlier_one(model: Any, tokenizer_folder: Path, tmp_path: Path) -> None:
    out = export(model, tokenizer_folder, tmp_path / "out", card=CARD, notes=NOTES)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ExportError):
        export(model, tokenizer_folder, out, card="# second\n", notes={"format": "no"})
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_tokenizer_of_another_make_is_copied_as_it_is(tmp_path: Path) -> None:
    only_json = tmp_path / "tokenizer"
    only_json.mkdir()
    shutil.copy(embedded_folder() / "tokenizer.json", only_json)
    out = export(build_model(SIZES, 8192), only_json, tmp_path / "out", card=CARD, notes=NOTES)
    assert (out / "tokenizer.json").read_bytes() == (only_json / "tokenizer.json").read_bytes()
    assert not (out / "tokenizer.model").exists()
    assert "Only one tokenizer file" in (out / "README.md").read_text("utf-8")
