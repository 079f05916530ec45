"""Where the last tokens of a text stood before in it: found anew at every token without reading the text again.

What speculation guesses from and what the copy prior counts. Source code repeats itself, so what followed the same
tokens before is often what comes next (Hindle et al. 2012, On the naturalness of software).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

BORDER: Final = -1
"""Between segments, none of which runs on into the next: no token, so nothing matches across it."""


def reading_order(ids: Sequence[int], markers: Collection[int]) -> tuple[list[list[int]], list[int]]:
    """A prompt's segments, and apart from them the one that generation goes on from.

    Markers cut a prompt into segments. Generation goes on from the last one (suffix-prefix-middle, left to right), or
    from the one before the suffix where the prompt ends with a suffix and a marker (prefix-suffix-middle). Empty
    segments are left out.
    """
    segments: list[list[int]] = [[]]
    for token in ids:
        if token in markers:
            segments.append([])
        else:
            segments[-1].append(token)
    behind_suffix = len(segments) > 3 and not segments[-1] and segments[-2]
    text = segments.pop(-3 if behind_suffix else -1)
    return [segment for segment in segments if segment], text


class TokenIndex:
    """A text that grows at its end, in some segments, with every earlier place where its end stood before.

    Taking a token in costs as much as it has occurrences so far, and never reads the rest. Building costs one step for
    each token. `longest` caps the length of a match, in tokens.
    """

    def __init__(self, segments: Sequence[Sequence[int]] = (), text: Sequence[int] = (), *, longest: int = 32) -> None:
        if longest < 1:
            raise ValueError(f"a match has at least one token, not {longest}")
        self._longest = longest
        self._ids: list[int] = [BORDER]
        for segment in segments:
            self._ids += segment
            self._ids.append(BORDER)
        self._ids += text
        self._places: dict[int, list[int]] = {}
        for position, token in enumerate(self._ids):
            self._places.setdefault(token, []).append(position)
        self._places.pop(BORDER)
        self._matches = self._search()

    def __len__(self) -> int:
        """Tokens of all segments, borders among them."""
        return len(self._ids)

    def push(self, token: int) -> None:
        """The text goes on with this token."""
        before = self._matches
        places = self._places.setdefault(token, [])
        longest = self._longest
        self._matches = {place: min(before.get(place - 1, 0) + 1, longest) for place in places}
        places.append(len(self._ids))
        self._ids.append(token)

    @property
    def matches(self) -> Mapping[int, int]:
        """Position of each earlier occurrence of the last token -> how many tokens up to there are the text's last."""
        return self._matches

    def longest(self) -> tuple[int, int]:
        """Place and length of the longest match that something follows, the latest of equally long ones; (0, 0) where
        there is none."""
        ids = self._ids
        best, most = 0, 0
        for place, length in self._matches.items():
            if length >= most and ids[place + 1] != BORDER:
                best, most = place, length
        return best, most

    def following(self, place: int, limit: int) -> list[int]:
        """Up to `limit` tokens that stand behind a position, to the end of its segment or of the text."""
        found = self._ids[place + 1 : place + 1 + limit]
        return found[: found.index(BORDER)] if BORDER in found else found

    def followers(self) -> Iterator[tuple[int, int]]:
        """Length of each match, and the token that followed it; none for one that a border follows."""
        ids = self._ids
        for place, length in self._matches.items():
            if ids[place + 1] != BORDER:
                yield length, ids[place + 1]

    def _search(self) -> dict[int, int]:
        """The matches of the text's end, by comparing backwards at each place of its last token."""
        ids, end = self._ids, len(self._ids) - 1
        found: dict[int, int] = {}
        for place in self._places.get(ids[end], [])[:-1]:
            length = 1
            # the border in front ends every comparison
            while length < self._longest and ids[place - length] == ids[end - length] != BORDER:
                length += 1
            found[place] = length
        return found
