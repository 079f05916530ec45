"""What is trained: an adapter on a model that stays as it is, or all weights of a new one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aix_lsp.engine.prompt_limits import read_limits
from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.prompt.fim import FimFamily, family_of
from aix_lsp.training.export import export
from aix_lsp.training.init_config import build_model, read_init
from aix_lsp.training.lora import load_base, save_adapter, with_lora
from aix_lsp.training.tokenizer import train_tokenizer
from aix_lsp.types import PromptLimits

CARD = "README.md"
_SHOWN = ("hidden", "layers", "heads", "kv_heads", "ffn", "positions", "pieces")


class Write(Protocol):
    """Writes what was trained into a new folder, with its card; `languages` are protocol identifiers."""

    def __call__(self, out: Path, card: str, languages: Sequence[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A model in training. `name` is that of the base, or what a new model is called; `limits` are what it asks of
    prompts; `identity` must be the same for a run to go on; `settings` are for the card. `lean`: all its layers are
    plain, so the quick forward pass will do."""

    name: str
    model: Any
    tokenizer: ModelTokenizer
    family: FimFamily
    max_positions: int
    limits: tuple[PromptLimits, ...]
    parameters: int
    adapter: bool
    lean: bool
    licence: str
    identity: Mapping[str, Any]
    settings: Mapping[str, Any]
    write: Write


def adapted_model(
    name: str, *, four_bit: bool, rank: int, alpha: int, dropout: float, targets: Sequence[str]
) -> Subject:
    """A known model with a fresh adapter. Raises LoraError or ModelError."""
    base = load_base(name, four_bit=four_bit)
    model = with_lora(base, rank=rank, alpha=alpha, dropout=dropout, targets=targets)

    def write(out: Path, card: str, languages: Sequence[str]) -> None:
        out.mkdir(parents=True, exist_ok=True)
        (out / CARD).write_text(card, encoding="utf-8")
        save_adapter(model, base, out, languages)

    return Subject(
        name=base.name,
        model=model,
        tokenizer=base.tokenizer,
        family=base.family,
        max_positions=base.max_positions,
        limits=read_limits(base.folder),
        parameters=base.parameters,
        adapter=True,
        lean=False,
        licence=base.entry.licence,
        identity={"base": base.fingerprint, "rank": rank, "alpha": alpha, "targets": list(targets)},
        settings={
            "base": f"{base.name}{' in 4 bits' if four_bit else f' ({base.dtype})'}",
            "adapter": f"LoRA, rank {rank}, alpha {alpha}, dropout {dropout}, on {', '.join(targets)}",
        },
        write=write,
    )


def new_model(init: Path, texts: Sequence[str], folder: Path, *, seed: int) -> Subject:
    """A model of the sizes in the file `init` with random weights, and a tokenizer learned from `texts`, which lies in
    `folder` until the model is written (and is taken from there when it is there already).

    Raises InitError or TokenizerTrainingError.
    """
    sizes = read_init(init)
    if not (folder / "tokenizer.model").is_file():
        train_tokenizer(texts, folder, pieces=sizes.pieces, seed=seed)
    tokenizer = load_tokenizer(folder)
    family = family_of(tokenizer)
    if family is None:
        raise ValueError(f"{folder} holds a tokenizer without fill-in-the-middle markers")
    model: Any = build_model(sizes, tokenizer.vocabulary_size, seed=seed)

    def write(out: Path, card: str, languages: Sequence[str]) -> None:
        notes = {"format": "psm", "languages": sorted(set(languages))}
        export(model, folder, out, card=card, notes=notes, texts=texts[:200], most_bytes=None)

    return Subject(
        name=init.stem,
        model=model,
        tokenizer=tokenizer,
        family=family,
        max_positions=sizes.positions,
        limits=(),
        parameters=model.num_parameters(),
        adapter=False,
        lean=True,
        licence="",
        identity={"sizes": repr(sizes)},
        settings={
            "sizes": ", ".join(f"{name} {getattr(sizes, name)}" for name in _SHOWN),
        },
        write=write,
    )
