"""Prompts fit their budget whatever the document; what is cut is cut at line starts and said."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import aix_lsp
from aix_lsp.engine.tokenizer import ModelTokenizer, load_tokenizer
from aix_lsp.prompt import build_prompt
from aix_lsp.prompt.budget import keep_head, keep_tail, share
from aix_lsp.settings import PromptSettings
from aix_lsp.text import parts_with_line_feeds
from aix_lsp.types import DocumentSnapshot, FimFormat, ModelInfo, Prompt, Snippet

LINES = [f"    value_{number} = compute({number}, key='{number}')\n" for number in range(3000)]
FILE = "".join(LINES)
POST, MIDDLE = 5, 6

fragments = st.sampled_from(
    [
        "\n",
        "\n",
        "\r\n",
        "\r",
        "    ",
        "x = 1",
        "def f():",
        "é😀",
        "▁",
        "word " * 30,
        "a" * 300,
        "<s>",
        " <AIX-SPAN-PRE>",
    ]
)
documents = st.lists(fragments, max_size=80).map("".join)
quoted = st.builds(
    Snippet,
    path=st.sampled_from(["a.py", "lib/very/deep/folder/module.py", "x.unknown"]),
    start_line=st.just(1),
    end_line=st.just(10),
    score=st.just(1.0),
    kind=st.just("similar"),
    text=documents,
)


@pytest.fixture(scope="module")
def mini() -> ModelTokenizer:
    return load_tokenizer(Path(aix_lsp.__file__).parent / "models" / "aix-mini")


def build(
    tokenizer: ModelTokenizer,
    text: str,
    offset: int,
    snippets: list[Snippet] | None = None,
    *,
    positions: int = 1024,
    new: int = 64,
    form: FimFormat = "psm",
    options: PromptSettings | None = None,
    before: str = "",
    after: str = "",
) -> Prompt:
    document = DocumentSnapshot("file:///a.py", text, "python", 1, "pkg/a.py", before=before, after=after)
    model = ModelInfo("mini", positions, form)
    return build_prompt(
        tokenizer, model, document, offset, snippets or [], options or PromptSettings(token_healing=False), new
    )


def segment(prompt: Prompt, role: str) -> int:
    return sum(part.tokens for part in prompt.parts if part.role == role)


def part_text(tokenizer: ModelTokenizer, prompt: Prompt, role: str) -> str:
    """The text of the prefix or the suffix, from the ids alone."""
    ids = list(prompt.ids)
    if role == "suffix":
        return tokenizer.decode(ids[ids.index(POST) + 1 : ids.index(MIDDLE)]) if POST in ids else ""
    end = ids.index(POST) if prompt.format == "psm" else len(ids)
    return tokenizer.decode(ids[end - segment(prompt, "prefix") : end])


@settings(max_examples=120, deadline=None)
@given(
    text=documents,
    cursor=st.floats(0, 1),
    snippets=st.lists(quoted, max_size=4),
    positions=st.integers(70, 700),
    new=st.integers(1, 64),
    form=st.sampled_from(["psm", "spm", "l2r"]),
    layout=st.sampled_from(["documents", "comments"]),
    limit=st.integers(64, 800),
    shares=st.tuples(st.floats(0, 0.8), st.floats(0, 0.8)),
    healing=st.booleans(),
    around=st.tuples(
        st.sampled_from(["", "import os", "".join(LINES[:9])]), st.sampled_from(["", "print(1)\n", FILE[:500]])
    ),
)
def test_a_prompt_never_exceeds_its_budget_and_holds_the_text_at_the_cursor(
    mini: ModelTokenizer,
    text: str,
    cursor: float,
    snippets: list[Snippet],
    positions: int,
    new: int,
    form: FimFormat,
    layout: str,
    limit: int,
    shares: tuple[float, float],
    healing: bool,
    around: tuple[str, str],
) -> None:
    offset = round(cursor * len(text))
    options = PromptSettings.model_validate(
        {
            "snippet_layout": layout,
            "max_tokens": limit,
            "snippet_share": shares[0],
            "suffix_share": shares[1],
            "token_healing": healing,
        }
    )
    before, after = around
    prompt = build(
        mini,
        text,
        offset,
        snippets,
        positions=positions,
        new=new,
        form=form,
        options=options,
        before=before,
        after=after,
    )
    assert len(prompt.ids) + new <= positions
    assert len(prompt.ids) <= limit
    assert len(prompt.ids) == sum(part.tokens for part in prompt.parts) + {"l2r": 1, "psm": 4, "spm": 4}[prompt.format]
    whole = before + ("\n" if before == "import os" else "") + text[:offset]
    behind = text[offset:]
    behind += ("" if behind.endswith(("\n", "\r")) else "\n") + after if after else ""
    prefix, suffix = parts_with_line_feeds(whole, behind)
    kept = part_text(mini, prompt, "prefix") + prompt.required
    assert healing or not prompt.required
    assert prefix.endswith(kept)
    assert bool(kept) == bool(prefix)
    inside_line = any("prefix" in sentence and "inside a line" in sentence for sentence in prompt.cut)
    start = len(prefix) - len(kept)
    assert inside_line or start == 0 or prefix[start - 1] == "\n"
    assert (start > 0) == any(sentence.startswith("prefix: ") for sentence in prompt.cut)
    rest = part_text(mini, prompt, "suffix")
    assert suffix.startswith(rest)
    assert segment(prompt, "snippet") <= limit * shares[0]


@settings(max_examples=150, deadline=None)
@given(text=documents, limit=st.integers(0, 120))
def test_the_most_whole_lines_are_kept_on_either_side(mini: ModelTokenizer, text: str, limit: int) -> None:
    tail, head = keep_tail(mini, text, limit), keep_head(mini, text, limit)
    for kept, joined in ((tail, text.endswith(tail.text)), (head, text.startswith(head.text))):
        assert joined
        assert len(kept.ids) <= limit
        assert list(kept.ids) == mini.encode(kept.text)
        assert kept.cut_characters == len(text) - len(kept.text)
        assert (kept.cut_characters == 0) == (len(mini.encode(text)) <= limit)


def test_one_more_line_would_not_fit(mini: ModelTokenizer) -> None:
    tail = keep_tail(mini, FILE, 300)
    count = tail.text.count("\n")
    assert tail.text == "".join(LINES[-count:])
    assert len(mini.encode("".join(LINES[-count - 1 :]))) > 300
    head = keep_head(mini, FILE, 300)
    count = head.text.count("\n")
    assert head.text == "".join(LINES[:count])
    assert len(mini.encode("".join(LINES[: count + 1]))) > 300


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_line_ends_are_places_to_cut(mini: ModelTokenizer, end: str) -> None:
    text = "".join(f"name_{number} = {number}{end}" for number in range(200)) + "last"
    tail = keep_tail(mini, text, 50)
    assert tail.text.startswith("name_")
    assert tail.text.endswith(f"{end}last")
    assert tail.cut_lines + tail.text.count(end) == 200
    head = keep_head(mini, text, 50)
    assert head.text.endswith(end)
    assert head.cut_lines + head.text.count(end) == 201


@pytest.mark.parametrize("form", ["psm", "spm", "l2r"])
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_the_prompt_of_a_document_is_the_same_whatever_its_line_ends(
    mini: ModelTokenizer, form: FimFormat, end: str
) -> None:
    before, after = "".join(LINES[:40]) + "value = ", "\n" + "".join(LINES[40:])
    other, behind = before.replace("\n", end), after.replace("\n", end)
    wanted = build(mini, before + after, len(before), form=form, positions=400)
    found = build(mini, other + behind, len(other), form=form, positions=400)
    assert found == wanted
    assert wanted.cut


def test_a_line_too_long_is_cut_inside_and_keeps_what_is_next_to_the_cursor(mini: ModelTokenizer) -> None:
    line = "data = [" + "1234, " * 5000
    prompt = build(mini, "import os\n" + line + "]\n", 10 + len(line), positions=256)
    kept = part_text(mini, prompt, "prefix")
    assert kept.endswith("1234, 1234, ")
    assert len(prompt.ids) > 150
    assert any(sentence.startswith("prefix: ") and "inside a line" in sentence for sentence in prompt.cut)


def test_room_that_a_short_prefix_leaves_goes_to_the_suffix(mini: ModelTokenizer) -> None:
    prompt = build(mini, FILE, len(LINES[0]))
    assert segment(prompt, "prefix") == len(mini.encode(LINES[0]))
    # an eighth stays free, so that the suffix stays as it is while the prefix grows
    assert len(prompt.ids) > 960 - 960 // 8 - len(mini.encode(LINES[-1]))


def test_room_that_a_short_suffix_leaves_goes_to_the_prefix(mini: ModelTokenizer) -> None:
    prompt = build(mini, FILE, len(FILE) - len(LINES[-1]))
    assert segment(prompt, "suffix") == len(mini.encode(LINES[-1]))
    assert len(prompt.ids) > 960 - len(mini.encode(LINES[-1]))


def test_a_long_file_is_shared_as_set(mini: ModelTokenizer) -> None:
    snippet = Snippet("lib/b.py", 1, 100, 1.0, "similar", "".join(LINES[:100]))
    options = PromptSettings(token_healing=False, snippet_share=0.35, suffix_share=0.25)
    prompt = build(mini, FILE, len(FILE) // 2, [snippet], options=options)
    assert 0.3 * 960 < segment(prompt, "snippet") <= 0.35 * 960
    left = 960 - segment(prompt, "snippet")
    assert 0.2 * left < segment(prompt, "suffix") <= 0.25 * left
    assert segment(prompt, "prefix") > 0.65 * left


def test_a_huge_line_above_the_cursor_leaves_its_room_to_the_suffix(mini: ModelTokenizer) -> None:
    before = "x" * 50_000 + "\nshort = 1\n"
    prefix, suffix = share(mini, before, FILE, 800, 0.25)
    assert prefix.text == "short = 1\n"
    assert len(suffix.ids) > 670


def prose(seed: int) -> list[str]:
    """Lines of very different lengths."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(["value", "other", "word"], k=draw.randint(20, 60))) + "\n" for _ in range(200)]


