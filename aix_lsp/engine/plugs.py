"""What can be plugged into the decode loop: something that guesses the next tokens, something that reweighs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Proposer(Protocol):
    """Guesses the tokens to come, so that the model verifies several in one pass (speculative decoding, Leviathan et
    al. 2023). A wrong guess costs time and never changes the answer. Called on the model thread."""

    def begin(self, prompt: Sequence[int]) -> None:
        """A request starts with these tokens."""
        ...

    def propose(self, limit: int) -> Sequence[int]:
        """At most `limit` tokens that are likely to follow everything so far; none where there is no good guess.
        How many pay is the proposer's affair: it is asked before every pass, and told right after it."""
        ...

    def accept(self, tokens: Sequence[int], proposed: int, right: int) -> None:
        """`tokens` were generated next. `proposed` tokens had been guessed for this pass, the first `right` of them
        correctly; both are 0 where nothing was guessed."""
        ...


class Prior(Protocol):
    """Changes the distribution of the next token before one is picked. Called on the model thread."""

    def begin(self, prompt: Sequence[int]) -> None:
        """A request starts with these tokens."""
        ...

    def mix(self, logits: torch.Tensor, allowed: Sequence[int] = (), required: str = "") -> torch.Tensor:
        """The logits to pick from, in place of the model's, shape (vocabulary,), float32 on the model's device. Where
        `allowed` is not empty, only its tokens may come: the text has to begin with what is `required`."""
        ...

    def push(self, token: int) -> None:
        """This token was generated."""
        ...
