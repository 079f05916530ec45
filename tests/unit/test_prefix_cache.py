"""The account of what a key-value cache holds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine.prefix_cache import PrefixCache, common_prefix


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_the_prefix_account_keeps_what_both_share_but_one_token(held: list[int], ids: list[int]) -> None:
    cache = PrefixCache()
    cache.extend(held)
    shared = common_prefix(held, ids)
    assert held[:shared] == ids[:shared]
    assert shared in (len(held), len(ids)) or held[shared] != ids[shared]
    keep = cache.reusable(ids)
    assert keep == max(0, min(shared, len(ids) - 1))
    assert cache.reusable(ids, croppable=False) == (keep if keep == len(held) else 0)
    cache.crop(keep)
    cache.extend(ids[keep:])
    assert cache.held == tuple(ids)
    assert len(cache) == len(ids)
