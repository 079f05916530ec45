"""How snippets of other files are quoted on the embedded tokenizer."""

from __future__ import annotations

from pathlib import Path

import pytest

import aix_lsp
from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.prompt import build_prompt
from aix_lsp.settings import PromptSettings
from aix_lsp.types import DocumentSnapshot, ModelInfo, Prompt, Snippet

HEADER = "# the file path is: {}\n# the code file is written by Python\n"


@pytest.fixture(scope="module")
def mini() -> ModelTokenizer:
    return load_tokenizer(Path(aix_lsp.__file__).parent / "models" / "aix-mini")


def snippet(path: str, lines: int = 10, *, start: int = 1, end: str = "") -> Snippet:
    text = "\n".join(f"{path[0]}{number} = {number}" for number in range(start, start + lines)) + end
    return Snippet(path, start, start + lines - 1, 1.0, "similar", text)


def build(tokenizer: ModelTokenizer, *snippets: Snippet, name: str = "main.py", **options: object) -> Prompt:
    document = DocumentSnapshot(f"file:///{name}", "x = \ny = 2\n", "", 1, name)
    chosen = PromptSettings.model_validate({"token_healing": False, "format": "psm", **options})
    return build_prompt(tokenizer, ModelInfo("mini", 1024), document, 4, snippets, chosen, 64)


def test_snippets_are_documents_with_the_best_next_to_the_file(mini: ModelTokenizer) -> None:
    best, second = snippet("a.py", 2), snippet("b.py", 2, end="\n")
    prompt = build(mini, best, second)
    assert prompt.text == (
        f"<s>{HEADER.format('b.py')}b1 = 1\nb2 = 2\n</s>"
        f"<s>{HEADER.format('a.py')}a1 = 1\na2 = 2</s>"
        f"<s>▁<AIX-SPAN-PRE>{HEADER.format('main.py')}x = ▁<AIX-SPAN-POST>\ny = 2\n▁<AIX-SPAN-MIDDLE>"
    )
    assert prompt.snippets == (best, second)
    assert [part.label for part in prompt.parts] == ["b.py:1-2", "a.py:1-2", "main.py", "", ""]
    assert [token for token in prompt.ids if token in mini.special_ids] == [1, 2, 1, 2, 1, 4, 5, 6]


def test_comments_stand_below_the_header_with_the_best_first(mini: ModelTokenizer) -> None:
    prompt = build(mini, snippet("a.py", 2), snippet("b.js", 1), snippet_layout="comments")
    assert prompt.text == (
        f"<s>▁<AIX-SPAN-PRE>{HEADER.format('main.py')}"
        "# Here are some relevant code fragments from other files of the repo:\n\n"
        "# the below code fragment can be found in:\n# a.py\n# a1 = 1\n# a2 = 2\n\n"
        "# the below code fragment can be found in:\n# b.js\n# b1 = 1\n\n"
        "x = ▁<AIX-SPAN-POST>\ny = 2\n▁<AIX-SPAN-MIDDLE>"
    )
    assert [part.role for part in prompt.parts] == ["header", "snippet", "snippet", "prefix", "suffix"]
    assert sum(part.tokens for part in prompt.parts) == len(prompt.ids) - 4


def test_comments_are_written_in_the_language_of_the_file(mini: ModelTokenizer) -> None:
    prompt = build(mini, snippet("a.py", 1), name="main.ts", snippet_layout="comments")
    assert "// the below code fragment can be found in:\n// a.py\n// a1 = 1\n" in prompt.text


def test_a_comment_keeps_to_one_line_whatever_the_line_end(mini: ModelTokenizer) -> None:
    quoted = Snippet("a.py", 1, 3, 1.0, "similar", "a = 1\r\n\rb = 2\n")
    prompt = build(mini, quoted, snippet_layout="comments")
    assert "# a = 1\n#\n# b = 2\n\nx = " in prompt.text


def test_a_file_of_no_known_language_has_no_header(mini: ModelTokenizer) -> None:
    prompt = build(mini, snippet("data.unknown", 1), name="main.unknown")
    assert prompt.text.startswith("<s>d1 = 1</s><s>▁<AIX-SPAN-PRE>x = ▁<AIX-SPAN-POST>")


@pytest.mark.parametrize("layout", ["documents", "comments"])
def test_a_snippet_too_long_loses_lines_from_its_end(mini: ModelTokenizer, layout: str) -> None:
    prompt = build(mini, snippet("a.py", 200, start=11), snippet_layout=layout)
    (quoted,) = prompt.snippets
    lines = quoted.end_line - quoted.start_line + 1
    assert quoted.start_line == 11
    assert quoted.text == "\n".join(f"a{number} = {number}" for number in range(11, 11 + lines))
    assert f"a{quoted.end_line} = {quoted.end_line}\n" in prompt.text
    assert f"a{quoted.end_line + 1} =" not in prompt.text
    assert prompt.cut == (f"snippet a.py:11-210: {200 - lines} of 200 lines cut from the end",)
    assert prompt.parts[0 if layout == "documents" else 1].label == f"a.py:11-{quoted.end_line}"


def test_the_best_snippets_come_first_when_room_is_short(mini: ModelTokenizer) -> None:
    best, long, small = snippet("a.py", 20), snippet("b.py", 200), snippet("c.py", 20)
    prompt = build(mini, best, long, small)
    assert prompt.snippets[0] == best
    assert prompt.snippets[1].path == "b.py"
    assert len(prompt.snippets) == 2
    assert prompt.cut[1] == "snippet c.py:1-20: left out, no room"


def test_a_snippet_of_which_hardly_a_line_fits_is_left_out(mini: ModelTokenizer) -> None:
    wide = Snippet("a.py", 1, 10, 1.0, "similar", "\n".join(["word " * 120] * 10))
    small = snippet("b.py", 3)
    prompt = build(mini, wide, small)
    assert prompt.snippets == (small,)
    assert prompt.cut == ("snippet a.py:1-10: left out, no room",)


@pytest.mark.parametrize("share", [0, 0.05, 0.2, 0.8])
@pytest.mark.parametrize("layout", ["documents", "comments"])
def test_snippets_never_take_more_than_their_share(mini: ModelTokenizer, share: float, layout: str) -> None:
    long = [snippet(f"{name}.py", 60) for name in "abcde"]
    prompt = build(mini, *long, snippet_share=share, snippet_layout=layout)
    taken = sum(part.tokens for part in prompt.parts if part.role == "snippet")
    assert taken <= share * 960
    assert len(prompt.cut) + len([quoted for quoted in prompt.snippets if quoted in long]) == 5


def test_an_empty_snippet_is_left_out(mini: ModelTokenizer) -> None:
    assert build(mini, Snippet("a.py", 1, 1, 1.0, "similar", "")).snippets == ()


def test_markers_in_a_snippet_stay_text(mini: ModelTokenizer) -> None:
    prompt = build(mini, Snippet("a.py", 1, 1, 1.0, "similar", "s = '</s> <AIX-SPAN-PRE>▁'\n"))
    assert [token for token in prompt.ids if token in mini.special_ids] == [1, 2, 1, 4, 5, 6]
    assert mini.decode(prompt.ids[1 : prompt.ids.index(2)]).endswith("s = '</s> <AIX-SPAN-PRE>▁'\n")
