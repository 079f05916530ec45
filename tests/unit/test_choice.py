"""Which model `auto` takes, in which precision, and in which words it says why."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import huggingface_hub.constants
import huggingface_hub.file_download
import numpy as np
import pytest
from safetensors.numpy import save_file

from aix_lsp.engine import choice as choosing
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import embedded, known
from aix_lsp.engine.choice import choose, in_one_line, whole_on_disk
from aix_lsp.engine.hardware import Machine
from aix_lsp.engine.local import LocalBackend
from aix_lsp.settings import ModelSettings
from tests.unit.tiny_models import save_model

EVERYTHING = frozenset(str(entry.source) for entry in known().values())


def gpu(free_gb: float) -> Machine:
    return Machine("cuda", "bfloat16", int(free_gb * 1e9), "the GPU")


def cpu(free_gb: float) -> Machine:
    return Machine("cpu", "float32", int(free_gb * 1e9), "main memory")


def taken(machine: Machine, *names: str, **settings: str) -> tuple[str, str]:
    """Name and precision of what is chosen where `names` are on disk (all, if none is given)."""
    there = {str(known()[name].source) for name in names} or EVERYTHING
    found = choose(ModelSettings(**settings), lambda: machine, lambda source: source in there)  # type: ignore[arg-type]
    assert found.entries[-1] == embedded()
    return found.first.name, found.quantization


@pytest.mark.parametrize(
    ("free_gb", "name", "precision"),
    [
        (80, "starcoder2-15b", "none"),
        (30, "starcoder2-15b", "int8"),
        (12, "starcoder2-15b", "int4"),
        (9, "codellama-13b", "int4"),
        (6.3, "qwen2.5-coder-7b", "int4"),
        (3.1, "starcoder2-3b", "int4"),
        (1.2, "aix-mini", "auto"),
    ],
)
def test_the_largest_that_fits_in_the_best_precision_that_fits(free_gb: float, name: str, precision: str) -> None:
    assert taken(gpu(free_gb)) == (name, precision)


@pytest.mark.parametrize(
    ("free_gb", "settings", "expected"),
    [
        (40, {}, ("aixcoder-7b", "none")),
        (12, {}, ("aixcoder-7b", "int8")),
        (6, {}, ("aixcoder-7b", "int4")),
        (12, {"quantization": "none"}, ("aix-mini", "none")),
        (40, {"quantization": "int4"}, ("aixcoder-7b", "int4")),
        # bitsandbytes keeps more in 16 bits
        (9, {"quantization": "int8"}, ("aixcoder-7b", "int8")),
        (9, {"quantization": "int8", "quantizer": "bitsandbytes"}, ("aix-mini", "int8")),
    ],
)
def test_settings_narrow_the_choice(free_gb: float, settings: dict[str, str], expected: tuple[str, str]) -> None:
    assert taken(gpu(free_gb), "aixcoder-7b", **settings) == expected


def test_a_processor_gets_only_what_answers_while_one_types() -> None:
    assert taken(cpu(500)) == ("qwen2.5-coder-0.5b", "none")
    found = choose(ModelSettings(), lambda: cpu(500), EVERYTHING.__contains__)
    assert "codellama-7b: too slow on a processor: every token reads" in "\n".join(found.reasons)
    assert taken(cpu(1.35)) == ("qwen2.5-coder-0.5b", "int8")
    assert taken(cpu(1.2), quantizer="bitsandbytes") == ("aix-mini", "auto")


def test_apples_memory_is_shared_and_counts_like_a_gpus() -> None:
    assert taken(Machine("mps", "float16", 10**10, "memory"), "aixcoder-7b") == ("aixcoder-7b", "int8")


def test_memory_that_cannot_be_told_chooses_nothing_large() -> None:
    machine = Machine("cpu", "float32", None, "main memory")
    found = choose(ModelSettings(), lambda: machine, EVERYTHING.__contains__)
    assert found.first == embedded()
    assert "how much memory is free on the main memory cannot be told" in found.reasons[0]


def test_reasons_name_sizes_and_what_is_free() -> None:
    there = {str(known()[name].source) for name in ("aixcoder-7b", "qwen2.5-coder-14b")}
    found = choose(ModelSettings(), lambda: gpu(10), there.__contains__)
    assert found.reasons == (
        "qwen2.5-coder-14b: needs 30.6 GB in bfloat16 or 16.6 GB in int8 or 10.4 GB in int4, "
        "10.0 GB of the GPU are free",
        "aixcoder-7b: needs 8.7 GB in int8, 10.0 GB of the GPU are free; NON-COMMERCIAL. aiXcoder model licence: "
        "free for academic research; any commercial use needs a licence from aiXcoder",
    )
    assert in_one_line(found) == f"{found.reasons[1]} (1 larger passed over)"


def test_nothing_is_looked_at_where_there_is_nothing_to_choose() -> None:
    def look() -> Machine:
        raise AssertionError("PyTorch would have been imported for nothing")

    none_there = choose(ModelSettings(), look, lambda source: False)
    assert none_there.entries == (embedded(),)
    assert "aix-lsp download NAME gets one" in in_one_line(none_there)
    named = choose(ModelSettings(name="aixcoder-7b"), look, lambda source: True)
    assert [entry.name for entry in named.entries] == ["aixcoder-7b", "aix-mini"]
    assert in_one_line(named) == "aixcoder-7b, as the settings say"
    with pytest.raises(ModelError, match="there is no model 'typo'"):
        choose(ModelSettings(name="typo"), look, lambda source: True)


def hub_copy(cache: Path, source: str) -> Path:
    """A tiny model where huggingface_hub would keep the model `source`."""
    root = cache / f"models--{source.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("abc")
    return save_model(root / "snapshots" / "abc")


def test_auto_takes_a_whole_model_from_the_hubs_cache_and_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.file_download, "HF_HUB_CACHE", str(tmp_path), raising=False)
    monkeypatch.setattr("aix_lsp.engine.local.look_around", lambda device, dtype: gpu(100))
    folder = hub_copy(tmp_path, "Qwen/Qwen2.5-Coder-1.5B")
    broken = hub_copy(tmp_path, "Qwen/Qwen2.5-Coder-7B")
    assert whole_on_disk("Qwen/Qwen2.5-Coder-1.5B")
    (broken / "model.safetensors").unlink()
    assert not whole_on_disk("Qwen/Qwen2.5-Coder-7B")
    assert not whole_on_disk("Qwen/Qwen2.5-Coder-14B")
    backend = LocalBackend(ModelSettings(threads=1))
    with caplog.at_level(logging.INFO, logger="aix_lsp.engine.local"):
        loaded = backend.load(lambda event: None)
    assert loaded.info.name == "qwen2.5-coder-1.5b"
    assert backend._loaded is not None
    assert backend._loaded.folder == folder
    assert [record.message for record in caplog.records] == [
        "model: qwen2.5-coder-1.5b: needs 4.2 GB in bfloat16, 100.0 GB of the GPU are free"
    ]


def test_a_folder_is_told_from_the_embedded_model_by_its_place_and_not_by_its_name(tmp_path: Path) -> None:
    other, inside = tmp_path / "aix-mini", embedded().source
    other.mkdir()

    def entries(name: str) -> list[Path | str]:
        found = choose(ModelSettings(name=name), lambda: gpu(1), lambda source: False)
        return [entry.source for entry in found.entries]

    assert entries(str(other)) == [other, inside]
    assert entries(str(inside)) == [inside]
    (tmp_path / "link").symlink_to(inside)
    assert entries(str(tmp_path / "link")) == [inside]


def test_an_adapter_of_a_folder_with_the_embedded_models_name_gets_that_folder(tmp_path: Path) -> None:
    other = tmp_path / "aix-mini"
    other.mkdir()
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": str(other)})
    )
    factor = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    save_file(
        {factor.format("A"): np.zeros((8, 4), np.float32), factor.format("B"): np.zeros((4, 8), np.float32)},
        adapter / "adapter_model.safetensors",
    )
    found = choose(ModelSettings(adapter=str(adapter)), lambda: gpu(1), lambda source: False)
    assert [entry.source for entry in found.entries] == [other, embedded().source]


def test_the_limit_of_a_processor_lets_a_line_come_within_a_second() -> None:
    # 15 tokens of a line at the 10 GB a second of an ordinary memory
    assert 15 * choosing.CPU_TOKEN_BYTES / 10e9 < 1.1


def test_what_is_not_for_commercial_use_is_taken_by_name_alone_but_for_the_reference_model() -> None:
    assert taken(gpu(80), "qwen2.5-coder-3b") == ("aix-mini", "auto")
    assert taken(gpu(80), "qwen2.5-coder-3b", name="qwen2.5-coder-3b")[0] == "qwen2.5-coder-3b"
    there = {str(known()[name].source) for name in ("qwen2.5-coder-3b", "qwen2.5-coder-0.5b")}
    found = choose(ModelSettings(), lambda: gpu(80), there.__contains__)
    assert found.reasons[0] == "qwen2.5-coder-3b: not for commercial use, so only taken when it is named (model.name)"
    assert in_one_line(found).startswith("qwen2.5-coder-0.5b: needs")
    reference = choose(ModelSettings(), lambda: gpu(80), {str(known()["aixcoder-7b"].source)}.__contains__)
    assert reference.first.name == choosing.REFERENCE
    assert "free; NON-COMMERCIAL. aiXcoder model licence" in reference.reasons[0]
