"""Loading a model's folder: what is chosen for the machine, what is refused, and in which words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from aix_lsp.engine import loading
from aix_lsp.engine.base import LoadEvent, ModelError
from aix_lsp.engine.hardware import GIB, GpuInfo, find_gpu
from aix_lsp.engine.loading import load_model
from tests.unit.tiny_models import embedded_folder, save_model, tiny_model

GPU = GpuInfo("a GPU", 20 * GIB, 24 * GIB, bf16=True)
OLD_GPU = GpuInfo("an old GPU", 20 * GIB, 24 * GIB, bf16=False)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A model to break."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "tiny"))


def load(folder: Path, **options: Any) -> loading.Loaded:
    settings: dict[str, Any] = {"device": "cpu", "threads": 1} | options
    return load_model(folder, **settings)


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_loads_and_runs_and_says_how() -> None:
    events: list[LoadEvent] = []
    loaded = load(embedded_folder(), report=events.append)
    assert (loaded.device, loaded.dtype, loaded.attention) == ("cpu", "float32", "sdpa")
    assert (loaded.max_positions, loaded.parameters) == (1024, 12_587_904)
    assert loaded.tokenizer.decode(loaded.tokenizer.encode("    return x\n")) == "    return x\n"
    assert loaded.decoder.held == ()
    prompt = [1, 4, 5, 6, *loaded.tokenizer.encode("def add(a, b):\n    return a +")]
    text = loaded.tokenizer.decode(list(islice(loaded.decoder.generate(prompt), 2)))
    assert text.strip() == "b"
    assert [event.kind for event in events] == ["progress"] * len(events)
    percents = [event.percent for event in events]
    assert percents == sorted(percents)  # type: ignore[type-var]
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("llama", {"tie_word_embeddings": True}), ("qwen2", {}), ("gpt2", {"n_positions": 512})],
)
def test_causal_models_of_any_architecture_load(tmp_path: Path, kind: str, changes: dict[str, Any]) -> None:
    loaded = load(save_model(tmp_path, tiny_model(kind, **changes)))
    assert loaded.max_positions == 512
    assert len(list(islice(loaded.decoder.generate([300, 301]), 4))) == 4


def test_sharded_weights_load_and_a_missing_shard_is_told(tmp_path: Path) -> None:
    save_model(tmp_path, max_shard_size="1MB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    assert load(tmp_path).parameters > 100_000
    shards[1].unlink()
    with pytest.raises(ModelError, match=rf"lacks 1 of {len(shards)} weight files .*download it again"):
        load(tmp_path)


def _only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def _cut_to_nothing(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def _drop_a_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "the model folder .* does not exist"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda folder: (folder / "tokenizer.model").unlink(), "no tokenizer"),
        (lambda folder: (folder / "tokenizer.model").write_bytes(b"x"), "tokenizer.model"),
        (_only_pickle, r"only as pickle files \(pytorch_model.bin\)"),
        (_truncate, "model.safetensors is damaged or incomplete"),
        (_cut_to_nothing, "model.safetensors is damaged or incomplete"),
        (_drop_a_tensor, r"lack 1 parts of the model \(model.layers.1.mlp.up_proj.weight\)"),
        (lambda folder: edit_config(folder, hidden_size=64), "could not be loaded"),
        (lambda folder: edit_config(folder, num_attention_heads=3), "could not be loaded"),
        (lambda folder: edit_config(folder, model_type="made_up"), "of type 'made_up'.*does not know"),
        (lambda folder: edit_config(folder, model_type=None), "of type None"),
        (lambda folder: edit_config(folder, architectures=["LlamaForTokenClassification"]), "not a causal language"),
        (lambda folder: edit_config(folder, model_type="vit", architectures=None), "not a causal language model"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(
    folder: Path, damage: Callable[[Path], Any], message: str, capfd: pytest.CaptureFixture[str]
) -> None:
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_is_not_taken_for_a_folder(folder: Path) -> None:
    with pytest.raises(ModelError, match=r"is a file; model\.name wants the folder"):
        load(folder / "config.json")


def test_code_that_comes_with_a_model_is_never_run(folder: Path, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    (folder / "modeling_evil.py").write_text(f"open({str(proof)!r}, 'w')\n")
    names = {"AutoConfig": "modeling_evil.Evil", "AutoModelForCausalLM": "modeling_evil.Evil"}
    edit_config(folder, auto_map=names)
    load(folder)
    edit_config(folder, model_type="evil")
    with pytest.raises(ModelError, match="never run"):
        load(folder)
    assert not proof.exists()


def test_a_hub_name_that_is_not_on_disk_is_told_with_the_command_to_fetch_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "cached_folder", lambda name: None)
    with pytest.raises(ModelError, match=r"^owner/model is not on this machine; download it with: aix-lsp download ow"):
        load_model("owner/model")
    with pytest.raises(ModelError, match=r"download it with: aix-lsp download qwen2\.5-coder-7b$"):
        load_model("Qwen/Qwen2.5-Coder-7B")


def test_a_model_larger_than_the_memory_is_refused_before_it_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "free_memory", lambda gpu, device: 10_000_000)
    with pytest.raises(ModelError, match=r"tiny needs about 0\.3 GB in memory and 0\.0 GB are free; use model"):
        load(folder)
    monkeypatch.setattr(loading, "find_gpu", lambda: GPU)
    with pytest.raises(ModelError, match=r"needs about 1\.1 GB on a GPU and .* use model.quantization = int8 or int4"):
        load(folder, device="cuda")


def test_loading_writes_nothing_to_the_terminal(tiny_folder: Path) -> None:
    code = f"""
from pathlib import Path
from aix_lsp.engine.loading import load_model
load_model(Path({str(tiny_folder)!r}), device="cpu", threads=1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_bfloat16_runs_on_a_processor_when_it_is_asked_for(tiny_folder: Path) -> None:
    loaded = load(tiny_folder, dtype="bfloat16", attention="eager")
    assert (loaded.dtype, loaded.attention) == ("bfloat16", "eager")
    assert len(list(islice(loaded.decoder.generate([300, 301]), 3))) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_embedded_model_answers_as_on_the_processor() -> None:
    gpu = find_gpu()
    assert gpu is not None
    assert 0 < gpu.free_bytes <= gpu.total_bytes
    ids = [1, 4, 5, 6, *range(300, 400)]
    on_gpu = load_model(embedded_folder(), device="cuda", dtype="float32")
    on_cpu = load_model(embedded_folder(), device="cpu")
    assert list(islice(on_gpu.decoder.generate(ids), 16)) == list(islice(on_cpu.decoder.generate(ids), 16))
