"""The reference's own prompts, token for token, on the embedded tokenizer; and what holds at every cursor."""

from __future__ import annotations

from pathlib import Path

import pytest

import aix_lsp
from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.prompt import assemble, build_prompt, family_of
from aix_lsp.settings import PromptSettings
from aix_lsp.text import parts_with_line_feeds
from aix_lsp.types import DocumentSnapshot, FimFormat, ModelInfo, Prompt, Snippet

BOS, EOS, PRE, POST, MIDDLE = 1, 2, 4, 5, 6
NEWLINE, FOUR_SPACES, EIGHT_SPACES, SPACE = 7, 12, 16, 8099

# "# the file path is: test.py\n# the code file is written by Python\n"
HEADER = [8136, 331, 535, 668, 341, 8124, 1276, 8115, 548, NEWLINE]
HEADER += [8136, 331, 769, 535, 341, 939, 556, 825, NEWLINE]
# "for i in range(20):\n    if"
LOOP = [429, 303, 317, 1388, 8119, 8156, 8146, 327, NEWLINE, FOUR_SPACES, 315]
# '        print("Hello World")\n'
PRINT = [EIGHT_SPACES, 1525, 457, 5598, 321, 866, 6086, 471, NEWLINE]
# "% 5 == 0:" with a space in front
CONDITION = [708, SPACE, 8178, 489, SPACE, 8146, 8124]

BEFORE = "for i in range(20):\n    if "
AFTER = '        print("Hello World")\n'

SOURCE = '''\
class Shape:
    """Something with an area: ☺ é 漢字 😀."""

    def __init__(self, width: int) -> None:
\tself.width = width  # a tab
        if width < 0:
            raise ValueError(f"{width} is less than 0")

    def marker(self) -> str:
        return "</s> <AIX-SPAN-PRE>▁" + "<s>"\r
'''


@pytest.fixture(scope="module")
def mini() -> ModelTokenizer:
    return load_tokenizer(Path(aix_lsp.__file__).parent / "models" / "aix-mini")


def prompt_of(
    tokenizer: ModelTokenizer, before: str, after: str, form: FimFormat, snippets: tuple[Snippet, ...] = ()
) -> Prompt:
    document = DocumentSnapshot("file:///test.py", before + after, "python", 1, "test.py")
    model = ModelInfo("mini", 1024, form)
    return build_prompt(
        tokenizer, model, document, len(before), snippets, PromptSettings(token_healing=False), max_new_tokens=64
    )


def test_the_readmes_psm_example(mini: ModelTokenizer) -> None:
    prompt = prompt_of(mini, BEFORE, AFTER, "psm")
    assert list(prompt.ids) == [BOS, PRE, *HEADER, *LOOP, SPACE, POST, *PRINT, MIDDLE]
    assert prompt.text == (
        "<s>▁<AIX-SPAN-PRE># the file path is: test.py\n# the code file is written by Python\n"
        'for i in range(20):\n    if ▁<AIX-SPAN-POST>        print("Hello World")\n▁<AIX-SPAN-MIDDLE>'
    )
    assert prompt.format == "psm"
    assert prompt.cut == ()


def test_the_readmes_spm_example(mini: ModelTokenizer) -> None:
    prompt = prompt_of(mini, BEFORE + "i % 5 == 0:", AFTER, "spm")
    assert list(prompt.ids) == [BOS, PRE, POST, *PRINT, MIDDLE, *HEADER, *LOOP, 303, *CONDITION]
    assert prompt.text == (
        '<s>▁<AIX-SPAN-PRE>▁<AIX-SPAN-POST>        print("Hello World")\n▁<AIX-SPAN-MIDDLE>'
        "# the file path is: test.py\n# the code file is written by Python\n"
        "for i in range(20):\n    if i % 5 == 0:"
    )
    assert prompt.format == "spm"


