"""Following a recipe: sources, corpus, tokenizer, pieces, training, export. A stage that is whole is not done again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.recipe import RECIPES, Recipe, RecipeError

Stage = Literal["sources", "corpus", "tokenizer", "pieces", "train", "export"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
_POLL = 0.5  # seconds


@dataclass(frozen=True, slots=True)
class Work:
    """The folder of one run, and what lies where in it."""

    folder: Path

    @property
    def sources(self) -> Path:
        """Unpacked packages, a folder each."""
        return self.folder / "sources"

    @property
    def corpus(self) -> Path:
        """The clean corpus."""
        return self.folder / "corpus"

    @property
    def start(self) -> Path:
        """The model before training, with its tokenizer."""
        return self.folder / "start"

    @property
    def pieces(self) -> Path:
        """Training pieces."""
        return self.folder / "pieces"

    @property
    def held_out(self) -> Path:
        """Pieces of files that are not trained on."""
        return self.folder / "held-out"

    @property
    def run(self) -> Path:
        """Checkpoint, progress, and the trained weights."""
        return self.folder / "run"

    @property
    def model(self) -> Path:
        """The finished model."""
        return self.folder / "model"


Tell = Callable[[str], None]
"""Called with one line at a time about what happens."""


def follow(recipe: Recipe, work: Work, *, base: Path, until: Stage = "export", tell: Tell = lambda line: None) -> None:
    """Do the stages of a recipe up to `until` in `work`. Paths in the recipe are relative to `base`.

    Raises the error of the stage that fails, each a ValueError with one line; the same call goes on from there.
    """
    _claim(recipe, work)
    steps: dict[Stage, Callable[[Recipe, Work, Path, Tell], None]] = {
        "sources": _sources,
        "corpus": _corpus,
        "tokenizer": _tokenizer,
        "pieces": _pieces,
        "train": _train,
        "export": _export,
    }
    for stage in STAGES[: STAGES.index(until) + 1]:
        began = time.monotonic()
        tell(f"{stage} ...")
        steps[stage](recipe, work, base, tell)
        tell(f"{stage}: {time.monotonic() - began:.0f} s")


def _claim(recipe: Recipe, work: Work) -> None:
    """Take the folder for this recipe. Only how long to train may change from one call to the next."""
    work.folder.mkdir(parents=True, exist_ok=True)
    path = work.folder / "recipe.json"
    now = json.loads(json.dumps(asdict(recipe)))
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        differ = sorted(name for name in now if name != "loop" and now[name] != before.get(name))
        if differ:
            raise RecipeError(
                f"{work.folder} was begun with other settings ({', '.join(differ)}); take another folder, or delete it"
            )
    path.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


def _sources(recipe: Recipe, work: Work, base: Path, tell: Tell) -> None:
    if recipe.corpus.sources is None:
        return
    from aix_lsp.training.sources import fetch, load_sources

    listed = load_sources(base / recipe.corpus.sources)
    fetch(listed, work.sources, progress=lambda done, total, what: tell(f"  {done} of {total}: {what}"))


def _corpus(recipe: Recipe, work: Work, base: Path, tell: Tell) -> None:
    from aix_lsp.training.corpus.build import build
    from aix_lsp.training.corpus.cleaning import Options

    table = recipe.corpus
    folders = [work.sources] if table.sources is not None else [base / folder for folder in table.folders]
    options = Options(
        allow_unknown=table.allow_unknown,
        languages=table.languages,
        tests_share=table.tests_share,
        seed=recipe.seed,
        analysis=table.analysis,
        characters_per_project=table.characters_per_project,
    )
    build(
        folders,
        work.corpus,
        options,
        progress=lambda now: tell(f"  {now.done} of {now.total}: {now.project}, {now.characters:,} characters so far"),
    )


def _tokenizer(recipe: Recipe, work: Work, base: Path, tell: Tell) -> None:
    """The model to start from, with its tokenizer: a new one of random weights, or an earlier one."""
    if (work.start / "config.json").is_file():
        return
    from aix_lsp.training.corpus.store import Corpus

    work.start.mkdir(parents=True, exist_ok=True)
    if recipe.start is not None:
        _copy_model(base / recipe.start, work.start, recipe.layers)
        return
    from aix_lsp.training.init_config import build_model, read_init
    from aix_lsp.training.tokenizer import train_tokenizer

    sizes = read_init(base / str(recipe.init))
    texts = (file.text for file in Corpus.open(work.corpus).files())
    train_tokenizer(
        texts, work.start, pieces=sizes.pieces, seed=recipe.seed, most_characters=recipe.tokenizer.characters
    )
    model = build_model(sizes, seed=recipe.seed)
    tell(f"  {model.num_parameters():,} parameters, {sizes.pieces:,} pieces")
    # the configuration is written last, and tells that the stage is whole
    model.save_pretrained(work.start)


def _copy_model(source: Path, target: Path, layers: int | None) -> None:
    """The model in `source` with its tokenizer, deepened to `layers` if given; its configuration is written last."""
    import shutil

    if not (source / "config.json").is_file():
        raise RecipeError(f"start: {source.name} holds no model")
    for path in sorted(source.glob("tokenizer*")):
        shutil.copy(path, target / path.name)
    from transformers import AutoModelForCausalLM

    from aix_lsp.training.growth import grown

    model: Any = AutoModelForCausalLM.from_pretrained(source, dtype="float32")
    (model if layers is None else grown(model, layers)).save_pretrained(target)


def _pieces(recipe: Recipe, work: Work, base: Path, tell: Tell) -> None:
    from aix_lsp.engine.tokenizer import load_tokenizer
    from aix_lsp.prompt.fim import family_of
    from aix_lsp.training.corpus.store import Corpus
    from aix_lsp.training.data import split
    from aix_lsp.training.prepare import prepare

    tokenizer = load_tokenizer(work.start)
    family = family_of(tokenizer)
    if family is None:
        raise RecipeError("the tokenizer of the model to start from has no fill-in-the-middle markers")
    corpus = Corpus.open(work.corpus)

    def projects(held_out: bool) -> Iterator[tuple[str, Sequence[SourceFile]]]:
        for project in corpus.projects:
            parts = split(corpus.files(project.name), recipe.train.held_out, recipe.seed)
            yield project.name, parts[int(held_out)]

    for held_out, folder in ((True, work.held_out), (False, work.pieces)):
        tokens = prepare(projects(held_out), tokenizer, family, folder, recipe.windows, recipe.prepare)
        tell(f"  {tokens:,} tokens {'held out' if held_out else 'to train on'}")


def _train(recipe: Recipe, work: Work, base: Path, tell: Tell) -> None:
    if (work.run / "model" / "config.json").is_file():
        return
    from aix_lsp.training.scratch import Spec

    table = recipe.train
    work.run.mkdir(parents=True, exist_ok=True)
    spec = Spec(
        start=str(work.start),
        pieces=str(work.pieces),
        held_out=str(work.held_out),
        out=str(work.run),
        loop=recipe.loop,
        rates=recipe.rates,
        weights=recipe.weights,
        sequence=table.sequence,
        tokens=table.tokens,
        held_out_tokens=table.held_out_tokens,
        compiled=table.compiled,
        seed=recipe.seed,
    )
    spec.write(work.run / "spec.json")
    _launch(work.run / "spec.json", table.processes, work.run / "progress.jsonl", tell)


def _launch(spec: Path, processes: int, log: Path, tell: Tell) -> None:
    """Run the training in processes of its own and tell its progress until it ends. Raises RecipeError."""
    module = ["-m", "aix_lsp.training.scratch", str(spec)]
    command = [sys.executable, *module]
    if processes > 1:
        # torch's launcher gives each process its place among the others
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [sys.executable, *launcher, *module]
    seen = log.stat().st_size if log.exists() else 0
    threads = {"OMP_NUM_THREADS": "1"} if processes > 1 else {}
    with (spec.parent / "output.txt").open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **threads})
        try:
            while process.poll() is None:
                time.sleep(_POLL)
                seen = _told(log, seen, tell)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    _told(log, seen, tell)
    if process.returncode != 0:
        lines = (spec.parent / "output.txt").read_text(encoding="utf-8", errors="replace").split("\n")
        said = next((line for line in reversed(lines) if line.startswith("aix-lsp: ")), f"exit {process.returncode}")
        raise RecipeError(f"training ended early: {said.removeprefix('aix-lsp: ')}")


def _told(log: Path, seen: int, tell: Tell) -> int:
    """Tell the lines of the progress file behind byte `seen`; where it ends now."""
    if not log.exists():
        return seen
    with log.open("rb") as file:
        file.seek(seen)
        for line in file:
            if not line.endswith(b"\n"):
                break
            seen += len(line)
            tell(f"  {_sentence(json.loads(line))}")
    return seen


def _sentence(entry: dict[str, Any]) -> str:
    parts = ", ".join(f"{name} {value:.2f}" for name, value in entry.get("parts", {}).items())
    if entry.get("kind") == "step":
        return (
            f"step {entry['step']:,}, {entry['tokens']:,} tokens, loss {entry['loss']:.3f} ({parts}), "
            f"{entry['tokens_per_second']:,.0f} tokens/s, {entry['seconds_left'] / 60:.0f} min left"
        )
    if entry.get("kind") == "validation":
        return f"held out after step {entry['step']:,}: loss {entry['loss']:.3f} ({parts})"
    return f"ended: {entry.get('done', '')}"


def _export(recipe: Recipe, work: Work, base: Path, tell: Tell) -> None:
    from transformers import AutoModelForCausalLM

    from aix_lsp.training.corpus.store import Corpus
    from aix_lsp.training.export import export
    from aix_lsp.training.mini_card import card_of

    model: Any = AutoModelForCausalLM.from_pretrained(work.run / "model", dtype="float32")
    corpus = Corpus.open(work.corpus)
    texts = [file.text for _, file in zip(range(400), corpus.files(), strict=False)]
    notes = {
        "format": recipe.export.format,
        "languages": list(recipe.export.languages),
        "licence": recipe.export.licence,
    }
    export(
        model,
        work.start,
        work.model,
        card=card_of(recipe, work.folder, model.config, model.num_parameters()),
        notes=notes,
        texts=texts,
        most_bytes=recipe.export.most_bytes,
    )


def bundled(name: str) -> bool:
    """Whether a recipe of this name comes with the package."""
    return (RECIPES / f"{name}.toml").is_file()
