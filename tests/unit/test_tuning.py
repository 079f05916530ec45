"""A training run from files to a finished folder, with models of a few thousand parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from aix_lsp.engine.adapter import inspect_adapter
from aix_lsp.engine.loading import load_model
from aix_lsp.engine.tokenizer import load_tokenizer
from aix_lsp.prompt.fim import family_of
from aix_lsp.training.card import CardFacts, card
from aix_lsp.training.checkpoints import CheckpointError
from aix_lsp.training.data import Source, documents
from aix_lsp.training.held_out import LossLog
from aix_lsp.training.loop import StepReport, TrainingError, Validation
from aix_lsp.training.pieces import Part
from aix_lsp.training.plot import loss_plot
from aix_lsp.training.samples import FimSample, Sampler, SamplerSettings
from aix_lsp.training.tuning import TuneSettings, Watch, tune, workplace
from aix_lsp.training.tuning_feed import SampleDrawer, TuningFeed
from aix_lsp.training.tuning_plan import check, loop_settings, rate_settings
from tests.unit.tiny_models import embedded_folder, save_model

# peft calls transformers by names that it has deprecated since
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.usefixtures("one_thread")]

IDIOMS = Path(__file__).parents[1] / "fixtures" / "idioms"
FILES = list(documents(Source(workspace=IDIOMS)))
TOKENIZER = load_tokenizer(embedded_folder())
RECIPES = Path(__file__).parents[2] / "aix_lsp" / "training" / "recipes"
LENGTH = 256


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def asked(tiny: Path, tmp_path: Path) -> TuneSettings:
    """A run of a few steps; nothing in it is left to the clock."""
    return TuneSettings(
        source=Source(workspace=IDIOMS),
        out=tmp_path / "house",
        model=str(tiny),
        dropout=0.0,
        steps=6,
        batch=1,
        accumulate=1,
        sequence=LENGTH,
        held_out=0.25,
        samples=SamplerSettings(stretch=800, snippet_rate=0.0),
    )


def drawer(**options: Any) -> SampleDrawer:
    family = family_of(TOKENIZER)
    assert family is not None
    return SampleDrawer(TOKENIZER, family, SamplerSettings(**options), LENGTH)


def sampled(**options: Any) -> Iterator[FimSample]:
    for file in FILES[:4]:
        yield from Sampler(SamplerSettings(**options)).samples(file)


@pytest.mark.parametrize("rates", [{"fim_rate": 1, "spm_rate": 0}, {"fim_rate": 1, "spm_rate": 1}, {"fim_rate": 0}])
def test_a_sample_asks_for_its_prefix_and_its_answer_and_nothing_else(rates: dict[str, float]) -> None:
    made = drawer()
    for sample in sampled(stretch=500, snippet_rate=0, **rates):
        piece = made.piece(sample)
        kinds = [Part(part) for part in piece.parts]
        text = TOKENIZER.decode([i for i, kind in zip(piece.ids, kinds, strict=True) if kind != Part.GIVEN])
        header = TOKENIZER.decode([i for i, kind in zip(piece.ids, kinds, strict=True) if kind == Part.HEADER])
        assert len(piece) <= LENGTH
        # The suffix is not learned; what is, is one stretch of the file that ends with the middle.
        whole = sample.prefix + sample.middle
        assert whole.endswith(text.removeprefix(header)) or len(piece) == LENGTH
        assert header in ("", "# the file path is: " + sample.path + "\n# the code file is written by Python\n")
        first = {"psm": Part.PSM_FIRST, "spm": Part.SPM_FIRST}.get(sample.order)
        if sample.suffix and first is not None:
            assert kinds.count(first) == 1


def test_each_pass_draws_other_holes_and_the_same_pass_the_same() -> None:
    draw = drawer(snippet_rate=0).draws(FILES, FILES)
    assert list(draw(1)) == list(draw(1))
    assert list(draw(1)) != list(draw(2))


def test_snippets_of_other_files_are_quoted() -> None:
    quoted, plain = (
        list(replace(drawer(snippet_rate=rate, fim_rate=1), longest=1024).draws(FILES[5:6], FILES)(0))
        for rate in (1, 0)
    )
    begin = TOKENIZER.special("<s>")
    assert max(piece.ids.count(begin) for piece in quoted) > 1  # type: ignore[arg-type]
    assert all(piece.ids.count(begin) == 1 for piece in plain)  # type: ignore[arg-type]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 12), st.integers(1, 3), st.integers(1, 3))
def test_batches_skipped_are_those_that_would_have_come(skip: int, rows: int, world: int) -> None:
    draw = drawer(snippet_rate=0).draws(FILES[:6], FILES)
    feed = TuningFeed(draw, LENGTH, rows, seed=3, rank=world - 1, world=world)
    late, all_ = feed.batches(skip), islice(feed.batches(), skip, None)
    for _ in range(2):
        ours, theirs = next(late), next(all_)
        assert torch.equal(ours.ids, theirs.ids)
        assert torch.equal(ours.labels, theirs.labels)
        assert ours.ids.shape == (rows, LENGTH)


def test_processes_share_a_pass() -> None:
    draw = drawer(snippet_rate=0).draws(FILES, FILES)
    alone = TuningFeed(draw, LENGTH, 1)
    both = [TuningFeed(draw, LENGTH, 1, rank=rank, world=2) for rank in (0, 1)]
    first, second = (next(feed.batches()).ids for feed in both)
    assert not torch.equal(first, second)
    assert alone.rows_of_a_pass() == both[0].rows_of_a_pass() > 10


def test_nothing_to_learn_is_told() -> None:
    with pytest.raises(ValueError, match="nothing to learn"):
        next(TuningFeed(drawer().draws([], []), LENGTH, 1).batches())


def test_a_run_makes_an_adapter_with_card_and_picture_and_tells_how_it_goes(asked: TuneSettings, tiny: Path) -> None:
    said: list[str] = []
    steps: list[StepReport] = []
    found: list[Validation] = []
    done = tune(asked, Watch(said.append, steps.append, found.append))
    assert sorted(path.name for path in asked.out.iterdir()) == [
        *("README.md", "adapter_config.json", "adapter_model.safetensors", "aix.json", "loss.png")
    ]
    assert not workplace(asked.out).exists()
    assert said[0] == "14 files, 23,533 characters (python 14), 5 of them held out"
    assert [report.step for report in steps] == [1, 2, 3, 4, 5, 6]
    assert [validation.step for validation in found] == [0, 6]
    assert done.outcome.reason == "steps"
    assert done.before is not None
    assert done.after is not None
    assert done.after < done.before
    assert load_model(tiny, device="cpu", adapter=asked.out).adapter is not None
    assert "| python | 9 | 5 |" in (asked.out / "README.md").read_text()
    with pytest.raises(TrainingError, match="already holds a finished training; choose another --out"):
        tune(asked)


def stop_at(step: int) -> Callable[[StepReport], None]:
    def report(at: StepReport) -> None:
        if at.step == step:
            raise KeyboardInterrupt

    return report


def test_a_run_that_was_interrupted_ends_as_if_it_had_not_been(asked: TuneSettings, tmp_path: Path) -> None:
    tune(asked)
    other = replace(asked, out=tmp_path / "again", checkpoint_minutes=0.0)
    with pytest.raises(KeyboardInterrupt):
        tune(other, Watch(step=stop_at(4)))
    assert not other.out.exists()
    with pytest.raises(TrainingError, match="unfinished run: add --resume"):
        tune(other)
    with pytest.raises(CheckpointError, match=r"another run: .*seed"):
        tune(replace(other, resume=True, seed=1))
    tune(replace(other, resume=True))
    ours, theirs = (load_file(folder / "adapter_model.safetensors") for folder in (other.out, asked.out))
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor)
    assert (other.out / "loss.png").is_file()
    assert not workplace(other.out).exists()


def test_an_interrupted_run_without_a_checkpoint_leaves_nothing(asked: TuneSettings) -> None:
    with pytest.raises(KeyboardInterrupt):
        tune(asked, Watch(step=stop_at(1)))
    assert not asked.out.exists()
    assert not workplace(asked.out).exists()
    with pytest.raises(TrainingError, match="there is nothing to resume"):
        tune(replace(asked, resume=True))


def test_a_result_that_could_not_be_written_is_written_by_going_on(asked: TuneSettings) -> None:
    work = workplace(asked.out)

    def in_the_way(report: StepReport) -> None:
        if report.step == 6:
            (work / "finished").write_text("")

    with pytest.raises(OSError, match="finished"):
        tune(asked, Watch(step=in_the_way))
    assert not asked.out.exists()
    (work / "finished").unlink()
    done = tune(replace(asked, resume=True))
    assert done.outcome.state.step == 6
    assert inspect_adapter(asked.out).base == "tiny"


def test_held_out_losses_that_rise_end_a_run_and_the_best_weights_are_kept(asked: TuneSettings) -> None:
    found: list[Validation] = []
    wild = replace(asked, steps=60, rate=0.3, patience=1)
    done = tune(wild, Watch(validation=found.append))
    assert done.outcome.reason == "patience"
    assert done.outcome.state.step < 60
    assert done.after is not None
    assert done.after <= min(validation.loss for validation in found[1:]) + 1e-3


def test_the_clock_ends_a_run(asked: TuneSettings) -> None:
    assert tune(replace(asked, steps=None, minutes=0.001, held_out=0.0)).outcome.reason == "time"


def test_a_model_from_scratch_is_a_folder_that_the_engine_loads(asked: TuneSettings) -> None:
    done = tune(replace(asked, model="", init=RECIPES / "smoke.toml", steps=3))
    loaded = load_model(asked.out, device="cpu", threads=1)
    assert loaded.parameters < 600_000
    assert done.before is not None
    assert (asked.out / "loss.png").is_file()
    assert "A model trained from scratch" in (asked.out / "README.md").read_text()
    assert not workplace(asked.out).exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": ""}, "say what to train"),
        ({"init": Path("x.toml")}, "say what to train"),
        ({"model": "", "init": Path("x.toml"), "four_bit": True}, "--four-bit goes with --model"),
        ({"batch": 0}, "--batch must be at least 1, not 0"),
        ({"accumulate": -1}, "--accumulate must be at least 0"),
        ({"sequence": 10}, "--sequence must be at least 64"),
        ({"steps": 0}, "--steps must be at least 1"),
        ({"minutes": 0.0}, "--minutes must be more than 0"),
        ({"epochs": float("nan")}, "--epochs must be more than 0"),
        ({"rate": -1.0}, "--lr must be more than 0"),
        ({"held_out": 1.0}, "--held-out must be at least 0 and less than 1"),
    ],
)
def test_wrong_settings_are_told_before_any_work(asked: TuneSettings, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        check(replace(asked, **changes), workplace(asked.out))


@given(st.integers(1, 5000), st.integers(1, 4), st.integers(1, 4), st.floats(0.1, 10))
def test_steps_cover_the_passes_that_were_asked_for(rows: int, batch: int, processes: int, epochs: float) -> None:
    wanted = TuneSettings(Source(data="x"), Path("out"), batch=batch, epochs=epochs)
    loop = loop_settings(wanted, rows, processes)
    assert loop.steps is not None
    assert 1 <= loop.accumulate <= 8
    seen = loop.steps * loop.accumulate * batch * processes
    assert seen >= epochs * rows
    assert seen - epochs * rows <= (loop.accumulate + epochs) * batch * processes
    assert loop_settings(replace(wanted, steps=1), rows, processes).steps == 1
    assert loop_settings(replace(wanted, epochs=None, minutes=2.0), rows, processes).steps is None


def test_small_models_learn_at_a_higher_rate() -> None:
    wanted = TuneSettings(Source(data="x"), Path("out"), model="m")
    rates = [rate_settings(wanted, parameters).rate for parameters in (10**6, 10**9, 7 * 10**9, 10**12)]
    assert rates == sorted(rates, reverse=True)
    assert rates[2] == pytest.approx(2e-4)
    assert rate_settings(replace(wanted, rate=1e-3), 10**9).rate == 1e-3


def test_a_log_goes_on_after_an_interruption(tmp_path: Path) -> None:
    log = LossLog.open(tmp_path / "log.jsonl")
    for step in (10, 20, 30):
        log.step(StepReport(step, 0, float(step), {}, 1.0, 1.0, 1.0, 0.1))
        log.validation(Validation(step, step / 2, {"psm": 1.0}))
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')
    again = LossLog.open(tmp_path / "log.jsonl")
    assert (again.steps, again.held_out) == (log.steps, log.held_out)
    # It went on from the checkpoint after step 15.
    again.step(StepReport(20, 0, 7.0, {}, 1.0, 1.0, 1.0, 0.1))
    assert again.steps == [(10, 10.0), (20, 7.0)]


def test_the_picture_is_the_same_for_the_same_losses(tmp_path: Path) -> None:
    for name, losses in (("a.png", [(1, 2.0), (2, 1.0)]), ("b.png", [(1, 2.0), (2, 1.0)]), ("none.png", [])):
        loss_plot(tmp_path / name, losses, losses[1:], title="losses")
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_card_says_when_nothing_was_measured() -> None:
    facts = CardFacts(
        title="x",
        made_by="aix-lsp",
        base="aix-mini",
        base_licence="",
        source="a workspace",
        parameters=10,
        trained_parameters=1,
        characters=5,
        steps=1,
        tokens=2,
        minutes=0.1,
        languages={"go": 2},
        held_out_languages={},
        settings={"rank": 8},
        ended="after all its steps",
    )
    text = card(facts)
    assert "Nothing was held out" in text
    assert "| go | 2 | 0 |" in text
    assert "| rank | 8 |" in text
