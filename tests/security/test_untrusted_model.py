"""A model's folder that somebody else filled: nothing in it is run, nothing is fetched because of it, and what cannot
be read is one line."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import socket
import struct
import threading
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from aix_lsp.engine.adapter import inspect_adapter
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.checkpoint import inspect
from tests.unit.tiny_models import save_model


class Runs:
    """Leaves a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self._canary = str(canary)

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self._canary, "w"))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, as it should be."""
    return save_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    """The same, to do evil to."""
    return Path(shutil.copytree(model, tmp_path / "model"))


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """What anything that is run leaves."""
    return tmp_path / "CANARY"


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Addresses that somebody wanted to connect to, or to look up."""
    wanted: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> Any:
        wanted.append(arguments)
        raise OSError("no network in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return wanted


def edit(path: Path, **changes: Any) -> None:
    """Change a JSON file, or make it."""
    values = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(values | changes))


def load(folder: Path) -> Any:
    """Load a model's folder on a processor."""
    from aix_lsp.engine.loading import load_model

    return load_model(folder, device="cpu", threads=1)


def as_pickles(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "model.pt", "weights.pth", "training_args.bin", "model.ckpt", "tokenizer.pkl"):
        (folder / name).write_bytes(pickle.dumps(Runs(canary)))


def as_an_index_of_pickles(folder: Path, canary: Path) -> None:
    as_pickles(folder, canary)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "pytorch_model.bin"}}))


def as_a_pickle_called_safetensors(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps(Runs(canary)))


def as_a_zip_called_safetensors(folder: Path, canary: Path) -> None:
    with zipfile.ZipFile(folder / "model.safetensors", "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps(Runs(canary)))
        file.writestr("archive/version", "3\n")


def as_a_header_without_end(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")


def as_a_header_of_many_gigabytes(folder: Path, canary: Path) -> None:
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 90_000_000_000) + b'{"')
        file.truncate(95_000_000_000)  # a hole: it takes no room


def as_tensors_outside_the_file(folder: Path, canary: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


def as_a_shape_that_overflows(folder: Path, canary: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 63, 1 << 63], "data_offsets": [0, 0]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


def as_shards_outside(folder: Path, canary: Path) -> None:
    (folder.parent / "outside.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {"a": "../outside.safetensors", "b": str(folder.parent / "outside")}})
    )


def as_deep_json(folder: Path, canary: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000)


BROKEN: tuple[Callable[[Path, Path], None], ...] = (
    as_pickles,
    as_an_index_of_pickles,
    as_a_pickle_called_safetensors,
    as_a_zip_called_safetensors,
    as_a_header_without_end,
    as_a_header_of_many_gigabytes,
    as_tensors_outside_the_file,
    as_a_shape_that_overflows,
    as_shards_outside,
    as_deep_json,
)


@pytest.mark.parametrize("attack", BROKEN, ids=lambda attack: attack.__name__)
def test_weights_that_are_no_safetensors_are_refused_in_one_line_and_not_run(
    folder: Path, canary: Path, attack: Callable[[Path, Path], None]
) -> None:
    attack(folder, canary)
    with pytest.raises(ModelError) as refused:
        inspect(folder)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500
    assert not canary.exists()


def test_code_templates_and_names_of_other_models_that_come_with_a_model_do_nothing(
    folder: Path, canary: Path, no_network: list[Any]
) -> None:
    runs = f"open({str(canary)!r}, 'w')\n"
    for name in (
        "modeling_evil",
        "configuration_evil",
        "tokenization_evil",
        "sitecustomize",
        "torch",
        "llama",
        "setup",
    ):
        (folder / f"{name}.py").write_text(runs)
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(runs)
    classes = {"AutoConfig": "configuration_evil.Evil", "AutoModelForCausalLM": "modeling_evil.Evil"}
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}{% for x in range(10**9) %}{% endfor %}"
    edit(
        folder / "config.json",
        auto_map=classes,
        _name_or_path="evil/elsewhere",
        tokenizer_class="EvilTokenizer",
        custom_pipelines={"text-generation": {"impl": "modeling_evil.Evil"}},
        chat_template=template,
        trust_remote_code=True,
    )
    edit(
        folder / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["tokenization_evil.Evil", None]},
        tokenizer_class="Evil",
        chat_template=template,
        name_or_path="https://example.org/evil",
    )
    edit(
        folder / "generation_config.json", custom_generate="evil/elsewhere", trust_remote_code=True, assistant="evil/x"
    )
    (folder / "chat_template.jinja").write_text(template)
    for name in ("pytorch_model.bin", "training_args.bin", "tokenizer.pkl", "optimizer.pt"):
        (folder / name).write_bytes(pickle.dumps(Runs(canary)))
    loaded = load(folder)
    assert len([*islice(loaded.decoder.generate([300, 301]), 2)]) == 2
    assert not canary.exists()
    assert no_network == []


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq", "evil", "torchao", "compressed-tensors"])
def test_a_quantization_that_the_folder_asks_for_runs_and_fetches_nothing(
    folder: Path, canary: Path, no_network: list[Any], method: str
) -> None:
    quantized = {"quant_method": method, "bits": 4, "dataset": "https://example.org/x", "modules_to_not_convert": ["x"]}
    edit(folder / "config.json", quantization_config=quantized)
    refused = ""
    try:
        load(folder)
    except ModelError as error:
        refused = str(error)
    assert "\n" not in refused
    assert no_network == []


def test_an_adapter_names_a_model_and_code_and_neither_is_fetched_or_run(
    tmp_path: Path, canary: Path, no_network: list[Any]
) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    edit(
        adapter / "adapter_config.json",
        peft_type="LORA",
        base_model_name_or_path="https://example.org/evil",
        auto_mapping={"base_model_class": "Evil", "parent_library": "evil"},
        init_lora_weights="evil",
        corda_config={"cache_file": str(canary)},
        eva_config={"x": 1},
        r=1,
        lora_alpha=1,
    )
    (adapter / "adapter_model.bin").write_bytes(pickle.dumps(Runs(canary)))
    with pytest.raises(ModelError) as refused:
        inspect_adapter(adapter)
    assert "\n" not in str(refused.value)
    assert not canary.exists()
    assert no_network == []


def test_links_as_the_hubs_cache_has_them_are_followed(model: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    for path in model.iterdir():
        (snapshot / path.name).symlink_to(path)
    assert inspect(snapshot).parameters == inspect(model).parameters


def test_a_configuration_that_is_a_pipe_or_a_device_keeps_nobody_waiting(folder: Path) -> None:
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero")):
        path = folder / "config.json"
        path.unlink()
        make(path)
        ended: list[str] = []
        thread = threading.Thread(target=lambda: ended.append(_refusal(folder)), daemon=True)  # noqa: B023
        thread.start()
        thread.join(20)
        assert ended
        assert "\n" not in ended[0]


def _refusal(folder: Path) -> str:
    try:
        inspect(folder)
    except ModelError as refused:
        return str(refused)
    return ""
