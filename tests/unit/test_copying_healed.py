"""While an unfinished word is spelled anew, what is copied spells it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine.copying import CopyPrior, CopyWeights
from aix_lsp.engine.scripted import PieceTokenizer

ANY = CopyWeights(0, 0, 0, 0, 0, 0)


class Pieces(PieceTokenizer):
    """Pieces of two letters, as models cut long words."""

    def encode(self, text: str) -> list[int]:
        return [self._id(text[start : start + 2]) for start in range(0, len(text), 2)]


def copied(text: str, elsewhere: str, allowed: list[str], required: str) -> tuple[int, list[str]]:
    """Length of the match, and the pieces that may be copied, most frequent first."""
    pieces = Pieces()
    prior = CopyPrior(ANY, (), lambda token: pieces.decode([token]))
    prior.know([pieces.encode(elsewhere)])
    prior.begin(pieces.encode(text))
    match = prior.match([pieces.encode(piece)[0] for piece in allowed], required)
    return (match.length, [pieces.decode([token]) for token, _ in match.followers]) if match else (0, [])


@pytest.mark.parametrize(
    ("text", "elsewhere", "allowed", "required", "length", "pieces"),
    [
        # the word is found though other text stands before it
        ("x=", "import__discount", ["di", "ab"], "disco", 3, ["di"]),
        # a beginning alone is not enough
        ("x=", "y=dim(", ["di"], "disco", 0, []),
        ("x=", "y=di", ["di"], "disco", 0, []),
        # what stands before it makes the match longer, and the longer one counts
        ("x=", "x=discount;;discord", ["di"], "disco", 4, ["di"]),
        ("x=", "y;discount;;discount", ["di"], "dis", 2, ["di"]),
        # a piece may go beyond what is required
        ("x=", "y;discount", ["di"], "d", 1, ["di"]),
        # never across the border between two texts
        ("co", "x;dis", ["di"], "disco", 0, []),
    ],
)
def test_what_is_copied_spells_the_whole_word(
    text: str, elsewhere: str, allowed: list[str], required: str, length: int, pieces: list[str]
) -> None:
    assert copied(text, elsewhere, allowed, required) == (length, pieces)


LONG = st.text("ab.", min_size=2, max_size=12).flatmap(lambda text: st.sampled_from([text, 55 * text]))


@given(LONG, st.text("ab", min_size=1, max_size=5), st.text("ab.", max_size=8))
def test_every_follower_begins_a_place_that_spells_what_is_required(elsewhere: str, required: str, text: str) -> None:
    pieces = Pieces()
    prior = CopyPrior(ANY, (), lambda token: pieces.decode([token]))
    prior.know([pieces.encode(elsewhere)])
    prior.begin(pieces.encode(text))
    allowed = {
        token
        for piece in ("a", "b", ".", *(x + y for x in "ab." for y in "ab."))
        for token in pieces.encode(piece)
        if piece.startswith(required) or required.startswith(piece)
    }
    match = prior.match(allowed, required)
    found = {pieces.decode([token]) for token, _ in match.followers} if match else set()
    cut = [[whole[start : start + 2] for start in range(0, len(whole), 2)] for whole in (elsewhere, text)]
    spelling = {
        parts[number]
        for parts in cut
        for number in range(len(parts))
        if parts[number] and "".join(parts[number : number + 4]).startswith(required)
    }
    assert found <= spelling
    assert bool(found) == bool(spelling)
