"""Lines, positions and edits of a document, against slow and obvious oracles."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aix_lsp.text import (
    Encoding,
    TextBuffer,
    continued,
    index_of,
    line_spans,
    line_start,
    parts_with_line_feeds,
    width,
    with_line_feeds,
    with_stop,
    without_stop,
)

ENCODINGS: tuple[Encoding, ...] = ("utf-8", "utf-16", "utf-32")

# Few different characters, so that terminators, pairs and wide characters meet often.
ALPHABET = [*"ab\r\n\r\n\r\n", "\f", "\v", "\x1c", "\x85", "\u2028", "é", "€", "\ufeff", "𝒳", "😀", "\ud83d", "\ude00"]
texts = st.text(alphabet=st.sampled_from(ALPHABET), max_size=40)
encodings = st.sampled_from(ENCODINGS)


def units_of(character: str, encoding: Encoding) -> int:
    code = ord(character)
    if encoding == "utf-32":
        return 1
    if encoding == "utf-16":
        return 1 if code < 0x10000 else 2
    return 1 + (code >= 0x80) + (code >= 0x800) + (code >= 0x10000)


def slow_lines(text: str) -> list[tuple[int, str]]:
    """(start, text without terminator) of each line, one character at a time."""
    lines = []
    start = at = 0
    while at < len(text):
        if text[at] in "\r\n":
            end = at
            at += 2 if text[at : at + 2] == "\r\n" else 1
            lines.append((start, text[start:end]))
            start = at
        else:
            at += 1
    lines.append((start, text[start:]))
    return lines


def slow_offset(text: str, line: int, character: int, encoding: Encoding) -> int:
    lines = slow_lines(text)
    if line >= len(lines):
        return len(text)
    start, content = lines[line]
    used = 0
    for index, each in enumerate(content):
        used += units_of(each, encoding)
        if used > character:
            return start + index
    return start + len(content)


def slow_position(text: str, offset: int, encoding: Encoding) -> tuple[int, int]:
    lines = slow_lines(text)
    line = max(number for number, (start, _) in enumerate(lines) if start <= offset)
    start, content = lines[line]
    return line, sum(units_of(each, encoding) for each in content[: offset - start])


@given(texts)
@example("")
@example("\r\n")
@example("a\r\n\rb\n\n\r")
def test_lines_end_at_carriage_return_and_newline_only(text: str) -> None:
    buffer = TextBuffer(text)
    lines = slow_lines(text)
    assert buffer.line_count == len(lines)
    assert [(buffer.line_start(n), buffer.line(n)) for n in range(buffer.line_count)] == lines


@settings(max_examples=300)
@given(texts, st.integers(0, 15), st.integers(0, 60), encodings)
@example("a😀b", 0, 2, "utf-16")
@example("\ud83d\ude00", 0, 1, "utf-16")
@example("é\r\n", 0, 1, "utf-8")
@example("last line", 0, 99, "utf-16")
def test_offset_equals_the_oracle(text: str, line: int, character: int, encoding: Encoding) -> None:
    assert TextBuffer(text).offset(line, character, encoding) == slow_offset(text, line, character, encoding)


@settings(max_examples=300)
@given(st.data(), texts, encodings)
def test_position_equals_the_oracle_and_leads_back(data: st.DataObject, text: str, encoding: Encoding) -> None:
    buffer = TextBuffer(text)
    offset = data.draw(st.integers(0, len(text)))
    line, character = buffer.position(offset, encoding)
    assert (line, character) == slow_position(text, offset, encoding)
    between = text[offset - 1 : offset + 1] == "\r\n" and offset > 0
    assert buffer.offset(line, character, encoding) == (offset - 1 if between else offset)


@settings(max_examples=300)
@given(texts, st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), texts), max_size=8))
@example("\r", [(1, 1, "\n")])
@example("\r\n", [(1, 1, "x")])
@example("\r\n", [(0, 1, "")])
@example("\r\n", [(1, 2, "")])
@example("a\rb\nc", [(2, 3, "")])
@example("a\r\nb", [(2, 2, "\r")])
@example("\n", [(0, 0, "\r")])
def test_edits_equal_slicing_and_a_fresh_buffer(text: str, edits: list[tuple[int, int, str]]) -> None:
    buffer = TextBuffer(text)
    for first, second, new in edits:
        start, end = sorted((min(first, len(text)), min(second, len(text))))
        text = text[:start] + new + text[end:]
        buffer = buffer.replace(start, end, new)
        fresh = TextBuffer(text)
        assert buffer.text == text
        assert [buffer.line_start(n) for n in range(buffer.line_count)] == [
            fresh.line_start(n) for n in range(fresh.line_count)
        ]


@given(texts, st.integers(-3, 60), encodings)
def test_index_of_is_the_inverse_of_width(text: str, units: int, encoding: Encoding) -> None:
    index = index_of(text, units, encoding)
    assert width(text[:index], encoding) <= max(units, 0)
    assert index == len(text) or width(text[: index + 1], encoding) > units


@pytest.mark.parametrize(
    ("line", "character", "offset"),
    [(-1, 5, 0), (0, -4, 0), (0, 2, 2), (0, 3, 2), (0, 999, 2), (1, 0, 4), (1, 99, 6), (2, 0, 6), (10**9, 10**9, 6)],
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_positions_outside_the_text_are_moved_to_its_nearest_end(
    line: int, character: int, offset: int, encoding: Encoding
) -> None:
    assert TextBuffer("ab\r\ncd").offset(line, character, encoding) == offset


@pytest.mark.parametrize(
    ("encoding", "offsets"),
    [
        ("utf-8", [0, 0, 1, 1, 1, 2, 2, 2, 2, 3, 3]),
        ("utf-16", [0, 1, 2, 2, 3, 3]),
        ("utf-32", [0, 1, 2, 3, 3]),
    ],
)
def test_a_position_inside_a_character_is_its_start(encoding: Encoding, offsets: list[int]) -> None:
    buffer = TextBuffer("é€😀")
    assert [buffer.offset(0, character, encoding) for character in range(len(offsets))] == offsets


def test_offsets_outside_the_text_give_a_position_at_its_nearest_end() -> None:
    buffer = TextBuffer("a\nbc")
    assert buffer.position(-5, "utf-16") == (0, 0)
    assert buffer.position(99, "utf-16") == (1, 2)


@pytest.mark.parametrize(("start", "end"), [(2, 1), (-1, 0), (0, 4)])
def test_replacing_a_range_that_is_none_raises(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="no range"):
        TextBuffer("abc").replace(start, end, "x")


@pytest.mark.parametrize("line", [-1, 1])
def test_a_line_outside_the_document_raises(line: int) -> None:
    with pytest.raises(IndexError):
        TextBuffer("only").line(line)


def test_an_edit_leaves_the_earlier_buffer_as_it_was() -> None:
    before = TextBuffer("one\ntwo\nthree")
    after = before.replace(4, 8, "")
    assert (before.text, before.line(2)) == ("one\ntwo\nthree", "three")
    assert (after.text, after.line(1)) == ("one\nthree", "three")


@given(texts)
def test_the_spans_of_lines_are_those_of_the_slow_way(text: str) -> None:
    spans = list(line_spans(text))
    assert [(start, text[start:end]) for start, end, _ in spans] == slow_lines(text)
    assert [terminated for _, _, terminated in spans] == [True] * (len(spans) - 1) + [False]
    assert with_line_feeds(text).split("\n") == [text[start:end] for start, end, _ in spans]


@given(texts, st.integers(0, 40))
def test_a_line_starts_behind_the_nearest_line_break_before_a_position(text: str, position: int) -> None:
    before = text[:position]
    start = next((place for place in range(len(before), 0, -1) if before[place - 1] in "\r\n"), 0)
    assert line_start(text, position) == start
    assert line_start(before) == start


@pytest.mark.parametrize(
    ("said", "one_line", "sentence"),
    [
        ("it is away", "it is away; restart it", "it is away."),
        ("it is away.", "it is away; restart it", "it is away."),
        ("is it running?", "is it running? Restart it", "is it running?"),
        ("no room!", "no room! Restart it", "no room!"),
        ("it said: out of …", "it said: out of …; restart it", "it said: out of …"),
        ("it said: out of...", "it said: out of...; restart it", "it said: out of..."),
    ],
)
def test_a_message_goes_on_by_its_end(said: str, one_line: str, sentence: str) -> None:
    assert continued(said, "restart it") == one_line
    assert with_stop(said) == sentence
    assert without_stop(sentence).rstrip(".") == said.rstrip(".")


@given(st.lists(st.text("ab\r\n", max_size=4), max_size=6))
def test_parts_of_a_text_have_its_line_feeds(parts: list[str]) -> None:
    found = parts_with_line_feeds(*parts)
    assert len(found) == len(parts)
    assert "".join(found) == with_line_feeds("".join(parts))
