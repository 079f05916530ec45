"""The commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

import aix_lsp

app = typer.Typer(
    help="Inline code completions over the Language Server Protocol, from a model on your own machine.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Any command takes --debug, which shows the traceback of an error.",
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Model = Annotated[Optional[str], typer.Option("--model", help="Catalog name, Hugging Face name, or folder.")]  # noqa: UP045
Set = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="SECTION.OPTION=VALUE", help="Set an option for this run; may be repeated."),
]
Workspace = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--workspace", help="Folder whose other files are quoted; default: the file's repository."),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aix-lsp {aix_lsp.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def serve(context: typer.Context) -> None:
    """Run the language server."""
    from aix_lsp.cli.serve import main

    main(context.args)


@app.command()
def demo(
    json: Annotated[bool, typer.Option("--json", help="Print JSON lines, one per completion.")] = False,
    model: Model = None,
    svg: Annotated[Optional[Path], typer.Option("--svg", help="Also save a picture of it there.")] = None,  # noqa: UP045
    set_: Set = None,
) -> None:
    """Type into a small bundled workspace through the real server, and show what an editor would show."""
    from aix_lsp.cli.demo import run

    run(as_json=json, svg=svg, model=model, assignments=set_ or [])


@app.command()
def complete(
    location: Annotated[str, typer.Argument(metavar="[FILE:LINE:COL]", help="Where to complete (1-based).")] = "",
    prefix: Annotated[Optional[Path], typer.Option("--prefix", help="File with the text before the cursor.")] = None,  # noqa: UP045
    suffix: Annotated[Optional[Path], typer.Option("--suffix", help="File with the text after the cursor.")] = None,  # noqa: UP045
    path: Annotated[str, typer.Option("--path", metavar="NAME", help="The file's path inside its project.")] = "",
    max_new_tokens: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--max-new-tokens", help="With --prefix: most tokens generated (256).", min=1),
    ] = None,
    json: Json = False,
    model: Model = None,
    workspace: Workspace = None,
    set_: Set = None,
) -> None:
    """Complete once, at a place in a file or between two texts."""
    from aix_lsp.cli.complete import run

    run(
        location=location,
        prefix=prefix,
        suffix=suffix,
        path=path,
        max_new_tokens=max_new_tokens,
        as_json=json,
        model=model,
        workspace=workspace,
        assignments=set_ or [],
    )


@app.command()
def context(
    location: Annotated[str, typer.Argument(metavar="FILE:LINE:COL", help="The place (1-based).")],
    json: Json = False,
    model: Model = None,
    workspace: Workspace = None,
    set_: Set = None,
) -> None:
    """Show the snippets with their scores and the exact prompt, without running the model."""
    from aix_lsp.cli.context import run

    run(location=location, as_json=json, model=model, workspace=workspace, assignments=set_ or [])


@app.command()
def doctor(
    json: Json = False,
    workspace: Annotated[Path, typer.Option("--workspace", help="The folder to look at.")] = Path(),
    model: Model = None,
    set_: Set = None,
) -> None:
    """Check Python, torch, GPU, model, workspace and watch limits, and say what to do about each."""
    from aix_lsp.cli.doctor import run

    run(as_json=json, workspace=workspace, model=model, assignments=set_ or [])


@app.command()
def config(
    json: Json = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of all options.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print README's table of options.")] = False,
    model: Model = None,
    set_: Set = None,
) -> None:
    """Show the effective settings and where each came from."""
    from aix_lsp.cli.config import run

    run(as_json=json, schema=schema, markdown=markdown, model=model, assignments=set_ or [])


evaluation = typer.Typer(help="Measure what is found and offered, on checkouts of your own.", rich_markup_mode=None)
app.add_typer(evaluation, name="eval")


@evaluation.command(name="retrieval")
def eval_retrieval(
    repositories: Annotated[list[Path], typer.Argument(metavar="REPO...", help="Folders with source code.")],
    cases: Annotated[int, typer.Option("--cases", min=1, help="Most cases of each folder.")] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which cases are drawn.")] = 0,
    json: Json = False,
    out: Annotated[Optional[Path], typer.Option("--out", help="Folder for the data and a bar chart.")] = None,  # noqa: UP045
) -> None:
    """Take lines out that use names of other files, and see which ways of retrieving bring back what they need."""
    from aix_lsp.cli.eval import run_retrieval

    run_retrieval(folders=repositories, cases=cases, seed=seed, as_json=json, out=out)


@evaluation.command(name="infilling")
def eval_infilling(
    folders: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(metavar="FOLDERS", help="Projects that no model was trained on."),
    ] = None,
    humaneval: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--humaneval", metavar="FILE", help="HumanEval-SingleLineInfilling.jsonl.gz."),
    ] = None,
    model: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--model", help="Catalog name or folder; may be repeated to compare (aix-mini)."),
    ] = None,
    problems: Annotated[int, typer.Option("--problems", min=0, help="Problems of HumanEval; 0: all.")] = 200,
    places: Annotated[int, typer.Option("--places", min=0, help="Rests of lines, over all folders.")] = 300,
    cases: Annotated[int, typer.Option("--cases", min=0, help="Most lines that need other files.")] = 150,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which places are drawn.")] = 0,
    formats: Annotated[str, typer.Option("--formats", help="Prompt formats: psm, spm, l2r.")] = "psm,spm",
    languages: Annotated[str, typer.Option("--languages", help="Language identifiers of the files.")] = "python",
    loss_kb: Annotated[int, typer.Option("--loss-kb", min=0, help="KB of each folder for bits per byte.")] = 50,
    threads: Annotated[int, typer.Option("--threads", min=0, max=256, help="Processor threads; 0: as it comes.")] = 0,
    earlier: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--earlier", metavar="DIR", help="An earlier run's --out over the same places, to compare with."),
    ] = None,
    json: Json = False,
    out: Annotated[Optional[Path], typer.Option("--out", help="Folder for data, answers and Markdown.")] = None,  # noqa: UP045
) -> None:
    """Take out what stands behind a cursor, and see how often models, and copying, write it exactly so again."""
    from aix_lsp.cli.eval_infilling import Options, run

    options = Options(
        folders=folders or [],
        humaneval=humaneval,
        models=model or ["aix-mini"],
        problems=problems,
        places=places,
        cases=cases,
        seed=seed,
        formats=formats,
        languages=languages,
        threads=threads,
        loss_kb=loss_kb,
        earlier=earlier,
    )
    run(options, as_json=json, out=out)


corpus = typer.Typer(help="Clean, ordered training text from folders of projects.", rich_markup_mode=None)
app.add_typer(corpus, name="corpus")


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


@app.command()
def recipe(
    recipe: Annotated[str, typer.Argument(metavar="NAME|FILE.toml", help="A bundled recipe (mini_smoke) or a file.")],
    work: Annotated[Path, typer.Option("--work", metavar="DIR", help="Folder for everything on the way.")],
    until: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--until", metavar="STAGE", help="sources, corpus, tokenizer, pieces, train, or export (all)."),
    ] = None,
) -> None:
    """Make a model from nothing by a recipe; goes on where it was interrupted."""
    from aix_lsp.cli.recipe import run

    run(recipe=recipe, work=work, until=until)


@app.command()
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
