"""The forward pass, the loss, the optimizers and the loop, on a model of a few thousand weights."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from aix_lsp.training.checkpoints import CheckpointError, RunState, load, save
from aix_lsp.training.interruption import interruptions
from aix_lsp.training.loop import LoopSettings, Outcome, StepReport, TrainingError, Validation, train
from aix_lsp.training.objective import Objective, Weights, means
from aix_lsp.training.optim import OptimizerSettings, factor, optimizers
from aix_lsp.training.piece_store import arrays_of
from aix_lsp.training.pieces import Branch, Part, Piece
from aix_lsp.training.rows import Batch, Feed, collate, row_of
from tests.unit.file_limits import limited_files

pytestmark = pytest.mark.usefixtures("one_thread")

VOCABULARY = 64


def small_model(*, tied: bool = True, key_heads: int = 2, seed: int = 0) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=key_heads,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        rope_theta=1000.0,
    )
    return LlamaForCausalLM(config).float()


def pieces(count: int, seed: int = 0) -> list[Piece]:
    """Pieces whose answers can be learned: the token behind the middle marker (3) is the one before the suffix (2)."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        trunk = tuple(draw.randrange(10, VOCABULARY) for _ in range(draw.randrange(4, 9)))
        branches = []
        for _ in range(draw.randrange(0, 3)):
            attach = draw.randrange(2, len(trunk) + 1)
            suffix = (2, draw.randrange(10, VOCABULARY), 3)
            branches.append(Branch(attach, (*suffix, trunk[attach - 1], 1), (0, 0, 0, Part.PSM_FIRST, Part.PSM)))
        made.append(Piece(trunk, (0, *[int(Part.TEXT)] * (len(trunk) - 1)), tuple(branches)))
    return made


def batch(count: int = 12, length: int = 32) -> Batch:
    return next(Feed(arrays_of(pieces(count)), (length,), 4 * length).batches())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_the_lean_pass_computes_what_transformers_computes(tied: bool, key_heads: int) -> None:
    model = small_model(tied=tied, key_heads=key_heads)
    given = batch()
    lean = Objective(model, lean=True, compiled=False, dtype=torch.float32)(given)
    plain = Objective(model, lean=False, dtype=torch.float32)(given)
    assert torch.allclose(lean.loss, plain.loss, rtol=1e-5)
    assert torch.allclose(lean.sums, plain.sums, rtol=1e-4, atol=1e-5)
    assert torch.equal(lean.counts, plain.counts)


def test_gradients_of_both_passes_agree() -> None:
    given = batch()
    found = []
    for lean in (True, False):
        model = small_model()
        Objective(model, lean=lean, compiled=False, dtype=torch.float32)(given).loss.backward()
        found.append({name: weight.grad for name, weight in model.named_parameters()})
    for name, gradient in found[0].items():
        assert torch.allclose(gradient, found[1][name], rtol=1e-3, atol=1e-6), name


def test_a_branch_has_the_loss_that_it_has_alone() -> None:
    model = small_model()
    objective = Objective(model, compiled=False, dtype=torch.float32)
    piece = next(one for one in pieces(50) if len(one.branches) == 2)
    silent = tuple(0 for _ in piece.parts)
    for branch in piece.branches:
        others = [Branch(one.attach, one.ids, tuple(0 for _ in one.parts)) for one in piece.branches if one != branch]
        beside = Piece(piece.ids, silent, (*others, branch))
        alone = Piece((*piece.ids[: branch.attach], *branch.ids), (*silent[: branch.attach], *branch.parts))
        together, single = (objective(collate([row_of([one], 40)])).loss for one in (beside, alone))
        assert torch.allclose(together, single, rtol=1e-5)


def test_the_loss_weighs_tokens_by_what_they_are() -> None:
    model = small_model()
    given = next(Feed(arrays_of(pieces(12)), (32,), 128, ahead=2).batches())
    weights = Weights(text=0.5, first=4.0, answer=1.5, ahead=0.7)
    found = Objective(model, weights, compiled=False, dtype=torch.float32)(given)
    shares = torch.tensor(weights.by_part())
    assert torch.allclose(found.loss, (found.sums * shares).sum() / (found.counts * shares).sum(), rtol=1e-5)
    assert set(means(found.sums, found.counts)) == {"text", "psm_first", "psm", "psm_ahead"}


