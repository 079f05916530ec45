"""`aix-lsp corpus`: training text from folders of projects."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aix_lsp.cli.failure import UsageError

if TYPE_CHECKING:
    from aix_lsp.training.corpus.build import Progress

_DIALECTS = {"javascript": ("jsx",), "typescript": ("tsx",)}
_PACKAGES = ("datasketch", "detect_secrets", "ruff", "sklearn")


def run_build(
    *,
    sources: Sequence[Path],
    out: Path,
    allow_unknown: bool,
    stars: Path | None,
    tests_share: float | None,
    characters: int | None,
    languages: str | None,
    seed: int,
    jobs: int | None,
    analysis: bool,
    rules: Path | None,
    tokenizer: Path | None,
    sequence: int | None,
    memory: int | None,
    as_json: bool,
) -> None:
    """Build a corpus of the projects under `sources` into `out`, and show what each step kept and dropped."""
    for source in sources:
        if not source.is_dir():
            raise UsageError(f"{source} is no folder")
    if tokenizer is None and (sequence is not None or memory is not None):
        raise UsageError("--sequence and --memory say how token ids are laid out, and need --tokenizer")
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"a corpus needs packages that are not here ({', '.join(missing)}): pip install 'aix-lsp[train]'"
        )
    from aix_lsp.training.corpus.analysis_rules import load_rules
    from aix_lsp.training.corpus.build import build
    from aix_lsp.training.corpus.cleaning import Options
    from aix_lsp.training.corpus.store import MANIFEST

    wanted = _languages(languages)
    known_stars = _stars(stars)
    if (out / MANIFEST).is_file():
        sys.stderr.write(f"aix-lsp: {out} is whole already: sources are not read again, unless it is removed\n")
    try:
        own_rules = None if rules is None else load_rules(rules)
        options = Options(allow_unknown, wanted, tests_share, seed, analysis, own_rules, characters)
        encoder = None if tokenizer is None else _tokenizer(tokenizer)
        with _progress() as show:
            data = build(sources, out, options, stars=known_stars, jobs=jobs, progress=show)
        if encoder is not None:
            data = _tokens(out, data, encoder, sequence or 1024, sequence or 1024 if memory is None else memory)
    except ValueError as error:
        raise UsageError(str(error)) from error
    _show(data, as_json)


def run_show(*, folder: Path, as_json: bool) -> None:
    """Show the report of a corpus that was built earlier."""
    from aix_lsp.training.corpus.report import read_report

    try:
        data = read_report(folder)
    except ValueError as error:
        raise UsageError(str(error)) from error
    _show(data, as_json)


def _languages(listed: str | None) -> tuple[str, ...] | None:
    """Names of languages as the corpus calls them; what people and editors call them counts too."""
    if listed is None:
        return None
    from aix_lsp import languages
    from aix_lsp.training.corpus.source_paths import LANGUAGES

    names: set[str] = set()
    for wanted in filter(None, (name.strip().lower() for name in listed.split(","))):
        found = languages.language_of("", wanted).name
        if found not in LANGUAGES:
            raise UsageError(f"--languages: {wanted} is none of {', '.join(sorted(LANGUAGES))}")
        names |= {found, *_DIALECTS.get(found, ())}
    if not names:
        raise UsageError("--languages names no language")
    return tuple(sorted(names))


def _stars(path: Path | None) -> Mapping[str, int] | None:
    """Stars by name of project, from a JSON object."""
    if path is None:
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"--stars: {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"--stars: {path} is no JSON") from error
    if not isinstance(data, dict) or not all(isinstance(count, int) and count >= 0 for count in data.values()):
        raise UsageError(f"--stars: {path} is no object of names and numbers of stars")
    return data


def _tokenizer(folder: Path) -> Any:
    from aix_lsp.engine.tokenizer import load_tokenizer

    return load_tokenizer(folder)


def _tokens(out: Path, data: dict[str, Any], tokenizer: Any, sequence: int, memory: int) -> dict[str, Any]:
    """Write token ids into a corpus, and tell of them in its report."""
    from aix_lsp.training.corpus.report import write_report
    from aix_lsp.training.corpus.sequences import write_tokens
    from aix_lsp.training.corpus.store import Corpus

    table = write_tokens(Corpus.open(out), tokenizer, sequence=sequence, memory=memory)
    data = {**data, "tokens": {key: table[key] for key in ("tokens", "sequences", "sequence", "memory")}}
    write_report(out, data)
    return data


def _show(data: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(data, ensure_ascii=False))  # noqa: T201
        return
    from rich.console import Console

    from aix_lsp.training.corpus.report import tables_of

    # not narrower than its columns, also where the output is a file
    console = Console(width=max(Console().width, 130), highlight=False)
    for part in tables_of(data):
        console.print(part)


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """A bar on standard error where that is a terminal; else nothing."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("looking for projects", total=None)

        def show(at: Progress) -> None:
            described = f"{at.project}: {at.files:,} files, {at.characters / 1e6:.1f} M characters"
            bar.update(task, completed=at.done, total=at.total, description=described)

        yield show
