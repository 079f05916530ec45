"""Batches for fine-tuning: every pass over the files draws its samples anew.

A workspace is small, and a model that sees the same holes again and again learns them by heart; new holes in the same
files keep each pass worth its time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import TYPE_CHECKING

from aix_lsp.prompt.fim import FimFamily
from aix_lsp.prompt.layout import file_header
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.piece_store import PieceArrays, arrays_of, joined
from aix_lsp.training.pieces import Part, Piece
from aix_lsp.training.rows import Row, collate, packed
from aix_lsp.training.samples import EncodedSample, FimSample, Sampler, SamplerSettings, encode
from aix_lsp.training.snippets import SnippetFinder
from aix_lsp.types import PromptLimits, Tokenizer

if TYPE_CHECKING:
    from aix_lsp.training.rows import Batch

Draw = Callable[[int], Iterable[Piece]]
"""The pieces of one pass over all files, from the pass's number."""

_MOST_INDEXED = 2000
_AT_ONCE = 20_000  # pieces that are Python objects at the same time


@dataclass(frozen=True, slots=True)
class SampleDrawer:
    """Draws the samples of files as pieces of at most `longest` tokens.

    `quotable` are the files that snippets are taken from, which for held-out files are those trained on. `limits` are
    what the model asks of prompts.
    """

    tokenizer: Tokenizer
    family: FimFamily
    settings: SamplerSettings
    longest: int
    limits: tuple[PromptLimits, ...] = ()

    def draws(self, files: Sequence[SourceFile], quotable: Sequence[SourceFile]) -> Draw:
        """A function that draws a pass over `files`; the same pass is the same every time."""
        finders: dict[str, SnippetFinder] = {}
        by_project = sorted(quotable, key=lambda file: file.project)
        if self.settings.snippet_rate > 0:
            for project, listed in groupby(by_project, key=lambda file: file.project):
                finders[project] = SnippetFinder(list(islice(listed, _MOST_INDEXED)))

        def draw(number: int) -> Iterator[Piece]:
            sampler = Sampler(replace(self.settings, seed=self.settings.seed + number))
            for file in files:
                for sample in sampler.samples(file, finders.get(file.project)):
                    yield self.piece(sample)

        return draw

    def piece(self, sample: FimSample) -> Piece:
        """A sample as a piece: its prefix is text to learn, its suffix and its quotes are given."""
        encoded = encode(self.tokenizer, self.family, sample, healing=True, longest=self.longest, limits=self.limits)
        parts = [int(Part.GIVEN)] * len(encoded.ids)
        header = self.tokenizer.encode(file_header(self.family, sample.path))
        start, end = _prefix(self.family, encoded)
        parts[start:end] = [int(Part.TEXT)] * (end - start)
        if header and encoded.ids[start : start + len(header)] == tuple(header):
            parts[start : start + len(header)] = [int(Part.HEADER)] * len(header)
        answer = {"psm": (Part.PSM_FIRST, Part.PSM), "spm": (Part.SPM_FIRST, Part.SPM)}
        first, rest = answer.get(encoded.format, (Part.TEXT, Part.TEXT))
        parts[encoded.middle.start : encoded.middle.stop] = [int(rest)] * len(encoded.middle)
        if encoded.middle:
            parts[encoded.middle.start] = int(first)
        return Piece(encoded.ids, tuple(parts))


@dataclass(frozen=True, slots=True)
class TuningFeed:
    """Batches without end for one process out of `world`: `rows` rows of `length` tokens each.

    The passes' pieces are packed in an order drawn from `seed`. `rows_of_a_pass` counts the first one's, for the whole
    of all processes.
    """

    draw: Draw
    length: int
    rows: int
    seed: int = 0
    rank: int = 0
    world: int = 1

    def batches(self, skip: int = 0) -> Iterator[Batch]:
        """Batches from the start, or without the first `skip`. Raises ValueError when there is nothing to learn."""
        stream = self._stream()
        taken = 0
        while True:
            batch = list(islice(stream, self.rows))
            taken += 1
            if taken > skip:
                yield collate(batch)

    def rows_of_a_pass(self) -> int:
        """Rows that one pass over all files takes. Raises ValueError when there is nothing to learn."""
        return sum(1 for _ in self._pass(0, 0, 1))

    def _stream(self) -> Iterator[Row]:
        number = 0
        while True:
            yield from self._pass(number, self.rank, self.world)
            number += 1

    def _pass(self, number: int, rank: int, world: int) -> Iterator[Row]:
        arrays = gathered(self.draw(number))
        seed = (self.seed << 16) + number
        if len(arrays) < 4 * world:
            # Too few to share out: each process takes them all, in an order of its own.
            seed, rank, world = seed + (rank << 40), 0, 1
        rows = packed(arrays, self.length, seed=seed, rank=rank, world=world)
        first = next(rows, None)
        if first is None:
            raise ValueError("there is nothing to learn: no file gave a sample")
        yield first
        yield from rows


def gathered(pieces: Iterable[Piece]) -> PieceArrays:
    """Pieces as flat arrays, some of them at a time, since a Python object for each token takes much memory."""
    listed = []
    source = iter(pieces)
    while chunk := list(islice(source, _AT_ONCE)):
        listed.append(arrays_of(chunk))
    return joined(listed)


def _prefix(family: FimFamily, encoded: EncodedSample) -> tuple[int, int]:
    """Where the text before the cursor stands in the prompt, header included."""
    end = encoded.middle.start
    prompt = encoded.ids[:end]
    if encoded.format == "psm" and family.prefix is not None and family.suffix is not None:
        return _behind(prompt, family.prefix.id), prompt.index(family.suffix.id)
    marker = family.middle if encoded.format == "spm" else family.begin
    return (0 if marker is None else _behind(prompt, marker.id)), end


def _behind(ids: Sequence[int], marker: int) -> int:
    """The place behind the last of these markers; 0 without any."""
    return next((place + 1 for place in range(len(ids) - 1, -1, -1) if ids[place] == marker), 0)
