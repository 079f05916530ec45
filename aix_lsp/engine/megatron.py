"""Reads the Megatron form of aiXcoder-7B's weights: one file, or one per tensor-parallel rank.

Rows of queries, keys and values are fused by groups: viewed as (key-value heads, heads per group + 2, head size,
hidden), a group has its queries first, then one key, then one value. Ranks hold parts of rows, and parts of columns of
the two matrices that end a block (Shoeybi et al. 2019, "Megatron-LM", section 3). Rotary halves lie as in Hugging
Face's form.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.engine.base import ModelError

if TYPE_CHECKING:
    import torch

_RANK = re.compile(r"(?P<stem>.+)_states_(?P<rank>\d+)\.pt")
_PART = re.compile(
    r"(?:.*\.)?(?P<part>tok_embeddings\.weight|output\.weight|norm\.weight|"
    r"layers\.(?P<layer>\d+)\.(?:attention\.(?:query_key_value|wo)|feed_forward\.w[123]|attention_norm|ffn_norm)\.weight)"
)
_BY_COLUMNS = ("attention.wo.weight", "feed_forward.w2.weight")
_OF_A_LAYER = (
    *("attention.query_key_value", "attention.wo", "feed_forward.w1", "feed_forward.w2", "feed_forward.w3"),
    *("attention_norm", "ffn_norm"),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the tensors' shapes say, given the number of heads."""

    layers: int
    hidden: int
    feed_forward: int
    vocabulary: int
    heads: int
    kv_heads: int
    head_size: int


class MegatronWeights:
    """The tensors of all ranks, joined when they are asked for; the files stay mapped, not read."""

    def __init__(self, ranks: Sequence[Mapping[str, torch.Tensor]], folder: Path) -> None:
        self._ranks = ranks
        self._folder = folder
        for number, rank in enumerate(ranks[1:], 1):
            if rank.keys() != ranks[0].keys():
                odd = sorted(rank.keys() ^ ranks[0].keys())[0]
                raise ModelError(f"rank {number} in {folder} has other parts than rank 0 ({odd}); copy the files again")
        for name in self._expected():
            if name not in ranks[0]:
                raise ModelError(f"{folder} has no {name}, so it is not aiXcoder's Megatron form or not whole")

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the weights."""
        return self._ranks[0]["tok_embeddings.weight"].dtype

    @property
    def layers(self) -> int:
        """How many layers there are."""
        found = [_PART.fullmatch(name) for name in self._ranks[0]]
        return 1 + max((int(match["layer"]) for match in found if match and match["layer"]), default=-1)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor of all ranks together, without reading it."""
        shapes = [tuple(rank[name].shape) for rank in self._ranks]
        if name.endswith("norm.weight"):
            return shapes[0]
        along = _along(name)
        whole = list(shapes[0])
        whole[along] = sum(shape[along] for shape in shapes)
        rest = {shape[1 - along] for shape in shapes}
        if len(rest) > 1:
            raise ModelError(f"the ranks in {self._folder} disagree about the size of {name}; copy the files again")
        return tuple(whole)

    def tensor(self, name: str) -> torch.Tensor:
        """A tensor of all ranks together."""
        import torch

        parts = [rank[name] for rank in self._ranks]
        if not name.endswith("norm.weight"):
            return torch.cat(parts, dim=_along(name)) if len(parts) > 1 else parts[0]
        # Every rank has all of it.
        if any(not torch.equal(part, parts[0]) for part in parts):
            raise ModelError(f"the ranks in {self._folder} are of different models: {name} is not the same in all")
        return parts[0]

    def sizes(self, heads: int) -> Sizes:
        """Sizes of the model. Raises ModelError when shapes do not fit one another or that number of heads."""
        vocabulary, hidden = self.shape("tok_embeddings.weight")
        feed_forward = self.shape("layers.0.feed_forward.w1.weight")[0]
        inner = self.shape("layers.0.attention.wo.weight")[1]
        rows = self.shape("layers.0.attention.query_key_value.weight")[0]
        if inner != hidden and hidden % inner == 0:
            raise ModelError(
                f"the {len(self._ranks)} rank files in {self._folder} make 1/{hidden // inner} of the model; "
                "the others are missing"
            )
        head_size, odd = divmod(inner, heads)
        kv_heads, rest = divmod(rows - inner, 2 * head_size) if head_size else (0, 1)
        # rotary angles turn pairs, so that a head has an even size
        if odd or head_size % 2 or rest or kv_heads < 1 or heads % kv_heads:
            raise ModelError(f"{rows} rows of queries, keys and values do not divide into {heads} heads; say --heads N")
        sizes = Sizes(self.layers, hidden, feed_forward, vocabulary, heads, kv_heads, head_size)
        self._check(sizes)
        return sizes

    def _check(self, sizes: Sizes) -> None:
        hidden, wide = sizes.hidden, sizes.feed_forward
        rows = (sizes.heads + 2 * sizes.kv_heads) * sizes.head_size
        wanted: dict[str, tuple[int, ...]] = {
            "attention.query_key_value": (rows, hidden),
            "attention.wo": (hidden, sizes.heads * sizes.head_size),
            "feed_forward.w1": (wide, hidden),
            "feed_forward.w2": (hidden, wide),
            "feed_forward.w3": (wide, hidden),
            "attention_norm": (hidden,),
            "ffn_norm": (hidden,),
        }
        shapes = {f"layers.{n}.{part}.weight": shape for n in range(sizes.layers) for part, shape in wanted.items()}
        shapes |= {"norm.weight": (hidden,), "output.weight": (sizes.vocabulary, hidden)}
        for name, shape in shapes.items():
            if self.shape(name) != shape:
                raise ModelError(
                    f"{name} in {self._folder} is {_by(self.shape(name))} and should be {_by(shape)}; a file is "
                    "missing or of another model"
                )

    def _expected(self) -> list[str]:
        layers = [f"layers.{number}.{part}.weight" for number in range(self.layers) for part in _OF_A_LAYER]
        return ["tok_embeddings.weight", "norm.weight", "output.weight", *layers]


