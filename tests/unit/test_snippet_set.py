"""The snippets of the last request stay while they are good enough."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion.context import WorkspaceContext
from aix_lsp.completion.several_roots import Found
from aix_lsp.completion.snippet_set import CLEARLY_BETTER, KEPT, Chosen, SnippetSets, still_good, typed_on
from aix_lsp.settings import Settings
from aix_lsp.types import DocumentSnapshot, Snippet, SnippetKind

FILLING = "value = compute(other)\n" * 30


def found(score: float, kind: SnippetKind = "similar", root: int = 1) -> Found:
    return Found(root, 1.0, Snippet("a.py", 1, 2, score, kind, "x\n"))


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("x = |\n", "x = a|\n", True),
        ("x = abc|\n", "x = a|\n", True),
        ("f|\n", "f(|)\n", True),
        ("def f():|\n", "def f():\n    |\n", True),
        (f"a|\n{FILLING}", f"a\n{FILLING}|", False),
        (f"{FILLING}a|\n", f"|{FILLING}a\n", False),
        (f"{FILLING}a|\n", f"import os\n{FILLING}a|\n", False),
        (f"a|\n{FILLING}", f"a|\n{FILLING}end\n", False),
        (f"{FILLING}|", f"{'y' * 150}|", False),
    ],
)
def test_typing_and_jumping(before: str, now: str, *, expected: bool) -> None:
    one, other = before.replace("|", ""), now.replace("|", "")
    assert typed_on(one, before.index("|"), other, now.index("|")) == expected
    assert typed_on(other, now.index("|"), one, before.index("|")) == expected


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=50), st.text(max_size=50))
def test_what_is_typed_at_the_cursor_is_typing(above: str, below: str, gone: str, typed: str) -> None:
    assert typed_on(above + gone + below, len(above + gone), above + typed + below, len(above + typed))


def test_a_set_stays_unless_another_is_clearly_better() -> None:
    before = [found(10), found(8), found(1.0, "definition")]
    assert still_good([found(11), found(9), found(1.5, "definition")], before)
    assert not still_good([found(10 * CLEARLY_BETTER), found(9 * CLEARLY_BETTER), found(1, "definition")], before)
    assert not still_good([found(10), found(8), found(3.0, "definition")], before)
    assert not still_good([found(10), found(8), found(1, "definition"), found(0, "definition")], before)
    assert not still_good([found(5), found(5), found(5)], before[:2])
    assert still_good([found(10)], before)
    assert still_good([], before)


def test_a_set_goes_when_one_of_it_no_longer_fits_or_there_is_none() -> None:
    assert not still_good([found(5)], [found(10), None])
    assert not still_good([found(5)], [])


def test_few_documents_are_remembered_and_only_under_the_same_key() -> None:
    sets = SnippetSets()
    sets.note("first", "x = ", 4, "key", Chosen((found(1),), {1: 0}))
    assert sets.before("first", "x = a", 5, "key").snippets == (found(1),)
    assert sets.before("first", "x = a", 5, "other key").snippets == ()
    assert sets.before("second", "x = a", 5, "key").snippets == ()
    for number in range(100):
        sets.note(f"later{number}", "x = ", 4, "key", Chosen((), {}))
    assert sets.before("first", "x = a", 5, "key").snippets == ()


class Typing:
    """A document in a workspace of birds, and what it is shown."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, more in (("heron", "wade"), ("stork", "wade"), ("crane", "dance"), ("ibis", "dance")):
            (root / f"{name}.py").write_text(f"def {name}_route(start):\n    return {more}(start, {name}_map)\n")
        self.context = WorkspaceContext(Settings())
        self.context.index_now(root)

    def shown(self, text: str, **retrieval: object) -> list[Snippet]:
        path = self.root / "asking.py"
        document = DocumentSnapshot(path.as_uri(), f"{text}\nrest()\n", "python", 1, path.name, path)
        values = {"snippets": 2, "definitions": False, **retrieval}
        return self.context.snippets(document, len(text), Settings.model_validate({"retrieval": values}))


def kept(snippets: list[Snippet]) -> list[bool]:
    return [KEPT in snippet.notes for snippet in snippets]


async def test_typing_on_keeps_the_snippets_and_their_order(tmp_path: Path) -> None:
    typing = Typing(tmp_path)
    first = typing.shown("a = wade(start, heron_map)\nb = stork_map")
    assert kept(first) == [False, False]
    then = typing.shown("a = wade(start, heron_map)\nb = stork_map + stork_route(st")
    assert kept(then) == [True, True]
    assert [snippet.path for snippet in then] == [snippet.path for snippet in first]
    assert kept(typing.shown("a = wade(start, heron_map)\nb = stork_map + stork_route(star")) == [True, True]


async def test_what_fits_clearly_better_is_taken(tmp_path: Path) -> None:
    typing = Typing(tmp_path)
    typing.shown("a = wade(start, heron_map)\n")
    then = typing.shown("a = wade(start, heron_map)\nb = crane_route(dance(ibis_route, ibis_map, crane_map))\n")
    assert kept(then) == [False, False]
    assert {snippet.path for snippet in then} == {"crane.py", "ibis.py"}


async def test_a_changed_file_a_jump_other_settings_and_the_switch_end_it(tmp_path: Path) -> None:
    typing = Typing(tmp_path)
    text = "a = wade(start, heron_map)\nb = stork_map"

    def again() -> None:
        typing.shown(text)
        assert kept(typing.shown(text)) == [True, True]

    again()
    stork = tmp_path / "stork.py"
    stork.write_text(stork.read_text().replace("return", "return 1 +"))
    assert kept(typing.shown(text)) == [False, False]
    again()
    assert kept(typing.shown(text + "\n" + FILLING + text)) == [False, False]
    again()
    assert kept(typing.shown(text, query_lines=9)) == [False, False]
    again()
    assert kept(typing.shown(text, stable=False)) == [False, False]


async def test_what_the_document_says_meanwhile_is_not_quoted_any_more(tmp_path: Path) -> None:
    typing = Typing(tmp_path)
    text = "a = wade(start, heron_map)\nb = stork_map"
    typing.shown(text)
    copied = (tmp_path / "stork.py").read_text()
    assert "stork.py" not in [snippet.path for snippet in typing.shown(f"{text}\n{copied}")]


async def test_what_was_written_meanwhile_in_another_document_is_seen_at_once(tmp_path: Path) -> None:
    typing = Typing(tmp_path)
    text = "a = wade(start, heron_map)\nb = stork_map"
    typing.shown(text)
    assert kept(typing.shown(text)) == [True, True]
    egret = tmp_path / "egret.py"
    for line in ("return wade(start, heron_map, stork_map)", "return stork_map(wade, start, heron_map)"):
        typing.context.opened_or_changed(egret, f"def egret(start):\n    {line}\n", "python")
        assert line in "".join(snippet.text for snippet in typing.shown(text))
    await typing.context.close()
