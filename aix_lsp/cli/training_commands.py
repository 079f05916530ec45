"""The options of `aix-lsp recipe` and `aix-lsp train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from aix_lsp.cli.options import Json


def recipe(
    recipe: Annotated[str, typer.Argument(metavar="NAME|FILE.toml", help="A bundled recipe (mini_smoke) or a file.")],
    work: Annotated[Path, typer.Option("--work", metavar="DIR", help="Folder for everything on the way.")],
    until: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--until", metavar="STAGE", help="sources, corpus, tokenizer, pieces, train, or export (all)."),
    ] = None,
    start: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--start", metavar="DIR", help="Train on this model instead of the recipe's."),
    ] = None,
) -> None:
    """Make a model from nothing by a recipe; goes on where it was interrupted."""
    from aix_lsp.cli.recipe import run

    run(recipe=recipe, work=work, until=until, start=start)


def train(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the result; new or empty.")],
    model: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--model", help="Model that gets an adapter: catalog name, Hugging Face name, or folder."),
    ] = None,
    init: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--init", metavar="SIZES.toml", help="Instead of --model: sizes of a new model."),
    ] = None,
    workspace: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--workspace", help="Folder whose source files are learned."),
    ] = None,
    data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--data", metavar="X", help="Instead: a built corpus, a .jsonl[.gz], or a hub data set."),
    ] = None,
    text_field: Annotated[str, typer.Option("--text-field", help="Field of a record with a file's text.")] = "",
    languages: Annotated[str, typer.Option("--languages", metavar="A,B", help="Only these languages.")] = "",
    max_files: Annotated[int, typer.Option("--max-files", min=1, help="Most files that are read.")] = 20_000,
    epochs: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--epochs", help="Passes over the files (3, unless steps or minutes are given)."),
    ] = None,
    steps: Annotated[Optional[int], typer.Option("--steps", help="Most steps.")] = None,  # noqa: UP045
    minutes: Annotated[Optional[float], typer.Option("--minutes", help="Most minutes of training.")] = None,  # noqa: UP045
    rank: Annotated[int, typer.Option("--rank", help="Rank of the adapter.")] = 8,
    alpha: Annotated[int, typer.Option("--alpha", help="Its scale, times the rank.")] = 16,
    dropout: Annotated[float, typer.Option("--dropout", help="Share of its inputs left out at random.")] = 0.05,
    four_bit: Annotated[bool, typer.Option("--four-bit", help="Base in 4 bits (NVIDIA GPU, extra quant).")] = False,
    batch: Annotated[int, typer.Option("--batch", help="Rows that are run at once.")] = 2,
    accumulate: Annotated[int, typer.Option("--accumulate", help="Batches of a step; 0: up to 8, by the data.")] = 0,
    rate: Annotated[float, typer.Option("--lr", help="Highest learning rate; 0: one that fits the model.")] = 0.0,
    sequence: Annotated[int, typer.Option("--sequence", help="Tokens of a row.")] = 1024,
    fim_rate: Annotated[float, typer.Option("--fim-rate", help="Share of samples with a hole to fill.")] = 0.7,
    spm_rate: Annotated[float, typer.Option("--spm-rate", help="Of these, share with the suffix first.")] = 0.5,
    random_span_rate: Annotated[float, typer.Option("--random-span-rate", help="Of these, random spans.")] = 0.0,
    held_out: Annotated[float, typer.Option("--held-out", help="Share of files that only tell when to stop.")] = 0.1,
    patience: Annotated[int, typer.Option("--patience", help="Validations without a new best one; 0: no limit.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="All that is left to chance.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    json: Json = False,
) -> None:
    """Teach a model your own code (a LoRA adapter), or make a small one from scratch."""
    from aix_lsp.cli.train import TrainArguments, run

    listed = tuple(name.strip() for name in languages.split(",") if name.strip())
    arguments = TrainArguments(
        out=out,
        model=model,
        init=init,
        workspace=workspace,
        data=data,
        source={"text_field": text_field, "languages": listed, "max_files": max_files},
        samples={
            "fim_rate": fim_rate,
            "spm_rate": spm_rate,
            "random_span_rate": random_span_rate,
            "seed": seed,
        },
        settings={
            "rank": rank,
            "alpha": alpha,
            "dropout": dropout,
            "four_bit": four_bit,
            "epochs": epochs,
            "steps": steps,
            "minutes": minutes,
            "batch": batch,
            "accumulate": accumulate,
            "rate": rate,
            "sequence": sequence,
            "held_out": held_out,
            "patience": patience,
            "seed": seed,
            "resume": resume,
        },
    )
    run(arguments, as_json=json)
