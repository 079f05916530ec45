"""Terms: whole identifiers and their parts, keywords dropped, paths, stable hashes."""

import re
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.languages import language_of
from aix_lsp.retrieval.tokens import TermHasher, expand, path_tokens, term_hash, tokenize

NONE: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("parseHTTPHeader", "parsehttpheader parse http header"),
        ("max_new_tokens", "max_new_tokens max new tokens"),
        ("utf8Decoder2", "utf8decoder2 utf decoder"),
        ("_private", "_private private"),
        ("name", "name"),
        ("MAX_SIZE", "max_size max size"),
        ("x = i + 1", ""),
        ("0xFF 12e3", ""),
        ("größeAlt", "größealt größe alt"),
        ("数据_集合 值", "数据_集合 数据 集合 值"),
        ("a.load(b)", "load"),
        ("", ""),
    ],
)
def test_identifiers_come_whole_and_in_parts(text: str, expected: str) -> None:
    assert " ".join(tokenize(text, NONE)) == expected


def test_keywords_of_the_language_are_dropped_also_as_parts() -> None:
    keywords = language_of("a.py").keywords
    assert tokenize("def load_from(self, class_name): return None", keywords) == [
        "load_from",
        "load",
        "class_name",
        "name",
    ]


def test_repeats_stay() -> None:
    assert tokenize("load load", NONE) == ["load", "load"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/userStore/http_client.py", "src userstore user store http_client http client"),
        ("Makefile", "makefile"),
        (".github/ci.yml", "github ci"),
        ("a/.env", "env"),
    ],
)
def test_paths_give_terms_without_the_extension(path: str, expected: str) -> None:
    assert " ".join(path_tokens(path)) == expected


def test_hashes_are_the_same_in_every_process() -> None:
    assert term_hash("load") == 6504586938918487115
    assert len({term_hash(f"term{i}") for i in range(10_000)}) == 10_000


@given(st.text(alphabet="abCD_12 .éÅ\n😀", max_size=60))
def test_the_hasher_gives_the_hashes_of_the_tokens(text: str) -> None:
    keywords = frozenset(("ab", "cd"))
    expected = [term_hash(term) for term in tokenize(text, keywords)]
    for limit in (1, 100):
        assert list(array("Q", TermHasher(keywords, limit).terms(text))) == expected


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=80))
def test_words_of_ascii_text_are_those_of_any_text(text: str) -> None:
    words = re.findall(r"\w+", text)
    assert tokenize(text, frozenset()) == [term for word in words for term in expand(word, frozenset())]
