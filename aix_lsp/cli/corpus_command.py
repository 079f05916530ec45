"""The options of `aix-lsp corpus`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from aix_lsp.cli.options import Json

corpus = typer.Typer(help="Clean, ordered training text from folders of projects.", rich_markup_mode=None)


@corpus.command(name="build")
def corpus_build(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCES...", help="Projects, or folders of projects.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the corpus.")],
    allow_unknown: Annotated[
        bool, typer.Option("--allow-unknown-licence", help="Also take projects whose licence is not recognised.")
    ] = False,
    stars: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--stars", metavar="FILE.json", help="Stars of projects: an object of names and numbers."),
    ] = None,
    tests_share: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option("--tests-share", min=0.0, max=1.0, help="How many of the test files are kept (1.0)."),
    ] = None,
    characters: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--characters-per-project", min=1, help="Most of one project; default: all."),
    ] = None,
    languages: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--languages", metavar="A,B", help="Only these languages; default: all nine."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="What is left to chance: order, removed comments.")] = 0,
    jobs: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--jobs", min=1, help="Processes; default: one for each core."),
    ] = None,
    no_analysis: Annotated[bool, typer.Option("--no-analysis", help="Keep files with high-risk findings.")] = False,
    rules: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--rules", metavar="FILE.toml", help="Rules of analysis over those that come along."),
    ] = None,
    tokenizer: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--tokenizer", metavar="DIR", help="Also write token ids, by the tokenizer in this folder."),
    ] = None,
    sequence: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--sequence", min=1, help="With --tokenizer: tokens of a sequence (1024)."),
    ] = None,
    memory: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--memory", min=0, help="With --tokenizer: tokens before a sequence that it sees (a sequence)."),
    ] = None,
    json: Json = False,
) -> None:
    """Clean and order the source code of projects for training; goes on where it was interrupted."""
    from aix_lsp.cli.corpus import run_build

    run_build(
        sources=sources,
        out=out,
        allow_unknown=allow_unknown,
        stars=stars,
        tests_share=tests_share,
        characters=characters,
        languages=languages,
        seed=seed,
        jobs=jobs,
        analysis=not no_analysis,
        rules=rules,
        tokenizer=tokenizer,
        sequence=sequence,
        memory=memory,
        as_json=json,
    )


@corpus.command(name="show")
def corpus_show(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A corpus.")],
    json: Json = False,
) -> None:
    """Show again what each step of a corpus kept and dropped."""
    from aix_lsp.cli.corpus import run_show

    run_show(folder=folder, as_json=json)
