"""The loss: cross-entropy of the tokens that are asked for, weighted by what each of them is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from aix_lsp.training.lean_llama import LeanLlama, supports
from aix_lsp.training.pieces import Part
from aix_lsp.training.rows import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_CHUNK = 2048  # places whose logits are in memory at once


@dataclass(frozen=True, slots=True)
class Weights:
    """How much a token counts. The first of an answer counts more: it shows whether the hole was found at all.

    `ahead` is for the first token of a PSM answer as the suffix marker is asked for it. That marker stands right behind
    the prefix, where going on is as easy as from left to right; what it finds there the answer can look up at one place
    instead of gathering it over the length of the suffix.
    """

    header: float = 0.1
    snippet: float = 0.3
    text: float = 1.0
    first: float = 3.0
    answer: float = 2.0
    ahead: float = 0.0

    def by_part(self) -> list[float]:
        """Weights in the order of `Part`."""
        return [0.0, self.header, self.snippet, self.text, self.first, self.answer, self.first, self.answer, self.ahead]


@dataclass(frozen=True, slots=True)
class Losses:
    """A loss to minimise, and for each `Part` the sum of plain losses (nats) and the number of tokens."""

    loss: Tensor
    sums: Tensor
    counts: Tensor


class Objective(nn.Module):
    """A causal language model with its loss over a `Batch`.

    A plain Llama runs through `LeanLlama` when `lean`, any other through its own forward pass with the mask of the
    batch. `dtype` is that of the products where weights are float32.
    """

    def __init__(
        self,
        model: Any,
        weights: Weights | None = None,
        *,
        lean: bool = True,
        compiled: bool = True,
        dtype: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__()
        self.model = model
        self.dtype = dtype
        table = torch.tensor((weights or Weights()).by_part())
        self.register_buffer("table", table, persistent=False)
        self._lean = LeanLlama(model, dtype=dtype, compiled=compiled) if lean and supports(model) else None
        self._chunk: Callable[..., tuple[Tensor, Tensor]]
        self._chunk = torch.compile(_chunk_losses, dynamic=False) if compiled and self._lean else _chunk_losses

    def forward(self, batch: Batch) -> Losses:
        """Weighted mean of the losses, differentiable; sums and counts by part for reports."""
        table: Any = self.table
        hidden = self._hidden(batch).flatten(0, 1)[batch.places]
        labels, parts = batch.labels, batch.parts
        extra = -len(labels) % _CHUNK if self._lean is not None else 0
        if extra:
            # whole chunks have one shape, so they are compiled once; what is added weighs nothing
            hidden = functional.pad(hidden, (0, 0, 0, extra))
            labels, parts = functional.pad(labels, (0, extra)), functional.pad(parts, (0, extra))
        weights = table[parts]
        head = self._head()
        losses, total = [], torch.zeros((), device=hidden.device)
        for start in range(0, len(labels), _CHUNK):
            piece = slice(start, start + _CHUNK)
            own, weighted = self._chunk(hidden[piece], head, labels[piece], weights[piece])
            losses.append(own)
            total = total + weighted
        plain = torch.cat(losses).detach() if losses else torch.zeros(0, device=hidden.device)
        counted = parts[: len(plain)] if not extra else parts
        kinds = len(Part)
        sums = torch.zeros(kinds, device=plain.device).index_add_(0, counted, plain * (counted > 0))
        counts = torch.zeros(kinds, device=plain.device).index_add_(0, counted, (counted > 0).to(plain.dtype))
        return Losses(total / weights.sum().clamp(min=1.0), sums, counts)

    def _hidden(self, batch: Batch) -> Tensor:
        if self._lean is not None:
            found: Tensor = self._lean(batch.ids, batch.positions, batch.sees)
            return found
        body = base_model(self.model)
        with torch.autocast(batch.ids.device.type, self.dtype, enabled=self.dtype != torch.float32):
            output = body(
                input_ids=batch.ids,
                attention_mask=batch.sees[:, None],
                position_ids=batch.positions,
                use_cache=False,
            )
        states: Tensor = output.last_hidden_state
        return states

    def _head(self) -> Tensor:
        weight: Tensor = self.model.get_output_embeddings().weight
        return weight


def base_model(model: Any) -> Any:
    """The part of a causal model below its output layer; adapters inside it stay."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return inner.model


def _chunk_losses(hidden: Tensor, head: Tensor, labels: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    logits = functional.linear(hidden, head.to(hidden.dtype)).float()
    losses = functional.cross_entropy(logits, labels, reduction="none")
    return losses, (losses * weights).sum()


def means(sums: Tensor, counts: Tensor) -> Mapping[str, float]:
    """Mean loss in nats by the name of the part, for the parts that occurred."""
    pairs = zip(Part, sums.tolist(), counts.tolist(), strict=True)
    return {part.name.lower(): total / number for part, total, number in pairs if number}


@dataclass(slots=True)
class Tally:
    """Adds up losses by part over several batches."""

    sums: Tensor = field(default_factory=lambda: torch.zeros(len(Part)))
    counts: Tensor = field(default_factory=lambda: torch.zeros(len(Part)))

    def add(self, losses: Losses) -> None:
        """Count one batch."""
        self.sums += losses.sums.cpu()
        self.counts += losses.counts.cpu()

    def means(self) -> Mapping[str, float]:
        """Mean loss in nats by part so far."""
        return means(self.sums, self.counts)


def measured(objective: Objective, batches: Sequence[Batch], accelerator: Any) -> tuple[Tally, float]:
    """Losses by part over held-out batches, of which each process takes its share, and the mean over the batches of
    the loss that is minimised; the same in all processes. Nothing is learned."""
    tally, weighted = Tally(), torch.zeros(2)
    with torch.no_grad():
        for batch in batches[accelerator.process_index :: accelerator.num_processes]:
            found = objective(batch.to(accelerator.device))
            tally.add(found)
            weighted += torch.tensor([float(found.loss), 1.0])
    sums, counts, total = (
        accelerator.reduce(tensor.to(accelerator.device), "sum").cpu()
        for tensor in (tally.sums, tally.counts, weighted)
    )
    return Tally(sums, counts), float(total[0] / total[1].clamp(min=1))
