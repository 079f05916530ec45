"""Adapters: what training writes, peft reads; what peft writes, the server puts into the weights; and what does not
fit is told in one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from aix_lsp.engine.adapter import apply_adapter, fingerprint, inspect_adapter
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import embedded
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.choice import choose
from aix_lsp.engine.hardware import Machine
from aix_lsp.engine.loading import load_model, plan_load, read_weights
from aix_lsp.engine.local import LocalBackend
from aix_lsp.engine.plan import planned
from aix_lsp.engine.quantized_linear import QuantizedLinear
from aix_lsp.settings import ModelSettings
from aix_lsp.training.lora import Base, LoraError, load_base, save_adapter, with_lora
from tests.unit.tiny_models import save_model, tiny_model

# peft calls transformers by names that it has deprecated since
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

IDS = torch.tensor([[1, 300, 301, 302, 5000, 17]])


def drawn(tuned: Any) -> Any:
    """The model with factors that change what it says: a fresh B is zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return tuned.eval()


def nowhere() -> Machine:
    """For choices that need no look at the machine."""
    raise AssertionError("the machine was looked at")


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS).logits
    return found


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def base(tiny: Path) -> Base:
    return load_base(str(tiny), device="cpu")


@pytest.fixture
def adapter(base: Base, tmp_path: Path) -> Path:
    """An adapter as training writes it."""
    save_adapter(drawn(with_lora(base, rank=4)), base, tmp_path / "house", ["python", "go"])
    return tmp_path / "house"


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_fresh_adapter_changes_nothing_and_only_its_factors_are_trained(base: Base) -> None:
    before = logits(base.model)
    tuned = with_lora(base, rank=4, dropout=0.0)
    torch.testing.assert_close(logits(tuned), before)
    trained = {name for name, parameter in tuned.named_parameters() if parameter.requires_grad}
    assert len(trained) == 2 * 2 * 7
    assert all(".lora_A." in name or ".lora_B." in name for name in trained)
    assert tuned.training


def test_what_is_saved_is_read_by_peft_and_served_without_it_alike(base: Base, adapter: Path, tiny: Path) -> None:
    assert sorted(path.name for path in adapter.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "aix.json",
    ]
    by_peft = peft.PeftModel.from_pretrained(load_base(str(tiny), device="cpu").model, adapter).eval()
    ours = load_base(str(tiny), device="cpu").model
    plain = logits(ours)
    apply_adapter(ours, inspect_adapter(adapter))
    torch.testing.assert_close(logits(ours), logits(by_peft), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits(ours), logits(by_peft.merge_and_unload()), rtol=1e-4, atol=1e-4)
    assert (logits(ours) - plain).abs().max() > 1


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("llama", {"use_rslora": True, "target_modules": ["q_proj", "down_proj"]}),
        ("llama", {"rank_pattern": {"q_proj": 3}, "alpha_pattern": {"layers.1.mlp.up_proj": 40}}),
        ("llama", {"target_modules": "all-linear", "init_lora_weights": "gaussian"}),
        ("gpt2", {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
    ],
)
def test_every_form_of_plain_lora_that_peft_writes_is_merged_as_peft_does(
    tmp_path: Path, kind: str, options: dict[str, Any]
) -> None:
    targets = {"target_modules": ["q_proj", "up_proj"]} | options
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **targets)
    by_peft = drawn(peft.get_peft_model(tiny_model(kind), config))
    by_peft.save_pretrained(tmp_path)
    ours = tiny_model(kind)
    apply_adapter(ours, inspect_adapter(tmp_path))
    torch.testing.assert_close(logits(ours), logits(by_peft), rtol=1e-4, atol=1e-4)


def test_a_weight_that_cannot_be_added_to_keeps_the_factors_beside_it(adapter: Path) -> None:
    class EightBits(torch.nn.Module):
        """A linear layer with whole numbers for weights, as quantized ones have."""

        def __init__(self, linear: torch.nn.Linear) -> None:
            super().__init__()
            self.step = linear.weight.detach().abs().max() / 127
            rounded = (linear.weight.detach() / self.step).round().to(torch.int8)
            self.weight = torch.nn.Parameter(rounded, requires_grad=False)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs @ (self.weight * self.step).T

    quantized, exact = tiny_model(), tiny_model()
    for layer, other in zip(quantized.model.layers, exact.model.layers, strict=True):
        layer.mlp.up_proj = EightBits(layer.mlp.up_proj)
        other.mlp.up_proj.weight.data = layer.mlp.up_proj.weight * layer.mlp.up_proj.step
    for model in (quantized, exact):
        apply_adapter(model, inspect_adapter(adapter))
    assert quantized.model.layers[0].mlp.up_proj.weight.dtype == torch.int8
    torch.testing.assert_close(logits(quantized), logits(exact), rtol=1e-4, atol=1e-4)


