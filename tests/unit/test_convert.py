"""Megatron weights in Hugging Face's layout: the same logits as an own reading of the layout, and nothing half-done."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from aix_lsp.engine import convert as converting
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import resolve
from aix_lsp.engine.convert import Known, convert
from aix_lsp.engine.loading import load_model, plan_load, read_weights
from tests.unit.tiny_models import VOCABULARY, embedded_folder

HIDDEN, WIDE, LAYERS, HEADS, KV_HEADS, SIZE = 32, 48, 2, 4, 2, 8
THETA, EPS = 256_000.0, 1e-5
KNOWN = Known(heads=HEADS)
COLUMNS = ("attention.wo.weight", "feed_forward.w2.weight")
IDS = [1, 300, 301, 17, 4000, 301]


def tensors() -> dict[str, torch.Tensor]:
    """A random model in the Megatron layout, all ranks together."""
    generator = torch.Generator().manual_seed(3)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * 0.2

    found = {"tok_embeddings.weight": draw(VOCABULARY, HIDDEN), "output.weight": draw(VOCABULARY, HIDDEN)}
    found["norm.weight"] = 1 + draw(HIDDEN)
    for number in range(LAYERS):
        name = f"layers.{number}."
        found[name + "attention.query_key_value.weight"] = draw((HEADS + 2 * KV_HEADS) * SIZE, HIDDEN)
        found[name + "attention.wo.weight"] = draw(HIDDEN, HEADS * SIZE)
        found[name + "feed_forward.w1.weight"] = draw(WIDE, HIDDEN)
        found[name + "feed_forward.w2.weight"] = draw(HIDDEN, WIDE)
        found[name + "feed_forward.w3.weight"] = draw(WIDE, HIDDEN)
        found[name + "attention_norm.weight"] = 1 + draw(HIDDEN)
        found[name + "ffn_norm.weight"] = 1 + draw(HIDDEN)
    return found


def forward(weights: dict[str, torch.Tensor], ids: list[int]) -> torch.Tensor:
    """Logits straight from the Megatron tensors: row by row as FACTS describes the layout, one head at a time."""
    length = len(ids)
    angles = torch.outer(torch.arange(length).float(), THETA ** (-torch.arange(0, SIZE, 2).float() / SIZE))

    def normed(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return x / (x.square().mean(-1, keepdim=True) + EPS).sqrt() * scale

    def rotated(x: torch.Tensor) -> torch.Tensor:
        left, right = x[:, : SIZE // 2], x[:, SIZE // 2 :]
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)

    hidden = weights["tok_embeddings.weight"][ids]
    mask = torch.full((length, length), float("-inf")).triu(1)
    for number in range(LAYERS):
        name = f"layers.{number}."
        x = normed(hidden, weights[name + "attention_norm.weight"])
        rows = x @ weights[name + "attention.query_key_value.weight"].T
        heads = []
        per_group = HEADS // KV_HEADS
        for group in range(KV_HEADS):
            start = group * (per_group + 2) * SIZE
            key = rotated(rows[:, start + per_group * SIZE : start + (per_group + 1) * SIZE])
            value = rows[:, start + (per_group + 1) * SIZE : start + (per_group + 2) * SIZE]
            for head in range(per_group):
                query = rotated(rows[:, start + head * SIZE : start + (head + 1) * SIZE])
                heads.append((query @ key.T / SIZE**0.5 + mask).softmax(-1) @ value)
        hidden = hidden + torch.cat(heads, dim=-1) @ weights[name + "attention.wo.weight"].T
        x = normed(hidden, weights[name + "ffn_norm.weight"])
        gate = nn.functional.silu(x @ weights[name + "feed_forward.w1.weight"].T)
        up = x @ weights[name + "feed_forward.w3.weight"].T
        hidden = hidden + (gate * up) @ weights[name + "feed_forward.w2.weight"].T
    return normed(hidden, weights["norm.weight"]) @ weights["output.weight"].T


def rank_of(weights: dict[str, torch.Tensor], rank: int, ranks: int) -> dict[str, torch.Tensor]:
    """The part of one rank: rows, columns of what ends a block, all of the norms."""
    parts = {}
    for name, tensor in weights.items():
        whole = name.endswith("norm.weight")
        along = 1 if name.endswith(COLUMNS) else 0
        parts[name] = tensor if whole else tensor.chunk(ranks, dim=along)[rank].contiguous()
    return parts


def nested(weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {"model": {"llama_model": weights}, "iteration": 7, "args": {"layers": LAYERS}}


def under_module(weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {"module": {f"llama_model.{name}": tensor for name, tensor in weights.items()}}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with the tokenizer, and no weights yet."""
    folder = tmp_path / "megatron"
    folder.mkdir()
    shutil.copy(embedded_folder() / "tokenizer.model", folder)
    return folder


