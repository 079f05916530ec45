"""Secrets in a text that is typed in: what changed is looked through, and the verdict is that of the whole text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.completion import secret_text
from aix_lsp.completion.secret_text import SecretFinder
from aix_lsp.workspace.secrets import contains_secret, secret_span

# joined from parts: none is a real secret
KEY = "AKIA" + "1B2C3D4E5F6G7H8I"
VALUE = 'api_key = "' + "q7Hs92kLmZ0xPw4RtYv8" + '"'
URL = "postgres://me:" + "a1B2c3D4e5F6g7" + "@host/db"
LINES = (
    "x = 1\n",
    "y = f(2)\n",
    f"k = {KEY}\n",
    f"{VALUE}\n",
    f"u = '{URL}'\n",
    "api_key =\n",
    "  " + VALUE[10:] + "\n",
)


@given(st.lists(st.tuples(st.sampled_from(LINES), st.integers(0, 60), st.integers(0, 40)), max_size=12))
def test_the_verdict_on_every_version_is_that_of_the_whole_text(edits: list[tuple[str, int, int]]) -> None:
    finder, text = SecretFinder(), "def f():\n    return 1\n"
    for inserted, at, removed in edits:
        text = text[:at] + inserted + text[at + removed :]
        assert finder.holds(text) == contains_secret(text)


@pytest.mark.parametrize("secret", [KEY, VALUE, URL])
def test_a_secret_is_seen_at_the_key_that_completes_it_and_forgotten_with_the_key_that_breaks_it(secret: str) -> None:
    above, below = "x = 1\n" * 3000, "\ny = 2\n" * 3000
    finder = SecretFinder()
    seen = [finder.holds(above + secret[:end] + below) for end in range(len(secret) + 1)]
    assert seen == [contains_secret(secret[:end]) for end in range(len(secret) + 1)]
    assert seen[-1]
    assert finder.holds(above + "z " + secret + below)
    assert not finder.holds(above + "z " + below)


def test_a_key_looks_through_a_few_lines_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def counted(text: str) -> tuple[int, int] | None:
        looked.append(len(text))
        return secret_span(text)

    monkeypatch.setattr(secret_text, "secret_span", counted)
    for text in ("value = compute(other)\n" * 20_000, f"{VALUE}\n" + "value = compute(other)\n" * 20_000):
        finder = SecretFinder()
        finder.holds(text)
        looked.clear()
        for typed in range(1, 6):
            finder.holds(text[:200_000] + "x" * typed + text[200_000:])
        finder.holds(text[:200_000] + "x" * 5 + text[200_000:])
        assert len(looked) == 5
        assert max(looked) < 1_000


def test_where_the_secret_stands_is_told_with_its_name() -> None:
    text = f"a = 1\n{VALUE}\n"
    span = secret_span(text)
    assert span is not None
    assert text[slice(*span)] == VALUE
    assert secret_span("a = 1\n") is None
