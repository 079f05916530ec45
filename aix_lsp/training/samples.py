"""Fill-in-the-middle samples of source files, and their token ids.

A file is cut into stretches at line ends, and each stretch gives one sample: with `fim_rate` a hole in it, with all
the rest of the file around, else the stretch itself from left to right. Prompts are built by the server's own
`build_prompt`, so what a model is trained on and what it is asked later cannot differ.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from aix_lsp.languages import language_of
from aix_lsp.prompt.build import build_prompt
from aix_lsp.prompt.fim import FimFamily
from aix_lsp.settings import PromptSettings
from aix_lsp.text import parts_with_line_feeds
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.holes import Hole, HoleFinder, HoleKind, HoleWeights, random_span
from aix_lsp.types import DocumentSnapshot, FimFormat, ModelInfo, PromptLimits, Snippet, Tokenizer

if TYPE_CHECKING:
    from aix_lsp.training.snippets import SnippetFinder

_MOST_SNIPPETS = 3
_MIDDLE_SHARE = 0.75
"""Of a sequence, a middle takes at most this; without anything before it there is nothing to learn."""
_HEALED_TOKENS = 16
"""Room for what token healing moves from the prompt into the middle: eight tokens, which may join otherwise there."""


@dataclass(frozen=True, slots=True)
class FimSample:
    """One text in three parts: `prefix + middle + suffix` is the whole file.

    With order "l2r" (kind "left to right") the middle is a stretch of the file, and the suffix is what the model does
    not see. `snippets` are of other files, best first.
    """

    project: str
    path: str
    language: str
    prefix: str
    middle: str
    suffix: str
    kind: HoleKind | Literal["left to right"]
    order: FimFormat
    snippets: tuple[Snippet, ...] = ()


@dataclass(frozen=True, slots=True)
class SamplerSettings:
    """What share of samples is of which sort.

    `fim_rate`: with a middle to fill (the others run from left to right), 0.7 as aiXcoder-7B was trained. Of these,
    `random_span_rate` have a random span for a middle instead of a node, and `spm_rate` are in the order
    suffix-prefix-middle. `snippet_rate`: with one to three snippets of other files. `stretch` is how many characters
    of a file make one sample, `longest_middle` the most characters of a hole.
    """

    fim_rate: float = 0.7
    spm_rate: float = 0.5
    random_span_rate: float = 0.0
    snippet_rate: float = 0.3
    seed: int = 0
    stretch: int = 2000
    longest_middle: int = 600
    weights: HoleWeights = field(default_factory=HoleWeights)

    def __post_init__(self) -> None:
        """Raises ValueError with one line for a person."""
        for name in ("fim_rate", "spm_rate", "random_span_rate", "snippet_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share between 0 and 1, not {getattr(self, name)}")
        for name in ("stretch", "longest_middle"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a number of characters, at least 1, not {getattr(self, name)}")


class Sampler:
    """Makes samples of files. The same seed, project and path give the same draws, in whatever order files come; a
    new pass over the same files takes a new seed."""

    def __init__(self, settings: SamplerSettings | None = None) -> None:
        self._settings = settings or SamplerSettings()

    def samples(self, file: SourceFile, snippets: SnippetFinder | None = None) -> Iterator[FimSample]:
        """One sample per stretch of the file, in the file's order. `snippets` knows the other files of the project;
        without it no sample has any. An empty file has no samples."""
        settings = self._settings
        draw = random.Random(f"{settings.seed}\0{file.project}\0{file.path}")
        finder: HoleFinder | None = None
        for stretch in stretches(file.text, settings.stretch):
            hole: Hole | None = None
            if draw.random() < settings.fim_rate:
                if draw.random() < settings.random_span_rate:
                    hole = _random_hole(file.text, stretch, draw)
                else:
                    if finder is None:
                        grammar = language_of(file.path, file.language).grammar
                        finder = HoleFinder(file.text, grammar, settings.weights)
                    hole = finder.draw(draw, within=stretch, longest=settings.longest_middle)
            yield self._sample(file, stretch, hole, draw, snippets)

    def _sample(
        self, file: SourceFile, stretch: range, hole: Hole | None, draw: random.Random, snippets: SnippetFinder | None
    ) -> FimSample:
        settings = self._settings
        start, end = (stretch.start, stretch.stop) if hole is None else (hole.start, hole.end)
        spm, quoted = draw.random() < settings.spm_rate, draw.random() < settings.snippet_rate
        count = draw.randint(1, _MOST_SNIPPETS)
        prefix, suffix = file.text[:start], file.text[end:]
        found: tuple[Snippet, ...] = ()
        if quoted and snippets is not None:
            found = snippets.find(file.path, prefix, "" if hole is None else suffix, count, file.language)
        return FimSample(
            project=file.project,
            path=file.path,
            language=file.language,
            prefix=prefix,
            middle=file.text[start:end],
            suffix=suffix,
            kind="left to right" if hole is None else hole.kind,
            order="l2r" if hole is None else "spm" if spm else "psm",
            snippets=found,
        )


def stretches(text: str, longest: int) -> Iterator[range]:
    """Ranges of code points that cover the text, about equally long, at most `longest`, cut at line ends where there
    is one in the second half of a range."""
    start = 0
    while start < len(text):
        left = len(text) - start
        size = -(-left // -(-left // longest))
        end = start + size
        if end < len(text):
            line = text.rfind("\n", start, start + min(longest, size + size // 4)) + 1
            end = line if line > start + size // 2 else end
        yield range(start, end)
        start = end


def _random_hole(text: str, stretch: range, draw: random.Random) -> Hole:
    span = random_span(text[stretch.start : stretch.stop], draw)
    return Hole(stretch.start + span.start, stretch.start + span.end, span.kind)


@dataclass(frozen=True, slots=True)
class EncodedSample:
    """Token ids of a prompt and its answer.

    `middle` are the positions in `ids` of the answer: what token healing took back from the prefix, the middle, and
    the end marker. `format` is the order that the prompt has in the end: left to right where there is no suffix.
    """

    ids: tuple[int, ...]
    middle: range
    format: FimFormat


def document_of(sample: FimSample) -> DocumentSnapshot:
    """The document as an editor would have it before the middle is written; the cursor stands behind the prefix."""
    text = sample.prefix if sample.order == "l2r" else sample.prefix + sample.suffix
    return DocumentSnapshot(f"file:///{sample.path}", text, sample.language, 0, sample.path)


def encode(
    tokenizer: Tokenizer,
    family: FimFamily,
    sample: FimSample,
    *,
    healing: bool,
    longest: int,
    limits: tuple[PromptLimits, ...] = (),
) -> EncodedSample:
    """The sample as at most `longest` tokens: the server's prompt, then the answer with the family's end marker.

    The prompt gets what the middle leaves, at least a quarter. A middle that does not fit is cut, and then has no end
    marker; nor has a stretch from left to right behind which the file goes on. `healing` takes the unfinished word
    before the middle out of the prompt, as serving does, and the answer begins with it; `limits` are what the model
    asks of prompts in serving. Raises ValueError when there is no room for a prompt.
    """
    most = max(1, int(longest * _MIDDLE_SHARE))
    # prompts have line feeds, whatever the file has; so has what continues them
    prefix, middle, suffix = parts_with_line_feeds(sample.prefix, sample.middle, sample.suffix)
    sample = replace(sample, prefix=prefix, middle=middle, suffix=suffix)
    reserve = len(tokenizer.encode(middle)) + 1 + (_HEALED_TOKENS if healing else 0)
    prompt = build_prompt(
        tokenizer,
        ModelInfo("a model in training", longest, format=sample.order, limits=limits),
        document_of(sample),
        len(sample.prefix),
        sample.snippets,
        PromptSettings(token_healing=healing, max_tokens=max(64, longest)),
        min(reserve, most),
    )
    answer = tokenizer.encode(prompt.required + middle)
    if family.end is not None and (prompt.format != "l2r" or not sample.suffix):
        answer.append(family.end.id)
    ids = (*prompt.ids, *answer)[:longest]
    return EncodedSample(ids, range(len(prompt.ids), len(ids)), prompt.format)
