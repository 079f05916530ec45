"""`aix-lsp doctor`: is everything there that completions need, and what to do where it is not."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from aix_lsp.cli.assignments import command_line
from aix_lsp.configuration import Configuration, user_file
from aix_lsp.settings import Settings

Status = Literal["ok", "warn", "fail"]
_ROOM_FACTOR = 2
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: how it went, what was seen, and what to do about it."""

    check: str
    status: Status
    detail: str
    remedy: str = ""


def run(*, as_json: bool, workspace: Path, model: str | None, load: bool, assignments: Sequence[str]) -> None:
    """Print every finding; exit 1 if one failed."""
    findings = list(examine(workspace, command_line(model, assignments), load=load))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))  # noqa: T201
    else:
        _show(findings)
    if any(finding.status == "fail" for finding in findings):
        sys.exit(1)


def examine(workspace: Path, options: Mapping[str, Any], *, load: bool = False) -> Iterator[Finding]:
    """All checks, in the order in which they are needed; `options` are those of the command line. With `load` the model
    is run too."""
    configuration = Configuration()
    problems = configuration.read_user_file() + configuration.read_environment()
    problems += configuration.set_layer("command line", options)
    from aix_lsp.cli.doctor_libraries import examine_libraries

    yield _python()
    yield _settings(problems)
    yield examine_libraries()
    yield from _engine(configuration.settings, load=load)
    for check in (_workspace, _kept_index, _watches):
        yield _guarded(check, workspace, configuration.settings, remedy="")
    from aix_lsp.cli.doctor_log import examine_log
    from aix_lsp.cli.doctor_servers import examine_servers

    yield _guarded(examine_log, configuration.settings.log, remedy="name a file of yours, or none, in log.file")
    yield from examine_servers()


def _engine(settings: Settings, *, load: bool) -> Iterator[Finding]:
    """The model and what it runs on, here or elsewhere."""
    from aix_lsp.engine.select import is_remote

    if is_remote(settings):
        from aix_lsp.cli.doctor_remote import examine_server

        yield from examine_server(settings)
        return
    torch = _torch()
    yield torch
    if torch.status == "ok":
        yield _guarded(_processor)
        yield _guarded(_gpu)
    yield _flash_attention()
    of_torch = (_quantization, _choice, _model) if torch.status == "ok" else ()
    for check in (*of_torch, _tokenizer, _sharing, *((_run,) if load else ())):
        yield _guarded(check, settings)


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Finding("python", "ok", f"Python {version}")
    return Finding("python", "warn", f"Python {version} is not tested", "use Python 3.11, 3.12 or 3.13")


def _settings(problems: list[str]) -> Finding:
    if problems:
        return Finding(
            "settings",
            "warn",
            "; ".join(problem.removeprefix("settings: ") for problem in problems),
            "correct these; the defaults are used meanwhile",
        )
    path = user_file()
    return Finding("settings", "ok", f"{path} read" if path.is_file() else f"defaults ({path} does not exist)")


def _torch() -> Finding:
    from aix_lsp.engine.machine_report import torch_in_words

    try:
        return Finding("torch", "ok", torch_in_words())
    except ImportError as error:
        return Finding("torch", "fail", f"PyTorch cannot be loaded: {error}", "install it: pip install torch")
    except Exception as error:  # noqa: BLE001  # what is left of a broken installation fails with errors of any kind
        remedy = "install it again: pip install --force-reinstall torch"
        return Finding("torch", "fail", f"PyTorch cannot be loaded: {in_words(error, _LONGEST)}", remedy)


def _processor() -> Finding:
    from aix_lsp.engine.machine_report import processor_in_words

    return Finding("processor", "ok", processor_in_words())


def _gpu() -> Finding:
    from aix_lsp.engine.hardware import find_gpu, has_mps
    from aix_lsp.engine.machine_report import gpu_in_words, unused_gpu

    found = gpu_in_words(find_gpu(), has_mps())
    if found:
        return Finding("gpu", "ok", found)
    unused = unused_gpu()
    if unused:
        return Finding("gpu", "warn", unused, "install the PyTorch build for it (pytorch.org, Get Started)")
    return Finding(
        "gpu",
        "warn",
        "no GPU that PyTorch can use",
        "a small model answers; aixcoder-7b wants a GPU with 16 GiB (9 in int8, 6 in int4)",
    )