def read_megatron(folder: Path) -> MegatronWeights:
    """Open the files of a folder. Raises ModelError when one is missing, damaged, or more than tensors."""
    return MegatronWeights([_read(path) for path in rank_files(folder)], folder)


def rank_files(folder: Path) -> list[Path]:
    """The weight files in the order of their ranks. Raises ModelError."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is no folder; convert wants the folder with the .pt files and tokenizer.model")
    found = sorted(folder.glob("*.pt"))
    ranked = {int(match["rank"]): path for path in found if (match := _RANK.fullmatch(path.name))}
    whole = [path for path in found if not _RANK.fullmatch(path.name)]
    if len(whole) == 1:
        return whole
    if whole or not found:
        names = ", ".join(path.name for path in whole) or "no .pt file"
        raise ModelError(f"{folder} has {names}; convert wants one .pt file, or NAME_states_0.pt and so on")
    missing = sorted(set(range(max(ranked))) - set(ranked))
    if missing:
        stem = next(iter(ranked.values())).name.rpartition("_")[0]
        raise ModelError(f"{folder} lacks {stem}_{missing[0]}.pt: ranks 0 to {max(ranked)} belong together")
    return [ranked[rank] for rank in sorted(ranked)]


def split_groups(fused: torch.Tensor, sizes: Sizes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values of a fused matrix, each with its heads' rows one after another."""
    per_group = sizes.heads // sizes.kv_heads
    groups = fused.view(sizes.kv_heads, per_group + 2, sizes.head_size, sizes.hidden)
    parts = (groups[:, :per_group], groups[:, per_group], groups[:, per_group + 1])
    query, key, value = (part.reshape(-1, sizes.hidden).clone() for part in parts)
    return query, key, value


def _read(path: Path) -> dict[str, torch.Tensor]:
    import pickle

    import torch

    try:
        # Mapped, a 15 GB file is never in memory as a whole; files of before PyTorch 1.6 cannot be. Tensors only: other
        # pickles could run any code.
        with warnings.catch_warnings(action="ignore"):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError:
        raise ModelError(
            f"{path} holds more than tensors and plain values, or is no weight file; such a file could run any code "
            "when it is read, so it is not"
        ) from None
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path} is damaged or incomplete ({reason}); copy it again") from None
    found: dict[str, torch.Tensor] = {}
    _collect(content, "", found)
    return found


def _collect(content: Any, prefix: str, found: dict[str, torch.Tensor]) -> None:
    """The tensors with names of the model's parts, however deep they lie in dictionaries."""
    import torch

    if isinstance(content, Mapping):
        for name, value in content.items():
            _collect(value, f"{prefix}.{name}" if prefix else str(name), found)
    elif isinstance(content, torch.Tensor) and (match := _PART.fullmatch(prefix)):
        found[match["part"]] = content


def _along(name: str) -> int:
    return 1 if name.endswith(_BY_COLUMNS) else 0


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
