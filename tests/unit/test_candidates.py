"""Several continuations from one prompt: distinct, the plain answer first, each right for its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from aix_lsp.engine.decode import Decoder
from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.tokenizer import load_tokenizer
from tests.unit.test_decode import Breaking, after, expected, generated, tokens
from tests.unit.tiny_models import embedded_folder, tiny_model

KINDS: list[tuple[str, dict[str, Any]]] = [
    ("llama", {}),
    ("mistral", {"sliding_window": 16}),
    ("starcoder2", {}),
    ("gpt2", {}),
]


@pytest.mark.parametrize(("kind", "changes"), KINDS, ids=lambda value: str(value))
def test_each_candidate_is_what_greedy_decoding_gives_behind_its_first_token(
    kind: str, changes: dict[str, Any]
) -> None:
    model = tiny_model(kind, **changes)
    decoder = Decoder(model, chunk=16)
    ids = tokens(30)
    found = decoder.candidates(ids, 4, limit=9)
    assert found[0] == expected(model, ids, 9)
    assert len(found) == 4
    assert len({found[number][0] for number in range(4)}) == 4
    for candidate in found:
        assert candidate[1:] == expected(model, [*ids, candidate[0]], 8)
    assert decoder.held[: len(ids)] == tuple(ids)
    assert generated(decoder, [*ids, 300]) == expected(model, [*ids, 300])


def test_an_answer_that_is_there_already_is_not_made_again() -> None:
    model = tiny_model()
    decoder = Decoder(model)
    ids = tokens(20)
    answer = generated(decoder, ids, 6)
    found = decoder.candidates(ids, 2, limit=6, first=answer)
    assert found == Decoder(model).candidates(ids, 2, limit=6)
    assert decoder.candidates(ids, 1, limit=6, first=answer) == [answer]


def test_drawn_candidates_are_distinct_and_the_same_for_the_same_seed() -> None:
    decoder = Decoder(tiny_model(initializer_range=0.02))
    ids = tokens(10)
    runs = [decoder.candidates(ids, 3, limit=5, temperature=1.0, seed=seed) for seed in (7, 7, 8)]
    assert runs[0] == runs[1] != runs[2]
    assert len({tuple(found) for found in runs[0]}) == len(runs[0]) == 3


def test_candidates_end_at_a_stop_token_where_the_caller_says_so_and_when_cancelled() -> None:
    model = tiny_model()
    ids = tokens(20)
    second = Decoder(model).candidates(ids, 2, limit=9)[1]
    end = second[4]
    if end not in expected(model, ids, 9):
        found = Decoder(model, frozenset({end})).candidates(ids, 2, limit=9)
        assert found[1] == second[: second.index(end)]
    stopped = Decoder(model).candidates(ids, 2, limit=9, stop=lambda row, made: row == 1 and len(made) == 3)
    assert [len(found) for found in stopped] == [9, 3]
    cut = Decoder(model).candidates(ids, 3, limit=9, first=[300, 301], cancelled=after(5))
    assert cut[0] == [300, 301]
    assert all(len(found) < 9 for found in cut[1:])


def test_candidates_spell_out_what_was_taken_back_from_the_prompt() -> None:
    tokenizer = load_tokenizer(embedded_folder())
    model = tiny_model()
    decoder = Decoder(model, vocabulary=Vocabulary(tokenizer))
    found = decoder.candidates(tokens(12), 4, limit=6, required="ret")
    assert len(found) > 1
    for candidate in found:
        assert tokenizer.decode(candidate).startswith("ret")


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("failure", [torch.OutOfMemoryError, RuntimeError])
def test_branches_that_fail_leave_the_cache_right_and_without_memory_the_answer_stands(
    kind: str, failure: type[Exception]
) -> None:
    model = tiny_model(kind)
    breaking = Breaking(model, 1)
    decoder = Decoder(model)
    ids = tokens(20)
    answer = generated(decoder, ids, 6)

    def stop(row: int, made: Sequence[int]) -> bool:
        if row == 1 and len(made) == 2:
            breaking.kind, breaking.failures = failure, 2
        return False

    if failure is torch.OutOfMemoryError:
        assert decoder.candidates(ids, 3, limit=6, first=answer, stop=stop) == [answer]
    else:
        with pytest.raises(RuntimeError, match="by design"):
            decoder.candidates(ids, 3, limit=6, first=answer, stop=stop)
    assert decoder.held == ()
    breaking.failures = 0
    assert generated(decoder, ids, 6) == answer
