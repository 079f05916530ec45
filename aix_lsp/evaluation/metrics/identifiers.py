"""Identifier match: does an answer name what was wanted?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

from aix_lsp import syntax_queries as tables
from aix_lsp.languages import language_of
from aix_lsp.syntax_tree import grammar_of, parsed_text

from .codebleu_trees import is_plain_string

if TYPE_CHECKING:
    from tree_sitter import Node

_WORD: Final = re.compile(r"\b[^\W\d]\w*")
_OTHER_NAMES: Final = frozenset(("implicit_parameter",))
_UNPARSED: Final = frozenset(("preproc_arg",))
"""Code that the grammar leaves as it is."""

_SOFT: Final = """
any as async await constructor declare from get infer init is keyof module namespace never number object of override
partial permits readonly record require satisfies sealed set string symbol type undefined union unique unknown value
var where yield
"""
"""Words that are keywords in some places and names in others; not in Python, where its list has the hard ones."""
_NAMES_BY_ITSELF: Final = frozenset(("identifier", "type_identifier"))


def identifier_match(text: str, wanted: str, language: str) -> tuple[float, float]:
    """Whether the identifiers agree (0 or 1), and the F1 score of those that the answer has (0 to 1).

    Ding et al. 2023, CrossCodeEval: A Diverse and Multilingual Benchmark for Cross-File Code Completion, section 3.2:
    both texts are parsed into ordered lists of identifiers. The lists must be the same for an exact match; F1 is over
    the different identifiers of each, as in their `scripts/eval_metric.py`. Where neither text has one both are 1
    (there F1 is 0, although the lists agree). `language` is an LSP identifier; without a grammar for it every word is
    an identifier but the language's keywords (`identifiers`).
    """
    ours, theirs = identifiers(text, language), identifiers(wanted, language)
    one, other = set(ours), set(theirs)
    if not one and not other:
        return 1.0, 1.0
    return float(ours == theirs), 2 * len(one & other) / (len(one) + len(other))


def identifiers(text: str, language: str) -> list[str]:
    """The identifiers of a text in order, each as often as it stands there.

    Names of variables, types, members and labels, by tree-sitter; not what stands in comments and strings, unless as
    code of an interpolation, and neither keywords, literals nor built-in types. What the grammar cannot read is taken
    word by word without the grammar's keywords: answers are fragments. CrossCodeEval's script does without a grammar
    and takes every word that is on no list of keywords, so that it counts `true`, `await` and TypeScript's `string`,
    and code after a `//` in a string as a comment; the paper's definition is what this one follows.
    """
    facts = language_of("", language)
    parsed = None if facts.grammar is None else parsed_text(text.strip(), facts.grammar)
    if parsed is None or facts.grammar is None:
        return _words(text, facts.keywords)
    reserved = _reserved(facts.grammar)
    keywords = reserved & facts.keywords
    if facts.grammar != "python":
        keywords = keywords.difference(_SOFT.split())
    found: list[str] = []
    end = 0
    for leaf in _leaves(parsed.tree.root_node):
        found += _words(_decoded(parsed.data[end : leaf.start_byte]), reserved)
        if leaf.is_named and ("identifier" in leaf.type or leaf.type in _OTHER_NAMES):
            # outside of its statement a keyword such as `case` is read as a name; a member may be called like one
            found += _words(_decoded(leaf.text or b""), keywords if leaf.type in _NAMES_BY_ITSELF else frozenset())
        elif leaf.type in _UNPARSED:
            found += _words(_decoded(leaf.text or b""), reserved)
        end = max(end, leaf.end_byte)
    return found + _words(_decoded(parsed.data[end:]), reserved)


def _leaves(root: Node) -> Iterator[Node]:
    """Leaves in order; a comment or a string without code in it is one."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.child_count and node.type not in tables.COMMENTS and not is_plain_string(node):
            waiting += reversed(node.children)
        elif node is not root:
            yield node


def _words(text: str, without: frozenset[str]) -> list[str]:
    return [word for word in _WORD.findall(text) if word not in without]


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


@cache
def _reserved(grammar: str) -> frozenset[str]:
    """The words that a grammar has as signs of their own."""
    language = grammar_of(grammar)
    if language is None:
        return frozenset()
    kinds = range(language.node_kind_count)
    words = (language.node_kind_for_id(kind) or "" for kind in kinds if not language.node_kind_is_named(kind))
    return frozenset(word for word in words if _WORD.fullmatch(word))