def write(folder: Path, ranks: int = 1, form: Callable[[dict[str, torch.Tensor]], Any] = nested) -> None:
    weights = tensors()
    for rank in range(ranks):
        name = f"aix3-7b-base_states_{rank}.pt" if ranks > 1 else "aix3-7b-base.pt"
        torch.save(form(rank_of(weights, rank, ranks)), folder / name)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("form", [nested, under_module, dict])
def test_the_converted_model_says_what_the_tensors_say(source: Path, tmp_path: Path, ranks: int, form: Any) -> None:
    write(source, ranks, form)
    out = tmp_path / "out"
    told: list[tuple[int, int]] = []
    checkpoint = convert(source, out, KNOWN, shard_bytes=500_000, progress=lambda *step: told.append(step))
    assert len(checkpoint.weights) == told[-1][1] > 2
    assert told[-1] == (len(told), len(told))
    assert checkpoint.parameters == sum(tensor.numel() for tensor in tensors().values())
    model = read_weights(checkpoint, plan_load(checkpoint, "cpu", "auto", "none", "auto"))
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([IDS])).logits[0]
    assert torch.allclose(logits, forward(tensors(), IDS), atol=2e-4)
    entry = resolve(str(out))
    assert (entry.format, entry.licence.startswith("NON-COMMERCIAL")) == ("psm", True)
    assert load_model(out, device="cpu", threads=1).max_positions == 32_768
    assert list(tmp_path.glob(".*unfinished")) == []


def test_one_shard_needs_no_index_and_the_configuration_says_what_shapes_do_not(source: Path, tmp_path: Path) -> None:
    torch.save({name: tensor.bfloat16() for name, tensor in tensors().items()}, source / "weights.pt")
    # in the form of before PyTorch 1.6
    torch.save(torch.load(source / "weights.pt"), source / "weights.pt", _use_new_zipfile_serialization=False)
    convert(source, tmp_path / "out", Known(HEADS, 10_000.0, 1e-6, 512))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("model.safetensors", "config.json", "aix.json", "tokenizer.model")
    }
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    wanted: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "rope_theta": 10_000.0}
    wanted |= {"rms_norm_eps": 1e-6, "max_position_embeddings": 512, "dtype": "bfloat16", "intermediate_size": 48}
    assert config | wanted == config
    assert (config["bos_token_id"], config["eos_token_id"]) == (1, 2)