@pytest.mark.parametrize("schedule", ["cosine", "trapezoid"])
def test_the_rate_rises_and_ends_at_nothing(schedule: Any) -> None:
    settings = OptimizerSettings(schedule=schedule, warmup=0.1, flat=0.5)
    course = [factor(step / 100, settings) for step in range(101)]
    assert course[10] == pytest.approx(1.0)
    assert course[:11] == sorted(course[:11])
    assert course[10:] == sorted(course[10:], reverse=True)
    assert course[-1] == pytest.approx(0.0, abs=1e-9)


def test_muon_takes_the_matrices_of_the_layers_and_adamw_all_else() -> None:
    model = small_model(tied=False)
    muon, adamw = optimizers(model, OptimizerSettings())
    shapes = [weight.shape for group in muon.param_groups for weight in group["params"]]
    assert len(shapes) == 14
    assert all(len(shape) == 2 and VOCABULARY not in shape for shape in shapes)
    assert len([weight for group in adamw.param_groups for weight in group["params"]]) == 7
    assert len(optimizers(model, OptimizerSettings(muon=False))) == 1


def run(
    folder: Path | None, steps: int, *, seed: int = 0, patience: int | None = None, **more: Any
) -> tuple[Any, Outcome, list[StepReport]]:
    model = small_model(seed=seed)
    feed = Feed(arrays_of(pieces(300)), (32,), 128, seed=1)
    reports: list[StepReport] = []
    outcome = train(
        Objective(model, compiled=False, dtype=torch.float32),
        lambda skip: feed.batches(skip=skip),
        LoopSettings(steps=steps, report_every=5, validate_every=4, patience=patience, checkpoint_minutes=60),
        OptimizerSettings(rate=1e-2, muon_rate=0.02, warmup=0.05, flat=1.0),
        folder=folder,
        about={"model": "small"},
        on_report=reports.append,
        **more,
    )
    return model, outcome, reports


def test_the_model_learns_to_answer_from_the_place_before_the_suffix() -> None:
    _, outcome, reports = run(None, 120)
    assert outcome.reason == "steps"
    assert reports[-1].parts["psm_first"] < 0.5 * reports[0].parts["psm_first"]
    assert reports[-1].tokens == 120 * 128


def test_an_interrupted_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole, _, _ = run(None, 20)
    run(tmp_path / "checkpoint", 10)
    resumed, outcome, _ = run(tmp_path / "checkpoint", 20, seed=5)
    assert outcome.state.step == 20
    assert outcome.state.tokens == 20 * 128
    for (name, one), other in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5), name


@pytest.mark.skipif(os.name == "nt", reason="no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_keeps_the_step_under_way(tmp_path: Path, number: signal.Signals) -> None:
    def passed_on_by_a_launcher(losses: Mapping[str, float]) -> Mapping[str, float]:
        signal.raise_signal(number)
        signal.raise_signal(number)
        return losses

    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "checkpoint", 20, validate=lambda: passed_on_by_a_launcher({"loss": 1.0}))
    assert handlers == [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    assert json.loads((tmp_path / "checkpoint" / "state.json").read_text())["state"]["step"] == 4
    whole, _, _ = run(None, 10)
    resumed, outcome, _ = run(tmp_path / "checkpoint", 10, seed=5)
    assert outcome.state.step == 10
    for (name, one), other in zip(whole.named_parameters(), resumed.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5), name


def test_a_run_that_is_told_twice_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("aix_lsp.training.interruption.time.monotonic", lambda: now)
    with interruptions() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        now = 0.5
        signal.raise_signal(signal.SIGINT)
        now = 5.0
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptions() as asked:
            signal.raise_signal(signal.SIGINT)
            assert not asked()
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    model = small_model()
    save(tmp_path / "c", model, optimizers(model, OptimizerSettings()), RunState(step=3), {"seed": 1})
    with pytest.raises(CheckpointError, match="another run: seed differ"):
        load(tmp_path / "c", model, optimizers(model, OptimizerSettings()), {"seed": 2})


@pytest.mark.parametrize("name", ["state.json", "weights.safetensors", "optimizers.pt"])
def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, name: str) -> None:
    model = small_model()
    listed = optimizers(model, OptimizerSettings())
    save(tmp_path / "c", model, listed, RunState(), {})
    (tmp_path / "c" / name).write_bytes(b"\x00\x01")
    with pytest.raises(CheckpointError, match="is damaged") as caught:
        load(tmp_path / "c", model, listed, {})
    assert "\n" not in str(caught.value)


