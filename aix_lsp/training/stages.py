"""Following a recipe: sources, corpus, tokenizer, pieces, training, export. A stage that is whole is not done again."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from aix_lsp.training.corpus.records import SourceFile
from aix_lsp.training.folders import replaced_folder
from aix_lsp.training.recipe import RECIPES, Recipe, RecipeError

if TYPE_CHECKING:
    from aix_lsp.engine.tokenizer import ModelTokenizer
    from aix_lsp.prompt.fim import FimFamily

Stage = Literal["sources", "corpus", "tokenizer", "pieces", "train", "export"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)


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

    Raises the error of the stage that fails, a ValueError with one line or an OSError (a full disk); the same call goes
    on from there.
    """
    _claim(recipe, work, base)
    steps: dict[Stage, Callable[[Recipe, Work, Path, Tell], None]] = {
        "sources": _sources,
        "corpus": _corpus,
        "tokenizer": _tokenizer,
        "pieces": _pieces,
        "train": _train,
        "export": _export,
    }
    _no_bars()
    for stage in STAGES[: STAGES.index(until) + 1]:
        began = time.monotonic()
        tell(f"{stage} ...")
        steps[stage](recipe, work, base, tell)
        tell(f"{stage}: {time.monotonic() - began:.0f} s")


def _no_bars() -> None:
    """Keep transformers' bars for reading and writing weights out of what is told."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def _claim(recipe: Recipe, work: Work, base: Path) -> None:
    """Take the folder for this recipe. Only how long to train may change from one call to the next, and the list of
    packages until the corpus is begun."""
    from aix_lsp.training.corpus.store import write_json

    if recipe.start is not None and not (base / recipe.start / "config.json").is_file():
        raise RecipeError(f"start: {base / recipe.start} holds no model")
    files = {"init": recipe.init, "sources": recipe.corpus.sources}
    now = json.loads(json.dumps(asdict(recipe)))
    now |= {f"{name} file": _fingerprint(base / file) for name, file in files.items() if file is not None}
    work.folder.mkdir(parents=True, exist_ok=True)
    path = work.folder / "recipe.json"
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RecipeError(f"{path} is damaged; take another folder, or delete this one") from error
        may = {"loop"} if work.corpus.exists() else {"loop", "sources file"}
        # folders of an earlier version say nothing of the files
        before = {name: value for name, value in now.items() if name.endswith(" file")} | before
        differ = sorted(name for name in now if name not in may and now[name] != before.get(name))
        if differ:
            raise RecipeError(
                f"{work.folder} was begun with other settings ({', '.join(differ)}); take another folder, or delete it"
            )
    write_json(path, now)


def _fingerprint(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror or error}") from error


def _sources(recipe: Recipe, work: Work, base: Path, tell: Tell) -> None:
    if recipe.corpus.sources is None:
        return
    from aix_lsp.training.sources import fetch, load_sources

    listed = load_sources(base / recipe.corpus.sources)
    roots = fetch(listed, work.sources, progress=lambda done, total, what: tell(f"  {done} of {total}: {what}"))
    # the corpus is made of the whole folder, so what an earlier list left there would be learned too
    others = sorted(
        {path.name for path in work.sources.iterdir() if path.name[0] != "."} - {root.name for root in roots}
    )
    if others:
        raise RecipeError(f"{work.sources} holds {others[0]}, which is not on the list; delete it there")


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
    with replaced_folder(work.start) as folder:
        if recipe.start is not None:
            _copy_model(base / recipe.start, folder, recipe.layers)
        else:
            _new_model(recipe, work, base / str(recipe.init), folder, tell)


def _new_model(recipe: Recipe, work: Work, init: Path, folder: Path, tell: Tell) -> None:
    """A tokenizer of the corpus and a model of random weights."""
    from aix_lsp.training.corpus.store import Corpus
    from aix_lsp.training.init_config import build_model, read_init
    from aix_lsp.training.tokenizer import train_tokenizer

    sizes = read_init(init)
    texts = (file.text for file in Corpus.open(work.corpus).files())
    train_tokenizer(texts, folder, pieces=sizes.pieces, seed=recipe.seed, most_characters=recipe.tokenizer.characters)
    model = build_model(sizes, seed=recipe.seed)
    tell(f"  {model.num_parameters():,} parameters, {sizes.pieces:,} pieces")
    model.save_pretrained(folder)


def _copy_model(source: Path, target: Path, layers: int | None) -> None:
    """The model in `source` with its tokenizer, deepened to `layers` if given."""
    for path in sorted(source.glob("tokenizer*")):
        shutil.copy(path, target / path.name)
    from transformers import AutoModelForCausalLM

    from aix_lsp.training.growth import grown

    model: Any = AutoModelForCausalLM.from_pretrained(source, dtype="float32")
    (model if layers is None else grown(model, layers)).save_pretrained(target)


def _pieces(recipe: Recipe, work: Work, base: Path, tell: Tell) -> None:
    from aix_lsp.training.corpus.store import Corpus
    from aix_lsp.training.data import split
    from aix_lsp.training.prepare import prepare

    tokenizer, family = _marked_tokenizer(work)
    corpus = Corpus.open(work.corpus)

    def projects(held_out: bool) -> Iterator[tuple[str, Sequence[SourceFile]]]:
        for project in corpus.projects:
            parts = split(corpus.files(project.name), recipe.train.held_out, recipe.seed)
            yield project.name, parts[int(held_out)]

    for held_out, folder in ((True, work.held_out), (False, work.pieces)):
        tokens = prepare(projects(held_out), tokenizer, family, folder, recipe.windows, recipe.prepare)
        tell(f"  {tokens:,} tokens {'held out' if held_out else 'to train on'}")


def _train(recipe: Recipe, work: Work, base: Path, tell: Tell) -> None:
    from aix_lsp.training.launch import launch
    from aix_lsp.training.scratch import Spec

    path, table = work.run / "spec.json", recipe.train
    if (work.run / "model" / "config.json").is_file() and path.is_file() and Spec.read(path).loop == recipe.loop:
        return
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
        keep=table.keep,
        seed=recipe.seed,
        ahead=_suffix_marker(work) if recipe.weights.ahead else None,
    )
    spec.write(path)
    launch(path, table.processes, work.run / "progress.jsonl", tell)


def _suffix_marker(work: Work) -> int:
    """The id of the marker before a suffix."""
    _, family = _marked_tokenizer(work)
    if family.suffix is None:
        raise RecipeError("weights.ahead: the tokenizer has no marker before a suffix")
    return family.suffix.id


def _marked_tokenizer(work: Work) -> tuple[ModelTokenizer, FimFamily]:
    """The tokenizer of the model to start from, and what its markers mean."""
    from aix_lsp.engine.tokenizer import load_tokenizer
    from aix_lsp.prompt.fim import family_of

    tokenizer = load_tokenizer(work.start)
    family = family_of(tokenizer)
    if family is None:
        raise RecipeError("the tokenizer of the model to start from has no fill-in-the-middle markers")
    return tokenizer, family


def _export(recipe: Recipe, work: Work, base: Path, tell: Tell) -> None:
    from transformers import AutoModelForCausalLM

    from aix_lsp.training.corpus.store import Corpus
    from aix_lsp.training.export import export
    from aix_lsp.training.mini_card import card_of

    model: Any = AutoModelForCausalLM.from_pretrained(work.run / "model", dtype="float32")
    corpus = Corpus.open(work.corpus)
    texts = [file.text for _, file in zip(range(400), corpus.files(), strict=False)]
    notes: dict[str, Any] = {
        "format": recipe.export.format,
        "languages": list(recipe.export.languages),
        "licence": recipe.export.licence,
    }
    if recipe.export.prompts:
        notes["prompts"] = recipe.export.prompts
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
