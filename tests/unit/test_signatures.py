"""What only a definition's signature has is not copied into a call."""

from __future__ import annotations

import pytest

from aix_lsp.engine.copying import CopyPrior, CopyWeights
from aix_lsp.engine.scripted import PieceTokenizer
from aix_lsp.engine.signatures import Signatures
from aix_lsp.engine.token_index import TokenIndex

ANY = CopyWeights(0, 0, 0, 0, 0, 0)


def after(text: str, elsewhere: str) -> list[str]:
    """The texts of the tokens that may be copied behind a text, most frequent first."""
    tokenizer = PieceTokenizer()
    prior = CopyPrior(ANY, (), lambda token: tokenizer.decode([token]))
    prior.know([tokenizer.encode(elsewhere)])
    prior.begin(tokenizer.encode(text))
    match = prior.match()
    return [tokenizer.decode([token]) for token, _ in match.followers] if match else []


@pytest.mark.parametrize(
    ("elsewhere", "text", "copied"),
    [
        # the name and the parameters' names are a call's too
        ("def rows(order: Order) -> list[str]:\n", "x = ro", []),
        ("def rows(order: Order) -> list[str]:\n", "x = rows", ["("]),
        ("def rows(order: Order) -> list[str]:\n", "x = rows(", ["order"]),
        ("def rows(order) -> list[str]:\n", "x = rows(order", [")"]),
        # annotations, the receiver and the result's type are not
        ("def rows(order: Order) -> list[str]:\n", "x = rows(order", []),
        ("def rows(order: Order, n: int) -> str:\nrows(order, 1)", "x = rows(order", [","]),
        ("def rows(self, order):\n", "x = rows(", []),
        ("def rows(order) -> list[str]:\n    pass\n", "x = rows(order)", []),
        ("class Shop(Base):\n", "x = Shop(Base)", []),
        ("def rows(\n    order: Order,\n) -> str:\n", "x = rows(\n    order", []),
        # in another definition they are
        ("def rows(order: Order) -> list[str]:\n", "def more(order", [":"]),
        ("    def rows(self, order):\n", "    def more(", ["self"]),
        # and what stands behind a signature is copied as always
        ("def rows(order):\n    x: int = 1\n", "\n    x", [":"]),
        ("def rows(order: Order):\n    y = {order: 1}\n", "y = {order", [":"]),
    ],
)
def test_a_call_copies_no_signature(elsewhere: str, text: str, copied: list[str]) -> None:
    assert after(text, elsewhere) == copied


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        ("def f", False),
        ("def f(", True),
        ("def f(a, b", True),
        ("def f(a) -> ", True),
        ("def f(\n    a,\n    ", True),
        ("def f(a):\n", False),
        ("def f(a):\n    g(", False),
        ("class A(B", True),
        ("g(", False),
        ("", False),
    ],
)
def test_a_signature_is_open_up_to_its_lines_end(text: str, is_open: bool) -> None:
    tokenizer = PieceTokenizer()
    index = TokenIndex(text=tokenizer.encode(text))
    signatures = Signatures(lambda token: tokenizer.decode([token]))
    signatures.not_in_calls(index)
    assert signatures.is_open(index) is is_open


def test_a_definition_that_is_being_written_counts() -> None:
    tokenizer = PieceTokenizer()
    prior = CopyPrior(ANY, (), lambda token: tokenizer.decode([token]))
    prior.know([tokenizer.encode("def rows(order: Order):\n")])
    prior.begin(tokenizer.encode("x = 1\n"))
    for token in tokenizer.encode("def more(order"):
        prior.push(token)
    match = prior.match()
    assert match is not None
    assert [tokenizer.decode([token]) for token, _ in match.followers] == [":"]
