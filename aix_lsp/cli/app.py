"""The commands; the options of those that measure and train stand in files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

import aix_lsp
from aix_lsp.cli.corpus_command import corpus
from aix_lsp.cli.eval_command import evaluation
from aix_lsp.cli.failure import UsageError
from aix_lsp.cli.model_commands import convert, download
from aix_lsp.cli.options import Json, Model, Set, Workspace
from aix_lsp.cli.training_commands import recipe, train

app = typer.Typer(
    help="Inline code completions over the Language Server Protocol, from a model on your own machine.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Any command takes --debug, which shows the traceback of an error.",
)


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
def inspect(
    last: Annotated[int, typer.Option("--last", metavar="N", help="The last so many requests.", min=1)] = 20,
    request: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--request", metavar="NUMBER", help="Everything about one request."),
    ] = None,
    json: Json = False,
    follow: Annotated[bool, typer.Option("--follow", help="Print each new request as it comes.")] = False,
    html: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--html", metavar="FILE", help="Write a page for a browser there, self-contained."),
    ] = None,
    pid: Annotated[Optional[int], typer.Option("--pid", help="Ask the server of this process.")] = None,  # noqa: UP045
    health: Annotated[bool, typer.Option("--health", help="Only say whether servers answer; exit 1 if not.")] = False,
) -> None:
    """Show why the latest requests of a running server were answered as they were, or were not."""
    if health:
        from aix_lsp.cli import health as check

        check.run(as_json=json, pid=pid)
        return
    from aix_lsp.cli.inspect import run

    run(last=last, request=request, as_json=json, follow=follow, html=html, pid=pid, here=Path())


@app.command()
def log(
    last: Annotated[int, typer.Option("--last", metavar="N", help="The last so many records.", min=1)] = 50,
    request: Annotated[str, typer.Option("--request", metavar="ID", help="Those of one request alone.")] = "",
    json: Json = False,
    level: Annotated[
        str,
        typer.Option(
            "--level",
            metavar="LEVEL",
            help="Have running servers log from this level on (debug, info, warning, error; settings: as those say).",
        ),
    ] = "",
    pid: Annotated[Optional[int], typer.Option("--pid", help="With --level: the server of this process.")] = None,  # noqa: UP045
) -> None:
    """Show the end of the servers' log, or change how much running servers log."""
    from aix_lsp.cli.log import run

    run(last=last, request=request, as_json=json, level=level, pid=pid)


@app.command()
def doctor(
    json: Json = False,
    workspace: Annotated[Path, typer.Option("--workspace", help="The folder to look at.")] = Path(),
    load: Annotated[bool, typer.Option("--load", help="Load the model too, and say how and how fast it runs.")] = False,
    bundle: Annotated[
        bool, typer.Option("--bundle", help="Write a zip for a bug report, to FILE if given; no source code is in it.")
    ] = False,
    file: Annotated[Optional[Path], typer.Argument(metavar="[FILE]", help="With --bundle: where to.")] = None,  # noqa: UP045
    model: Model = None,
    set_: Set = None,
) -> None:
    """Check Python, torch, GPU, model, workspace and watch limits, and say what to do about each."""
    if bundle:
        from aix_lsp.cli.bundle import run as write

        write(file=file, as_json=json, workspace=workspace, model=model, load=load, assignments=set_ or [])
        return
    if file is not None:
        raise UsageError("doctor takes a FILE with --bundle alone; name a folder with --workspace")
    from aix_lsp.cli.doctor import run

    run(as_json=json, workspace=workspace, model=model, load=load, assignments=set_ or [])


@app.command()
def stats(
    days: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--days", help="Of the last so many days, today among them; default: of all.", min=1),
    ] = None,
    language: Annotated[Optional[str], typer.Option("--language", help="Of one language (python).")] = None,  # noqa: UP045
    json: Json = False,
) -> None:
    """Show what was shown, accepted and kept on this machine, and how long answers took."""
    from aix_lsp.cli.stats import run

    run(as_json=json, days=days, language=language)


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


app.command()(download)
app.command()(convert)
app.command()(recipe)
app.command()(train)
app.add_typer(evaluation, name="eval")
app.add_typer(corpus, name="corpus")
