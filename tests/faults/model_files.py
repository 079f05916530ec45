"""A model's folder that is broken: the embedded model answers, and one line says what is wrong with the folder."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aix_lsp.engine.catalog import embedded
from tests.e2e.conftest import status
from tests.faults.fault import ALONE, Editor, Stage, fault

EMBEDDED_ANSWERS = "The embedded model aix-mini answers instead."
WEIGHTS = "model.safetensors"
PROMISE = "the embedded model answers, and the user is told once what is wrong with the folder"


def whole_model(folder: Path) -> Path:
    """A copy of the embedded model's folder, under a name of its own."""
    shutil.copytree(Path(embedded().source), folder)
    return folder


async def told_only(editor: Editor, *words: str) -> str:
    """Everything works on through several requests, and the user was told exactly one line for each of `words`; the
    first of them."""
    await editor.works()
    lines = [await editor.until_shown(each) for each in words]
    for _ in range(2):
        await editor.works(edits=4)
    for each in words:
        editor.was_told_once(each)
    assert len(editor.shown()) == len(words), f"more was told: {editor.shown()}"
    assert all("\n" not in line and len(line) < 400 for line in lines), f"no short line: {lines}"
    assert editor.client.process is not None
    assert editor.client.process.returncode is None, "the server's process has ended"
    return lines[0] if lines else ""


async def answers_with_embedded(stage: Stage, name: Path, *words: str, **options: Any) -> str:
    """The embedded model takes the place of the model of this name, with a line that holds `words` each."""
    settings = {"model": {"name": str(name), **options}}
    editor = await stage.editor(settings=settings, env={**ALONE, "AIX_LSP_MODEL__NAME": str(name)})
    told = await told_only(editor, *words)
    assert any(EMBEDDED_ANSWERS in line for line in editor.shown()), f"what answers is not said: {editor.shown()}"
    now = (await status(editor.client))["status"]
    assert (now["state"], now["model"]) == ("degraded", "aix-mini"), now
    return told


def cut(name: str, keep: float) -> Callable[[Path], None]:
    """A file of which only a share is there."""

    def damage(folder: Path) -> None:
        path = folder / name
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * keep)])

    return damage


