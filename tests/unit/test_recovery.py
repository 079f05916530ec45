"""The rules for a model that fails or runs out of memory, as tables."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aix_lsp.engine.recovery import (
    PRECISIONS,
    RestartLimit,
    Standing,
    in_words,
    is_out_of_memory,
    step_down,
)


@pytest.mark.parametrize(
    ("before", "precisions", "after"),
    [
        (Standing(8192, 8192), PRECISIONS, Standing(8192, 8192, spare_caches=False)),
        (Standing(8192, 8192, spare_caches=False), PRECISIONS, Standing(8192, 4096, spare_caches=False)),
        (Standing(8192, 4096, spare_caches=False), PRECISIONS, Standing(8192, 2048, spare_caches=False)),
        (Standing(8192, 2048, spare_caches=False), PRECISIONS, Standing(8192, 8192, "int8", spare_caches=False)),
        (Standing(8192, 2048, spare_caches=False), ("none", "int4"), Standing(8192, 8192, "int4", spare_caches=False)),
        (Standing(8192, 2048, "int8", False), PRECISIONS, Standing(8192, 8192, "int4", spare_caches=False)),
        (Standing(8192, 2048, "int4", False), PRECISIONS, Standing(8192, 2048, "int4", False, embedded=True)),
        (Standing(8192, 2048, "none", False), ("none",), Standing(8192, 2048, "none", False, embedded=True)),
        (Standing(8192, 2048, "unheard of", False), PRECISIONS, Standing(8192, 2048, "unheard of", False, True)),
        # a short context is never cut below what is of use
        (Standing(2048, 2048, "int4", False), PRECISIONS, Standing(2048, 1024, "int4", False)),
        (Standing(1024, 1024, "int4", False), PRECISIONS, Standing(1024, 1024, "int4", False, embedded=True)),
        (Standing(512, 512, "none", False, embedded=True), PRECISIONS, None),
    ],
)
def test_one_step_down_after_another(before: Standing, precisions: tuple[str, ...], after: Standing | None) -> None:
    assert step_down(before, precisions) == after


@given(st.integers(2, 200_000), st.sampled_from(PRECISIONS), st.sets(st.sampled_from(PRECISIONS)))
def test_the_ladder_ends_with_the_embedded_model(positions: int, first: str, supported: set[str]) -> None:
    standing = Standing(positions, positions, first)
    passed = [standing]
    while (below := step_down(passed[-1], tuple(supported))) is not None:
        assert below not in passed
        assert below.positions >= min(positions, 1024)
        assert "memory ran out" in in_words(passed[-1], below, embedded_name="aix-mini")
        passed.append(below)
        if below.embedded:
            break
    assert passed[-1].embedded
    assert len(passed) <= 12


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (Standing(8192, 8192, spare_caches=False), "only the latest prompt is kept"),
        (Standing(8192, 4096, spare_caches=False), "within 4,096 tokens"),
        (Standing(8192, 8192, "int8", False), "loaded again in int8"),
        (Standing(8192, 2048, "int8", False, True), "the embedded model aix-mini answers"),
    ],
)
def test_what_the_user_is_told_names_the_lowest_step(after: Standing, words: str) -> None:
    assert words in in_words(Standing(8192, 8192), after, embedded_name="aix-mini")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_running_out_of_memory_is_told_from_other_failures(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_a_few_restarts_a_minute_and_no_more() -> None:
    limit = RestartLimit(most=3, window_s=60)
    assert [limit.allows(now) for now in (0, 1, 2, 3, 59.9)] == [True, True, True, False, False]
    limit.served()
    assert limit.allows(60.5)  # the first is a minute ago
    assert not limit.allows(60.6)
    assert not RestartLimit(most=0).allows(0)


def test_a_model_that_takes_long_to_load_and_serves_nobody_is_not_loaded_for_ever() -> None:
    limit = RestartLimit(most=3, window_s=60)
    assert [limit.allows(now) for now in (0, 100, 200, 300)] == [True, True, True, False]
    assert limit.often == "4 times in a row"
    limit.served()
    assert limit.allows(400)
