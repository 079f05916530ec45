"""What a run is asked for, and what makes it the run that it is: model, data and versions, as digests and names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Literal

import aix_lsp
from aix_lsp.engine.adapter import check_base, inspect_adapter
from aix_lsp.engine.base import ModelError
from aix_lsp.engine.catalog import adapted, embedded, resolve
from aix_lsp.engine.checkpoint import inspect
from aix_lsp.engine.loading import locate
from aix_lsp.engine.select import REMOTE, is_remote
from aix_lsp.evaluation.benchmark import Sample
from aix_lsp.evaluation.one_model import check_server, settings_for
from aix_lsp.settings import ModelSettings, Settings
from aix_lsp.types import FimFormat

_FIRST_TOKEN_S: Final = 300.0
_WHOLE_ANSWER_S: Final = 600.0
"""How long a server may take: with many requests in flight the last of them waits for the others."""

_DIGESTED: Final = 1 << 14
_PLACES: Final = 256
"""Pieces of this many bytes, evenly over a file: fine-tuning changes tensors in the middle and leaves both ends."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run is asked for. `model` is a catalog name, a Hugging Face name or a folder; on the engine `remote` it is
    the model's name on the server, "" for that of the settings. `limit` 0 means all samples. `format` "auto" takes the
    sample's own order of the prompt, then the model's. `batch` is how many samples are answered at once; 0: one
    in this process, 16 on a server."""

    model: str = ""
    engine: Literal["local", "remote"] = "local"
    limit: int = 0
    seed: int = 0
    format: FimFormat | Literal["auto"] = "auto"
    threads: int = 0
    batch: int = 0
    adapter: Path | None = None
    copy_prior: Literal["auto", "off"] = "auto"


def settings_of(asked: Asked) -> Settings:
    """The product's settings for the model that is asked. Raises ModelError."""
    if asked.engine == "remote":
        if asked.adapter is not None:
            raise ModelError("an adapter cannot be put into a model that a server runs")
        settings = settings_for(ModelSettings(name=REMOTE))
        limits: dict[str, Any] = {"first_token_timeout_s": _FIRST_TOKEN_S, "timeout_s": _WHOLE_ANSWER_S}
        if asked.model:
            limits["model"] = asked.model
        check_server(settings)
        return settings.model_copy(update={"remote": settings.remote.model_copy(update=limits)})
    return settings_for(
        ModelSettings(
            name=asked.model or embedded().name,
            adapter="" if asked.adapter is None else str(asked.adapter),
            threads=asked.threads,
            copy_prior=asked.copy_prior,
            # guesses change no answer, but the way in which products are rounded, and how many pay is a matter of time
            speculation="off",
            idle_minutes=0,
        )
    )


def model_of(settings: Settings) -> tuple[str, str]:
    """The model's name, and a digest of its files; for a server's the name asked for. Raises ModelError."""
    if is_remote(settings):
        return settings.remote.model or REMOTE, ""
    entry = resolve(settings.model.name)
    folder = locate(entry.source)
    checkpoint = inspect(folder)
    digests = [_files_digest(folder)]
    if settings.model.adapter:
        adapter = inspect_adapter(Path(settings.model.adapter))
        check_base(adapter, checkpoint)
        entry = adapted(entry, adapter)
        digests.append(_files_digest(Path(settings.model.adapter)))
    return entry.name, "+".join(digests)


def _files_digest(folder: Path) -> str:
    """A digest of the files of a model: of each the name, the size and pieces all over it, 4 MB of a large one."""
    digest = sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".json", ".safetensors", ".model") or not path.is_file():
            continue
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with path.open("rb") as file:
            step = max(_DIGESTED, (size - _DIGESTED) // (_PLACES - 1))
            for place in range(0, size, step):
                file.seek(place)
                digest.update(file.read(_DIGESTED))
    return digest.hexdigest()[:16]


def digest_of(samples: Sequence[Sample]) -> str:
    """A digest of all that is asked and compared with."""
    digest = sha256()
    for sample in samples:
        told = json.dumps(asdict(sample), sort_keys=True, default=str)
        digest.update(told.encode() + b"\n")
    return digest.hexdigest()[:16]


def versions(engine: str) -> dict[str, str]:
    """Of what an answer and its score may depend on."""
    packages = ("torch", "transformers", "tokenizers", "sentencepiece") if engine == "local" else ("tokenizers",)
    found = {"aix-lsp": aix_lsp.__version__}
    for package in (*packages, "rapidfuzz", "sacrebleu"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