def without(*names: str) -> Callable[[Path], None]:
    """Files that are missing."""

    def damage(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def config(**changes: Any) -> Callable[[Path], None]:
    """A configuration that says something else."""

    def damage(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return damage


def header_of(content: bytes) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and where its numbers begin."""
    start = 8 + struct.unpack("<Q", content[:8])[0]
    header: dict[str, Any] = json.loads(content[8:start])
    return header, start


def lacks_a_tensor(folder: Path) -> None:
    """Whole weights but for the last tensor."""
    content = (folder / WEIGHTS).read_bytes()
    header, start = header_of(content)
    last = max((name for name in header if name != "__metadata__"), key=lambda name: header[name]["data_offsets"][1])
    end = header.pop(last)["data_offsets"][0]
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + content[start : start + end])


def only_pickle(folder: Path) -> None:
    """Weights as a pickle file, which runs a program when it is read."""
    (folder / WEIGHTS).unlink()
    proof = folder / "ran"
    (folder / "pytorch_model.bin").write_bytes(f"cos\nsystem\n(S'touch {proof}'\ntR.".encode())


def absent_shard(folder: Path) -> None:
    """An index whose second file is not there."""
    (folder / WEIGHTS).rename(folder / "model-00001-of-00002.safetensors")
    names = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))


def garbage(name: str) -> Callable[[Path], None]:
    """A file of arbitrary bytes."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(bytes(range(256)) * 4)

    return damage


def empty(name: str) -> Callable[[Path], None]:
    """A file of 0 bytes."""

    def damage(folder: Path) -> None:
        (folder / name).write_bytes(b"")

    return damage


def in_steps(*steps: Callable[[Path], None]) -> Callable[[Path], None]:
    """One damage after the other."""

    def damage(folder: Path) -> None:
        for step in steps:
            step(folder)

    return damage


JSON_TOKENIZER = "tokenizer.json"
BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "weights truncated": (cut(WEIGHTS, 0.6), "is damaged or incomplete"),
    "weights header truncated": (cut(WEIGHTS, 0.00001), "is damaged or incomplete"),
    "weights file of 0 bytes": (empty(WEIGHTS), "is damaged or incomplete"),
    "weights missing": (without(WEIGHTS), "has no weights"),
    "weights file without a tensor": (lacks_a_tensor, "lack 1 parts of the model"),
    "weights only as pickle": (only_pickle, "only as pickle files"),
    "index names an absent shard": (absent_shard, "lacks 1 of 2 weight files"),
    "config missing": (without("config.json"), "has no config.json"),
    "config is garbage": (garbage("config.json"), "config.json cannot be read"),
    "config of 0 bytes": (empty("config.json"), "config.json cannot be read"),
    "config is a list": (lambda folder: _write(folder / "config.json", "[]"), "is no JSON object"),
    "config of unknown architecture": (config(model_type="made_up"), "of type 'made_up'"),
    "config of another kind of model": (config(architectures=["BertForMaskedLM"], model_type="bert"), "causal"),
    "config with wrong types": (config(hidden_size="many", num_hidden_layers=None), "the model in"),
    "weights of other shapes": (config(hidden_size=512), "the model in"),
    "weights of another architecture": (
        config(model_type="gpt2", architectures=["GPT2LMHeadModel"]),
        "those of another architecture",
    ),
    "tokenizer missing": (without("tokenizer.model", JSON_TOKENIZER), "holds no tokenizer"),
    "tokenizer truncated": (cut("tokenizer.model", 0.5), "tokenizer.model"),
    "tokenizer of 0 bytes": (empty("tokenizer.model"), "tokenizer.model is empty"),
    "tokenizer json truncated": (in_steps(without("tokenizer.model"), cut(JSON_TOKENIZER, 0.5)), "cannot be read"),
    "notes of the folder are garbage": (garbage("aix.json"), "aix.json cannot be read"),
}
QUICK = {"weights truncated"}


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _register(name: str, damage: Callable[[Path], None], words: str) -> None:
    async def run(stage: Stage) -> str:
        folder = whole_model(stage.folder / "broken")
        damage(folder)
        told = await answers_with_embedded(stage, folder, words)
        assert not (folder / "ran").exists(), "a program in the weights was run"
        return told.replace(str(stage.folder), "")

    run.__name__ = f"model {name}"
    fault(PROMISE, group="model", quick=name in QUICK)(run)


for _name, (_damage, _words) in BROKEN.items():
    _register(_name, _damage, _words)


@fault("the model answers from left to right, and the user is told once", group="model", quick=False)
async def tokenizer_without_markers(stage: Stage) -> str:
    """A tokenizer in which the markers for filling in have other names."""
    folder = whole_model(stage.folder / "plain")
    path = folder / "tokenizer.model"
    path.write_bytes(path.read_bytes().replace(b"<AIX-SPAN-", b"<XXX-SPAN-"))
    editor = await stage.editor(env={**ALONE, "AIX_LSP_MODEL__NAME": str(folder)})
    return await told_only(editor, "has no markers for filling in")


@fault(PROMISE, group="model", quick=False)
async def model_folder_is_a_file(stage: Stage) -> str:
    """`model.name` names a file."""
    path = stage.folder / "model.gguf"
    path.write_bytes(b"GGUF")
    return await answers_with_embedded(stage, path, "is a file")


@fault("each is told once, and the embedded model answers", group="model", quick=False)
async def config_toml_and_model_broken(stage: Stage) -> str:
    """The user's own settings cannot be read, and the model of the environment neither."""
    config_folder = Path(stage.environment["XDG_CONFIG_HOME"]) / "aix-lsp"
    config_folder.mkdir(parents=True)
    (config_folder / "config.toml").write_bytes(b"[model\nname = \xff")
    return await answers_with_embedded(stage, stage.folder / "none", "config.toml", "does not exist")


@fault("the embedded model answers, and the user is told once", group="model", quick=False)
async def model_folder_vanishes_while_it_rests(stage: Stage) -> str:
    """A model whose memory was freed is to be loaded again, and its folder is gone."""
    folder = whole_model(stage.folder / "moving")
    env = {**ALONE, "AIX_LSP_MODEL__NAME": str(folder), "AIX_LSP_MODEL__IDLE_MINUTES": "0.005"}
    editor = await stage.editor(env=env)
    await editor.works()
    await until_told_by_status(editor, "was unloaded")
    shutil.rmtree(folder)
    return await told_only(editor, "does not exist")


async def until_told_by_status(editor: Editor, words: str) -> dict[str, Any]:
    """Wait until the engine says these words of itself."""
    async with asyncio.timeout(120):
        while words not in (now := await status(editor.client))["message"]:
            await asyncio.sleep(0.05)
    return now


ADAPTERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "adapter folder missing": (lambda folder: shutil.rmtree(folder), "the adapter folder"),
    "adapter without weights": (without("adapter_model.safetensors"), "has no weights"),
    "adapter weights truncated": (cut("adapter_model.safetensors", 0.5), "is damaged or incomplete"),
    "adapter config is garbage": (garbage("adapter_config.json"), "adapter_config.json cannot be read"),
    "adapter of another model": (lambda folder: _adapter(folder, width=64), "does not fit"),
}


def _adapter(folder: Path, width: int = 384) -> None:
    """A LoRA adapter of rank 2 for the first query projection of the embedded model, in peft's layout."""
    folder.mkdir(exist_ok=True)
    said = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "base_model_name_or_path": "aix-mini"}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    header: dict[str, Any] = {}
    end = 0
    for side, shape in (("A", [2, width]), ("B", [384, 2])):
        size = 4 * shape[0] * shape[1]
        key = f"base_model.model.model.layers.0.self_attn.q_proj.lora_{side}.weight"
        header[key] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))


def _register_adapter(name: str, damage: Callable[[Path], None], words: str) -> None:
    async def run(stage: Stage) -> str:
        folder = stage.folder / "added"
        _adapter(folder)
        damage(folder)
        env = {**ALONE, "AIX_LSP_MODEL__NAME": "aix-mini", "AIX_LSP_MODEL__ADAPTER": str(folder)}
        editor = await stage.editor(env=env)
        return (await told_only(editor, words)).replace(str(stage.folder), "")

    run.__name__ = name
    fault("the model answers without the adapter, and the user is told once", group="model", quick=False)(run)


for _name, (_damage, _words) in ADAPTERS.items():
    _register_adapter(_name, _damage, _words)
