"""The options of the published benchmarks and of their comparison under `aix-lsp eval`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, cast, get_args

import typer

from aix_lsp.cli.failure import UsageError
from aix_lsp.cli.options import Json
from aix_lsp.types import FimFormat

if TYPE_CHECKING:
    from aix_lsp.evaluation.asked import Asked
    from aix_lsp.evaluation.benchmark import Benchmark

Model = Annotated[
    str, typer.Option("--model", help="Catalog name, Hugging Face name or folder (aix-mini); a server's name for it.")
]
Data = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option("--data", metavar="FILE", help="The published file, or hub: fetch it; may be repeated."),
]
Adapter = Annotated[Optional[Path], typer.Option("--adapter", metavar="DIR", help="An adapter in the model's weights.")]  # noqa: UP045
Engine = Annotated[str, typer.Option("--engine", help="local, or remote: the server of your settings.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="Most samples, drawn evenly; 0: all.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Which samples are drawn, and what is drawn by chance.")]
Format = Annotated[str, typer.Option("--format", help="Prompt: psm, spm, l2r; auto: the benchmark's or the model's.")]
CopyPrior = Annotated[
    str, typer.Option("--copy-prior", help="Copying from the text around: as the model has it (auto), or off.")
]
Threads = Annotated[int, typer.Option("--threads", min=0, max=256, help="Processor threads; 0: the engine chooses.")]
Batch = Annotated[int, typer.Option("--batch", min=0, max=256, help="Samples at once; 0: one, on a server 16.")]
Out = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--out", metavar="DIR", help="Folder for results and report; an interrupted run goes on there."),
]
Force = Annotated[bool, typer.Option("--force", help="Run the tests of answers without a sandbox where there is none.")]


def eval_fim_lines(
    data: Data = None,
    kind: Annotated[
        str, typer.Option("--kind", help="Which benchmark the files are of; auto: told by the file.")
    ] = "auto",
    model: Model = "",
    adapter: Adapter = None,
    engine: Engine = "local",
    limit: Limit = 0,
    seed: Seed = 0,
    format_: Format = "auto",
    copy_prior: CopyPrior = "auto",
    threads: Threads = 0,
    batch: Batch = 0,
    out: Out = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Fill in lines and spans: SantaCoder's single lines, and HumanEval-Infilling with its tests."""

    def make() -> Benchmark:
        from aix_lsp.evaluation.fim_lines import FimLines

        return FimLines(data or [], kind, force=force)

    _run(make, _asked(model, adapter, engine, limit, seed, format_, copy_prior, threads, batch), out, as_json=json)


def eval_aix_fim(
    data: Data = None,
    repository: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option("--repository", metavar="DIR", help="Make the holes from a checkout instead; may be repeated."),
    ] = None,
    model: Model = "",
    adapter: Adapter = None,
    engine: Engine = "local",
    limit: Limit = 0,
    seed: Seed = 0,
    format_: Format = "auto",
    copy_prior: CopyPrior = "auto",
    threads: Threads = 0,
    batch: Batch = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Fill in signatures, bodies, branches and loops: aiXcoder's thirteen scenarios in four languages."""
    if data and repository:
        raise UsageError("give --data FILE, the published files, or --repository DIR, a checkout of your own: not both")

    def make() -> Benchmark:
        from aix_lsp.evaluation.aix_fim import AixFim

        return AixFim(data or [], repository or [])

    _run(make, _asked(model, adapter, engine, limit, seed, format_, copy_prior, threads, batch), out, as_json=json)


def eval_crosscodeeval(
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--data", metavar="DIR", help="Folder of the published files, or hub: fetch them."),
    ] = None,
    setting: Annotated[
        str, typer.Option("--setting", help="Snippets: none, bm25, reference (published), or own (this project's).")
    ] = "none",
    repositories: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--repositories", metavar="DIR", help="For own: the folder in which the repositories are."),
    ] = None,
    model: Model = "",
    adapter: Adapter = None,
    engine: Engine = "local",
    limit: Limit = 0,
    seed: Seed = 0,
    format_: Format = "auto",
    copy_prior: CopyPrior = "auto",
    threads: Threads = 0,
    batch: Batch = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Complete lines that need other files, in Python, Java, TypeScript and C#, with and without their snippets."""
    if setting not in ("none", "bm25", "reference", "own"):
        raise UsageError(f"--setting takes none, bm25, reference or own, not {setting!r}")

    def make() -> Benchmark:
        from aix_lsp.evaluation.crosscodeeval import CrossCodeEval
        from aix_lsp.evaluation.data_sources import missing

        if data is None:
            raise missing("crosscodeeval")
        return CrossCodeEval(data, setting, repositories=repositories)

    _run(make, _asked(model, adapter, engine, limit, seed, format_, copy_prior, threads, batch), out, as_json=json)


def eval_nl2code(
    data: Data = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Answers drawn for each problem.")] = 1,
    temperature: Annotated[float, typer.Option("--temperature", min=0, max=2, help="0: greedy.")] = 0.0,
    model: Model = "",
    adapter: Adapter = None,
    engine: Engine = "local",
    limit: Limit = 0,
    seed: Seed = 0,
    format_: Format = "auto",
    copy_prior: CopyPrior = "auto",
    threads: Threads = 0,
    batch: Batch = 0,
    out: Out = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write functions from their description, and run the tests of HumanEval and MBPP in a sandbox: pass@k."""
    if samples > 1 and not temperature:
        raise UsageError("--samples above 1 wants a --temperature: greedy answers are all the same")

    def make() -> Benchmark:
        from aix_lsp.evaluation.nl2code import Nl2Code

        return Nl2Code(data or [], samples=samples, temperature=temperature, force=force)

    _run(make, _asked(model, adapter, engine, limit, seed, format_, copy_prior, threads, batch), out, as_json=json)


def eval_compare(
    first: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run (--out).")],
    second: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the run to compare with it.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap's draws.")] = 0,
    out: Annotated[Optional[Path], typer.Option("--out", metavar="FILE", help="An HTML report of it.")] = None,  # noqa: UP045
    json: Json = False,
) -> None:
    """Compare two runs of one benchmark: what differs beyond chance, and which samples flipped."""
    from aix_lsp.cli.eval_compare import run

    run(first, second, seed=seed, out=out, as_json=json)


def _asked(
    model: str,
    adapter: Path | None,
    engine: str,
    limit: int,
    seed: int,
    format_: str,
    copy_prior: str,
    threads: int,
    batch: int,
) -> Asked:
    """The common options. Raises UsageError for words that mean nothing."""
    for option, value, known in (
        ("--engine", engine, ("local", "remote")),
        ("--format", format_, ("auto", *get_args(FimFormat))),
        ("--copy-prior", copy_prior, ("auto", "off")),
    ):
        if value not in known:
            raise UsageError(f"{option} takes {', '.join(known)}, not {value!r}")
    from aix_lsp.evaluation.asked import Asked

    return Asked(
        model=model,
        adapter=adapter,
        engine=cast(Any, engine),
        limit=limit,
        seed=seed,
        format=cast(Any, format_),
        copy_prior=cast(Any, copy_prior),
        threads=threads,
        batch=batch,
    )


def _run(make: Callable[[], Benchmark], asked: Asked, out: Path | None, *, as_json: bool) -> None:
    from aix_lsp.cli.eval_benchmark import run

    run(make, asked, out=out, as_json=as_json)
