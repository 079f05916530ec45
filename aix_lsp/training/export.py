"""Writes a trained model as one folder that stock transformers and this project's own engine both load.

One safetensors file, never a pickle. The folder appears whole under its name or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import CatalogEntry, described
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.tokenizer import ModelTokenizer, TokenizerError, load_tokenizer
from aix_lsp.training.folders import replaced_folder
from aix_lsp.training.tokenizer_export import differences, is_ours, probes, summary, write_tokenizer_json

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

DTYPES: Final = ("bfloat16", "float16", "float32")
MOST_BYTES: Final = 40_000_000
"""What an embedded model may take in the wheel, all its files together."""

WEIGHTS: Final = "model.safetensors"
NOTES: Final = "aix.json"
MADE_BY: Final = ("made_by", "aix-lsp")
"""The entry of `aix.json` by which an export is known, so that the next one may replace it."""

_TOKENIZER: Final = ("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_FILES: Final = frozenset({WEIGHTS, NOTES, "config.json", "generation_config.json", "README.md", *_TOKENIZER})
# Rows that an embedding may have beyond the tokenizer: sizes are often rounded up for the hardware's sake.
_PADDING: Final = 127


class ExportError(ValueError):
    """A model cannot be exported; the message is one line for a person, and the target is as it was."""


def export(
    model: PreTrainedModel,
    tokenizer_folder: Path,
    out: Path,
    *,
    card: str,
    notes: Mapping[str, Any],
    dtype: str = "bfloat16",
    texts: Iterable[str] = (),
    most_bytes: int | None = MOST_BYTES,
) -> Path:
    """Write `model` and its tokenizer to the folder `out`; returns it. The model itself is not changed.

    `card` becomes README.md, with a paragraph behind it that says where tokenizer.json and tokenizer.model differ over
    `texts` and over texts made to find differences. `notes` becomes aix.json: `format` ("psm", "spm" or "l2r"),
    `languages` (identifiers) and `licence`, as `engine.catalog.described` reads them, and what else is worth keeping.
    `most_bytes` limits all files together.

    `out` may be new, empty, or an earlier export, which is replaced at the very end. Raises ExportError for anything
    else there, for a tokenizer that does not fit the model, weights that are not finite, too large a model, wrong notes
    and a disk that cannot be written.
    """
    if dtype not in DTYPES:
        raise ExportError(f"dtype is {dtype!r}; choose {', '.join(DTYPES)}")
    out = out.expanduser().resolve()
    _check_target(out)
    # torch.compile wraps a model
    model = getattr(model, "_orig_mod", model)
    tensors = _tensors(model, dtype)
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    _check_size(size, most_bytes, f"the weights in {dtype}")
    try:
        with replaced_folder(out) as folder:
            _write_tokenizer(tokenizer_folder, folder, model.config.max_position_embeddings)
            tokenizer = _fitting_tokenizer(folder, tokenizer_folder, model.config.vocab_size)
            _write_json(folder / "config.json", _config(model, dtype))
            _write_json(folder / "generation_config.json", _generation_config(tokenizer))
            _write_json(folder / NOTES, {**notes, MADE_BY[0]: MADE_BY[1]})
            (folder / "README.md").write_text(_card(card, folder, texts), "utf-8")
            _write_weights(folder / WEIGHTS, tensors)
            _check_whole(folder, tensors)
            _check_size(sum(path.stat().st_size for path in folder.iterdir()), most_bytes, "the export")
    except OSError as error:
        raise ExportError(f"{out} could not be written: {error.strerror or error}") from error
    return out


def is_export(folder: Path) -> bool:
    """Whether a folder was written by `export` and holds nothing else."""
    try:
        notes = json.loads((folder / NOTES).read_text("utf-8"))
        names = {path.name for path in folder.iterdir()}
    except (OSError, ValueError):
        return False
    return isinstance(notes, dict) and notes.get(MADE_BY[0]) == MADE_BY[1] and names <= _FILES


def _check_target(out: Path) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise ExportError(f"{out} is a file; an export is a folder")
    if any(out.iterdir()) and not is_export(out):
        raise ExportError(f"{out} holds something else than an earlier export; choose another folder, or empty it")


def _check_size(size: int, most_bytes: int | None, what: str) -> None:
    if most_bytes is not None and size > most_bytes:
        raise ExportError(f"{what} would take {size / 1e6:.1f} MB, and {most_bytes / 1e6:.1f} MB are the limit")


def _tensors(model: PreTrainedModel, dtype: str) -> dict[str, torch.Tensor]:
    """Weights by name in `dtype` on the processor; of weights that share memory (tied ones) only the first."""
    import torch

    kind: torch.dtype = getattr(torch, dtype)
    tensors: dict[str, torch.Tensor] = {}
    seen: set[tuple[int, tuple[int, ...]]] = set()
    for name, value in model.state_dict().items():
        place = (value.data_ptr(), tuple(value.shape))
        if place in seen:
            continue
        seen.add(place)
        tensor = value.detach().to(device="cpu", dtype=kind).contiguous()
        if not bool(torch.isfinite(tensor).all()):
            raise ExportError(
                f"the weights {name} hold numbers that are not finite in {dtype}; export an earlier checkpoint"
            )
        tensors[name] = tensor
    return tensors


def _write_tokenizer(source: Path, folder: Path, positions: int) -> None:
    """Copy a tokenizer; its tokenizer.json is made anew where the rules are ours."""
    for name in _TOKENIZER:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    try:
        if is_ours(folder):
            write_tokenizer_json(folder, positions=positions)
    except TokenizerError as error:
        # its line would name the folder that is about to vanish
        raise ExportError(str(error).replace(str(folder), str(source))) from error


def _fitting_tokenizer(folder: Path, source: Path, vocabulary: int) -> ModelTokenizer:
    try:
        tokenizer = load_tokenizer(folder)
    except TokenizerError as error:
        raise ExportError(str(error).replace(str(folder), str(source))) from error
    if not vocabulary - _PADDING <= tokenizer.vocabulary_size <= vocabulary:
        raise ExportError(
            f"the tokenizer in {source} has {tokenizer.vocabulary_size:,} pieces and the model {vocabulary:,}; "
            "give the tokenizer that the model was trained with"
        )
    return tokenizer


def _config(model: PreTrainedModel, dtype: str) -> dict[str, Any]:
    """The model's configuration: what belongs to its kind, spelled out, and what differs from every model's default."""
    from transformers import PretrainedConfig

    common = PretrainedConfig().to_dict()
    config = {
        name: value
        for name, value in model.config.to_dict().items()
        if not name.startswith("_") and (name not in common or value != common[name])
    }
    config["architectures"] = [type(model).__name__]
    config["dtype"] = dtype
    rotary = config.get("rope_parameters") or {}
    if rotary.get("rope_type") == "default" and "rope_theta" in rotary:
        # where transformers before 5, and other engines, look for it
        config["rope_theta"] = rotary["rope_theta"]
    return dict(sorted(config.items()))


def _generation_config(tokenizer: ModelTokenizer) -> dict[str, Any]:
    """Greedy, and generation ends at every token that steers the model, as the engine does it."""
    end, unknown = tokenizer.special("</s>"), tokenizer.special("<unk>")
    stops = sorted(tokenizer.special_ids - {unknown}, key=lambda token: (token != end, token))
    ids = {"bos_token_id": tokenizer.special("<s>"), "eos_token_id": stops, "pad_token_id": tokenizer.special("<pad>")}
    return {name: value for name, value in ids.items() if value is not None} | {"do_sample": False}


def _card(card: str, folder: Path, texts: Iterable[str]) -> str:
    paragraph = "Only one tokenizer file is there."
    if is_ours(folder):
        compared = [*probes(folder), *texts]
        paragraph = summary(differences(folder, compared), len(compared))
    return f"{card.rstrip()}\n\n## The two tokenizer files\n\n{paragraph}\n"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False)
    except TypeError as error:
        raise ExportError(f"{path.name} cannot hold what was given: {error}") from error
    path.write_text(text + "\n", "utf-8")


def _write_weights(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    from safetensors.torch import save

    path.write_bytes(save(dict(tensors), {"format": "pt"}))


def _check_whole(folder: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raises ExportError unless the files are a whole model to the engine and to stock transformers."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        inspect(folder)
        described(CatalogEntry(folder.name, folder), folder)
    except ModelError as error:
        raise ExportError(str(error).replace(f"{folder}{os.sep}", "")) from error
    with torch.device("meta"):
        bare = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, local_files_only=True))
    expected = {name: value.shape for name, value in bare.state_dict().items()}
    if bare.config.tie_word_embeddings:
        expected.pop("lm_head.weight", None)
    wrong = sorted(set(expected.items()) ^ {(name, tensor.shape) for name, tensor in tensors.items()})
    if wrong:
        raise ExportError(f"the model's weights do not fit its configuration: {wrong[0][0]}")
