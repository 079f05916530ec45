"""Server-sent events, however the bytes arrive; prompts as text; the probes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.cli import config
from aix_lsp.engine.remote_http import address_of, without_credentials
from aix_lsp.engine.remote_probes import plain, probe_prompts
from aix_lsp.engine.remote_stream import EventDecoder, Piece, StreamError, pieces_in, pieces_of
from aix_lsp.engine.remote_text import (
    RENDERINGS,
    Rendering,
    as_text,
    before_cursor,
    blanks_left_out,
    cut_at_marker,
    expressible,
    give_space_back,
)
from aix_lsp.types import Prompt
from tests.unit.remote_server import TOKENIZER


def events(content: bytes, cuts: list[int]) -> list[str]:
    decoder = EventDecoder()
    places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    return [data for start, end in pairwise(places) for data in decoder.feed(content[start:end])]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\ufeff")), max_size=6),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_events_come_out_the_same_wherever_the_bytes_are_cut(texts: list[str], end: str, cuts: list[int]) -> None:
    content = "".join(f"data: {text}{end}{end}" for text in texts).encode()
    assert events(content, cuts) == texts


def test_the_rest_of_the_format_is_read_too() -> None:
    content = (
        ": keep-alive\n\nevent: message\nid: 7\ndata: one\ndata:two\n\n\n\ndata\n\ndata: \u2028 stays\n\ndata: cut"
    )
    assert events(content.encode(), []) == ["one\ntwo", "", "\u2028 stays"]


def test_an_event_without_an_end_is_given_up() -> None:
    with pytest.raises(StreamError):
        events(b"x" * 5_000_000, [])


def test_pieces_are_read_and_anything_else_is_told() -> None:
    event = {"choices": [{"index": 1, "text": "a", "finish_reason": None, "token_ids": [5, 6]}, {"text": None}]}
    assert pieces_of(json.dumps(event)) == [Piece(1, "a", (5, 6)), Piece(0, "")]
    assert pieces_of('{"choices": []}') == []
    bad: list[Any] = [[], 3, {}, {"choices": 1}, {"choices": [1]}, {"choices": [{"text": 1}]}, {"error": "x"}]
    for content in bad:
        with pytest.raises(StreamError):
            pieces_of(json.dumps(content))


@pytest.mark.parametrize(
    "found",
    [
        None,
        3,
        [],
        {},
        {"content": None},
        {"content": [None]},
        {"content": [{"token": "a"}]},
        {"tokens": ["a"], "token_logprobs": [None]},
        {"tokens": ["a", "b"], "token_logprobs": [-1.0]},
        {"tokens": "a", "token_logprobs": -1.0},
        {"tokens": ["a"], "token_logprobs": [float("nan")]},
    ],
)
def test_scores_of_any_other_shape_count_as_none(found: object) -> None:
    (piece,) = pieces_in({"choices": [{"index": 0, "text": "a", "logprobs": found}]})
    assert (piece.text, piece.scores) == ("a", ())


def special(*names: str) -> list[int]:
    found = [TOKENIZER.special(name) for name in names]
    assert None not in found
    return [token for token in found if token is not None]


PRE, POST, MIDDLE = special("▁<AIX-SPAN-PRE>", "▁<AIX-SPAN-POST>", "▁<AIX-SPAN-MIDDLE>")


def prompt(*parts: str | int, order: Any = "psm") -> Prompt:
    ids = [token for part in parts for token in ([part] if isinstance(part, int) else TOKENIZER.encode(part))]
    return Prompt(tuple(ids), "", order)


def test_a_prompt_as_text_leaves_out_what_the_server_adds() -> None:
    (begin,) = special("<s>")
    ids = prompt(begin, PRE, "def f():\n    ", POST, "\n", MIDDLE).ids
    assert as_text(TOKENIZER, ids) == "<s>▁<AIX-SPAN-PRE>def f():\n    ▁<AIX-SPAN-POST>\n▁<AIX-SPAN-MIDDLE>"
    assert as_text(TOKENIZER, ids, Rendering(adds_begin=True)).startswith("▁<AIX-SPAN-PRE>def")
    assert as_text(TOKENIZER, ids, Rendering(adds_space=True)).startswith("<s><AIX-SPAN-PRE>def")
    assert as_text(TOKENIZER, ids, Rendering(adds_begin=True, adds_space=True)).startswith("<AIX-SPAN-PRE>def")
    joining = Rendering(joins_blanks=True)
    shorter = expressible(TOKENIZER, ids, joining)
    assert as_text(TOKENIZER, shorter, joining).startswith("<s>▁<AIX-SPAN-PRE>def f():\n▁<AIX-SPAN-POST>")
    assert blanks_left_out(TOKENIZER, prompt(begin, PRE, "x:\n    ", POST, "\n", MIDDLE), joining) == "    "
    assert blanks_left_out(TOKENIZER, prompt(begin, "x:\n    ", order="l2r"), joining) == ""


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_text_without_markers_is_itself(text: str) -> None:
    ids = TOKENIZER.encode(text)
    if "<" not in text:
        assert as_text(TOKENIZER, ids) == text
    assert as_text(TOKENIZER, ids).replace(" ", "") == text.replace(" ", "")
    for rendering in RENDERINGS:
        assert expressible(TOKENIZER, ids, rendering) == ids


def test_a_marker_in_somebodys_source_is_no_marker() -> None:
    ids = TOKENIZER.encode('tag = "<s>" + "</s>" + " <AIX-SPAN-PRE>"')
    text = as_text(TOKENIZER, ids)
    assert not any(piece.lstrip("▁") in text for piece in TOKENIZER.special_pieces.values())


def test_an_answer_ends_at_a_marker_but_not_at_html() -> None:
    assert cut_at_marker(TOKENIZER, "x = 1<AIX-SPAN-POST>y") == ("x = 1", True)
    assert cut_at_marker(TOKENIZER, "<s>old</s>") == ("<s>old</s>", False)


@pytest.mark.parametrize(
    ("before", "text", "whole"),
    [
        ("return", "x", " x"),
        ("x =", "1", " 1"),
        ("f(a,", "b", " b"),
        ("if x:\n", "   return", "    return"),
        ("f(", "a", "a"),
        ("self.", "x", "x"),
        ("x = ", "1", "1"),
        ("x", "\n", "\n"),
        ("foo", "(", "("),
        ("", "x", "x"),
    ],
)
def test_a_dropped_space_is_given_back(before: str, text: str, whole: str) -> None:
    assert give_space_back(before, text) == whole


def test_the_text_before_the_cursor_is_found_in_each_order() -> None:
    assert before_cursor(TOKENIZER, prompt(PRE, "x = f(", POST, ")\n", MIDDLE)).endswith("x = f(")
    assert before_cursor(TOKENIZER, prompt(PRE, POST, ")\n", MIDDLE, "x = f(", order="spm")).endswith("x = f(")
    assert before_cursor(TOKENIZER, prompt("x = f(", order="l2r")).endswith("x = f(")


def test_the_probes_have_what_goes_wrong() -> None:
    around, together, indented = probe_prompts(TOKENIZER)
    assert {PRE, POST, MIDDLE} <= set(around)
    assert any(one in (PRE, POST, MIDDLE) and other in (PRE, POST, MIDDLE) for one, other in pairwise(together))
    assert TOKENIZER.decode(indented).startswith("    ")
    assert "\t" in TOKENIZER.decode(plain(TOKENIZER))


@pytest.mark.parametrize(
    ("url", "root", "shown"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("http://host:8000/v1/", "http://host:8000/", "http://host:8000"),
        ("https://me:pw@host/models/v1/completions", "https://me:pw@host/models", "https://host/models"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_an_address_is_read_in_every_form(url: str, root: str, shown: str) -> None:
    address = address_of(url)
    assert (str(address.root), address.shown) == (root, shown)
    assert address.is_local == ("127" in url or "::1" in url)


def test_credentials_are_taken_out_of_what_is_shown() -> None:
    assert without_credentials("http://me:p@w@host:1/a") == "http://host:1/a"
    assert without_credentials("http://me:p/w@host:1/a") == "http://host:1/a"
    assert without_credentials("http://me:p://w@host:1") == "http://host:1"
    assert without_credentials("me:pw@proxy:3128") == "proxy:3128"
    assert without_credentials("http://host:1/a") == "http://host:1/a"
    assert without_credentials("nothing") == "nothing"
    assert address_of("http://me:pw@host:1/a@b").shown == "http://host:1/a@b"


def test_only_addresses_are_cut_where_the_settings_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    config.run(
        as_json=True,
        schema=False,
        markdown=False,
        model="owner/model@refs/pr/3",
        assignments=["remote.url=http://me:pw@host", "remote.proxy=me:p/w@proxy:3128"],
    )
    shown = {name: row["value"] for name, row in json.loads(capsys.readouterr().out).items()}
    assert shown["model.name"] == "owner/model@refs/pr/3"
    assert (shown["remote.url"], shown["remote.proxy"]) == ("http://host", "proxy:3128")
