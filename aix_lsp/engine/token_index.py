"""Where the last tokens of a text stood before in it: found anew at every token without reading the text again.

What speculation guesses from and what the copy prior counts. Source code repeats itself, so what followed the same
tokens before is often what comes next (Hindle et al. 2012, On the naturalness of software).
"""

from __future__ import annotations

from collections import Counter
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
    def ids(self) -> Sequence[int]:
        """All segments and the text, with BORDER before, between and behind the segments. Not to be changed."""
        return self._ids

    @property
    def known(self) -> Collection[int]:
        """Every token that occurs."""
        return self._places.keys()

    def positions(self, token: int) -> Sequence[int]:
        """Where a token stands, in order. Not to be changed."""
        return self._places.get(token, ())

    @property
    def matches(self) -> Mapping[int, int]:
        """Position of each earlier occurrence of the last token -> how many tokens up to there are the text's last."""
        return self._matches

    def longest(self) -> tuple[int, int]:
        """Place and length of the longest match that something follows, the latest of equally long ones; (0, 0) where
        there is none."""
        for length, places in self._by_length():
            for place in reversed(places):
                if self._ids[place + 1] != BORDER:
                    return place, length
        return 0, 0

    def following(self, place: int, limit: int) -> list[int]:
        """Up to `limit` tokens that stand behind a position, to the end of its segment or of the text."""
        found = self._ids[place + 1 : place + 1 + limit]
        return found[: found.index(BORDER)] if BORDER in found else found

    def followers(self, allowed: Collection[int] = (), without: Collection[int] = ()) -> tuple[int, Counter[int]]:
        """Length of the longest matches that one of the `allowed` tokens follows (any, where that is empty), and how
        often each of these tokens does; 0 and nothing where there is none. Followers at the positions `without` do not
        count."""
        ids = self._ids
        for length, places in self._by_length():
            found = Counter(
                token
                for place in places
                if (token := ids[place + 1]) != BORDER
                and (not allowed or token in allowed)
                and place + 1 not in without
            )
            if found:
                return length, found
        return 0, Counter()

    def _by_length(self) -> Iterator[tuple[int, list[int]]]:
        """The longest matches, those that are one token shorter, and so on, each with their places in order."""
        matches = self._matches
        for length in sorted(set(matches.values()), reverse=True):
            yield length, [place for place, found in matches.items() if found == length]

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