@pytest.mark.parametrize("suffix_share", [0.1, 0.25])
@pytest.mark.parametrize("line", [8, 20, 100])
@pytest.mark.parametrize("form", ["psm", "spm"])
@pytest.mark.parametrize("lines", [LINES[:200], prose(1)], ids=["code", "prose"])
def test_while_lines_are_typed_a_long_files_prompts_begin_and_end_alike(
    mini: ModelTokenizer, lines: list[str], form: FimFormat, line: int, suffix_share: float
) -> None:
    before, after, typed = ("".join(part) for part in (lines[:line], lines[line:], lines[150:158]))
    options = PromptSettings(token_healing=False, suffix_share=suffix_share)
    beginnings, suffixes = set(), set()
    for count in range(0, len(typed), 7):
        text = before + typed[:count]
        prompt = build(mini, text + after, len(text), form=form, options=options)
        beginnings.add(len(text) - len(part_text(mini, prompt, "prefix")))
        suffixes.add(part_text(mini, prompt, "suffix"))
    # eight lines: of code at most two steps, of prose more, since a step is fewer of its lines than it is tokens
    most = 3 if lines[0] == LINES[0] else 6
    assert len(beginnings) <= most
    assert len(suffixes) <= most


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3000), st.integers(80, 2000), st.floats(0, 0.8))
def test_most_of_the_room_is_used_where_lines_are_of_usual_length(
    mini: ModelTokenizer, line: int, room: int, suffix_share: float
) -> None:
    before, after = "".join(LINES[:line]), "".join(LINES[line:])
    prefix, suffix = share(mini, before, after, room, suffix_share)
    used = len(prefix.ids) + len(suffix.ids)
    assert used <= room
    assert used > 0.7 * room - 2 * 20  # a line of each that does not fit


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200), st.integers(40, 1000), st.floats(0, 0.8), st.integers(8, 200))
def test_a_suffix_never_has_more_than_its_most(
    mini: ModelTokenizer, line: int, room: int, suffix_share: float, most: int
) -> None:
    before, after = "".join(LINES[:line]), "".join(LINES[line:])
    prefix, suffix = share(mini, before, after, room, suffix_share, most_suffix=most)
    assert len(suffix.ids) <= most
    assert len(prefix.ids) + len(suffix.ids) <= room


