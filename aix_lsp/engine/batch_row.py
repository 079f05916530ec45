"""One request among several that are answered at once: its tokens, its text, and when it ends.

The rules are those of `generation.run`, which answers one request alone; a test compares the two.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aix_lsp.engine.base import EngineError
from aix_lsp.engine.generation import LoadedModel, keeps_to, room_for, wants_stop
from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.job import Job
from aix_lsp.engine.picking import Picker
from aix_lsp.engine.plugs import Prior
from aix_lsp.engine.sampling import Sampler
from aix_lsp.engine.text_stream import TextStream
from aix_lsp.types import FinishReason, Generation, Prompt

if TYPE_CHECKING:
    from torch import Tensor


class Row:
    """A request that runs. `latest` is its last token, `finish` how it ended (None while it runs), `error` why it
    failed."""

    def __init__(
        self, job: Job, prompt: Prompt, model: LoadedModel, words: Vocabulary | None, prior: Prior | None, began: float
    ) -> None:
        request = job.request
        self.job = job
        self.prompt = prompt
        self.finish: FinishReason | None = None
        self.error: EngineError | None = None
        self.latest = 0
        self._model = model
        self._began = began
        self._built = time.perf_counter()
        # raises EngineError for a prompt without room
        self._room = room_for(prompt, model.info)
        self._stream = TextStream(model.tokenizer)
        self._prior = prior
        self._picker = Picker(Sampler(request.temperature, request.top_p, request.seed), words, prompt.required, prior)
        self._greedy = request.temperature == 0
        self._produced = 0
        self._tokens = 0
        self._first_token_ms = 0.0
        if prior is not None:
            prior.begin(prompt.ids)

    @property
    def longest(self) -> int:
        """Most tokens that prompt and answer can come to."""
        healing = len(self.prompt.required)
        return len(self.prompt.ids) + min(self._room, self.job.request.max_new_tokens + healing)

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is the next one, whatever it is."""
        return self._greedy and self._prior is None and not self._picker.required

    def pick(self, logits: Tensor, stop_ids: frozenset[int]) -> None:
        """Take the next token from logits of the shape (vocabulary,)."""
        tokens, _ = self._picker.pick(logits[None], (), stop_ids)
        if tokens:
            self.push(tokens[0])
        else:
            self.finish = "end"

    def push(self, token: int) -> None:
        """Take this token. Raises EngineError when the request's stop condition fails."""
        required = self.prompt.required
        self.latest = token
        self._produced += 1
        text = self._stream.push(token)[len(required) :]
        if not keeps_to(required, self._stream.text):
            self.finish = "stop"
            return
        if text or not required:
            self._tokens += 1
            self._first_token_ms = self._first_token_ms or (time.perf_counter() - self._built) * 1000
        self.job.show(text)
        if wants_stop(self.job.request, text):
            self.finish = "stop"
        elif self._tokens >= self.job.request.max_new_tokens or self._produced >= self._room:
            self.finish = "length"

    def generation(self) -> Generation:
        """The answer. Without scores: nobody who asks for many answers at once reads them."""
        required, text = self.prompt.required, self._stream.text
        return Generation(
            text=text[len(required) :] if keeps_to(required, text) else "",
            tokens=self._tokens,
            finish=self.finish or "end",
            prompt=self.prompt,
            model=self._model.info.name,
            queue_ms=(self._began - self.job.submitted) * 1000,
            prompt_ms=(self._built - self._began) * 1000,
            first_token_ms=self._first_token_ms,
            total_ms=(time.perf_counter() - self._built) * 1000,
        )