def _flash_attention() -> Finding:
    if importlib.util.find_spec("flash_attn") is not None:
        return Finding("flash-attn", "ok", "installed; used on NVIDIA GPUs with 16-bit weights")
    return Finding("flash-attn", "ok", "not installed; PyTorch's own attention is used")


def _guarded(
    check: Callable[..., Finding], *arguments: Any, remedy: str = "choose another model (model.name), or `auto`"
) -> Finding:
    """What a check finds; one that fails, however it does, is a finding too, and the next ones go on."""
    from aix_lsp.engine.base import EngineError

    name = check.__name__.removeprefix("examine").strip("_").replace("_", " ")
    try:
        return check(*arguments)
    except (EngineError, ValueError, OSError) as error:
        return Finding(name, "fail", str(error), remedy)
    except Exception as error:  # noqa: BLE001  # drivers and compilers fail with errors of their own
        words = in_words(error, _LONGEST)
        return Finding(name, "fail", f"the check itself failed ({words})", "please report this line")


def in_words(error: Exception, most: int) -> str:
    """An exception of a library in one line of at most so many characters."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:most]


def _choice(settings: Settings) -> Finding:
    """Why it is this model, one reason for each that was considered."""
    from aix_lsp.engine.choice import choose, whole_on_disk
    from aix_lsp.engine.hardware import look_around

    model = settings.model
    choice = choose(model, lambda: look_around(model.device, model.dtype), whole_on_disk)
    return Finding("choice", "ok", "; ".join(choice.reasons) or f"{choice.first.name}, as the settings say")


def _model(settings: Settings) -> Finding:
    from aix_lsp.engine.plan import placed, planned
    from aix_lsp.engine.prompt_limits import format_in_words

    plan = planned(settings.model)
    info, place = plan.info, placed(plan, settings.model)
    size = f"{info.parameters / 1e6:,.1f} M parameters, {info.max_positions:,} positions"
    note = f". {info.note}" if info.note else ""
    needed = f"{place.needed / 1e9:.1f} GB"
    if place.precision is None:
        detail = f"{info.name}: {size}, needs {needed}, and less of {place.machine.name} is free"
        return Finding("model", "warn", detail, "choose a smaller model or close other programs; aix-mini answers now")
    form = place.machine.dtype if place.precision == "none" else f"{place.precision} weights"
    where = f"{form} on {place.machine.device}, about {needed} with room to work"
    return Finding("model", "ok", f"{info.name}: {size}, {where}, {format_in_words(info)}{note}")


def _run(settings: Settings) -> Finding:
    """Load the model and run it, as the server would."""
    from aix_lsp.engine.trial import try_out

    return Finding("run", "ok", try_out(settings.model))


def _quantization(settings: Settings) -> Finding:
    from aix_lsp.engine.hardware import look_around
    from aix_lsp.engine.machine_report import kernels_in_words

    if settings.model.quantizer == "bitsandbytes":
        return Finding("quantization", "ok", "by bitsandbytes, whose layers no CUDA graph can hold")
    machine = look_around(settings.model.device, settings.model.dtype)
    return Finding("quantization", "ok", kernels_in_words(machine))


def _tokenizer(settings: Settings) -> Finding:
    from aix_lsp.engine.plan import planned
    from aix_lsp.engine.tokenizer import load_tokenizer
    from aix_lsp.prompt.fim import family_of

    tokenizer = load_tokenizer(planned(settings.model).folder)
    family = family_of(tokenizer)
    pieces = f"{tokenizer.vocabulary_size:,} pieces"
    if family is None:
        detail = f"{pieces}, no fill-in-the-middle markers: the text after the cursor is not used"
        return Finding("tokenizer", "warn", detail, "choose a model that was trained to fill in the middle")
    return Finding("tokenizer", "ok", f"{pieces}, markers of {family.name}")


def _sharing(settings: Settings) -> Finding:
    from aix_lsp.cli.doctor_sharing import examine_sharing

    return examine_sharing(settings.model)


def _workspace(folder: Path, settings: Settings) -> Finding:
    from aix_lsp.completion.folder_report import cut_in_words, left_out_in_words
    from aix_lsp.completion.index_job import IndexReport, job_for

    if not folder.is_dir():
        return Finding("workspace", "fail", f"{folder} is no folder", "give one with --workspace")
    began = time.perf_counter()
    found = job_for(folder.resolve(), settings).scanner().scan()
    seconds = time.perf_counter() - began
    left_out = left_out_in_words(found.left_out)
    detail = f"{len(found.files):,} files to index, found in {seconds:.2f} s" + (
        f"; left out: {left_out}" if left_out else ""
    )
    if found.truncated:
        report = IndexReport(len(found.files), found.left_out, truncated=True)
        detail += f"; the folder {cut_in_words(report, settings.workspace.max_files)}"
        return Finding("workspace", "warn", detail, "raise workspace.max_files, or name folders in .aixignore")
    if not found.files:
        return Finding(
            "workspace", "warn", detail, "open a folder with code; without one, completions see one file alone"
        )
    return Finding("workspace", "ok", detail)


def _kept_index(folder: Path, settings: Settings) -> Finding:
    from aix_lsp.completion.index_cache import cache_folder, entries, entry_of

    if not settings.workspace.cache_index:
        return Finding("kept index", "ok", "none: workspace.cache_index is off")
    root = cache_folder()
    kept = list(entries(root))
    own = entry_of(root, str(folder.resolve()))
    size = sum(entry.size for entry in kept if entry.path == own)
    total = sum(entry.size for entry in kept)
    here = f"{size / 1e6:.1f} MB for this folder, {_held(folder, settings)}" if size else "none for this folder yet"
    detail = f"{own}: {here}; {total / 1e6:.1f} MB for all {len(kept)} folders"
    nearest = next(parent for parent in (root, *root.parents) if parent.exists())
    if not os.access(nearest, os.W_OK):
        return Finding("kept index", "warn", f"{nearest} cannot be written", "every start reads all files again")
    return Finding("kept index", "ok", detail)


def _held(folder: Path, settings: Settings) -> str:
    """What the kept index of a folder holds."""
    from aix_lsp.completion.index_cache import IndexStore, cache_folder
    from aix_lsp.completion.index_job import job_for
    from aix_lsp.retrieval.segment import PackedSegment

    store = IndexStore(job_for(folder.resolve(), settings, cache_folder()))
    head = store.head("chunks")
    packed = store.packed("chunks", head) if head is not None else None
    try:
        chunks = len(PackedSegment.from_bytes(packed or b""))
    except ValueError:
        return "which is of another version, of other settings, or damaged: the next start makes it anew"
    files = sum(1 for stored in head.files.values() if not stored.left_out) if head is not None else 0
    definitions = "with definitions" if store.head("definitions") is not None else "without definitions yet"
    return f"{files:,} files in {chunks:,} chunks, {definitions}"


def _watches(folder: Path, settings: Settings) -> Finding:
    if settings.workspace.watch != "auto":
        return Finding("watching", "ok", f"workspace.watch is {settings.workspace.watch}")
    limit_file = Path("/proc/sys/fs/inotify/max_user_watches")
    try:
        limit = int(limit_file.read_text())
    except (OSError, ValueError):
        return Finding("watching", "ok", "the system's events are used; it names no limit")
    folders = sum(1 for _ in _folders(folder))
    detail = f"{folders:,} folders to watch, the system allows {limit:,}"
    if folders * _ROOM_FACTOR > limit:
        remedy = (
            f"sudo sysctl fs.inotify.max_user_watches={max(524_288, folders * 4)}; otherwise changes are polled for"
        )
        return Finding("watching", "warn", detail, remedy)
    return Finding("watching", "ok", detail)


def _folders(root: Path) -> Iterator[str]:
    for folder, names, _ in os.walk(root):
        names[:] = [name for name in names if name not in (".git", "node_modules", ".venv", "__pycache__")]
        yield folder


def _show(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from aix_lsp.completion.trace_words import printable

    colours = {"ok": "green", "warn": "yellow", "fail": "red"}
    table = Table(show_header=False, box=None, padding=(0, 1))
    for column in ("status", "check", "detail"):
        table.add_column(column, overflow="fold")  # a long path is told whole
    for finding in findings:
        # names of folders and editors come from elsewhere
        detail, remedy = (escape(printable(said, keep="\n")) for said in (finding.detail, finding.remedy))
        text = detail + (f"\n[dim]-> {remedy}[/dim]" if remedy else "")
        table.add_row(f"[{colours[finding.status]}]{finding.status}[/]", f"[bold]{finding.check}[/]", text)
    Console().print(table)