def test_long_lines_are_not_given_up_for_a_steady_beginning(mini: ModelTokenizer) -> None:
    line = "values = [" + ", ".join(str(number) for number in range(60)) + "]\n"
    length = len(mini.encode(line))
    for count in range(50, 60):
        kept = keep_tail(mini, line * count, 900, steady=True)
        assert 900 - len(kept.ids) < 900 // 4 + length


def test_everything_cut_is_said_with_counts(mini: ModelTokenizer) -> None:
    text = "".join(LINES[:200])
    offset = len("".join(LINES[:100]))
    prompt = build(mini, text, offset)
    kept_before = part_text(mini, prompt, "prefix").count("\n")
    kept_after = part_text(mini, prompt, "suffix").count("\n")
    first, second = prompt.cut
    assert first.startswith(f"prefix: {100 - kept_before} lines (about ")
    assert first.endswith(" tokens) cut from the start")
    assert second.startswith(f"suffix: {100 - kept_after} lines (about ")
    assert second.endswith(" tokens) cut from the end")
    said = int(first.split("about ")[1].split(" ")[0].replace(",", ""))
    assert said == pytest.approx(len(mini.encode("".join(LINES[: 100 - kept_before]))), rel=0.1)


def test_a_small_file_is_not_cut(mini: ModelTokenizer) -> None:
    assert build(mini, "".join(LINES[:5]), 40).cut == ()


