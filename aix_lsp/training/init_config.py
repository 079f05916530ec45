"""The sizes of a new Llama model, read from a small TOML, and the model with its first random weights.

    [model]                     [tokenizer]
    hidden = 384                pieces = 8192
    layers = 4
    ...

Other tables are left to others, so that a recipe can hold all of a training in one file.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aix_lsp.training.tokenizer import FEWEST_PIECES, MOST_PIECES

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

RECIPES: Final = Path(__file__).parent / "recipes"

# Field -> smallest and largest sensible value. The upper ends are those of the largest open models.
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "hidden": (8, 32_768),
    "layers": (1, 256),
    "heads": (1, 512),
    "kv_heads": (1, 512),
    "head_size": (2, 1024),
    "ffn": (8, 131_072),
    "positions": (64, 1_048_576),
    "rope_theta": (1.0, 1e9),
    "norm_eps": (1e-12, 1e-2),
    "pieces": (FEWEST_PIECES, MOST_PIECES),
    "max_parameters": (1, 10**12),
}


class InitError(ValueError):
    """A model's sizes cannot be; the message is one line that names the file and the field."""


@dataclass(frozen=True, slots=True)
class InitConfig:
    """Sizes of a Llama model (Touvron et al. 2023): RMSNorm, rotary positions, SwiGLU, no biases.

    `heads` query heads share `kv_heads` keys and values (Ainslie et al. 2023), each of `head_size` numbers, by default
    `hidden / heads`. `positions` is the longest sequence. `tie` makes the output layer the embedding's transpose.
    `pieces` is the vocabulary that a tokenizer made for this model should have. `max_parameters`, when given, is a
    limit that the sizes must keep.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    positions: int
    pieces: int
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    tie: bool = True
    head_size: int = 0
    max_parameters: int | None = None

    def __post_init__(self) -> None:
        """Raises InitError when the sizes do not fit together."""
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            unset = value is None or (name == "head_size" and value == 0)
            if not unset and not least <= value <= most:
                raise InitError(f"{name} is {value}; choose {least:g} to {most:g}")
        if not self.head_size:
            if self.hidden % self.heads:
                raise InitError(
                    f"heads is {self.heads}, which does not divide hidden = {self.hidden}; change one or set head_size"
                )
            object.__setattr__(self, "head_size", self.hidden // self.heads)
        if self.heads % self.kv_heads:
            raise InitError(f"kv_heads is {self.kv_heads}, which does not divide heads = {self.heads}")
        if self.head_size % 2:
            raise InitError(f"head_size is {self.head_size}; it must be even, since rotary positions turn pairs")
        if self.max_parameters is not None and self.parameters() > self.max_parameters:
            raise InitError(
                f"max_parameters is {self.max_parameters:,} and these sizes have {self.parameters():,}; lower layers, "
                "hidden, ffn or pieces"
            )

    def parameters(self, vocabulary: int | None = None) -> int:
        """Numbers in the weights, with a vocabulary of `pieces` unless another one is given."""
        embedding = (vocabulary or self.pieces) * self.hidden
        attention = 2 * self.hidden * self.head_size * (self.heads + self.kv_heads)
        layer = attention + 3 * self.hidden * self.ffn + 2 * self.hidden
        return embedding * (1 if self.tie else 2) + self.layers * layer + self.hidden


def read_init(path: Path) -> InitConfig:
    """The sizes in a TOML file's tables `[model]` and `[tokenizer]`.

    Raises InitError with one line: an unreadable file, a missing or unknown field, one of the wrong kind, or sizes
    that do not fit together.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InitError(f"{path} cannot be read: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise InitError(f"{path} is no valid TOML: {error}") from error
    try:
        return _from_tables(content)
    except InitError as error:
        raise InitError(f"{path}: {error}") from None


def recipe(name: str) -> Path:
    """The file of a recipe that comes with the package. Raises InitError for a name that there is none of."""
    path = RECIPES / f"{name}.toml"
    known = sorted(found.stem for found in RECIPES.glob("*.toml") if "model" in tomllib.loads(found.read_text("utf-8")))
    if name not in known:
        raise InitError(f"there is no recipe {name!r}; there are {', '.join(known)}")
    return path


def build_model(config: InitConfig, vocabulary: int | None = None, *, seed: int = 0) -> LlamaForCausalLM:
    """A new model in float32 on the processor, the same for the same arguments; PyTorch's random state stays.

    `vocabulary` is the tokenizer's size, `config.pieces` unless given. Matrices begin with a deviation of
    sqrt(2 / (5 hidden)) (Nguyen and Salazar 2019, section 2.2), those that write into the residual stream with that
    over sqrt(2 layers) (Radford et al. 2019, section 2.3), so that its size does not grow with depth. The embedding
    begins at 0.02: tied, it is the output layer too, and the first predictions should be near uniform.

    Raises InitError when that vocabulary breaks `max_parameters`.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    size = vocabulary or config.pieces
    if config.max_parameters is not None and config.parameters(size) > config.max_parameters:
        raise InitError(
            f"max_parameters is {config.max_parameters:,}; with a vocabulary of {size:,} the model has "
            f"{config.parameters(size):,}"
        )
    llama = LlamaConfig(
        vocab_size=size,
        hidden_size=config.hidden,
        intermediate_size=config.ffn,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.kv_heads,
        head_dim=config.head_size,
        max_position_embeddings=config.positions,
        rms_norm_eps=config.norm_eps,
        rope_theta=config.rope_theta,
        tie_word_embeddings=config.tie,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=3,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(llama).float()
        deviation = math.sqrt(2 / (5 * config.hidden))
        with torch.no_grad():
            for name, weights in model.named_parameters():
                if weights.dim() < 2:
                    weights.fill_(1.0)
                elif "embed_tokens" in name or "lm_head" in name:
                    weights.normal_(0.0, 0.02)
                elif name.endswith(("o_proj.weight", "down_proj.weight")):
                    weights.normal_(0.0, deviation / math.sqrt(2 * config.layers))
                else:
                    weights.normal_(0.0, deviation)
    return model


def _from_tables(content: Mapping[str, Any]) -> InitConfig:
    if not isinstance(content.get("model"), dict):
        raise InitError("the table [model] is missing")
    given: dict[str, Any] = {}
    for table, name, value in _entries(content):
        field = _FIELDS.get(name)
        if field is None or table != ("tokenizer" if name == "pieces" else "model"):
            raise InitError(f"[{table}] has no field {name!r}")
        given[name] = _checked(name, field, value)
    missing = [name for name, field in _DEFAULTS.items() if field is MISSING and name not in given]
    if missing:
        table = "tokenizer" if missing[0] == "pieces" else "model"
        raise InitError(f"[{table}] lacks {missing[0]}")
    return InitConfig(**given)


def _entries(content: Mapping[str, Any]) -> Iterator[tuple[str, str, object]]:
    for table in ("model", "tokenizer"):
        entries = content.get(table, {})
        if not isinstance(entries, dict):
            raise InitError(f"{table} is no table")
        yield from ((table, name, value) for name, value in entries.items())


def _checked(name: str, kind: str, value: object) -> object:
    """The value as its field's type; True is no number here."""
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise InitError(f"{name} is {value!r}; it takes true or false")
    if isinstance(value, int) and not isinstance(value, bool) and (kind != "float" or abs(value) < 1e300):
        return float(value) if kind == "float" else value
    if kind == "float" and isinstance(value, float) and math.isfinite(value):
        return value
    raise InitError(f"{name} is {value!r}; it takes a {'' if kind == 'float' else 'whole '}number")


_FIELDS: Final = {field.name: str(field.type) for field in fields(InitConfig)}
_DEFAULTS: Final = {field.name: field.default for field in fields(InitConfig)}
