"""How likely each token was: the log-softmax of transformers' own logits, and whatever a scripted engine is told."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import islice
from typing import Any

import pytest
import torch

from aix_lsp.engine.copying import CopyPrior, CopyWeights
from aix_lsp.engine.decode import Decoder
from aix_lsp.engine.generation import LoadedModel, run
from aix_lsp.engine.healing import Vocabulary
from aix_lsp.engine.picking import fetched_together
from aix_lsp.engine.scripted import DEFAULT_INFO, PieceTokenizer, ScriptedBackend, ScriptedEngine
from aix_lsp.engine.speculation import NgramProposer
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.types import GenerationRequest, Prompt
from tests.unit.tiny_models import VOCABULARY, embedded_folder, tiny_model

pytestmark = pytest.mark.usefixtures("one_thread")

NEW = 20
COPYING = CopyWeights(base=-1.0, length=0.9, agreement=1.5, model=0.1, healing=1.5, lone=-0.5)


def tokens(count: int, seed: int = 0) -> list[int]:
    return random.Random(seed).choices(range(300, VOCABULARY), k=count)


def logits_before(model: Any, ids: Sequence[int], answer: Sequence[int]) -> torch.Tensor:
    """The logits from which each token of the answer was taken, by transformers' own forward in one pass."""
    with torch.inference_mode():
        output = model(input_ids=torch.tensor([[*ids, *answer]]))
    rows: torch.Tensor = output.logits[0, len(ids) - 1 : -1].float()
    return rows


def expected(rows: torch.Tensor, answer: Sequence[int]) -> list[float]:
    chances = rows.log_softmax(-1)
    return [float(chances[number, token]) for number, token in enumerate(answer)]


def answered(decoder: Decoder, ids: Sequence[int], count: int = NEW, **options: Any) -> tuple[list[int], list[float]]:
    found = list(islice(decoder.generate(ids, **options), count))
    return found, list(decoder.log_probabilities)[: len(found)]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
def test_scores_are_the_log_softmax_of_the_models_own_forward(kind: str) -> None:
    model = tiny_model(kind)
    ids = tokens(40)
    answer, scores = answered(Decoder(model), ids)
    assert len(scores) == NEW
    assert scores == pytest.approx(expected(logits_before(model, ids, answer), answer), abs=2e-3)


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_drawn_tokens_have_the_probability_of_temperature_one(temperature: float) -> None:
    model = tiny_model()
    ids = tokens(30, seed=1)
    answer, scores = answered(Decoder(model), ids, temperature=temperature, seed=3)
    assert scores == pytest.approx(expected(logits_before(model, ids, answer), answer), abs=2e-3)


def test_guessed_tokens_have_the_same_scores_as_those_that_were_not() -> None:
    model = tiny_model()
    repeated = tokens(12, seed=2)
    ids = [*repeated, *repeated, *repeated]
    plain, guessing = Decoder(model), Decoder(model)
    # what the plain decoder says is put where the other one looks for its guesses
    first, alone = answered(plain, ids)
    guessing.proposer = NgramProposer(frozenset(), always=True)
    guessing.proposer.know([[*ids, *first]])
    again, together = answered(guessing, ids)
    assert guessing.guessed_tokens > 0
    assert again == first
    assert together == pytest.approx(alone, abs=2e-3)


def test_with_copying_scores_are_of_the_mixture_that_decided() -> None:
    model = tiny_model()
    repeated = tokens(10, seed=4)
    ids = [*repeated, *repeated, *repeated[:5]]
    decoder = Decoder(model, prior=CopyPrior(COPYING, (), str))
    answer, scores = answered(decoder, ids)
    rows = logits_before(model, ids, answer)
    oracle = CopyPrior(COPYING, (), str)
    oracle.begin(ids)
    mixed = []
    for number, token in enumerate(answer):
        mixed.append(float(oracle.mix(rows[number]).log_softmax(-1)[token]))
        oracle.push(token)
    assert scores == pytest.approx(mixed, abs=2e-3)
    assert scores != pytest.approx(expected(rows, answer), abs=1e-2)


def test_a_word_that_is_spelled_out_again_is_judged_among_what_may_come() -> None:
    tokenizer = load_tokenizer(embedded_folder())
    vocabulary = Vocabulary(tokenizer)
    model = tiny_model()
    ids = [token for token in tokenizer.encode("value = self.") if token < VOCABULARY]
    decoder = Decoder(model, vocabulary=vocabulary)
    answer, scores = answered(decoder, ids, required="na")
    allowed = list(vocabulary.beginnings("na"))
    row = logits_before(model, ids, answer[:1])[0]
    among = row[allowed].log_softmax(-1)[allowed.index(answer[0])]
    assert scores[0] == pytest.approx(float(among), abs=2e-3)
    assert len(scores) == len(answer)


@pytest.mark.parametrize("count", [1, 3])
def test_tokens_and_scores_come_from_a_device_together_and_unchanged(count: int) -> None:
    tokens_ = torch.randint(0, 1 << 20, (count, 1))
    scores = -torch.rand(count, 1)
    numbers, logarithms = fetched_together(tokens_, scores)
    assert numbers == tokens_[:, 0].tolist()
    assert logarithms == scores[:, 0].tolist()


def test_an_answer_that_is_cut_leaves_no_scores_for_the_next() -> None:
    decoder = Decoder(tiny_model())
    answer, scores = answered(decoder, tokens(20), count=3)
    assert len(answer) == len(scores) == 3
    _, later = answered(decoder, tokens(8, seed=7), count=2)
    assert len(later) == 2


def request(required: str = "", **options: Any) -> GenerationRequest:
    return GenerationRequest(
        build_prompt=lambda tokenizer, info: Prompt((1,), "<s>", "l2r", required=required),
        **({"max_new_tokens": 50} | options),
    )


def scripted(script: str, scores: Sequence[float], **options: Any) -> Any:
    tokenizer = PieceTokenizer()
    backend = ScriptedBackend(script, tokenizer, DEFAULT_INFO, delay=0, load_delay=0, scores=scores)
    model = LoadedModel(tokenizer, DEFAULT_INFO)
    return run(request(**options), model, backend, cancelled=lambda: False, show=lambda text: None)


def test_each_score_has_the_end_of_its_token_in_the_text() -> None:
    generation = scripted("ab + (c", [-1, -2, -3, -4, -5, -6])
    assert [(score.end, score.log_probability) for score in generation.scores] == [
        *((2, -1), (3, -2), (4, -3), (5, -4), (6, -5), (7, -6))
    ]
    assert generation.scores[-1].end == len(generation.text)


def test_a_required_text_is_no_part_of_the_scores() -> None:
    generation = scripted("(x)", [-0.1, -0.2, -0.3], required="name")
    assert generation.text == "(x)"
    assert [(score.end, score.log_probability) for score in generation.scores] == [(1, -0.1), (2, -0.2), (3, -0.3)]


@pytest.mark.parametrize(
    ("scores", "limit", "count"), [([-1.0] * 7, 3, 3), ([-1.0], 50, 0), ([-1.0, math.nan, -1.0], 50, 0), ([], 50, 0)]
)
def test_scores_are_whole_or_not_there(scores: list[float], limit: int, count: int) -> None:
    assert len(scripted("a b", scores, max_new_tokens=limit).scores) == count


async def test_the_scripted_engine_tells_the_scores_it_is_given() -> None:
    engine = ScriptedEngine("a.b", scores=lambda answer: [-float(len(answer))] * 3)
    try:
        generation = await engine.generate(request())
    finally:
        engine.close()
    assert [score.log_probability for score in generation.scores] == [-3.0] * 3