def test_a_model_that_is_quantized_takes_the_adapter_in_first(adapter: Path, tiny: Path, tmp_path: Path) -> None:
    """Its quantized weights are those of the model into which the adapter was merged beforehand."""
    found = inspect_adapter(adapter)
    merged = tiny_model()
    apply_adapter(merged, found)
    folder = save_model(tmp_path / "merged", merged)
    checkpoints = inspect(tiny), inspect(folder)
    plans = [plan_load(checkpoint, "cpu", "auto", "int8", "auto") for checkpoint in checkpoints]
    tuned = read_weights(checkpoints[0], plans[0], found)
    wanted = read_weights(checkpoints[1], plans[1])
    assert type(tuned.model.layers[0].mlp.up_proj) is QuantizedLinear
    torch.testing.assert_close(logits(tuned), logits(wanted), rtol=1e-4, atol=1e-4)
    plain = read_weights(checkpoints[0], plans[0])
    assert (logits(tuned) - logits(plain)).norm() > 0.1 * logits(plain).norm()


def test_an_adapter_that_does_not_fit_is_told_before_anything_is_quantized(adapter: Path, tmp_path: Path) -> None:
    (adapter / "aix.json").unlink()
    other = inspect(save_model(tmp_path / "gpt", tiny_model(num_hidden_layers=1)))
    plan = plan_load(other, "cpu", "auto", "int8", "auto")
    with pytest.raises(ModelError, match=r"this one has no model\.layers\.1\."):
        read_weights(other, plan, inspect_adapter(adapter))


def test_the_server_loads_an_adapter_and_is_named_after_it(adapter: Path, tiny: Path) -> None:
    settings = ModelSettings(name=str(tiny), adapter=str(adapter), device="cpu", threads=1)
    info = LocalBackend(settings).load(lambda event: None).info
    assert info.name == "tiny+house"
    assert planned(settings).info.name == "tiny+house"
    plain, tuned = load_model(tiny, device="cpu"), load_model(tiny, device="cpu", adapter=adapter)
    assert plain.adapter is None
    assert tuned.adapter is not None
    prompt = [1, 300, 301, 302]
    first, second = ([*zip(range(8), loaded.decoder.generate(prompt), strict=False)] for loaded in (plain, tuned))
    assert first != second


def test_the_model_and_its_languages_follow_from_the_adapter(tmp_path: Path) -> None:
    base = load_base("aix-mini", device="cpu")
    save_adapter(drawn(with_lora(base, rank=2, targets=["q_proj"])), base, tmp_path / "house", ["python", "go"])
    settings = ModelSettings(adapter=str(tmp_path / "house"), device="cpu")
    assert choose(settings, nowhere, lambda name: False).entries == (embedded(),)
    info = planned(settings).info
    assert (info.name, info.languages) == ("aix-mini+house", ("python", "go"))
    written = (tmp_path / "house" / "adapter_config.json").read_text() + (tmp_path / "house" / "aix.json").read_text()
    # Nothing of the machine it was made on.
    assert str(base.folder) not in written
    assert '"aix-mini"' in written


def test_an_adapter_of_a_folder_wants_the_model_named(adapter: Path) -> None:
    with pytest.raises(ModelError, match="was made from tiny, which is in no catalog; name the model with --model"):
        choose(ModelSettings(adapter=str(adapter)), nowhere, lambda name: False)


def test_the_fingerprint_is_of_the_weights_not_of_their_files(tiny: Path, tmp_path: Path) -> None:
    save_model(tmp_path / "parts", max_shard_size="200KB")
    assert len(inspect(tmp_path / "parts").weights) > 1
    assert fingerprint(inspect(tmp_path / "parts")) == fingerprint(inspect(tiny))
    save_model(tmp_path / "other", tiny_model(seed=1))
    assert fingerprint(inspect(tmp_path / "other")) != fingerprint(inspect(tiny))


def _damage_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")