def test_the_two_training_samples_differ_only_in_their_order(mini: ModelTokenizer) -> None:
    family = family_of(mini)
    assert family is not None
    prefix, suffix = [*LOOP, SPACE], PRINT
    middle = [8105, *CONDITION, EOS]
    psm = assemble(family, "psm", prefix=prefix, suffix=suffix, header=HEADER) + middle
    spm = assemble(family, "spm", prefix=prefix, suffix=suffix, header=HEADER) + middle
    assert psm == [BOS, PRE, *HEADER, *LOOP, SPACE, POST, *PRINT, MIDDLE, *middle]
    assert spm == [BOS, PRE, POST, *PRINT, MIDDLE, *HEADER, *LOOP, SPACE, *middle]
    assert mini.decode(middle) == "i % 5 == 0:"


@pytest.mark.parametrize("form", ["psm", "spm", "l2r"])
def test_without_a_suffix_the_file_is_simply_continued(mini: ModelTokenizer, form: FimFormat) -> None:
    prompt = prompt_of(mini, BEFORE, "", form)
    assert list(prompt.ids) == [BOS, *HEADER, *LOOP, SPACE]
    assert prompt.format == "l2r"


def test_left_to_right_leaves_the_suffix_out(mini: ModelTokenizer) -> None:
    prompt = prompt_of(mini, BEFORE, AFTER, "l2r")
    assert list(prompt.ids) == [BOS, *HEADER, *LOOP, SPACE]


def test_a_snippet_is_a_document_of_its_own_before_the_file(mini: ModelTokenizer) -> None:
    snippet = Snippet("lib/a.py", 3, 3, 1.0, "similar", "for i in range(20):\n")
    prompt = prompt_of(mini, BEFORE, AFTER, "psm", (snippet,))
    quoted = [BOS, *mini.encode("# the file path is: lib/a.py\n# the code file is written by Python\n")]
    quoted += [*LOOP[:9], EOS]
    assert list(prompt.ids) == [*quoted, BOS, PRE, *HEADER, *LOOP, SPACE, POST, *PRINT, MIDDLE]
    assert prompt.snippets == (snippet,)
    assert [(part.role, part.tokens) for part in prompt.parts] == [
        ("snippet", len(quoted)),
        ("header", len(HEADER)),
        ("prefix", len(LOOP) + 1),
        ("suffix", len(PRINT)),
    ]


def test_a_psm_prompt_changes_behind_the_cursor_and_an_spm_prompt_only_at_its_end(mini: ModelTokenizer) -> None:
    before, typed = (prompt_of(mini, text, AFTER, "spm").ids for text in (BEFORE, BEFORE + "i % 5"))
    assert typed[: len(before) - 1] == before[:-1]
    before, typed = (prompt_of(mini, text, AFTER, "psm").ids for text in (BEFORE, BEFORE + "i % 5"))
    assert typed[: before.index(POST) - 1] == before[: before.index(POST) - 1]
    assert typed[typed.index(POST) :] == before[before.index(POST) :]


@pytest.mark.parametrize("form", ["psm", "spm"])
def test_indentation_and_everything_else_survives_at_every_cursor(mini: ModelTokenizer, form: FimFormat) -> None:
    for offset in range(len(SOURCE)):
        # but for line ends, which a prompt has as line feeds
        before, after = parts_with_line_feeds(SOURCE[:offset], SOURCE[offset:])
        if not after:  # between a carriage return and its line feed
            continue
        prompt = prompt_of(mini, SOURCE[:offset], SOURCE[offset:], form)
        ids = list(prompt.ids)
        assert [token for token in ids if token in mini.special_ids] == ([BOS, PRE, POST, MIDDLE]), (
            "markers written out in the source must not become markers"
        )
        post, middle = ids.index(POST), ids.index(MIDDLE)
        if form == "psm":
            prefix, suffix = ids[2 + len(HEADER) : post], ids[post + 1 : middle]
        else:
            prefix, suffix = ids[middle + 1 + len(HEADER) :], ids[post + 1 : middle]
        assert mini.decode(prefix) == before
        assert mini.decode(suffix) == after


def test_a_middle_decodes_with_its_indentation_at_every_pair_of_borders(mini: ModelTokenizer) -> None:
    for start in range(len(SOURCE)):
        for length in (1, 2, 5, 13, 40):
            middle = SOURCE[start : start + length]
            assert mini.decode(mini.encode(middle)) == middle
