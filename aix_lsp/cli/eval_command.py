"""The options of `aix-lsp eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from aix_lsp.cli.eval_published_command import (
    eval_aix_fim,
    eval_compare,
    eval_crosscodeeval,
    eval_fim_lines,
    eval_nl2code,
)
from aix_lsp.cli.options import Json

evaluation = typer.Typer(
    help="Measure what a model writes and what is offered: published benchmarks, and code of your own.",
    rich_markup_mode=None,
)


@evaluation.command(name="workspace", short_help="What is offered on your own code, and how fast.")
def eval_workspace(
    folders: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Projects, such as your own repository.")],
    model: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--model", help="Catalog name, folder, or remote; may be repeated, to compare (aix-mini)."),
    ] = None,
    adapter: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--adapter", metavar="DIR", help="An adapter, beside its model alone; may be repeated."),
    ] = None,
    retrieval: Annotated[
        str,
        typer.Option(
            "--retrieval", help="with, without, or both; both for one model, with for several unless you say."
        ),
    ] = "",
    languages: Annotated[
        str, typer.Option("--languages", help="Language identifiers, such as python,go; those the model knows.")
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Places in all.")] = 200,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which places are drawn.")] = 0,
    tests: Annotated[bool, typer.Option("--tests", help="Take places from tests too.")] = False,
    gate: Annotated[bool, typer.Option("--gate/--no-gate", help="Hold back what the model is unsure of.")] = True,
    threads: Annotated[
        int, typer.Option("--threads", min=0, max=256, help="Processor threads; 0: the engine chooses.")
    ] = 0,
    confidence: Annotated[
        bool,
        typer.Option("--confidence", help="Instead: what the gate would do at each threshold, over rests of lines."),
    ] = False,
    fit: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--fit", metavar="FILE", help="With --confidence: fit a calibration, for the model's aix.json."),
    ] = None,
    out: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--out", metavar="DIR", help="Folder for results and reports; an interrupted run goes on there."),
    ] = None,
    json: Json = False,
) -> None:
    """Take statements, rests of lines and blocks out of your own code, and see what is offered there, and how fast."""
    if confidence or fit is not None:
        from aix_lsp.cli.eval_confidence import check_options
        from aix_lsp.cli.eval_confidence import run as run_confidence

        check_options(model, adapter, retrieval, languages, out, tests=tests, gate=gate)
        run_confidence(
            folders=folders,
            model=(model or ["aix-mini"])[0],
            limit=limit,
            seed=seed,
            threads=threads,
            as_json=json,
            calibration=fit,
        )
        return
    from aix_lsp.cli.eval_workspace import retrieval_of, run
    from aix_lsp.evaluation.workspace_plan import Wanted

    run(
        Wanted(
            folders=tuple(folders),
            models=tuple(model or ()),
            adapters=tuple(adapter or ()),
            retrieval=retrieval_of(retrieval, several=len(model or ()) > 1 or bool(adapter)),
            languages=tuple(name.strip() for name in languages.split(",") if name.strip()),
            limit=limit,
            seed=seed,
            threads=threads,
            gate=gate,
            tests=tests,
        ),
        out=out,
        as_json=json,
    )


evaluation.command(name="fim-lines", short_help="SantaCoder's lines; HumanEval-Infilling.")(eval_fim_lines)
evaluation.command(name="aix-fim", short_help="aiXcoder's thirteen scenarios, or a checkout's.")(eval_aix_fim)
evaluation.command(name="crosscodeeval", short_help="Lines that need other files (CrossCodeEval).")(eval_crosscodeeval)
evaluation.command(name="nl2code", short_help="HumanEval, MBPP, MultiPL-E: pass@k by tests.")(eval_nl2code)
evaluation.command(name="compare", short_help="Two runs: what differs beyond chance.")(eval_compare)


@evaluation.command(name="retrieval", short_help="Which ways of retrieving bring back what a line needs.")
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


@evaluation.command(name="infilling", short_help="How often models write again what was taken out.")
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
        typer.Option("--model", help="Catalog name, folder, or remote; may be repeated (aix-mini)."),
    ] = None,
    adapter: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--adapter", metavar="DIR", help="An adapter, beside its model alone; may be repeated."),
    ] = None,
    problems: Annotated[int, typer.Option("--problems", min=0, help="Problems of HumanEval; 0: all.")] = 200,
    places: Annotated[int, typer.Option("--places", min=0, help="Rests of lines, over all folders.")] = 300,
    cases: Annotated[int, typer.Option("--cases", min=0, help="Most lines that need other files.")] = 150,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which places are drawn.")] = 0,
    formats: Annotated[str, typer.Option("--formats", help="Prompt formats: psm, spm, l2r.")] = "psm,spm",
    languages: Annotated[str, typer.Option("--languages", help="Language identifiers of the files.")] = "python",
    loss_kb: Annotated[int, typer.Option("--loss-kb", min=0, help="KB of each folder for bits per byte.")] = 50,
    threads: Annotated[
        int, typer.Option("--threads", min=0, max=256, help="Processor threads; 0: the engine chooses.")
    ] = 0,
    copy_prior: Annotated[
        str, typer.Option("--copy-prior", help="Answer with the model's copy prior (auto), without (off), or both.")
    ] = "auto",
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
        models=model or [],
        problems=problems,
        places=places,
        cases=cases,
        seed=seed,
        formats=formats,
        languages=languages,
        threads=threads,
        loss_kb=loss_kb,
        earlier=earlier,
        adapters=adapter or [],
        copy_prior=copy_prior,
    )
    run(options, as_json=json, out=out)
