"""Files that say less about the code at hand: tests, examples and what was copied from elsewhere."""

from __future__ import annotations

import re
from functools import lru_cache

SECONDARY_FACTOR = 0.7
"""What the score of such a file counts beside that of others."""

_SECONDARY = re.compile(
    r"(?:^|/)(?:tests?|__tests__|testing|testdata|fixtures|specs?|[^/]*\.tests?|[^/]*tests|"
    r"vendor|vendored|third[_-]?party|external|node_modules)/"
    r"|(?:^|/)(?:test_[^/]*|[^/]*(?:_test|_tests|\.test|\.spec|_spec)\.\w+)$",
    re.IGNORECASE,
)
_TEST_CLASS = re.compile(r"(?:^|/)\w*(?:Tests?|IT)\.(?:java|cs)$")


@lru_cache(maxsize=1 << 15)
def is_secondary(path: str) -> bool:
    """Whether a path is that of a test or lies in a folder of tests or of others' code."""
    return _SECONDARY.search(path) is not None or _TEST_CLASS.search(path) is not None
