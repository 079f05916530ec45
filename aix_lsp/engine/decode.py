"""The decode loop: prefill in chunks, then one token at a time (or several, guessed and verified), with the key-value
caches of several documents kept between requests.

Greedy output equals that of transformers' `generate` in float32; what differs is what is not run: the
tokens that a cache still holds from an earlier request, and the passes that right guesses save.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from aix_lsp.engine.base import EngineError
from aix_lsp.engine.document_caches import DocumentCaches
from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.memory import cache_budget, out_of_memory, release_memory
from aix_lsp.engine.picking import Picker
from aix_lsp.engine.plugs import Prior, Proposer
from aix_lsp.engine.recovery import is_out_of_memory
from aix_lsp.engine.runners import runner_for
from aix_lsp.engine.sampling import Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from aix_lsp.engine.lean import LeanForward

CPU_CHUNK = 96
"""Prompt tokens per forward pass on a processor: a cancelled request waits for one such pass, which takes about as long
as a few tokens."""

GPU_CHUNK = 2048


def _never() -> bool:
    return False


class Decoder:
    """Runs one causal language model of transformers, for one request at a time.

    `proposer` guesses tokens, `prior` reweighs them; both may be set at any time between requests. `cache_bytes` limits
    the key-value caches of all documents together (default: `cache_budget`). `cpu_decode` and `graphs` are those of
    `runner_for`. Not thread-safe: it belongs to the model thread.
    """

    def __init__(
        self,
        model: Any,
        stop_ids: frozenset[int] = frozenset(),
        *,
        chunk: int | None = None,
        vocabulary: Vocabulary | None = None,
        proposer: Proposer | None = None,
        prior: Prior | None = None,
        cache_bytes: int | None = None,
        cpu_decode: str = "none",
        graphs: bool = True,
    ) -> None:
        self.proposer = proposer
        self.prior = prior
        self.stop_ids = stop_ids
        self._device = model.device
        self._chunk = chunk or (CPU_CHUNK if self._device.type == "cpu" else GPU_CHUNK)
        self._vocabulary: int = model.get_input_embeddings().num_embeddings
        self._positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._words = vocabulary
        self._runner = runner_for(model, cpu_decode=cpu_decode, graphs=graphs)
        self._caches = DocumentCaches(self._runner, cache_budget(self._device) if cache_bytes is None else cache_bytes)
        self._document = ""
        self._reused = 0
        self._guessed = 0
        self._picker: Picker | None = None

    @property
    def way(self) -> str:
        """How the model runs, in a line for `doctor`."""
        return self._runner.way

    @property
    def lean(self) -> LeanForward | None:
        """The lean forward; None for a model that runs through transformers' own."""
        return self._runner.lean

    @property
    def chunk(self) -> int:
        """Prompt tokens per forward pass."""
        return self._chunk

    @property
    def words(self) -> Vocabulary | None:
        """The texts of all tokens, for token healing."""
        return self._words

    @property
    def vocabulary(self) -> int:
        """How many tokens the model knows: ids below this."""
        return self._vocabulary

    @property
    def guess_cost(self) -> float:
        """About what one more token in a pass costs, as a share of a pass over one; what a proposer may begin with."""
        return self._runner.guess_cost

    @property
    def held(self) -> tuple[int, ...]:
        """Tokens whose keys and values are kept for the latest request's document."""
        return self.held_for(self._document)

    def held_for(self, document: str) -> tuple[int, ...]:
        """Tokens whose keys and values are kept for a document."""
        return self._caches.held(document)

    @property
    def cache_bytes(self) -> int:
        """Memory that the key-value caches of all documents take now."""
        return self._caches.bytes

    @property
    def reused_tokens(self) -> int:
        """Prompt tokens that the latest `generate` did not have to run."""
        return self._reused

    @property
    def guessed_tokens(self) -> int:
        """Tokens of the latest `generate` that were guessed and right."""
        return self._guessed

    @property
    def log_probabilities(self) -> Sequence[float]:
        """See `Picker.log_probabilities`; of the latest `generate`."""
        return self._picker.log_probabilities if self._picker is not None else ()

    def generate(
        self,
        ids: Sequence[int],
        *,
        document: str = "",
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        required: str = "",
        cancelled: Callable[[], bool] = _never,
    ) -> Generator[int]:
        """Tokens that continue `ids`, one at a time, until a stop token (not yielded) or until `cancelled`.

        Their text begins with `required` (token healing): until it is spelled out only tokens that go on spelling it
        may come, as long as the vocabulary has any; a character that it does not have ends the requirement.

        `document` names the cache that is looked at and kept. There is no other limit: the caller stops asking.
        `cancelled` is looked at before every forward pass. When the memory does not suffice for a pass, all caches are
        dropped and it is run once more; raises EngineError when that does not help, and the next request starts afresh.
        """
        sampler = Sampler(temperature, top_p, seed)
        picker = self._picker = Picker(sampler, self._words, required, self.prior)
        self._start(ids, document)
        if self.proposer is not None:
            self.proposer.begin(ids)
        if self.prior is not None:
            self.prior.begin(ids)
        rows = self._prefill(ids, cancelled)
        guesses: Sequence[int] = ()
        while rows is not None and not cancelled():
            tokens, right = picker.pick(rows, guesses, self.stop_ids)
            self._settle(document, len(guesses), right, tokens)
            for token in tokens:
                yield token
                if cancelled():
                    return
            # A stop token ends the tokens before the row behind the last right guess.
            if len(tokens) <= right:
                return
            guesses = self._propose() if not picker.required else ()
            rows = self._forward(document, [tokens[-1], *guesses], 1 + len(guesses))

    def candidates(
        self,
        ids: Sequence[int],
        count: int,
        *,
        limit: int,
        first: Sequence[int] = (),
        document: str = "",
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
        required: str = "",
        cancelled: Callable[[], bool] = _never,
        stop: Callable[[int, Sequence[int]], bool] | None = None,
    ) -> list[list[int]]:
        """Up to `count` distinct continuations of `ids`, each of at most `limit` tokens; the first is the plain answer.

        `first` is that answer where the caller has it already. The others begin with the next likeliest first tokens;
        with a temperature they are drawn, each from its own seed. `stop` is asked after every token, with the number of
        the continuation and its tokens, whether that one ends. Once `cancelled`, what there is comes back.
        """
        from aix_lsp.engine.branches import Branches

        answer = list(first)
        if not answer:
            for token in self.generate(
                ids,
                document=document,
                temperature=temperature,
                top_p=top_p,
                seed=seed,
                required=required,
                cancelled=cancelled,
            ):
                answer.append(token)
                if len(answer) >= limit or (stop is not None and stop(0, answer)):
                    break
        if count < 2 or cancelled():
            return [answer]
        reused = self._reused
        self._start(ids, document)
        rows = self._prefill(ids, cancelled)
        self._reused = reused
        if rows is None:
            return [answer]
        branches = Branches(answer, rows[-1], count, self._words, required, self.stop_ids, (temperature, top_p, seed))
        exhausted = False
        try:
            self._grow(document, ids, branches, limit, cancelled, stop)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            exhausted = True
        if exhausted:
            # Too little memory for several at once: the answer itself stands.
            self._caches.drop(document)
            release_memory(self._device.type)
            return [answer]
        return branches.distinct()

    def check(self, ids: Sequence[int]) -> None:
        """Raises EngineError for a prompt that the model cannot read."""
        if not ids:
            raise EngineError("the prompt is empty")
        if not 0 <= min(ids) <= max(ids) < self._vocabulary:
            # On a GPU an index out of range would break the whole process, so it is refused here.
            raise EngineError("the prompt has tokens that the model does not know")

    def forget(self, document: str | None = None) -> None:
        """Drop the key-value cache of one document, or of all."""
        self._caches.drop(document)

    def shrink(self) -> None:
        """Keep as little between requests as possible from now on: the memory has run out."""
        self._caches.drop()
        self._caches.budget = 0
        self._runner.release()
        release_memory(self._device.type)

    # No caller of `_forward` keeps a cache in a variable: after running out of memory it would not be freed.

    def _start(self, ids: Sequence[int], document: str) -> None:
        """Crop the document's cache to what it shares with a prompt. Raises EngineError for an impossible one."""
        self.check(ids)
        self._caches.slot(document, ids)
        self._document = document
        self._reused = self._caches.length(document)
        self._guessed = 0

    def _prefill(self, ids: Sequence[int], cancelled: Callable[[], bool]) -> Tensor | None:
        """Run what the cache lacks of a prompt; logits behind it, shape (1, vocabulary), or None when cancelled."""
        document = self._document
        position = self._caches.length(document)
        rows = None
        while position < len(ids):
            if cancelled():
                return None
            rows = self._forward(document, ids[position : position + self._chunk], 1)
            position = self._caches.length(document)
        # Only now has a new document's cache its size.
        self._caches.shrink()
        return rows

    def _propose(self) -> Sequence[int]:
        # What cannot be taken back must not be guessed.
        if self.proposer is None or not self._runner.croppable:
            return ()
        most = self._runner.most_guesses
        if self._positions is not None:
            most = min(most, self._positions - self._caches.length(self._document) - 2)
        return list(self.proposer.propose(most))[:most] if most > 0 else ()

    def _settle(self, document: str, proposed: int, right: int, tokens: Sequence[int]) -> None:
        """Take wrong guesses off the cache, and tell those who guess."""
        if proposed > right:
            self._caches.crop(document, proposed - right)
        self._guessed += right
        if self.proposer is not None:
            self.proposer.accept(tokens, proposed, right)

    def _grow(
        self,
        document: str,
        ids: Sequence[int],
        branches: Any,
        limit: int,
        cancelled: Callable[[], bool],
        stop: Callable[[int, Sequence[int]], bool] | None,
    ) -> None:
        """Run the branches to their ends: side by side where the model can, else one after the other."""
        trunk = len(ids)
        if self._runner.branches:
            slot = self._caches.slot(document, [*ids, 0])
            step = 0
            whole = False
            try:
                while branches.open(limit, stop) and not cancelled():
                    branches.take(self._runner.branch(slot.cache, branches.latest, trunk, step))
                    step += 1
                self._runner.crop(slot.cache, trunk)
                whole = True
            finally:
                if not whole:
                    # It holds more than its account says, or less.
                    self._caches.drop(document)
            return
        for number in range(len(branches)):
            while branches.open(limit, stop, number) and not cancelled():
                tokens = branches.tokens(number)
                self._caches.slot(document, [*ids, *tokens])
                rows = self._prefill([*ids, *tokens], cancelled)
                if rows is not None:
                    branches.take(rows, number)

    def _forward(self, document: str, ids: Sequence[int], keep: int) -> Tensor:
        """Run `ids` after what the cache holds; float32 logits of the last `keep`, shape (keep, vocabulary)."""
        slot = self._caches.latest(document)
        done = exhausted = False
        try:
            rows = self._runner.run(slot.cache, ids, keep)
            done = True
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            # Answered below: in here the traceback would still hold on to the tensors to be freed.
            exhausted = True
        finally:
            if not done:
                # Some layers may have taken the new keys and some not.
                text = [*slot.prefix.held, *ids]
                self._caches.drop(None if exhausted else document)
        if exhausted:
            del slot
            rows = self._again(document, text, keep)
        else:
            slot.prefix.extend(ids)
        return rows

    def _again(self, document: str, text: Sequence[int], keep: int) -> Tensor:
        """Run a whole text once more with all the memory that can be had."""
        self._runner.release()
        release_memory(self._device.type)
        slot = self._caches.renewed(document)
        rows = None
        failed = False
        try:
            start = 0
            while start < len(text):
                # The last pass holds all rows that are asked for.
                end = min(start + self._chunk, len(text))
                end = end if end == len(text) or len(text) - end >= keep else len(text)
                rows = self._runner.run(slot.cache, text[start:end], min(keep, end - start))
                slot.prefix.extend(text[start:end])
                start = end
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            failed = True
        if failed or rows is None:
            del slot
            self._caches.drop()
            release_memory(self._device.type)
            raise out_of_memory(self._device.type)
        return rows
