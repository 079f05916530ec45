"""Windows: every piece is text of its file, in order, with holes that lie in it and a length that fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.languages import language_of
from aix_lsp.prompt.fim import FimFamily, family_of
from aix_lsp.prompt.layout import file_header
from aix_lsp.text import with_line_feeds
from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.pieces import Part, Piece
from aix_lsp.training.snippets import SnippetFinder
from aix_lsp.training.windows import WindowDrawer, WindowSettings
from aix_lsp.types import Tokenizer

from .test_holes import SOURCES, read, variants
from .tiny_models import embedded_folder

FILES = [SourceFile("fixtures", path.name, language_of(path.name).name, read(path)) for path in SOURCES]
MANY = [
    replace(file, text=text, path=f"{name}/{file.path}") for file in FILES for name, text in variants(file.text).items()
]
SETTINGS = WindowSettings(lengths=(128, 256), suffix=(4, 60), snippets=0.0)
ASKED = (Part.PSM_FIRST, Part.PSM, Part.SPM_FIRST, Part.SPM)


@cache
def tools() -> tuple[Tokenizer, FimFamily]:
    tokenizer = load_tokenizer(embedded_folder())
    family = family_of(tokenizer)
    assert family is not None
    return tokenizer, family


def drawn(file: SourceFile, wanted: WindowSettings = SETTINGS, seed: int = 0) -> list[Piece]:
    return list(WindowDrawer(*tools(), wanted, seed=seed).pieces(file))


def marker(name: str) -> int:
    found = getattr(tools()[1], name)
    assert found is not None
    number: int = found.id
    return number


def between(ids: tuple[int, ...], first: str, last: str) -> tuple[int, ...]:
    """What stands between two markers."""
    start = ids.index(marker(first)) + 1
    return ids[start : ids.index(marker(last), start)]


def text_of(piece: Piece) -> tuple[int, ...]:
    """The piece's own text, without header and end."""
    ids = [token for token, part in zip(piece.ids, piece.parts, strict=True) if part == Part.TEXT]
    return tuple(ids[:-1] if ids and ids[-1] == marker("end") else ids)


def prompts(piece: Piece) -> Iterator[tuple[str, str, str]]:
    """Prefix, answer (with what healing took back) and suffix of everything that a piece asks."""
    tokenizer, _ = tools()
    own = text_of(piece)
    before = len(piece.ids) - len(own)
    for branch in piece.branches:
        assert branch.ids[-1] == marker("end")
        place = branch.ids.index(marker("suffix"))
        start = next(number for number, part in enumerate(branch.parts) if part in ASKED)
        prefix = (*own[: branch.attach - before], *branch.ids[:place])
        suffix = between(branch.ids, "suffix", "middle")
        # decoded as one: a piece of a character may end the prefix
        whole = tokenizer.decode((*prefix, *branch.ids[start:-1]))
        answer = tokenizer.decode(branch.ids[start:-1])
        yield whole.removesuffix(answer), answer, tokenizer.decode(suffix)
    if piece.parts[-1] in ASKED:
        assert piece.ids[-1] == marker("end")
        start = next(number for number, part in enumerate(piece.parts) if part in ASKED)
        answer = tokenizer.decode(piece.ids[start:-1])
        whole = tokenizer.decode((*own, *piece.ids[start:-1]))
        yield whole.removesuffix(answer), answer, tokenizer.decode(between(piece.ids, "suffix", "middle"))


def check(file: SourceFile, pieces: list[Piece], longest: int) -> Counter[str]:
    """All that holds for the pieces of any file; the kinds that there were."""
    tokenizer, _ = tools()
    kinds: Counter[str] = Counter()
    place = 0
    for piece in pieces:
        assert len(piece) <= longest
        assert len(piece.ids) == len(piece.parts)
        kinds["psm" if piece.branches else "spm" if piece.parts[-1] in ASKED else "l2r"] += 1
        window = tokenizer.decode(text_of(piece)).rstrip("\N{REPLACEMENT CHARACTER}")
        found = with_line_feeds(file.text).find(window, place)
        assert found >= 0, "windows follow one another"
        place = found
        for prefix, answer, suffix in prompts(piece):
            assert suffix
            assert prefix + answer + suffix in with_line_feeds(file.text)
            if piece.branches:
                assert window.startswith(prefix + answer)
    return kinds


@pytest.mark.parametrize("file", MANY, ids=lambda file: file.path)
def test_every_piece_is_text_of_its_file_and_every_hole_lies_in_its_window(file: SourceFile) -> None:
    kinds: Counter[str] = Counter()
    for seed in range(6):
        kinds += check(file, drawn(file, seed=seed), 256)
    assert min(kinds["psm"], kinds["spm"]) > 0


PARTS = st.sampled_from(
    [
        "def f(x):\n",
        "    return x\n",
        "\tgo(1)\r\n",
        "\r\n",
        "\n",
        "x = 'é漢😀'\n",
        "a" * 90,
        "  ",
        "{",
        "}\r\n",
        "\r",
        "# no\n",
    ]
)


