"""Identifier match as CrossCodeEval defines it, on pieces of code as models write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aix_lsp.evaluation.metrics.identifiers import identifier_match, identifiers

LANGUAGES = ["python", "java", "typescript", "csharp", "javascript", "go", "rust", "c", "cpp", "typescriptreact"]


@pytest.mark.parametrize(
    ("language", "text", "found"),
    [
        ("python", "return self.cache.get(key, None) if key else True", "self cache get key key"),
        ("python", 'print(f"{user.name!r} said", "not me")  # nor me', "print user name"),
        ("python", "async for line in await reader.lines():", "line reader lines"),
        ("java", 'int size = items.size() + this.offset; // "count"', "size items size offset"),
        ("java", "List<String> names = new ArrayList<>(0x1F);", "List String names ArrayList"),
        ("typescript", 'const url: string = `https://host/${path}` + "x//y" + tail;', "url path tail"),
        ("csharp", "var total = orders.Sum(o => o.Price) ?? null;", "total orders Sum o o Price"),
        ("go", "if err := store.Put(k, nil); err != nil {", "err store Put k err"),
        ("rust", "let n = self.items.iter().map(|x| x.len() as u32);", "n items iter map x x len"),
        ("cpp", "#define TWICE(x) ((x) + (x))\nauto y = std::move(x);", "TWICE x x x y std move x"),
    ],
)
def test_identifiers_are_names_but_no_keywords_literals_comments_or_strings(
    language: str, text: str, found: str
) -> None:
    assert identifiers(text, language) == found.split()


def test_what_does_not_parse_is_taken_word_by_word_without_keywords() -> None:
    assert identifiers("config.load(path, mode=", "python") == ["config", "load", "path", "mode"]
    assert identifiers(") return value; }", "java") == ["value"]


@pytest.mark.parametrize(
    ("language", "text", "found"),
    [
        ("java", "case MISSING:", "MISSING"),
        ("python", "else if ready is not None", "ready"),
        ("typescript", "get(type, from)", "get type from"),
        ("javascript", "entry.delete(); other.default", "entry delete other default"),
    ],
)
def test_keywords_outside_of_their_statements_are_no_names_but_soft_ones_and_members_are(
    language: str, text: str, found: str
) -> None:
    assert identifiers(text, language) == found.split()


def test_without_a_grammar_words_that_are_no_keywords_count() -> None:
    assert identifiers("local total = count + 1", "lua") == ["total", "count"]


def test_exact_match_is_of_ordered_lists_and_f1_of_different_names() -> None:
    # wanted: client get url timeout; written: client get url retries. Three of four on both sides.
    assert identifier_match("client.get(url, retries=3)", "client.get(url, timeout=3)", "python") == (0.0, 0.75)
    # the same names in another order, and one of them twice
    assert identifier_match("b(a, a)", "a(b)", "python") == (0.0, 1.0)
    # other values, same names
    assert identifier_match("f(x, 1) # one", "f(x, 2)", "python") == (1.0, 1.0)
    # 2 * 1 / (1 + 3)
    assert identifier_match("a", "a(b, c)", "python") == (0.0, 0.5)
    assert identifier_match("a", "b", "python") == (0.0, 0.0)


def test_two_texts_without_names_agree_and_one_without_does_not() -> None:
    assert identifier_match("}", "});", "java") == (1.0, 1.0)
    assert identifier_match("", "f()", "java") == (0.0, 0.0)


CODE = st.text(alphabet="abif returnclass(){}[]\"'`.,;:=+#/*\n\\${}@é\x00", max_size=60)


@settings(deadline=None)
@given(CODE, CODE, st.sampled_from(LANGUAGES))
def test_any_text_has_a_match_between_0_and_1_that_is_symmetric(text: str, wanted: str, language: str) -> None:
    same, f1 = identifier_match(text, wanted, language)
    assert same in (0.0, 1.0)
    assert 0.0 <= f1 <= 1.0
    assert (same, f1) == identifier_match(wanted, text, language)
    assert identifier_match(text, text, language) == (1.0, 1.0)
