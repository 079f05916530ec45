"""Which parts of a file become pieces: windows of many lengths, their order, their holes and their snippets."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Protocol

from aix_lsp import languages
from aix_lsp.prompt.fim import FimFamily
from aix_lsp.prompt.layout import file_header, quote
from aix_lsp.text import with_line_feeds
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.holes import HoleFinder, HoleWeights
from aix_lsp.training.pieces import Frame, Piece, WindowEncoder
from aix_lsp.types import DocumentSnapshot, Snippet, Tokenizer

_SHORTEST = 64
_LEAST = 200  # characters of text in a window, whatever stands before it
_MOST_SUFFIX = 1500  # characters


class SnippetSource(Protocol):
    """Finds lines of other files that are like those around a place."""

    def find(self, path: str, prefix: str, suffix: str, count: int) -> Sequence[Snippet]: ...


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """How windows are drawn. Lengths are tokens of a whole piece, with all that stands around the text.

    `psm`, `spm` and the rest (left to right) are shares of windows; in PSM the trunk is learned from left to right as
    well. `trunk` is the range of a PSM piece's share that its trunk takes. `suffix` is the range of a suffix's tokens,
    drawn evenly in its logarithm: most cursors of a tree have little behind them, since each costs its suffix.
    `spm_suffix` is that of SPM windows where theirs differ, as prompts' do for a model with a length for each order.
    `middle` is the most characters of a hole. `snippets` is the share of windows with snippets of other files in front,
    `snippet_share` the most that they take of a piece, and `healing` is that of `WindowEncoder`.
    """

    lengths: tuple[int, ...] = (512, 512, 512, 1024)
    psm: float = 0.60
    spm: float = 0.25
    trunk: tuple[float, float] = (0.35, 0.75)
    suffix: tuple[int, int] = (8, 220)
    spm_suffix: tuple[int, int] | None = None
    middle: int = 360
    snippets: float = 0.3
    snippet_share: float = 0.45
    healing: float = 0.85
    weights: HoleWeights = field(default_factory=HoleWeights)

    def __post_init__(self) -> None:
        """Raises ValueError, with one line that names the field, for what no window can be drawn by."""
        if not self.lengths or min(self.lengths) < _SHORTEST:
            raise ValueError(f"lengths must name some of at least {_SHORTEST} tokens")
        for name in ("psm", "spm", "snippets", "snippet_share", "healing"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share and must lie between 0 and 1, not at {getattr(self, name)}")
        if self.psm + self.spm > 1:
            raise ValueError("psm and spm are shares of the same windows; together they are at most 1")
        if not 0 < self.trunk[0] <= self.trunk[1] <= 1:
            raise ValueError("trunk must be a range of shares above 0, the lower one first")
        for name in ("suffix", "spm_suffix"):
            given = getattr(self, name)
            if given is not None and not 1 <= given[0] <= given[1]:
                raise ValueError(f"{name} must be a range of tokens from 1 on, the lower one first")
        if self.middle < 1:
            raise ValueError("middle must be at least 1 character")


class WindowDrawer:
    """Cuts files into pieces. The same file and seed give the same pieces."""

    def __init__(self, tokenizer: Tokenizer, family: FimFamily, settings: WindowSettings, *, seed: int = 0) -> None:
        self._tokenizer = tokenizer
        self._family = family
        self._settings = settings
        self._seed = seed
        self._encoder = WindowEncoder(tokenizer, family, healing=settings.healing)

    def pieces(self, file: SourceFile, snippets: SnippetSource | None = None) -> Iterator[Piece]:
        """All of a file in windows, one after another from its start, of a line that is longer than a piece its start;
        line ends as line feeds.

        Snippets are looked for as the server does it, at one place of the window; what stands around that place is part
        of the query, also where a hole will be.
        """
        draw = random.Random(f"{self._seed} {file.project} {file.path}")
        # as prompts have it, whatever ends the file's lines
        text = with_line_feeds(file.text)
        file = replace(file, text=text)
        language = languages.language_of(file.path)
        finder = HoleFinder(text, language.grammar or "", self._settings.weights)
        lines = _line_starts(text)
        rate = _tokens_per_character(self._tokenizer, text)
        header = tuple(self._tokenizer.encode(file_header(self._family, _shown(file, draw))))
        if len(header) > min(self._settings.lengths) // 4:
            header = tuple(self._tokenizer.encode(file_header(self._family, PurePosixPath(file.path).name)))
        place, most = 0, max(self._settings.lengths)
        while place < len(lines) - 1:
            length = draw.choice(self._settings.lengths)
            frame = Frame((), header)
            start = lines[place]
            if snippets is not None and draw.random() < self._settings.snippets:
                frame = Frame(self._quoted(file, start, length, snippets, draw), header)
            order = self._order(draw)
            room = length - len(frame) - 8
            if order == "psm":
                room = int(room * draw.uniform(*self._settings.trunk))
            behind = 0
            if order == "spm":
                behind = max(min(_drawn(draw, self._settings.spm_suffix or self._settings.suffix), room // 2), 1)
                room -= behind
            count = max(int(room / rate), _LEAST)
            while True:
                following, end = _next_line(lines, place, start + count)
                piece = self._piece(order, text, range(start, end), finder, frame, length, behind, rate, draw)
                if len(piece) <= most or following == place + 1:
                    break
                # of more tokens than the file's beginning made expect: fewer lines
                count = int(0.9 * count * most / len(piece))
            place = following
            yield piece if len(piece) <= most else Piece(piece.ids[:most], piece.parts[:most])

    def _piece(
        self,
        order: str,
        text: str,
        window: range,
        finder: HoleFinder,
        frame: Frame,
        length: int,
        behind: int,
        rate: float,
        draw: random.Random,
    ) -> Piece:
        own = text[window.start : window.stop]
        if order == "l2r":
            return self._encoder.text(own, frame, whole=window.stop == len(text))
        if order == "spm":
            # the hole lies near the window's end, so that the prefix is as long as it can be
            tail = range(window.start + len(own) // 2, window.stop)
            hole = finder.draw(draw, within=tail, longest=self._settings.middle)
            if hole is not None and (after := _suffix(text, hole.end, int(behind / rate))):
                span = (hole.start - window.start, hole.end - window.start)
                piece = self._encoder.suffix_first(own, span, after, frame, draw)
                # of more tokens than were reckoned with, its answer would be what is cut off
                if len(piece) <= max(self._settings.lengths):
                    return piece
            return self._encoder.text(own, frame, whole=window.stop == len(text))
        holes = finder.draw_many(draw, length // 40, within=window, longest=self._settings.middle)
        draw.shuffle(holes)
        listed = [
            (
                hole.start - window.start,
                hole.end - window.start,
                _suffix(text, hole.end, int(_drawn(draw, self._settings.suffix) / rate)),
            )
            for hole in holes
        ]
        return self._encoder.prefix_first(own, listed, frame, draw, most=length)

    def _order(self, draw: random.Random) -> str:
        number = draw.random()
        if number < self._settings.psm:
            return "psm"
        return "spm" if number < self._settings.psm + self._settings.spm else "l2r"

    def _quoted(
        self, file: SourceFile, start: int, length: int, snippets: SnippetSource, draw: random.Random
    ) -> tuple[int, ...]:
        place = min(start + draw.randrange(200, 900), len(file.text))
        found = snippets.find(file.path, file.text[:place], file.text[place:], draw.randint(1, 3))
        document = DocumentSnapshot(f"file:///{file.path}", "", file.language, 0, file.path)
        room = int(length * self._settings.snippet_share)
        quotes = quote(self._tokenizer, self._family, "documents", document, found, room)
        return quotes.block.ids


def _drawn(draw: random.Random, between: tuple[int, int]) -> int:
    """A number of tokens, drawn evenly in its logarithm."""
    low, high = between
    return int(low * math.exp(math.log(high / low) * draw.random()))


def _shown(file: SourceFile, draw: random.Random) -> str:
    """A file's path as a prompt shows it: mostly from the project's folder, sometimes its name alone."""
    return PurePosixPath(file.path).name if draw.random() < 0.15 else file.path


def _suffix(text: str, start: int, characters: int) -> str:
    """About so many characters behind a hole, cut at a line's end as a prompt's budget cuts them."""
    reach = start + max(characters, 8)
    if reach >= len(text):
        return text[start:]
    end = text.rfind("\n", start, reach) + 1
    # at least the rest of the cursor's own line
    end = end or text.find("\n", reach) + 1 or len(text)
    return text[start : min(end, start + _MOST_SUFFIX)]


def _line_starts(text: str) -> list[int]:
    starts, place = [0], text.find("\n") + 1
    while place:
        starts.append(place)
        place = text.find("\n", place) + 1
    if starts[-1] != len(text):
        starts.append(len(text))
    return starts


def _next_line(lines: Sequence[int], place: int, reach: int) -> tuple[int, int]:
    """Index and offset of the last line start up to `reach`, at least one line on."""
    following = place + 1
    while following + 1 < len(lines) and lines[following + 1] <= reach:
        following += 1
    return following, lines[following]


def _tokens_per_character(tokenizer: Tokenizer, text: str) -> float:
    sample = text[:6000]
    return max(len(tokenizer.encode(sample)) / max(len(sample), 1), 0.05)
