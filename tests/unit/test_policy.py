"""When an offer is made, and how much."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from aix_lsp.completion import policy
from aix_lsp.completion.place import Surroundings, filled_line_below, lines_above, surroundings
from aix_lsp.completion.policy import Silence, decide, indentation, only_closes, unevenness
from aix_lsp.settings import CompletionSettings
from aix_lsp.types import CompletionRequest, DocumentSnapshot, TriggerKind


def request(marked: str, trigger: TriggerKind = "automatic", language: str = "python") -> CompletionRequest:
    """A request at the `|` in a text."""
    offset = marked.index("|")
    document = DocumentSnapshot("file:///a.py", marked.replace("|", "", 1), language, 1, "a.py")
    return CompletionRequest(document, offset, trigger)


@pytest.mark.parametrize(
    ("marked", "answered"),
    [
        ("x = |", True),
        ("x = |\ny = 1", True),
        ("x = f(|)", True),
        ("x = f(|):", True),
        ('x = "|"', True),
        ("x = f(a, |);", True),
        ("if (x) |{", True),
        ("|)}]", True),
        ("f(g(|))", True),
        ("x = [f(|)]  ", True),
        ("while (x |) {", True),
        ("x = {|},", True),
        ("x = `|`;", True),
        ("def f(a|):", True),
        ("    |\n    return 1", True),
        ("x = | + 1", False),
        ("x = |(1)", False),
        ("x = f(|, b)", False),
        ("x = f(|) + 1", False),
        ("x |  # why", False),
        ("|foo = 1", False),
        ("x = é|é", False),
        ("|):;", False),
        ("fo|o = 1", False),
        ("|", False),
        ("  \n|", False),
    ],
)
def test_automatic_offers_come_only_before_closing_punctuation(marked: str, answered: bool) -> None:
    decision = decide(request(marked), CompletionSettings())
    assert decision.answer is answered
    assert bool(decision.reason) is not answered


@pytest.mark.parametrize("after", [" " * 20_000 + "x", ")" * 20_000 + "x", ")" + " " * 20_000 + ":" * 2])
def test_a_long_line_after_the_cursor_is_judged_at_once(after: str) -> None:
    began = time.perf_counter()
    assert not only_closes(after)
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize("path", ["/home/someone/.ssh/config", "/home/someone/.kube/config"])
def test_secrets_are_known_by_the_full_path_too(path: str) -> None:
    """Outside a workspace the name is the last part only."""
    asked = request("x = |", "invoked", language="ssh_config")
    inside = replace(asked, document=replace(asked.document, name="config", path=Path(path)))
    assert "secrets" in decide(inside, CompletionSettings()).reason
    elsewhere = replace(asked, document=replace(asked.document, name="config", path=Path("/home/someone/config")))
    assert decide(elsewhere, CompletionSettings()).answer


@pytest.mark.parametrize("marked", ["x = | + 1", "fo|o = 1", "|"])
def test_explicit_requests_are_answered_anywhere(marked: str) -> None:
    assert decide(request(marked, "invoked"), CompletionSettings()).answer


@pytest.mark.parametrize(
    ("marked", "told"),
    [
        ("fo|o = 1", "within a word"),
        ("_|a", "within a word"),
        ("|foo = 1", "code follows"),
        ("x = | + 1", "code follows"),
        ("  |", "empty"),
    ],
)
def test_each_silence_says_in_one_sentence_why_and_what_to_do(marked: str, told: str) -> None:
    reason = decide(request(marked), CompletionSettings()).reason
    assert told in reason
    assert "ask explicitly" in reason


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("marked", "answered"),
    [
        ("é = '日本語🦜'\nx = |\ny", True),
        ("é = '日本語🦜'\nx = |y\ny", False),
        ("a\n|\nb", True),
        ("a\n    |    \nb", True),
        ("a\nx = f(🦜|)\nb", True),
        ("a\nx|́ = 1\nb", False),  # a combining accent follows
    ],
)
def test_line_ends_are_known_in_every_form_and_every_script(marked: str, answered: bool, line_break: str) -> None:
    assert decide(request(marked.replace("\n", line_break)), CompletionSettings()).answer is answered


def named(name: str, language: str = "python", trigger: TriggerKind = "automatic") -> CompletionRequest:
    asked = request("x = |", trigger, language)
    return replace(asked, document=replace(asked.document, name=name))


@pytest.mark.parametrize(
    ("patterns", "name", "off"),
    [
        ((), "a.py", False),
        (("*.min.js",), "web/app.min.js", True),
        (("*.min.js",), "web/app.js", False),
        (("docs/**",), "docs/deep/a.py", True),
        (("docs/",), "docs/a.py", True),
        (("docs/",), "src/docs.py", False),
        (("/setup.py",), "setup.py", True),
        (("/setup.py",), "sub/setup.py", False),
        (("tests/*", "!tests/keep.py"), "tests/keep.py", False),
        (("tests/*", "!tests/keep.py"), "tests/other.py", True),
        (("src/**/gen?.py",), "src/a/b/gen1.py", True),
        (("# *.py", ""), "a.py", False),
        (("Untitled-*",), "Untitled-1", True),
        (("*.py",), "/outside.py", True),
    ],
)
@pytest.mark.parametrize("trigger", ["automatic", "invoked"])
def test_files_are_switched_off_by_patterns_for_every_request(
    patterns: tuple[str, ...], name: str, off: bool, trigger: TriggerKind
) -> None:
    decision = decide(named(name, trigger=trigger), CompletionSettings(disabled_files=patterns))
    assert decision.answer is not off
    assert ("completion.disabled_files" in decision.reason) is off


@pytest.mark.parametrize(
    ("entries", "name", "language", "silent"),
    [
        ((), "a.py", "python", False),
        (("*",), "a.py", "python", True),
        (("python",), "a.py", "python", True),
        (("go",), "a.py", "python", False),
        (("*.py",), "a.py", "python", True),
        (("tests/",), "tests/a.py", "python", True),
        (("tests/",), "src/a.py", "python", False),
        (("c++",), "a.cpp", "cpp", True),
        (("cpp",), "a.cpp", "cpp", True),
        (("python", "docs/**"), "docs/a.go", "go", True),
    ],
)
def test_strings_are_silent_by_language_and_by_pattern(
    entries: tuple[str, ...], name: str, language: str, silent: bool
) -> None:
    text = 'x = "a|"' if language in ("python", "go") else 'auto x = "a|";'
    for trigger, expected in (("automatic", silent), ("invoked", False)):
        asked = request(text, "invoked" if trigger == "invoked" else "automatic", language)
        asked = replace(asked, document=replace(asked.document, name=name))
        decision = decide(asked, CompletionSettings(not_in_strings=entries))
        assert decision.answer is not expected
        assert ("completion.not_in_strings" in decision.reason) is expected
        assert decide(asked, CompletionSettings(not_in_comments=entries)).answer


@pytest.mark.parametrize(
    ("marked", "name", "inside"),
    [
        ("# adds |", "a.py", "comment"),
        ("x = 1  # adds |", "a.py", "comment"),
        ('def f():\n    """Adds |\n    """', "a.py", "string"),
        ("x = 'it|", "a.py", "string"),
        ('x = f"{a|}"', "a.py", None),
        ("x = 'a'|", "a.py", None),
        ("// adds |", "a.ts", "comment"),
        ("/* adds\n * more |\n */", "a.java", "comment"),
        ('let x = "a|";', "a.rs", "string"),
        # no grammar
        ("# adds |", "a.rb", "comment"),
        ("x = 'a|", "a.rb", "string"),
        ("x = 'a # b|", "a.rb", "string"),
        ("x = 'a' # b|", "a.rb", "comment"),
        ("x = 'a' + |", "a.rb", None),
        ("-- adds |", "a.lua", "comment"),
        ("local n = #t + |", "a.lua", None),
        ("// adds |", "a.kt", "comment"),
        ("<!-- adds |", "a.html", "comment"),
        ("echo $# |", "a.sh", None),
    ],
)
def test_only_what_the_option_names_is_silent(marked: str, name: str, inside: str | None) -> None:
    asked = request(marked, language="")
    asked = replace(asked, document=replace(asked.document, name=name))
    assert decide(asked, CompletionSettings()).answer
    for kind in ("string", "comment"):
        decision = decide(asked, CompletionSettings.model_validate({f"not_in_{kind}s": ["*"]}))
        assert decision.answer is (kind != inside)
        assert (f"completion.not_in_{kind}s" in decision.reason) is (kind == inside)


def test_nothing_is_parsed_where_no_option_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def parsed(*arguments: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(policy, "in_comment_or_string", parsed)
    settings = CompletionSettings(not_in_strings=("go", "*.go"), not_in_comments=("docs/",))
    assert decide(request("x = 'a|'"), CompletionSettings()).answer
    assert decide(request("x = 'a|'"), settings).answer


_FUNCTION = 'def f(a):\n    """Adds\n    one."""\n    b = \'x\'  # so\n    return a + 1\n\n\n'


@pytest.mark.parametrize(
    ("marked", "inside"),
    [
        (_FUNCTION.replace("Adds", "Adds|"), "string"),
        (_FUNCTION.replace("# so", "# so|"), "comment"),
        (_FUNCTION.replace("a + 1", "a + 1|"), None),
    ],
)
def test_of_a_long_document_what_stands_around_is_parsed_and_no_more(
    monkeypatch: pytest.MonkeyPatch, marked: str, inside: str | None
) -> None:
    sizes: list[int] = []
    parse = policy.in_comment_or_string

    def parsed(text: str, offset: int, grammar: str) -> Literal["comment", "string"] | None:
        sizes.append(len(text))
        return parse(text, offset, grammar)

    monkeypatch.setattr(policy, "in_comment_or_string", parsed)
    asked = request(_FUNCTION * 3000 + marked + _FUNCTION * 3000)
    for kind in ("string", "comment"):
        settings = CompletionSettings.model_validate({f"not_in_{kind}s": ["*"]})
        assert decide(asked, settings).answer is (kind != inside)
    assert max(sizes) < 40_000


def test_a_silence_holds_for_what_comes_by_itself_and_for_everything_only_where_it_says_so() -> None:
    assert not Silence().holds_for("automatic")
    assert Silence("ignored").holds_for("automatic")
    assert not Silence("ignored").holds_for("invoked")
    assert Silence("a secret", always=True).holds_for("invoked")


def test_switched_off_says_which_option() -> None:
    assert "completion.enabled" in decide(request("x = |"), CompletionSettings(enabled=False)).reason
    off = CompletionSettings(disabled_languages=("python",))
    assert "disabled_languages" in decide(request("x = |"), off).reason
    assert decide(request("x = |", language="go"), off).answer


def test_the_amount_decides_the_number_of_tokens() -> None:
    settings = CompletionSettings(max_tokens_line=7, max_tokens_block=70)
    assert decide(request("x = |"), settings).max_new_tokens == 7
    assert decide(request("def f():|"), settings).max_new_tokens == 70
    assert decide(request("def f():|"), CompletionSettings(amount="line")).amount == "line"


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("a\nb|c\nd", Surroundings("b", "c", "a", "d")),
        ("a\r\n\r\n  b|\r\nd\r\n", Surroundings("  b", "", "a", "d")),
        ("a\rb|\rc", Surroundings("b", "", "a", "c")),
        ("|", Surroundings("", "", "", "")),
        ("a\n\n\n|", Surroundings("", "", "a", "")),
        ("one\x0ctwo|", Surroundings("one\x0ctwo", "", "", "")),
    ],
)
def test_surroundings_know_every_line_break(marked: str, expected: Surroundings) -> None:
    offset = marked.index("|")
    assert surroundings(marked.replace("|", ""), offset) == expected


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_lines_above_and_below_are_found_at_every_line_break(line_break: str) -> None:
    text = line_break.join(["", "a", " b", "cursor", "", "  ", "d", ""])
    offset = text.index("cursor") + 2
    assert list(lines_above(text, offset)) == [" b", "a", ""]
    assert filled_line_below(text, offset) == "d"
    assert filled_line_below(text, len(text)) == ""


def test_tabs_count_to_the_next_multiple_of_four() -> None:
    assert [indentation(line) for line in ("x", "  x", "\tx", "  \tx", "\t x")] == [0, 2, 4, 4, 5]


@pytest.mark.parametrize(
    ("code", "uneven"),
    [("", 0), ("f(a[0])", 0), ("f(a[", 2), ("))", 2), ('"a', 1), (r"'it\'s'", 0), ("{'a': \"b}", 1)],
)
def test_unevenness_counts_what_has_no_partner(code: str, uneven: int) -> None:
    assert unevenness(code) == uneven