@settings(max_examples=80, deadline=None)
@given(
    text=st.lists(PARTS, max_size=60).map("".join) | st.text(st.characters(codec="utf-8"), max_size=40),
    ending=st.sampled_from(["py", "js", "ts", "java", "go", "rs", "c", "cpp", "cs", "unknown"]),
)
def test_any_text_becomes_pieces_of_itself(text: str, ending: str) -> None:
    file = SourceFile("p", f"a.{ending}", "", text)
    pieces = drawn(file, replace(SETTINGS, lengths=(64, 128)))
    check(file, pieces, 128)
    assert bool(pieces) == bool(text)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path)
def test_left_to_right_alone_gives_the_whole_file_once_and_its_end(file: SourceFile) -> None:
    tokenizer, _ = tools()
    pieces = drawn(file, replace(SETTINGS, psm=0.0, spm=0.0))
    assert "".join(tokenizer.decode(text_of(piece)) for piece in pieces) == with_line_feeds(file.text)
    ends = [piece.ids[-1] == marker("end") for piece in pieces]
    assert ends == [False] * (len(pieces) - 1) + [True]


def test_trunks_cover_the_file_too() -> None:
    tokenizer, _ = tools()
    for file in FILES:
        pieces = drawn(file, replace(SETTINGS, psm=1.0, spm=0.0))
        assert "".join(tokenizer.decode(text_of(piece)) for piece in pieces) == with_line_feeds(file.text)


def test_the_same_file_and_seed_give_the_same_pieces_whatever_came_before() -> None:
    drawer = WindowDrawer(*tools(), SETTINGS, seed=4)
    list(drawer.pieces(FILES[0]))
    assert list(drawer.pieces(FILES[1])) == drawn(FILES[1], seed=4)
    assert drawn(FILES[1], seed=4) != drawn(FILES[1], seed=5)


def test_shares_of_windows_are_those_of_the_settings() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(12):
        for file in FILES:
            kinds += check(file, drawn(file, replace(SETTINGS, psm=0.5, spm=0.3), seed=seed), 256)
    assert 0.4 < kinds["psm"] / kinds.total() < 0.6
    # at the end of a file there is no suffix, and such a window is learned from left to right
    assert 0.15 < kinds["spm"] / kinds.total() < 0.35


def test_a_window_asks_for_several_holes() -> None:
    pieces = [piece for file in FILES for piece in drawn(file, replace(SETTINGS, psm=1.0, spm=0.0, lengths=(512,)))]
    assert sum(len(piece.branches) for piece in pieces) > 2 * len(pieces)


def test_snippets_stand_before_the_file_and_leave_room_for_it() -> None:
    wanted = replace(SETTINGS, snippets=1.0, snippet_share=0.4, lengths=(256,))
    finder = SnippetFinder(FILES)
    drawer = WindowDrawer(*tools(), wanted)
    shares = []
    for file in FILES:
        for piece in drawer.pieces(file, finder):
            assert len(piece) <= 256
            quoted = sum(part == Part.SNIPPET for part in piece.parts)
            assert quoted <= 0.4 * 256
            assert any(part == Part.TEXT for part in piece.parts)
            shares.append(quoted > 0)
    assert any(shares)


def test_a_path_that_would_fill_the_window_is_shown_by_its_name() -> None:
    tokenizer, family = tools()
    file = replace(FILES[0], path=f"{'very/deep/' * 40}queue.js")
    header = tuple(tokenizer.encode(file_header(family, "queue.js")))
    for piece in drawn(file):
        assert tuple(token for token, part in zip(piece.ids, piece.parts, strict=True) if part == Part.HEADER) == header
        assert any(part == Part.TEXT for part in piece.parts)


def test_a_line_longer_than_a_piece_gives_its_beginning() -> None:
    tokenizer, _ = tools()
    file = SourceFile("p", "a.py", "python", f"x = [{', '.join(map(str, range(3000)))}]\nprint(x)\n")
    first, *rest = drawn(file)
    assert len(first) == 256
    assert file.text.startswith(tokenizer.decode(text_of(first)))
    assert sum(len(piece) for piece in rest) <= 256


def test_suffixes_of_spm_may_have_a_length_of_their_own() -> None:
    apart = replace(SETTINGS, suffix=(4, 8), spm_suffix=(30, 60))
    lengths: dict[str, list[int]] = {"psm": [], "spm": []}
    for file in FILES:
        for piece in drawn(file, apart):
            lengths["psm"] += [len(between(branch.ids, "suffix", "middle")) for branch in piece.branches]
            if any(part in (Part.SPM_FIRST, Part.SPM) for part in piece.parts):
                lengths["spm"].append(len(between(piece.ids, "suffix", "middle")))
    assert len(lengths["psm"]) > 20
    assert len(lengths["spm"]) > 10
    assert median(lengths["psm"]) < 16
    assert median(lengths["spm"]) > 20


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lengths": ()}, "lengths"),
        ({"lengths": (512, 8)}, "lengths"),
        ({"psm": 1.2}, "psm is a share"),
        ({"psm": 0.7, "spm": 0.4}, "at most 1"),
        ({"snippet_share": -0.1}, "snippet_share"),
        ({"trunk": (0.0, 0.5)}, "trunk"),
        ({"trunk": (0.8, 0.5)}, "trunk"),
        ({"suffix": (0, 10)}, "suffix"),
        ({"suffix": (20, 10)}, "suffix"),
        ({"spm_suffix": (20, 10)}, "spm_suffix"),
        ({"middle": 0}, "middle"),
    ],
)
def test_settings_by_which_nothing_can_be_drawn_are_one_line(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        replace(SETTINGS, **changes)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