def _without(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        weights = tensors()
        del weights[name]
        torch.save(nested(weights), folder / "aix3-7b-base.pt")

    return change


def _with(**changed: torch.Tensor) -> Callable[[Path], None]:
    named = {name.replace("__", "."): tensor for name, tensor in changed.items()}
    return lambda folder: torch.save(nested(tensors() | named), folder / "aix3-7b-base.pt")


def _ranks(*kept: int, of: int) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        write(folder, of)
        for rank in set(range(of)) - set(kept):
            (folder / f"aix3-7b-base_states_{rank}.pt").unlink()

    return change


def _other_norm_in_rank_1(folder: Path) -> None:
    weights = tensors()
    for rank in range(2):
        weights["norm.weight"] = weights["norm.weight"] + rank
        torch.save(rank_of(weights, rank, 2), folder / f"aix3-7b-base_states_{rank}.pt")


def _cut(folder: Path) -> None:
    write(folder)
    path = folder / "aix3-7b-base.pt"
    path.write_bytes(path.read_bytes()[:100_000])


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


def _evil(folder: Path) -> None:
    torch.save({"model": tensors(), "args": _Evil()}, folder / "aix3-7b-base.pt")


def _evil_pickle(folder: Path) -> None:
    (folder / "aix3-7b-base.pt").write_bytes(pickle.dumps(_Evil()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "is no folder; convert wants the folder with the .pt files"),
        (lambda folder: (folder / "tokenizer.model").unlink(), "has no tokenizer.model; it belongs beside the weights"),
        (lambda folder: None, r"has no .pt file; convert wants one .pt file, or NAME_states_0.pt"),
        (lambda folder: [(folder / f"{name}.pt").touch() for name in "ab"], r"has a.pt, b.pt; convert wants one"),
        (_ranks(0, 2, of=4), r"lacks aix3-7b-base_states_1.pt: ranks 0 to 2 belong together"),
        (_ranks(0, of=2), r"the 1 rank files in .* make 1/2 of the model; the others are missing"),
        (
            _without("layers.1.feed_forward.w3.weight"),
            "has no layers.1.feed_forward.w3.weight, so it is not aiXcoder's",
        ),
        (_without("norm.weight"), "has no norm.weight"),
        (
            _with(layers__1__feed_forward__w2__weight=torch.zeros(32, 40)),
            "w2.weight in .* is 32 x 40 and should be 32 x",
        ),
        (_with(layers__0__attention__query_key_value__weight=torch.zeros(60, 32)), "60 rows .* say --heads N"),
        (_with(output__weight=torch.zeros(100, 32)), "output.weight in .* is 100 x 32 and should be 8192 x 32"),
        (_other_norm_in_rank_1, "are of different models: norm.weight is not the same in all"),
        (_cut, r"aix3-7b-base.pt is damaged or incomplete \("),
        (_evil, "holds more than tensors and plain values"),
        (_evil_pickle, "holds more than tensors and plain values"),
        (lambda folder: (folder / "aix3-7b-base.pt").write_bytes(b""), "is damaged or incomplete"),
    ],
)
def test_what_cannot_be_converted_is_one_line_and_leaves_nothing(
    source: Path, tmp_path: Path, make: Callable[[Path], Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(source)
    with pytest.raises(ModelError, match=message) as caught:
        convert(source, tmp_path / "out", KNOWN)
    assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"megatron"}


def test_a_tokenizer_of_another_model_is_told(source: Path, tmp_path: Path) -> None:
    weights = tensors()
    for name in ("tok_embeddings.weight", "output.weight"):
        weights[name] = weights[name][:1000].clone()
    torch.save(weights, source / "aix3-7b-base.pt")
    with pytest.raises(ModelError, match=r"tokenizer.model has 8,192 pieces and the weights 1,000; it is of another"):
        convert(source, tmp_path / "out", KNOWN)
    assert not (tmp_path / "out").exists()


def test_what_is_there_already_stays(source: Path, tmp_path: Path) -> None:
    write(source)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(ModelError, match="is there already; name a new or empty folder"):
        convert(source, tmp_path / "out", KNOWN)
    (tmp_path / "out" / "mine").unlink()
    assert convert(source, tmp_path / "out", KNOWN).folder == tmp_path / "out"


@pytest.mark.parametrize("moment", ["before", "shard", "configuration"])
def test_a_full_disk_leaves_nothing(source: Path, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(source)

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if moment == "before":
        usage = shutil.disk_usage("/")
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    message = "make room, or name a folder on another disk" if moment == "before" else "is full; nothing was kept"
    monkeypatch.setattr(converting, "_write_json", full)
    with pytest.raises(ModelError, match=message):
        convert(source, tmp_path / "out", KNOWN, progress=full if moment == "shard" else lambda done, of: None)
    assert [path.name for path in tmp_path.iterdir()] == ["megatron"]


def test_the_command_says_how_to_use_the_result(source: Path, tmp_path: Path) -> None:
    write(source, 2)
    command = [sys.executable, "-m", "aix_lsp", "convert", str(source), "out"]
    refused = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith("rows of queries, keys and values do not divide into 32 heads; say --heads N\n")
    done = subprocess.run(
        [*command, "--heads", "4"], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False
    )
    assert done.stderr == "shard 1 of 1 written\n"
    assert done.stdout.endswith(f"{tmp_path / 'out'} is ready: aix-lsp serve --model {tmp_path / 'out'}\n")
