"""A part of a large project that is still a project: runs of neighbouring files, drawn from all over it."""

from __future__ import annotations

import random
from collections.abc import Sequence

from aix_lsp.training.corpus.records import SourceFile

_RUN = 24  # files; about a package with its neighbours, which quote and call one another


def runs(files: Sequence[SourceFile], characters: int, seed: int) -> list[SourceFile]:
    """Files of a project with `characters` together at most (but always one), in the order given if all of them
    are taken, else in that of their paths.

    Neighbours by path are kept together, because a sample that took single files would have nobody left to quote.
    The same files and seed give the same choice.
    """
    if sum(len(file.text) for file in files) <= characters:
        return list(files)
    ordered = sorted(files, key=lambda file: file.path)
    starts = list(range(0, len(ordered), _RUN))
    random.Random(f"{seed} {ordered[0].project if ordered else ''}").shuffle(starts)
    chosen: list[int] = []
    left = characters
    for start in starts:
        for number in range(start, min(start + _RUN, len(ordered))):
            size = len(ordered[number].text)
            if size <= left or not chosen:
                chosen.append(number)
                left -= size
    return [ordered[number] for number in sorted(chosen)]
