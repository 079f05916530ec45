"""Candidates as they grow out of a stream's pieces, and where each of them ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aix_lsp.engine.base import EngineError
from aix_lsp.engine.job import named
from aix_lsp.engine.remote_check import RemoteServer
from aix_lsp.engine.remote_stream import DONE, Piece, StreamError, pieces_of
from aix_lsp.engine.remote_text import cut_at_marker, give_space_back
from aix_lsp.engine.text_stream import TextStream
from aix_lsp.types import FinishReason, GenerationRequest, TokenScore

_LONGEST_TOKEN = 256
"""Characters. Tokenizers have runs of blanks and of one sign that long, and nothing longer."""


@dataclass(slots=True)
class Candidate:
    """One text as it grows.

    `before` is what stands before the cursor. `required` is what the prompt does not hold of it; the answer begins with
    it, or it is none (`missed`). `finish` is set once nothing more is wanted, `told_end` once nothing more comes.
    `scored` has for each token of which the server told the logarithm of its probability where it ends in all that was
    received, and that logarithm. `limit` is how many tokens were asked for: what a server sends beyond is not taken.
    """

    server: RemoteServer
    request: GenerationRequest
    before: str
    required: str
    stream: TextStream
    limit: int
    pieces: int = 0
    received: str = ""
    text: str = ""
    tokens: int = 0
    finish: FinishReason | None = None
    told_end: bool = False
    missed: bool = False
    scored: list[tuple[int, float]] = field(default_factory=list)

    def begin(self, tokens: Sequence[int]) -> None:
        """Take over tokens that are there before the stream begins."""
        for token in tokens:
            self.stream.push(token)
        self.received = self.stream.text
        self.text = self.received[len(self.required) :]
        if self._wants_stop():
            self.finish = "stop"

    def push(self, piece: Piece) -> None:
        """Take over what the server sent. Raises EngineError when the request's stop condition fails."""
        self.told_end = self.told_end or bool(piece.finish)
        if self.finish is not None:
            return
        ended = False
        self.pieces += bool(piece.text or piece.tokens)
        too_much = self.pieces > self.limit
        if piece.tokens is not None or self.tokens:
            # The last piece often has the reason alone.
            known = len(piece.scores) == len(piece.tokens or ())
            for number, token in enumerate(piece.tokens or ()):
                ended = ended or token in self.server.tokenizer.special_ids
                if not ended and token >= self.server.tokenizer.vocabulary_size:
                    raise StreamError("tokens that the model does not have")
                too_much = too_much or self.tokens >= self.limit
                if not ended and not too_much:
                    self.stream.push(token)
                    self.tokens += 1
                    if known:
                        self.scored.append((len(self.stream.text), piece.scores[number][1]))
            text = self.stream.text
        else:
            if not too_much:
                self._note_scores(piece)
                self.received += piece.text
            most = self.limit * _LONGEST_TOKEN
            if len(self.received) > most:
                self.received, too_much = self.received[:most], True
            text, ended = cut_at_marker(self.server.tokenizer, self.received)
            if self.server.drops_space:
                text = give_space_back(self.before, text)
        if not text.startswith(self.required[: len(text)]):
            self.text, self.finish, self.missed = "", "stop", True
            return
        self.text = text[len(self.required) :]
        if ended:
            self.finish = "end"
        elif self._wants_stop():
            self.finish = "stop"
        elif too_much:
            self.finish = "length"
        elif piece.finish:
            self.finish = "length" if piece.finish == "length" else "end"

    def _note_scores(self, piece: Piece) -> None:
        """Find out where the tokens of a piece of text end: by their own texts, or where these do not make up the
        piece (a character in parts), all at its end."""
        end = len(self.received)
        fits = "".join(text for text, _ in piece.scores) == piece.text
        for text, score in piece.scores:
            end = end + len(text) if fits else len(self.received) + len(piece.text)
            self.scored.append((end, score))

    def scores(self) -> tuple[TokenScore, ...]:
        """The scores of the text's tokens. What was spelled out before the stream began has none; where a server drops
        a space nothing is known of what it counts."""
        if self.server.drops_space:
            return ()
        found: list[TokenScore] = []
        begin = 0
        for end, score in self.scored:
            end -= len(self.required)
            if end > 0 and begin < len(self.text):
                found.append(TokenScore(min(end, len(self.text)), score))
            begin = max(end, 0)
        return tuple(found)

    def counted(self) -> int:
        """Tokens of the text, by our own count where the server did not tell them."""
        return self.tokens or len(self.server.tokenizer.encode(self.text))

    def _wants_stop(self) -> bool:
        if self.request.stop is None or not self.text:
            return False
        try:
            return self.request.stop(self.text)
        except Exception as error:
            raise EngineError(f"the stop condition failed: {named(error)}") from error


@dataclass(slots=True)
class Reading:
    """The candidates of one stream, and when the first text was there."""

    make: Callable[[], Candidate]
    expected: int
    on_text: Callable[[str], None] | None = None
    candidates: dict[int, Candidate] = field(default_factory=dict)
    first_text: asyncio.Event = field(default_factory=asyncio.Event)
    first_at: float = 0.0
    told_end: bool = False

    def prime(self, begun: Sequence[int]) -> None:
        """Begin with tokens that are there already; what they say beyond what is required is shown."""
        if not begun:
            return
        first = self.candidates[0] = self.make()
        if first.text:
            self._note_text()
            if self.on_text is not None:
                self.on_text(first.text)

    def _note_text(self) -> None:
        if not self.first_text.is_set():
            self.first_at = time.perf_counter()
            self.first_text.set()

    def take(self, data: str) -> None:
        """Take over one event."""
        if data.strip() in ("", DONE):
            self.told_end = self.told_end or bool(data.strip())
            return
        for piece in pieces_of(data):
            if not 0 <= piece.index < self.expected:
                continue  # nobody asked for that many
            candidate = self.candidates.get(piece.index)
            if candidate is None:
                candidate = self.candidates[piece.index] = self.make()
            shown = candidate.text
            candidate.push(piece)
            if candidate.text or candidate.tokens:
                self._note_text()
            if piece.index == 0 and candidate.text != shown and self.on_text is not None:
                self.on_text(candidate.text)

    @property
    def finished(self) -> bool:
        """Whether every candidate has ended, by the server's word or ours."""
        ended = sum(candidate.finish is not None for candidate in self.candidates.values())
        return self.told_end or ended >= self.expected

    @property
    def stopped_by_us(self) -> bool:
        """Whether all have ended, and the server may still be writing for one of them."""
        return self.finished and any(not candidate.told_end for candidate in self.candidates.values())