def test_the_other_cells_of_a_notebook_stand_around_the_cell(mini: ModelTokenizer) -> None:
    prompt = build(mini, "y = x\n", 4, before="import a\nx = 1", after="print(y)\n")
    assert part_text(mini, prompt, "prefix") == "import a\nx = 1\ny = "
    assert part_text(mini, prompt, "suffix") == "x\nprint(y)\n"
    at_end = build(mini, "y = x", 5, before="import a\n", after="print(y)\n")
    assert part_text(mini, at_end, "suffix") == "\nprint(y)\n"


def test_with_a_tiny_budget_the_end_of_the_line_remains(mini: ModelTokenizer) -> None:
    for room in range(2, 40):
        prompt = build(mini, FILE, 5000, positions=64 + room, options=PromptSettings(token_healing=False))
        assert len(prompt.ids) <= room
        kept = part_text(mini, prompt, "prefix")
        assert kept
        assert FILE[:5000].endswith(kept)


def test_no_room_at_all_is_an_error_in_one_line(mini: ModelTokenizer) -> None:
    with pytest.raises(ValueError, match=r"^no room for a prompt: mini has 64 positions and the completion takes 64$"):
        build(mini, FILE, 100, positions=64)


def test_a_cursor_outside_the_document_counts_as_its_border(mini: ModelTokenizer) -> None:
    assert build(mini, "abc", 99).ids == build(mini, "abc", 3).ids
    assert build(mini, "abc", -1).ids == build(mini, "abc", 0).ids


def test_the_same_input_gives_the_same_prompt(mini: ModelTokenizer) -> None:
    assert build(mini, FILE, 5000) == build(mini, FILE, 5000)


@pytest.mark.parametrize(
    "text",
    [FILE * 12, "x = [" + "1234, " * 250_000 + "]", "é = 1\r\n" * 200_000, "a = 1\r" * 250_000, " " * 1_500_000],
    ids=["lines", "one line", "crlf", "cr", "blank"],
)
def test_a_large_file_takes_no_longer_than_what_is_kept_of_it(mini: ModelTokenizer, text: str) -> None:
    # Tokenizing it whole takes 0.2 s and more; the bounds leave room for a busy machine, and for a slow one.
    assert least_seconds(mini, text) < max(0.05, 4 * least_seconds(mini, FILE))


def least_seconds(mini: ModelTokenizer, text: str) -> float:
    """What a prompt in the middle of a text takes, the least of five."""
    spent = []
    for offset in range(len(text) // 2, len(text) // 2 + 5):
        began = time.perf_counter()
        build(mini, text, offset)
        spent.append(time.perf_counter() - began)
    return min(spent)
