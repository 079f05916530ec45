"""What counts in the order of hits besides their scores: files that say less about the code at hand (tests, examples
and what was copied from elsewhere), and what is quoted already."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aix_lsp.retrieval.bm25 import Hit

SECONDARY_FACTOR = 0.7
"""What the score of such a file counts beside that of others."""

RECENT_FACTOR = 1.25
"""What the score of a file that was edited lately counts beside that of others."""

COVERED = 0.5
"""What a term counts that a quoted chunk has already, once more for each."""

_SECONDARY = re.compile(
    r"(?:^|/)(?:tests?|__tests__|testing|testdata|fixtures|specs?|[^/]*\.tests?|[^/]*tests|"
    r"vendor|vendored|third[_-]?party|external|node_modules)/"
    r"|(?:^|/)(?:test_[^/]*|[^/]*(?:_test|_tests|\.test|\.spec|_spec)\.\w+)$",
    re.IGNORECASE,
)
_TEST_CLASS = re.compile(r"(?:^|/)\w*(?:Tests?|IT)\.(?:java|cs)$")


@lru_cache(maxsize=1 << 13)
def is_secondary(path: str) -> bool:
    """Whether a path is that of a test or lies in a folder of tests or of others' code."""
    return _SECONDARY.search(path) is not None or _TEST_CLASS.search(path) is not None


def take_best_beside(hits: list[Hit], quoted: Mapping[str, int]) -> Hit:
    """Take out of `hits`, best first and at least one, the one that adds most to what is quoted.

    `quoted` says how many quoted chunks have a term. Three chunks that match for the same reason find less than
    three that match for different ones. After maximal marginal relevance (Carbonell and Goldstein, 1998), with the
    shared terms themselves for the similarity of chunks.
    """
    if not quoted:
        return hits.pop(0)
    weights = {term: COVERED**count for term, count in quoted.items()}
    best, place = -1.0, 0
    for number, hit in enumerate(hits):
        if hit.score <= best:
            break  # the rest can add no more than they score
        added = hit.score * sum([share * weights.get(term, 1.0) for term, share in hit.terms])
        if added > best:
            best, place = added, number
    return hits.pop(place)