def test_a_checkpoint_between_its_two_renames_is_found(tmp_path: Path) -> None:
    model = small_model()
    listed = optimizers(model, OptimizerSettings())
    save(tmp_path / "c", model, listed, RunState(step=7), {})
    (tmp_path / "c").rename(tmp_path / ".c.old")
    state = load(tmp_path / "c", model, listed, {})
    assert state is not None
    assert state.step == 7


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model()
    listed = optimizers(model, OptimizerSettings())
    save(tmp_path / "c", model, listed, RunState(step=1), {})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path / "c", model, listed, RunState(step=2), {})
    assert json.loads((tmp_path / "c" / "state.json").read_text())["state"]["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


@pytest.mark.skipif(os.name == "nt", reason="no limits of this kind")
@pytest.mark.parametrize("most", [1_000, 20_000])
def test_libraries_that_cannot_write_are_told_as_a_full_disk(tmp_path: Path, most: int) -> None:
    # large enough for the weights of one of them and not for the state of the other
    model = torch.nn.Linear(64, 64)
    listed = [torch.optim.AdamW(model.parameters())]
    model(torch.ones(1, 64)).sum().backward()
    listed[0].step()
    with limited_files(most), pytest.raises(OSError, match="could not be written") as caught:
        save(tmp_path / "c", model, listed, RunState(step=1), {})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_training_ends_when_the_held_out_loss_does_not_fall(tmp_path: Path) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.1, 9.0])
    best: list[int] = []
    seen: list[Validation] = []
    _, outcome, _ = run(
        None,
        100,
        patience=2,
        validate=lambda: {"loss": next(losses)},
        keep_best=lambda: best.append(1),
        on_validation=seen.append,
    )
    assert outcome.reason == "patience"
    assert outcome.state.step == 16
    assert outcome.state.best == 2.0
    assert len(best) == 2
    assert [found.step for found in seen] == [4, 8, 12, 16]


def test_a_loss_that_is_no_number_ends_the_run_in_one_line() -> None:
    model = small_model()
    with torch.no_grad():
        model.model.norm.weight[0] = float("nan")
    feed = Feed(arrays_of(pieces(50)), (32,), 128)

    def batches(skip: int) -> Iterator[Batch]:
        return feed.batches(skip=skip)

    with pytest.raises(TrainingError, match="no number"):
        train(
            Objective(model, compiled=False, dtype=torch.float32),
            batches,
            LoopSettings(steps=3),
            OptimizerSettings(),
        )


def test_a_run_needs_an_end() -> None:
    with pytest.raises(TrainingError, match="how long"):
        train(Objective(small_model(), compiled=False), lambda skip: iter(()), LoopSettings(), OptimizerSettings())


def test_accumulated_batches_make_one_step() -> None:
    feed = Feed(arrays_of(pieces(100)), (32,), 128)
    outcome = train(
        Objective(small_model(), compiled=False, dtype=torch.float32),
        lambda skip: feed.batches(skip=skip),
        LoopSettings(steps=3, accumulate=4),
        OptimizerSettings(),
    )
    assert (outcome.state.step, outcome.state.batches, outcome.state.tokens) == (3, 12, 3 * 4 * 128)