FIRST = "base_model.model.model.layers.0.mlp.down_proj.lora_A.weight"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "the adapter folder .* does not exist"),
        (lambda f: (f / "adapter_config.json").unlink(), "is no adapter: adapter_config.json is missing$"),
        (lambda f: (f / "adapter_config.json").write_text("{"), "adapter_config.json cannot be read"),
        (lambda f: (f / "adapter_model.safetensors").unlink(), "adapter_model.safetensors is missing"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"x"), "is damaged or incomplete"),
        (lambda f: os.truncate(f / "adapter_model.safetensors", 20_000), r"is damaged or incomplete \(it is cut short"),
        (lambda f: edit(f / "adapter_config.json", peft_type="IA3"), "is of the kind 'IA3'"),
        (lambda f: edit(f / "adapter_config.json", use_dora=True), "uses use_dora, which is not supported"),
        (lambda f: edit(f / "adapter_config.json", bias="all"), "uses bias, which"),
        (lambda f: edit(f / "adapter_config.json", init_lora_weights="pissa"), "uses init_lora_weights = pissa"),
        (lambda f: edit(f / "adapter_config.json", lora_alpha="much"), "cannot be used: could not convert"),
        (lambda f: edit(f / "adapter_config.json", alpha_pattern={"(": 1}), "cannot be used: missing"),
        (lambda f: _damage_weights(f, lambda tensors: tensors.pop(FIRST)), "the two factors of .* do not fit"),
        (lambda f: _damage_weights(f, lambda t: t.update(extra=torch.ones(1))), "has extra, which is no factor"),
        (lambda f: _damage_weights(f, lambda t: t[FIRST].fill_(float("nan"))), r"numbers that are none \(NaN\)"),
        (lambda f: edit(f / "aix.json", base_fingerprint="0"), "was made from tiny, and the weights in .* are others"),
    ],
)
def test_a_broken_adapter_is_told_in_one_line(
    adapter: Path, tiny: Path, damage: Callable[[Path], object], message: str
) -> None:
    damage(adapter)
    with pytest.raises(ModelError, match=message) as error:
        load_model(tiny, device="cpu", threads=1, adapter=adapter)
    assert "\n" not in str(error.value)


def test_an_adapter_of_another_model_is_told_before_and_after_the_weights_are_read(
    adapter: Path, tmp_path: Path
) -> None:
    (adapter / "aix.json").unlink()
    other = save_model(tmp_path / "wide", tiny_model(intermediate_size=64))
    with pytest.raises(ModelError, match=r"does not fit wide \(it was made from tiny\): .* 32 x 64 there and 32 x 48"):
        load_model(other, device="cpu", threads=1, adapter=adapter)
    with pytest.raises(ModelError, match="does not fit this model"):
        apply_adapter(tiny_model(intermediate_size=64), inspect_adapter(adapter))
    with pytest.raises(ModelError, match=r"this one has no model\.layers\.0\.mlp\.down_proj"):
        apply_adapter(tiny_model("gpt2"), inspect_adapter(adapter))


def test_a_whole_model_is_no_adapter(tiny: Path) -> None:
    with pytest.raises(ModelError, match="it holds a whole model; say --model"):
        inspect_adapter(tiny)


def test_a_wrong_adapter_leaves_the_embedded_model_answering(tmp_path: Path) -> None:
    warnings = []
    settings = ModelSettings(name="aix-mini", adapter=str(tmp_path / "none"), device="cpu", threads=1)
    info = LocalBackend(settings).load(lambda event: warnings.append(event.message)).info
    assert info.name == "aix-mini"
    assert "none does not exist. The embedded model aix-mini answers instead." in warnings[-1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank 0"),
        ({"dropout": 1.0}, "dropout 1.0"),
        ({"targets": ["query_key_value"]}, "tiny has no layers named query_key_value; it cannot be fine-tuned"),
    ],
)
def test_wrong_options_are_one_line(base: Base, options: dict[str, Any], message: str) -> None:
    with pytest.raises(LoraError, match=message):
        with_lora(base, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_four_bits_without_a_gpu_are_refused() -> None:
    with pytest.raises(LoraError, match="--four-bit needs an NVIDIA GPU"):
        load_base("aix-mini", four_bit=True)


def test_a_model_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model 'typo'"):
        load_base("typo")
    with pytest.raises(ModelError, match="does not exist"):
        load_base(str(tmp_path / "none"))


def test_a_write_that_fails_leaves_no_adapter(adapter: Path, tiny: Path) -> None:
    base = load_base(str(tiny), device="cpu")
    tuned = drawn(with_lora(base, rank=4))
    (adapter / "adapter_model.safetensors").unlink()
    (adapter / "adapter_model.safetensors").mkdir()
    with pytest.raises(OSError, match="adapter_model"):
        save_adapter(tuned, base, adapter, ["python"])
    with pytest.raises(ModelError, match="is no adapter"):
        inspect_adapter(adapter)
    assert not list(adapter.glob(".*"))


def test_weights_that_training_spoilt_are_not_written(base: Base, tmp_path: Path) -> None:
    tuned = with_lora(base, rank=2)
    with torch.no_grad():
        next(parameter for parameter in tuned.parameters() if parameter.requires_grad).fill_(float("nan"))
    with pytest.raises(LoraError, match="diverged"):
        save_adapter(tuned, base, tmp_path / "out", ["python"])
    assert not (tmp_path / "out").exists()
